//! The travel times that the searches of a market use.

use std::sync::Arc;

use crate::grid::Grid;
use crate::travel::TravelTimes;

impl Grid {
    /// The travel times in force; nothing where the straight line is all there is.
    pub fn travel_times(&self) -> Option<Arc<TravelTimes>> {
        self.travel.get()
    }

    /// Puts other travel times in force, for searches that begin from here on.
    pub fn set_travel_times(&self, times: Option<TravelTimes>) {
        self.travel.set(times);
    }
}
