//! Metrics of travel times.

use muster_engine::id::MarketId;
use muster_engine::travel::EtaSource;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::{OutcomeLabels, SourceLabels};

/// What is counted of travel times.
#[derive(Default)]
pub(super) struct TravelMetrics {
    estimates: Family<SourceLabels, Counter>,
    requests: Family<OutcomeLabels, Counter>,
}

impl TravelMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Estimates of travel times in markets with streets or a server, by what they \
            come from; fallback: what the market asks first had no answer";
        r.register("travel_times", help, self.estimates.clone());
        let help = "Requests to servers of travel times: answered, failed, timeout, garbage, or \
            left_alone after failures";
        r.register("travel_time_requests", help, self.requests.clone());
    }

    pub(super) fn estimated(&self, market: &MarketId, source: EtaSource, count: u64) {
        let labels = SourceLabels { market: market.to_string(), source: source.name() };
        self.estimates.get_or_create(&labels).inc_by(count);
    }

    pub(super) fn requested(&self, market: &MarketId, outcome: &'static str) {
        let labels = OutcomeLabels { market: market.to_string(), outcome };
        self.requests.get_or_create(&labels).inc();
    }
}
