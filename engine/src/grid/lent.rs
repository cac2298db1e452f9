//! A driver's entry for another grid, which looks at the same positions.

use std::sync::Arc;

use super::index::Grid;
use super::slot::DriverSlot;
use super::supply::Supply;
use crate::id::DriverId;

impl Grid {
    /// The slot and the supply facts of a driver in the grid, to be placed in another one.
    pub(crate) fn entry_of(&self, driver: &DriverId) -> Option<(Arc<DriverSlot>, Supply)> {
        let placement = self.drivers.get(driver)?;
        Some((Arc::clone(&placement.entry.slot), placement.entry.supply.clone()))
    }
}
