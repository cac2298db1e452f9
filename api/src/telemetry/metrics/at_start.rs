//! Counters that are there, at 0, before anything is counted: an alert on their growth sees the first
//! failure too, and a share whose parts are missing is no share.

use muster_actors::StoreError;
use muster_engine::id::MarketId;
use muster_engine::invariant::Invariant;
use muster_engine::offer::{Exclusion, OfferEnd};
use muster_engine::policy::DispatchMode;
use muster_engine::ride::CancelledBy;
use muster_engine::travel::EtaSource;
use muster_engine::zone::ZoneEventKind;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::{Family, MetricConstructor};

use super::Metrics;
use crate::telemetry::labels::{
    ActorLabels, ByLabels, FixLabels, InvariantLabels, MarketLabels, ModeLabels, OutcomeLabels,
    ReasonLabels, StoreLabels,
};

/// The actors that people or machines call.
const ACTORS: [&str; 5] = ["driver", "market", "ride", "shadow", "zone"];
const MODES: [DispatchMode; 7] = [
    DispatchMode::Broadcast,
    DispatchMode::Sequential,
    DispatchMode::Queue,
    DispatchMode::Otp,
    DispatchMode::Quotes,
    DispatchMode::Instant,
    DispatchMode::Batched,
];
/// How a search ends without a driver.
const UNFULFILLED: [&str; 3] = ["search_limit", "wave_limit", "reallocation_limit"];

impl Metrics {
    /// What every process counts.
    pub(super) fn begin_with_the_process(&self) {
        for actor in ACTORS {
            begin(&self.mailbox_full, ActorLabels { actor });
            begin(&self.actor_restarts, ActorLabels { actor });
        }
        let nothing = String::new;
        for error in [
            StoreError::Unavailable(nothing()),
            StoreError::InDoubt(nothing()),
            StoreError::Conflict(nothing()),
            StoreError::Corrupt(nothing()),
        ] {
            begin(&self.store_refusals, StoreLabels { reason: error.name() });
        }
        for invariant in Invariant::ALL {
            let labels = InvariantLabels { invariant: invariant.to_string() };
            begin(&self.invariant_violations, labels);
        }
        begin(&self.fixes, FixLabels { outcome: "applied" });
        for mode in MODES {
            begin(&self.match_duration, ModeLabels { mode: mode.name() });
        }
    }

    /// What is counted in a market.
    pub fn begin_with_market(&self, market: &MarketId) {
        let of_market = || MarketLabels { market: market.to_string() };
        for counter in [
            &self.rides_requested,
            &self.rides_assigned,
            &self.rides_completed,
            &self.offers_sent,
            &self.acceptances_lost,
            &self.pickup_nudges,
        ] {
            begin(counter, of_market());
        }
        for histogram in
            [&self.offer_response, &self.wave_size, &self.time_to_assign, &self.pickup_eta]
        {
            begin(histogram, of_market());
        }
        self.windows.begin_with_market(market);
        for source in EtaSource::ALL {
            self.travel.estimated(market, source, 0);
        }
        let labels = ReasonLabels { market: market.to_string(), reason: Exclusion::Offline.name() };
        begin(&self.candidates_excluded, labels);
        let outcome = ZoneEventKind::Joined.name();
        begin(&self.zone_queue_changes, OutcomeLabels { market: market.to_string(), outcome });
        for reason in UNFULFILLED {
            begin(&self.rides_unfulfilled, ReasonLabels { market: market.to_string(), reason });
        }
        for by in [CancelledBy::Rider, CancelledBy::Driver, CancelledBy::Operator] {
            let labels = ByLabels { market: market.to_string(), by: by.name() };
            begin(&self.rides_cancelled, labels);
        }
        for end in [OfferEnd::Accepted, OfferEnd::Declined, OfferEnd::Expired, OfferEnd::Withdrawn]
        {
            let labels = OutcomeLabels { market: market.to_string(), outcome: end.name() };
            begin(&self.offers_ended, labels);
        }
        for outcome in ["retried", "cancelled"] {
            let labels = OutcomeLabels { market: market.to_string(), outcome };
            begin(&self.reallocations, labels);
        }
    }
}

/// Has a family show these labels.
fn begin<L, M, C>(family: &Family<L, M, C>, labels: L)
where
    L: EncodeLabelSet + Clone + Eq + std::hash::Hash,
    C: MetricConstructor<M>,
{
    drop(family.get_or_create(&labels));
}
