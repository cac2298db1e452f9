//! How simulated cars get from place to place: the one place that knows how far and how long it is.

use std::sync::Arc;

use muster_city::geo::Point;
use muster_engine::roads::{RoadNetwork, RoadTravelTime};
use muster_engine::time::Timestamp;
use muster_engine::travel::{self, TravelTime, TravelTimes};

use crate::city::position;

/// Minutes after midnight that a street network's clock shows when a simulated day begins: the hour of
/// the bundled trips.
const CLOCK_MIN: i32 = 16 * 60;

/// The way of a car: a straight line with a detour, at one speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Travel {
    /// Street distance over straight-line distance, at least 1.
    pub detour_factor: f64,
    /// Mean driving speed in metres per second, above 0.
    pub speed_mps: f64,
}

impl Travel {
    /// The driven way in metres.
    #[must_use]
    pub fn way_m(&self, from: Point, to: Point) -> f64 {
        from.distance_m(to) * self.detour_factor
    }

    /// The time it takes in milliseconds.
    #[must_use]
    pub fn time_ms(&self, from: Point, to: Point) -> u64 {
        (self.way_m(from, to) / self.speed_mps * 1_000.0).round() as u64
    }

    /// Where a car is after `share` (0 to 1) of the time.
    #[must_use]
    pub fn place(&self, from: Point, to: Point, share: f64) -> Point {
        from.toward(to, share.clamp(0.0, 1.0))
    }
}

/// Streets that simulated cars drive on, and that dispatch knows.
#[derive(Debug, Clone)]
pub(crate) struct StreetWays(Arc<RoadTravelTime>);

impl StreetWays {
    pub(crate) fn new(network: Arc<RoadNetwork>) -> Self {
        Self(Arc::new(RoadTravelTime::new(network, CLOCK_MIN)))
    }

    /// The same for the searches of dispatch.
    pub(crate) fn travel_times(&self) -> TravelTimes {
        let at_once: Arc<dyn TravelTime> = Arc::<RoadTravelTime>::clone(&self.0);
        TravelTimes { windows: Arc::clone(&at_once), at_once: Some(at_once) }
    }

    /// The way of a car that leaves at `at`; nothing for a place that no street is near.
    pub(crate) fn way(&self, from: Point, to: Point, at: Timestamp) -> Option<travel::Travel> {
        self.0.way(position(from), position(to), at)
    }
}
