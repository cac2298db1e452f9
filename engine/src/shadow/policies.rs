//! What a shadow decides by: the market's policies, with other keys.

use crate::policy::{BookError, DispatchPolicy, PolicyBook, PolicyPatch};

impl PolicyBook {
    /// The same book with `patch` over the market's own policy: what would hold if the keys stood
    /// there. Rules and experiments hold over it as they do for real.
    ///
    /// # Errors
    /// [`BookError`] names the first key that is out of range.
    pub fn shadowed(&self, patch: &PolicyPatch) -> Result<Self, BookError> {
        let mut base = DispatchPolicy::clone(self.base());
        base.apply(patch);
        let (rules, experiment) = (self.rules().to_vec(), self.experiment().cloned());
        Self::new(self.version(), base, rules, experiment, self.utc_offset_min())
    }
}
