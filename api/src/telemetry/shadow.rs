//! Metrics of shadow policies.

use muster_engine::shadow::{Comparison, ShadowEvent, Side};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::labels::{MarketLabels, SideLabels, SideOutcomeLabels};
use super::metrics::{Histograms, histograms};

/// Times to the pickup.
const PICKUP_SECONDS: [f64; 9] = [30.0, 60.0, 120.0, 180.0, 300.0, 450.0, 600.0, 900.0, 1_800.0];

/// Times from the beginning of a search to its decision.
const DECIDED_SECONDS: [f64; 9] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0];

/// What is counted of the rides that a shadow is compared over.
pub(super) struct ShadowMetrics {
    rides: Family<SideOutcomeLabels, Counter>,
    same_driver: Family<MarketLabels, Counter>,
    skipped: Family<MarketLabels, Counter>,
    pickup_eta: Histograms<SideLabels>,
    decided: Histograms<SideLabels>,
}

impl ShadowMetrics {
    pub(super) fn new() -> Self {
        Self {
            rides: Family::default(),
            same_driver: Family::default(),
            skipped: Family::default(),
            pickup_eta: histograms(&PICKUP_SECONDS),
            decided: histograms(&DECIDED_SECONDS),
        }
    }

    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Rides compared with the shadow policy, by what came of their first search: once \
            with side real, once with side shadow";
        r.register("shadow_rides", help, self.rides.clone());
        let help = "Rides compared that both policies gave to the same driver";
        r.register("shadow_same_driver", help, self.same_driver.clone());
        let help = "Rides not compared, for the shadow follows as many as it may";
        r.register("shadow_rides_skipped", help, self.skipped.clone());
        let help = "Estimated pickup time by side, of rides that both policies found a driver for";
        r.register("shadow_pickup_eta_seconds", help, self.pickup_eta.clone());
        let help = "Search start to decision on a driver by side, in engine time, of rides that both \
            policies found a driver for";
        r.register("shadow_decision_seconds", help, self.decided.clone());
    }

    pub(super) fn count(&self, market: String, event: &ShadowEvent) {
        match event {
            ShadowEvent::Skipped => {
                self.skipped.get_or_create(&MarketLabels { market }).inc();
            }
            ShadowEvent::Compared(comparison) => self.compared(&market, comparison),
        }
    }

    fn compared(&self, market: &str, comparison: &Comparison) {
        if comparison.same_driver() {
            let market = market.to_owned();
            self.same_driver.get_or_create(&MarketLabels { market }).inc();
        }
        let both = comparison.served_by_both();
        for (side, of) in [("real", &comparison.real), ("shadow", &comparison.shadow)] {
            let labels =
                SideOutcomeLabels { market: market.to_owned(), side, outcome: of.end.name() };
            self.rides.get_or_create(&labels).inc();
            if both {
                self.times(SideLabels { market: market.to_owned(), side }, of);
            }
        }
    }

    fn times(&self, labels: SideLabels, side: &Side) {
        if let Some(eta) = side.pickup_eta {
            self.pickup_eta.get_or_create(&labels).observe(f64::from(eta.get()));
        }
        if let Some(after_ms) = side.decided_after_ms {
            self.decided.get_or_create(&labels).observe(after_ms as f64 / 1_000.0);
        }
    }
}
