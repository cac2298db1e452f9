//! What one search of the supply index came to, for people who ask why.

use std::collections::BTreeMap;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::effect::Outbox;
use crate::event::EventKind;
use crate::id::{DriverId, OfferId};
use crate::matching::WindowFacts;
use crate::offer::Exclusion;
use crate::ride::command::Candidates;
use crate::ride::machine::RideMachine;
use crate::ride::ranking::{PriorityGroup, RankedCandidate, ScoreTerms};
use crate::ride::record::{LiveOffer, PinnedPolicy};
use crate::time::Timestamp;
use crate::travel::EtaSource;
use crate::units::{EtaSeconds, Meters};

/// Who was considered for a wave, and why the others were not offered the ride.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct WaveDecision {
    /// The attempt.
    pub attempt: u32,
    /// The wave within it.
    pub wave: u32,
    /// When it was planned.
    pub at: Timestamp,
    /// The policy it was planned under.
    #[cfg_attr(feature = "serde", serde(default))]
    pub policy: PinnedPolicy,
    /// How far it looked, in metres.
    pub radius_m: u32,
    /// Drivers offered the ride, best first: offer, driver, distance, estimated time.
    pub offered: Vec<(OfferId, LiveOffer)>,
    /// The order of the eligible drivers, the offered ones first, where more than distance made it;
    /// of the others at most `explained_max` of the policy.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub ranked: Vec<RankedDriver>,
    /// Drivers that fell out, nearest first; at most `explained_max` of the policy.
    pub excluded: Vec<WaveExclusion>,
    /// All that fell out, by reason, listed above or not.
    pub excluded_counts: BTreeMap<Exclusion, u32>,
    /// The dispatch window that chose, in batched mode.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub window: Option<WindowFacts>,
}

impl WaveDecision {
    /// Whether the driver was offered the ride, ranked, or left out by name.
    pub fn names(&self, driver: &DriverId) -> bool {
        self.offered.iter().any(|(_, live)| live.driver == *driver)
            || self.ranked.iter().any(|ranked| ranked.driver == *driver)
            || self.excluded.iter().any(|excluded| excluded.driver == *driver)
    }
}

/// An eligible driver's place in a wave's order.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct RankedDriver {
    /// The driver.
    pub driver: DriverId,
    /// Straight-line distance to the pickup.
    pub distance: Meters,
    /// The group he came in.
    pub group: PriorityGroup,
    /// Estimated time to the pickup, where the market knows better than the straight line.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub pickup_eta: Option<EtaSeconds>,
    /// What that comes from.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "EtaSource::is_great_circle")
    )]
    pub eta_source: EtaSource,
    /// His score, when the policy ranks by it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub score: Option<ScoreTerms>,
}

impl From<&RankedCandidate> for RankedDriver {
    fn from(ranked: &RankedCandidate) -> Self {
        Self {
            driver: ranked.candidate.driver.clone(),
            distance: ranked.candidate.distance.to_decimetre(),
            pickup_eta: ranked.candidate.travel.map(|travel| EtaSeconds::new(travel.seconds())),
            eta_source: ranked.candidate.eta_source(),
            group: ranked.group,
            score: ranked.score,
        }
    }
}

/// A driver that fell out of a wave. Written as a list, since a decision names many: driver, distance,
/// reason.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "WrittenExclusion"))]
pub struct WaveExclusion {
    /// The driver.
    pub driver: DriverId,
    /// Straight-line distance to the pickup.
    pub distance: Meters,
    /// Why.
    pub reason: Exclusion,
}

/// An exclusion as it is written now, and as it was at first.
#[cfg(feature = "serde")]
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenExclusion {
    List(DriverId, Meters, Exclusion),
    Named { driver: DriverId, distance: Meters, reason: Exclusion },
}

#[cfg(feature = "serde")]
impl From<WrittenExclusion> for WaveExclusion {
    fn from(written: WrittenExclusion) -> Self {
        match written {
            WrittenExclusion::List(driver, distance, reason)
            | WrittenExclusion::Named { driver, distance, reason } => {
                Self { driver, distance, reason }
            }
        }
    }
}

#[cfg(feature = "serde")]
impl Serialize for WaveExclusion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.driver, self.distance, self.reason).serialize(serializer)
    }
}

impl RideMachine {
    /// What a search came to, with the offers that were planned by it.
    pub(super) fn decision(
        &self,
        candidates: Candidates,
        offered: Vec<(OfferId, LiveOffer)>,
        now: Timestamp,
    ) -> WaveDecision {
        let passed_over = candidates.passed_over.iter().take(self.policy.explained_max);
        let forward = candidates.forward.iter().map(|forward| &forward.ranked);
        let chosen = candidates.found.iter().chain(forward);
        let ranked: Vec<RankedDriver> = chosen.chain(passed_over).map(RankedDriver::from).collect();
        let tells =
            |ranked: &RankedDriver| ranked.score.is_some() || ranked.group != PriorityGroup::Other;
        let ordered = !candidates.passed_over.is_empty() || ranked.iter().any(tells);
        let ranked = if ordered { ranked } else { Vec::new() };
        WaveDecision {
            attempt: self.record.attempt,
            wave: self.record.wave,
            at: now,
            policy: self.record.policy.clone(),
            radius_m: self.record.search_radius_m,
            offered,
            ranked,
            excluded: candidates.excluded,
            excluded_counts: candidates.excluded_counts,
            window: candidates.window,
        }
    }

    pub(super) fn count_excluded(&self, candidates: &Candidates, out: &mut Outbox) {
        for (reason, count) in &candidates.excluded_counts {
            let kind = EventKind::CandidatesExcluded { reason: *reason, count: *count };
            self.publish(kind, out);
        }
    }
}
