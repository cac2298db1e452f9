//! Metrics of what the platform is told.

use std::sync::atomic::{AtomicU64, Ordering};

use muster_engine::time::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::TopicLabels;

/// What is counted of the relay.
#[derive(Default)]
pub(crate) struct OutboxMetrics {
    /// When the oldest transition that is not published happened; 0 when all are.
    oldest_ms: AtomicU64,
    lag_seconds: Gauge<f64, AtomicU64>,
    messages: Family<TopicLabels, Counter>,
    events_pruned: Counter,
    restarts: Counter,
}

impl OutboxMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Age of the oldest transition that is not published; 0 when all are";
        r.register("outbox_lag_seconds", help, self.lag_seconds.clone());
        let help = "Messages to the platform by topic: acknowledged by the brokers, or failed and sent \
            again";
        r.register("outbox_events", help, self.messages.clone());
        let help = "Transitions that were pruned before they could be published";
        r.register("outbox_events_pruned", help, self.events_pruned.clone());
        let help = "Times that the relay began again after its last acknowledged transition";
        r.register("outbox_restarts", help, self.restarts.clone());
    }

    /// The lag as of `now`.
    pub(super) fn refresh(&self, now: Timestamp) {
        let oldest_ms = self.oldest_ms.load(Ordering::Relaxed);
        let age_ms = now.millis_since(Timestamp::from_millis(oldest_ms));
        let lag = if oldest_ms == 0 { 0.0 } else { age_ms as f64 / 1_000.0 };
        self.lag_seconds.set(lag);
    }

    /// When the oldest transition happened that is not published.
    pub(crate) fn waits_since(&self, oldest: Option<Timestamp>) {
        self.oldest_ms.store(oldest.map_or(0, Timestamp::as_millis), Ordering::Relaxed);
    }

    pub(crate) fn published(&self, topic: &str) {
        self.count(topic, "published");
    }

    pub(crate) fn failed(&self, topic: &str) {
        self.count(topic, "failed");
    }

    pub(crate) fn pruned(&self, events: u64) {
        self.events_pruned.inc_by(events);
    }

    #[cfg(test)]
    pub(crate) fn pruned_so_far(&self) -> u64 {
        self.events_pruned.get()
    }

    pub(crate) fn restarted(&self) {
        self.restarts.inc();
    }

    fn count(&self, topic: &str, outcome: &'static str) {
        self.messages.get_or_create(&TopicLabels { topic: topic.to_owned(), outcome }).inc();
    }
}
