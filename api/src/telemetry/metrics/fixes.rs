//! What is counted of positions: the most frequent events of all, so what counts them is at hand.

use muster_engine::grid::FixRejection;

use super::Metrics;
use crate::telemetry::labels::FixLabels;

impl Metrics {
    /// So many fixes were applied.
    pub fn fixes_applied(&self, count: u64) {
        self.fixes_applied.inc_by(count);
    }

    /// A fix was refused.
    pub fn fix_refused(&self, rejection: FixRejection) {
        self.fixes.get_or_create(&FixLabels { outcome: rejection.code() }).inc();
    }

    /// A fix was judged in `seconds`.
    pub fn fix_took(&self, seconds: f64) {
        self.position_apply.observe(seconds);
    }

    /// So many fixes that came by Kafka ended so; how long each took is not measured.
    pub(crate) fn fixes(&self, outcome: &'static str, count: u64) {
        self.fixes.get_or_create(&FixLabels { outcome }).inc_by(count);
    }
}
