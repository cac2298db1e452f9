//! Why a driver got the rides he got, or none.

use std::collections::BTreeMap;

use muster_engine::driver;
use muster_engine::id::{DriverId, RideId};
use muster_engine::offer::Exclusion;
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::WaveDecision;
use muster_engine::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::DriverDecisions;
use crate::wire::explain::{CandidateView, WaveView};
use crate::wire::time::rfc3339;

/// Decisions about a driver that are told one by one.
const RECENT_MAX: usize = 100;

/// What was decided about a driver of late.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverExplainView {
    /// The driver.
    pub driver_id: String,
    /// How he stands now.
    pub now: DriverStandingView,
    /// From when on decisions are told.
    #[schema(format = DateTime)]
    pub since: String,
    /// Searches of rides that saw him, by how far he came: `nearby`, `ranked` or `offered`. A search
    /// names the nearest drivers it leaves out; those farther away are only counted and do not
    /// appear here.
    pub stages: BTreeMap<&'static str, u32>,
    /// Of those `nearby`, by the reason that he came no farther.
    pub reasons: BTreeMap<&'static str, u32>,
    /// The newest decisions about him, newest first, at most 100.
    pub recent: Vec<DriverDecisionView>,
    /// Whether all decisions since then were looked at: a busy server looks at the newest 50,000.
    pub complete: bool,
}

/// How a driver stands with rides that search.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverStandingView {
    /// `offline`, `available`, `reserved`, `en_route`, `at_pickup` or `on_trip`.
    #[schema(example = "available")]
    pub status: &'static str,
    /// How well his phone is heard: `live`, `stale` or `lost`.
    #[schema(example = "live")]
    pub contact: &'static str,
    /// Why no ride at all is offered to him; absent when it depends on the ride.
    #[schema(example = "stale_position")]
    pub reason: Option<&'static str>,
    /// Offers that wait for his answer.
    pub offers: usize,
    /// Rides that search with a pickup as near to him as searches go, and take a tier he serves.
    pub searching_nearby: usize,
    /// Offers he accepted within `stats_window_ms` that another driver won.
    pub acceptances_lost: u32,
}

/// What one search decided about a driver.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverDecisionView {
    /// The ride.
    pub ride_id: String,
    /// Its search.
    pub attempt: u32,
    /// The wave of the search.
    pub wave: u32,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// How far he came, and why no farther.
    #[serde(flatten)]
    pub candidate: CandidateView,
}

impl DriverStandingView {
    /// `view` with what is known besides it.
    pub fn new(
        view: &driver::DriverView,
        taken: Option<Exclusion>,
        searching_nearby: usize,
        acceptances_lost: u32,
    ) -> Self {
        Self {
            status: view.status.name(),
            contact: view.contact.name(),
            reason: taken.map(Exclusion::name),
            offers: view.offers.len(),
            searching_nearby,
            acceptances_lost,
        }
    }
}

impl DriverExplainView {
    /// What `decisions` say about `driver`.
    pub fn new(
        driver: &DriverId,
        now: DriverStandingView,
        since: Timestamp,
        decisions: &DriverDecisions,
        policy: Option<&DispatchPolicy>,
    ) -> Self {
        let all = decisions.decisions.iter();
        let all: Vec<DriverDecisionView> =
            all.filter_map(|(ride, one)| about(driver, ride, one, policy)).collect();
        let (mut stages, mut reasons) = (BTreeMap::new(), BTreeMap::new());
        for one in &all {
            *stages.entry(one.candidate.stage).or_insert(0) += 1;
            if let Some(reason) = one.candidate.reason {
                *reasons.entry(reason).or_insert(0) += 1;
            }
        }
        Self {
            driver_id: driver.to_string(),
            now,
            since: rfc3339(since),
            stages,
            reasons,
            recent: all.into_iter().take(RECENT_MAX).collect(),
            complete: decisions.complete,
        }
    }
}

fn about(
    driver: &DriverId,
    ride: &RideId,
    decision: &WaveDecision,
    policy: Option<&DispatchPolicy>,
) -> Option<DriverDecisionView> {
    let wave = WaveView::new(decision, policy);
    let mut candidates = wave.candidates.into_iter();
    let candidate = candidates.find(|candidate| candidate.driver_id == driver.as_str())?;
    let (attempt, wave, at) = (decision.attempt, wave.wave, wave.at);
    Some(DriverDecisionView { ride_id: ride.to_string(), attempt, wave, at, candidate })
}
