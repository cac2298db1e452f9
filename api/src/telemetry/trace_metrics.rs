//! Metrics of traces.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::SpanLabels;

/// What is counted of traces.
#[derive(Default)]
pub(super) struct TraceMetrics {
    spans: Family<SpanLabels, Counter>,
}

impl TraceMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Sampled spans: ended here, sent to the collector, or failed to be sent; those that \
            are neither sent nor failed wait, or found the queue full";
        r.register("trace_spans", help, self.spans.clone());
        for outcome in ["ended", "sent", "failed"] {
            self.add(outcome, 0);
        }
    }

    pub(super) fn add(&self, outcome: &'static str, spans: u64) {
        self.spans.get_or_create(&SpanLabels { outcome }).inc_by(spans);
    }
}
