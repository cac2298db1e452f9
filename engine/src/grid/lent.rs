//! A driver's entry for another grid.

use std::sync::Arc;

use super::index::Grid;
use super::slot::DriverSlot;
use super::supply::Supply;
use crate::id::DriverId;

impl Grid {
    /// A copy of a driver's slot, which keeps the position it has, and his supply facts, to be placed
    /// in another grid.
    pub(crate) fn entry_of(&self, driver: &DriverId) -> Option<(Arc<DriverSlot>, Supply)> {
        let placed = self.drivers.get(driver)?.clone();
        Some((Arc::new(placed.slot.copied()), Supply::clone(&placed.supply)))
    }
}
