//! `allocation-decisions`: one flat row per driver considered per wave, as `explain` lists them.
//!
//! A decision names so many drivers as its policy says and counts the others by reason: those are one row
//! per reason without a driver, so that the sum of `drivers` is what the metrics count.

use std::collections::BTreeMap;

use muster_engine::ride::WaveDecision;
use serde::Serialize;

use super::{OutMessage, OutTopic, correlation_id, event_id};
use crate::kafka::Transition;
use crate::wire::{CandidateView, ScoreView, WaveView};

#[derive(Serialize)]
struct DecisionRow<'a> {
    event_id: String,
    at: &'a str,
    market: &'a str,
    ride_id: &'a str,
    rider_id: &'a str,
    attempt: u32,
    attempt_kind: &'static str,
    wave: u32,
    mode: &'static str,
    policy_version: u64,
    policy_rules: &'a [String],
    arm: Option<&'a str>,
    radius_m: u32,
    /// The number of the dispatch window, and how many requests and drivers it had, in batched mode.
    window: Option<u64>,
    window_requests: Option<u32>,
    window_drivers: Option<u32>,
    pickup_lat: f64,
    pickup_lng: f64,
    /// How many drivers the row is about: 1, or as many as `reason` took out beside those named.
    drivers: u32,
    #[serde(flatten)]
    candidate: Candidate<'a>,
    correlation_id: Option<&'a str>,
}

/// The driver, or nobody by name.
#[derive(Serialize)]
struct Candidate<'a> {
    driver_id: Option<&'a str>,
    stage: &'static str,
    reason: Option<&'static str>,
    distance_m: Option<f64>,
    pickup_eta_s: Option<u32>,
    eta_source: Option<&'static str>,
    group: Option<&'static str>,
    score: Option<u16>,
    score_acceptance: Option<u16>,
    score_cancellation: Option<u16>,
    score_idle: Option<u16>,
    score_pickup_eta: Option<u16>,
    score_rides: Option<u16>,
    forward: bool,
    cost_ms: Option<i64>,
    offer_id: Option<&'a str>,
    service_tier: Option<&'a str>,
}

pub(super) fn messages(transition: &Transition) -> serde_json::Result<Vec<OutMessage>> {
    let Some(decision) = &transition.decision else { return Ok(Vec::new()) };
    let view = WaveView::new(decision, None);
    let base = event_id(transition);
    let named = view.candidates.iter().map(|driver| (1, Candidate::named(driver)));
    let counted = unnamed(&view).into_iter().map(|(reason, n)| (n, Candidate::counted(reason)));
    let rows = named.chain(counted).enumerate();
    let key = transition.after.request.ride.as_str();
    rows.map(|(place, (drivers, candidate))| {
        let event_id = format!("{base}:{place}");
        let row = row(transition, decision, &view, event_id, drivers, candidate);
        OutMessage::new(OutTopic::AllocationDecisions, key, &row.event_id, &row)
    })
    .collect()
}

fn row<'a>(
    transition: &'a Transition,
    decision: &'a WaveDecision,
    view: &'a WaveView,
    event_id: String,
    drivers: u32,
    candidate: Candidate<'a>,
) -> DecisionRow<'a> {
    let (request, policy) = (&transition.after.request, &decision.policy);
    let window = view.window.as_ref();
    DecisionRow {
        event_id,
        at: &view.at,
        market: request.market.as_str(),
        ride_id: request.ride.as_str(),
        rider_id: request.rider.as_str(),
        attempt: decision.attempt,
        attempt_kind: policy.attempt.name(),
        wave: decision.wave,
        mode: policy.mode.name(),
        policy_version: policy.version,
        policy_rules: &policy.rules,
        arm: policy.arm.as_deref(),
        radius_m: decision.radius_m,
        window: window.map(|window| window.number),
        window_requests: window.map(|window| window.requests),
        window_drivers: window.map(|window| window.drivers),
        pickup_lat: request.pickup.lat(),
        pickup_lng: request.pickup.lng(),
        drivers,
        candidate,
        correlation_id: correlation_id(transition),
    }
}

/// Drivers that fell out and are not named, by reason.
fn unnamed(view: &WaveView) -> BTreeMap<&'static str, u32> {
    let mut left = view.counts.clone();
    for reason in view.candidates.iter().filter_map(|candidate| candidate.reason) {
        if let Some(count) = left.get_mut(reason) {
            *count = count.saturating_sub(1);
        }
    }
    left.retain(|_, count| *count > 0);
    left
}

impl<'a> Candidate<'a> {
    fn named(driver: &'a CandidateView) -> Self {
        let score = |term: fn(&ScoreView) -> u16| driver.score.as_ref().map(term);
        Self {
            driver_id: Some(&driver.driver_id),
            stage: driver.stage,
            reason: driver.reason,
            distance_m: Some(driver.distance_m),
            pickup_eta_s: driver.pickup_eta_s,
            eta_source: Some(driver.eta_source),
            group: driver.group,
            score: score(|score| score.score),
            score_acceptance: score(|score| score.acceptance),
            score_cancellation: score(|score| score.cancellation),
            score_idle: score(|score| score.idle),
            score_pickup_eta: score(|score| score.pickup_eta),
            score_rides: score(|score| score.rides),
            forward: driver.forward,
            cost_ms: driver.cost_ms,
            offer_id: driver.offer_id.as_deref(),
            service_tier: driver.service_tier.as_deref(),
        }
    }

    /// Drivers who are only counted: a filter took them out.
    const fn counted(reason: &'static str) -> Self {
        Self {
            driver_id: None,
            stage: "nearby",
            reason: Some(reason),
            distance_m: None,
            pickup_eta_s: None,
            eta_source: None,
            group: None,
            score: None,
            score_acceptance: None,
            score_cancellation: None,
            score_idle: None,
            score_pickup_eta: None,
            score_rides: None,
            forward: false,
            cost_ms: None,
            offer_id: None,
            service_tier: None,
        }
    }
}
