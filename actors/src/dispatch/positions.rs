//! Positions that do not come by a phone's own connection.

use std::iter;
use std::sync::Arc;

use muster_engine::grid::{Fix, FixRejection, Reading};
use muster_engine::id::DriverId;

use super::Dispatch;
use crate::error::CallError;
use crate::registry::DriverHandle;
use crate::session::apply_fixes;

/// A driver whose fix is about to be applied, see [`Dispatch::fix_target`].
pub struct FixTarget(Arc<DriverHandle>);

impl Dispatch {
    /// Applies fixes in order; the result of each is at its index.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`].
    pub fn apply_fixes(
        &self,
        driver: &DriverId,
        fixes: &[Fix],
    ) -> Result<Vec<Result<(), FixRejection>>, CallError> {
        let handle = self.driver_handle(driver)?;
        let mut results = vec![Ok(()); fixes.len()];
        let refused = |index, why| {
            if let Some(result) = results.get_mut(index) {
                *result = Err(why);
            }
        };
        apply_fixes(&self.runtime, &handle, fixes.iter().copied(), refused);
        Ok(results)
    }

    /// Looks up the driver with this id, and has the memory that his fix needs fetched. A stream that has
    /// fixes of several drivers at hand looks all of them up before it applies the first.
    pub fn fix_target(&self, driver: &str) -> Option<FixTarget> {
        let handle = self.runtime.registry.driver_named(driver)?;
        handle.board.slot.touch();
        handle.board.is_durable().then_some(FixTarget(handle))
    }

    /// Applies one fix of a driver who was looked up: no task, no message unless a decision may change, and
    /// no allocation, for streams of many drivers.
    ///
    /// # Errors
    /// [`FixRejection`] when it is not applied.
    pub fn apply_to(&self, target: &FixTarget, fix: &Fix) -> Result<(), FixRejection> {
        let mut result = Ok(());
        let refused = |_, why| result = Err(why);
        apply_fixes(&self.runtime, &target.0, iter::once(*fix), refused);
        result
    }

    /// The newest position of a driver, without asking his actor.
    pub fn position(&self, driver: &DriverId) -> Option<Reading> {
        self.runtime.registry.driver(driver).and_then(|handle| handle.board.slot.read())
    }
}
