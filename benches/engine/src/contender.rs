//! What an index of positions must be able to do to be measured.

use muster_engine::geo::Position;

use crate::workload::Move;

/// An index of drivers' positions in the process. All methods may be called from any thread.
pub trait Contender: Sync {
    /// How people call it.
    fn name(&self) -> &'static str;

    /// Makes one move visible to questions. Fixes of one driver come from one thread, in order.
    ///
    /// # Errors
    /// When it is refused.
    fn apply(&self, step: &Move) -> anyhow::Result<()>;

    /// Moves that are worth a call together, smallest first.
    fn batches(&self) -> &'static [usize] {
        &[1]
    }

    /// Makes several moves visible at once, where that is cheaper.
    ///
    /// # Errors
    /// When one is refused.
    fn apply_all(&self, steps: &[Move]) -> anyhow::Result<()> {
        steps.iter().try_for_each(|step| self.apply(step))
    }

    /// The nearest free drivers to a place, nearest first; the answer replaces what `found` held.
    fn nearest(&self, to: Position, found: &mut Vec<usize>);
}

/// Whether a driver is free: two of three are. The others must not be found.
pub const fn is_free(driver: usize) -> bool {
    !driver.is_multiple_of(3)
}
