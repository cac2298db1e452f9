//! Why a ride was offered to whom.

use std::collections::BTreeMap;

use muster_engine::id::{DriverId, OfferId};
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::{
    LiveOffer, PinnedPolicy, RankedDriver, RideRecord, ScoreTerms, WaveDecision, WaveExclusion,
};
use muster_engine::travel::EtaSource;
use muster_engine::units::EtaSeconds;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::{Metres, metres};
use crate::wire::shadow::ShadowRideView;
use crate::wire::time::rfc3339;
use crate::wire::window::WindowView;

/// The decisions about a ride.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExplainView {
    /// The ride.
    pub ride_id: String,
    /// Where the ride stands.
    pub status: &'static str,
    /// The rules of the newest search.
    pub policy: ExplainPolicyView,
    /// The searches, in order.
    pub attempts: Vec<AttemptView>,
    /// Drivers that fell out over all waves, by reason; one counts once per wave.
    pub counts: BTreeMap<&'static str, u32>,
    /// What a shadow policy would have decided; of the newest few thousand rides, until a restart.
    pub shadow: Option<ShadowRideView>,
}

/// The rules that decided.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExplainPolicyView {
    /// How the ride finds its driver.
    #[schema(example = "broadcast")]
    pub mode: &'static str,
    /// Why the search began: `initial`, `retry`, `cancelled_and_retried`, `reallocation`, `scheduled`,
    /// or `better_driver_search`: for somebody to stand by while the driver is far away.
    pub attempt: &'static str,
    /// The version of the market's policies.
    pub version: u64,
    /// The rules that held, least specific first: later ones override earlier ones.
    pub rules: Vec<String>,
    /// `experiment/arm`, if there is an experiment.
    pub arm: Option<String>,
}

impl From<&PinnedPolicy> for ExplainPolicyView {
    fn from(policy: &PinnedPolicy) -> Self {
        Self {
            mode: policy.mode.name(),
            attempt: policy.attempt.name(),
            version: policy.version,
            rules: policy.rules.clone(),
            arm: policy.arm.clone(),
        }
    }
}

/// One search.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AttemptView {
    /// Its number, counted from 1.
    pub attempt: u32,
    /// The rules, pinned when it began.
    pub policy: ExplainPolicyView,
    /// The times it looked, in order.
    pub waves: Vec<WaveView>,
}

/// One look at the supply.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WaveView {
    /// The wave it planned, counted from 1; when it found nobody, the newest wave before.
    pub wave: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// How far it looked.
    pub radius_m: u32,
    /// Drivers considered: those offered the ride and those that others were preferred to, best
    /// first, then those that fell out, nearest first. Only so many of either are listed as the
    /// policy says.
    pub candidates: Vec<CandidateView>,
    /// All that fell out, by reason, listed or not.
    pub counts: BTreeMap<&'static str, u32>,
    /// The dispatch window that chose, in batched mode.
    pub window: Option<WindowView>,
}

/// One driver considered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CandidateView {
    /// The driver.
    pub driver_id: String,
    /// How far he came: `nearby` when a filter took him out, `ranked` when others were preferred
    /// to him, `offered` when he was asked.
    #[schema(example = "nearby")]
    pub stage: &'static str,
    /// Why he came no farther.
    pub reason: Option<&'static str>,
    /// Straight-line distance to the pickup.
    pub distance_m: Metres,
    /// Estimated time to the pickup.
    pub pickup_eta_s: Option<u32>,
    /// What that comes from: `great_circle` (the straight line), `roads` (the market's street
    /// network), `osrm`, `valhalla`, or `fallback` when what the market asks first had no answer.
    #[schema(example = "roads")]
    pub eta_source: &'static str,
    /// What put him before others, where more than distance did: `favourite`, `heading_home`,
    /// `priority_tag` or `other`; `asked_before` comes last.
    #[schema(example = "favourite")]
    pub group: Option<&'static str>,
    /// What his place within the group follows from, when the policy ranks by score.
    pub score: Option<ScoreView>,
    /// Whether he was on a trip and would take the ride after it; the distance is that of the whole
    /// way.
    pub forward: bool,
    /// What it costs that he serves the ride, in milliseconds to the pickup, where a dispatch window
    /// had several drivers asked at once.
    pub cost_ms: Option<i64>,
    /// The offer he got.
    pub offer_id: Option<String>,
    /// The tier it was for.
    pub service_tier: Option<String>,
}

/// A score, and the terms it is the weighted mean of: each 0–1000, higher is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ScoreView {
    /// The weighted mean.
    pub score: u16,
    /// Offers accepted.
    pub acceptance: u16,
    /// Rides not given back.
    pub cancellation: u16,
    /// Time without a ride.
    pub idle: u16,
    /// Nearness to the pickup.
    pub pickup_eta: u16,
    /// Rides completed.
    pub rides: u16,
}

impl From<ScoreTerms> for ScoreView {
    fn from(terms: ScoreTerms) -> Self {
        let ScoreTerms { score, acceptance, cancellation, idle, pickup_eta, rides } = terms;
        Self { score, acceptance, cancellation, idle, pickup_eta, rides }
    }
}

impl ExplainView {
    /// What `decisions` say about `ride`, in their order.
    pub fn new(
        ride: &RideRecord,
        decisions: &[WaveDecision],
        policy: Option<&DispatchPolicy>,
    ) -> Self {
        let mut attempts: Vec<AttemptView> = Vec::new();
        let mut counts = BTreeMap::new();
        for decision in decisions {
            let wave = WaveView::new(decision, policy);
            for (reason, count) in &wave.counts {
                *counts.entry(*reason).or_insert(0) += count;
            }
            match attempts.last_mut().filter(|last| last.attempt == decision.attempt) {
                Some(last) => last.waves.push(wave),
                None => {
                    let attempt = decision.attempt;
                    let policy = ExplainPolicyView::from(&decision.policy);
                    attempts.push(AttemptView { attempt, policy, waves: vec![wave] });
                }
            }
        }
        Self {
            ride_id: ride.request.ride.to_string(),
            status: ride.status.name(),
            policy: ExplainPolicyView::from(&ride.policy),
            attempts,
            counts,
            shadow: None,
        }
    }
}

impl WaveView {
    pub(crate) fn new(decision: &WaveDecision, policy: Option<&DispatchPolicy>) -> Self {
        let place =
            |driver: &DriverId| decision.ranked.iter().find(|ranked| ranked.driver == *driver);
        let offered = decision.offered.iter();
        let asked =
            |driver: &DriverId| decision.offered.iter().any(|(_, live)| live.driver == *driver);
        let offered =
            offered.map(|(id, live)| CandidateView::offered(id, live, place(&live.driver)));
        let passed_over = decision.ranked.iter().filter(|ranked| !asked(&ranked.driver));
        let passed_over = passed_over.map(|ranked| CandidateView::passed_over(ranked, policy));
        let excluded = decision.excluded.iter();
        let excluded = excluded.map(|excluded| CandidateView::excluded(excluded, policy));
        let counts = decision.excluded_counts.iter();
        Self {
            wave: decision.wave,
            at: rfc3339(decision.at),
            radius_m: decision.radius_m,
            candidates: offered.chain(passed_over).chain(excluded).collect(),
            counts: counts.map(|(reason, count)| (reason.name(), *count)).collect(),
            window: decision.window.map(WindowView::from),
        }
    }
}

impl CandidateView {
    fn offered(offer: &OfferId, live: &LiveOffer, place: Option<&RankedDriver>) -> Self {
        Self {
            driver_id: live.driver.to_string(),
            stage: "offered",
            reason: None,
            distance_m: metres(live.distance),
            pickup_eta_s: Some(live.pickup_eta.get()),
            eta_source: live.eta_source.name(),
            group: place.map(|place| place.group.name()),
            score: place.and_then(|place| place.score).map(ScoreView::from),
            forward: live.forward.is_some(),
            cost_ms: live.cost_ms,
            offer_id: Some(offer.to_string()),
            service_tier: Some(live.service_tier.to_string()),
        }
    }

    fn passed_over(ranked: &RankedDriver, policy: Option<&DispatchPolicy>) -> Self {
        let straight = || policy.map(|policy| policy.pickup_eta(ranked.distance));
        let pickup_eta = ranked.pickup_eta.or_else(straight);
        Self {
            driver_id: ranked.driver.to_string(),
            stage: "ranked",
            reason: None,
            distance_m: metres(ranked.distance),
            pickup_eta_s: pickup_eta.map(EtaSeconds::get),
            eta_source: ranked.eta_source.name(),
            group: Some(ranked.group.name()),
            score: ranked.score.map(ScoreView::from),
            forward: false,
            cost_ms: None,
            offer_id: None,
            service_tier: None,
        }
    }

    fn excluded(excluded: &WaveExclusion, policy: Option<&DispatchPolicy>) -> Self {
        Self {
            driver_id: excluded.driver.to_string(),
            stage: "nearby",
            reason: Some(excluded.reason.name()),
            distance_m: metres(excluded.distance),
            pickup_eta_s: policy.map(|policy| policy.pickup_eta(excluded.distance).get()),
            eta_source: EtaSource::GreatCircle.name(),
            group: None,
            score: None,
            forward: false,
            cost_ms: None,
            offer_id: None,
            service_tier: None,
        }
    }
}
