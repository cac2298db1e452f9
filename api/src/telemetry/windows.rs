//! Metrics of dispatch windows.

use muster_engine::id::MarketId;
use muster_engine::matching::WindowFacts;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::{MarketLabels, OutcomeLabels, ReasonLabels};
use super::metrics::{Histograms, histograms};

/// Requests of a window: one to a city's rush.
const REQUESTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 500.0, 2_000.0, 10_000.0];

/// Times to a pickup that a policy may allow.
const CAP_SECONDS: [f64; 9] = [30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1_800.0];

/// What is counted of the dispatch windows of batched mode.
pub(super) struct WindowMetrics {
    requests: Histograms<MarketLabels>,
    matched: Family<OutcomeLabels, Counter>,
    bypassed: Family<ReasonLabels, Counter>,
    pickup_eta_cap: Histograms<MarketLabels>,
}

impl WindowMetrics {
    pub(super) fn new() -> Self {
        Self {
            requests: histograms(&REQUESTS),
            matched: Family::default(),
            bypassed: Family::default(),
            pickup_eta_cap: histograms(&CAP_SECONDS),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        r.register("window_requests", "Requests per dispatch window", self.requests.clone());
        let help = "Requests of dispatch windows: served or unserved where the matching is proven \
            optimal; where it was cut short, served_early or unserved_early";
        r.register("window_matches", help, self.matched.clone());
        let help = "Rides that no dispatch window took, by why: they looked for themselves";
        r.register("window_bypasses", help, self.bypassed.clone());
        let help = "Longest time to the pickup per dispatch window, where it tightens as drivers \
            get scarce";
        let cap = self.pickup_eta_cap.clone();
        r.register("window_pickup_eta_cap_seconds", help, cap);
    }

    /// Shows what is counted in a market before anything is.
    pub(super) fn begin_with_market(&self, market: &MarketId) {
        for outcome in ["served", "unserved", "served_early", "unserved_early"] {
            let labels = OutcomeLabels { market: market.to_string(), outcome };
            drop(self.matched.get_or_create(&labels));
        }
        for reason in ["full", "failed"] {
            self.bypassed(market.to_string(), 0, reason);
        }
    }

    pub(super) fn matched(&self, market: String, facts: &WindowFacts) {
        let labels = MarketLabels { market: market.clone() };
        self.requests.get_or_create(&labels).observe(f64::from(facts.requests));
        if let Some(cap_s) = facts.pickup_eta_cap_s {
            self.pickup_eta_cap.get_or_create(&labels).observe(f64::from(cap_s));
        }
        let outcomes = match facts.optimal {
            true => ["served", "unserved"],
            false => ["served_early", "unserved_early"],
        };
        let counts = [facts.served, facts.requests.saturating_sub(facts.served)];
        for (outcome, count) in outcomes.into_iter().zip(counts) {
            let labels = OutcomeLabels { market: market.clone(), outcome };
            self.matched.get_or_create(&labels).inc_by(u64::from(count));
        }
    }

    pub(super) fn bypassed(&self, market: String, rides: u32, reason: &'static str) {
        let labels = ReasonLabels { market, reason };
        self.bypassed.get_or_create(&labels).inc_by(u64::from(rides));
    }
}
