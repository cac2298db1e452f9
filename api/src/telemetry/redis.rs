//! Metrics of Redis.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::PurposeLabels;
use super::metrics::Metrics;
use crate::redis::LinkObserver;

/// What is counted of Redis.
#[derive(Default)]
pub(super) struct RedisMetrics {
    uses: Family<PurposeLabels, Counter>,
}

impl RedisMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Uses of Redis by purpose (mirror, owners, rate): ok, failed, timeout, or \
            left_alone after a failure";
        r.register("redis_uses", help, self.uses.clone());
    }
}

impl LinkObserver for Metrics {
    fn used(&self, purpose: &'static str, outcome: &'static str) {
        self.redis.uses.get_or_create(&PurposeLabels { purpose, outcome }).inc();
    }
}
