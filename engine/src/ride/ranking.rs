//! Who of the eligible drivers is asked first: a pure function of what the search found.
//!
//! Groups come before scores (see [`PriorityGroup`]). Within a group the policy's [`Ranking`]
//! decides; ties go to the nearer driver, then to the smaller id.
//!
//! The score is the weighted mean of five terms, each within 0..=1000, higher is better:
//!
//! | weight | term |
//! |---|---|
//! | `weight_acceptance` | offers accepted per offer answered, in ‰ |
//! | `weight_cancellation` | 1000 − rides given back per ride assigned, in ‰ |
//! | `weight_idle` | time since the last ride, full at [`IDLE_FULL_MS`] |
//! | `weight_pickup_eta` | 1000 at the pickup, 0 as far away as the policy looks |
//! | `weight_rides` | rides completed in the window, full at [`RIDES_FULL`] |
//!
//! The idea, a mean of weighted factors over sliding windows, is that of Namma Yatri's
//! `IntelligentPoolConfig`; what the terms are normalised by is our own.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::geo::Position;
use crate::grid::{Standing, Supply, TagFilter, TierSet};
use crate::id::{DriverId, RideId, stable_hash};
use crate::policy::{DispatchPolicy, Ranking};
use crate::time::Timestamp;
use crate::travel::Travel;
use crate::units::Meters;

/// A driver who waited this long since his last ride has the full idle term.
pub const IDLE_FULL_MS: u64 = 3_600_000;

/// A driver who completed so many rides within the window has the full term for them.
pub const RIDES_FULL: u64 = 100;

/// What a term counts at most.
const FULL: u64 = 1_000;

/// What a group of candidates has over the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PriorityGroup {
    /// The driver waits in the queue of the pickup's zone; the queue is the order.
    ZoneQueue,
    /// The rider prefers the driver.
    Favourite,
    /// The ride brings the driver nearer to his home.
    HeadingHome,
    /// The driver carries one of the policy's priority tags.
    PriorityTag,
    /// Everyone else who was not asked yet.
    Other,
    /// Asked before in this attempt.
    AskedBefore,
}

impl PriorityGroup {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ZoneQueue => "zone_queue",
            Self::Favourite => "favourite",
            Self::HeadingHome => "heading_home",
            Self::PriorityTag => "priority_tag",
            Self::Other => "other",
            Self::AskedBefore => "asked_before",
        }
    }
}

/// What of a ride its ranking reads.
#[derive(Debug, Clone, PartialEq)]
pub struct RankQuery {
    /// The rules of the attempt.
    pub policy: Arc<DispatchPolicy>,
    /// Drivers the rider prefers.
    pub favourite_drivers: BTreeSet<DriverId>,
    /// Where the rider waits.
    pub pickup: Position,
    /// Where the rider goes.
    pub dropoff: Option<Position>,
    /// Drivers asked before in this attempt, who come last.
    pub asked_before: BTreeSet<DriverId>,
    /// What a random order is drawn from.
    pub seed: u64,
}

/// An eligible driver.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The driver.
    pub driver: DriverId,
    /// Where he is.
    pub at: Position,
    /// Straight-line distance to the pickup.
    pub distance: Meters,
    /// How he gets to the pickup, where the market knows better than the straight line.
    pub travel: Option<Travel>,
    /// Tiers he serves.
    pub tiers: TierSet,
    /// Tiers of them whose rides he takes without being asked.
    pub instant_tiers: TierSet,
    /// Tags he carries.
    pub tags: TagFilter,
    /// His record of late.
    pub standing: Standing,
}

/// What of a driver's supply facts a [`Candidate`] has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Merits {
    tiers: TierSet,
    instant_tiers: TierSet,
    tags: TagFilter,
    standing: Standing,
}

impl From<&Supply> for Merits {
    fn from(supply: &Supply) -> Self {
        let Supply { tiers, instant_tiers, tags, standing, .. } = *supply;
        Self { tiers, instant_tiers, tags, standing }
    }
}

impl Candidate {
    /// A driver of whom no travel time is known.
    pub(super) fn new(driver: DriverId, at: Position, distance: Meters, merits: Merits) -> Self {
        let Merits { tiers, instant_tiers, tags, standing } = merits;
        Self { driver, at, distance, travel: None, tiers, instant_tiers, tags, standing }
    }

    /// By time, where both are known, by distance, and then by id: the order wherever nothing else
    /// decides.
    pub fn nearer(&self, other: &Self) -> Ordering {
        let times = self.travel.zip(other.travel);
        let by_time = times.map_or(Ordering::Equal, |(one, other)| one.time_ms.cmp(&other.time_ms));
        let by_distance = self.distance.get().total_cmp(&other.distance.get());
        by_time.then(by_distance).then_with(|| self.driver.cmp(&other.driver))
    }

    fn carries_any(&self, tags: &[String]) -> bool {
        tags.iter().any(|tag| self.tags.covers(TagFilter::of([tag.as_str()])))
    }
}

/// An eligible driver in his place.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedCandidate {
    /// The driver.
    pub candidate: Candidate,
    /// The group he came in.
    pub group: PriorityGroup,
    /// What his place within the group follows from, when the policy ranks by score.
    pub score: Option<ScoreTerms>,
}

impl RankedCandidate {
    /// Whether he carries one of `tags`.
    pub(super) fn carries_any(&self, tags: &[String]) -> bool {
        self.candidate.carries_any(tags)
    }
}

/// A score and what it consists of, each 0..=1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ScoreTerms {
    /// The weighted mean, rounded down.
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

impl RankQuery {
    /// The seed of one wave's random order.
    pub fn seed_of(ride: &RideId, attempt: u32, wave: u32) -> u64 {
        stable_hash(ride.as_str().as_bytes(), (u64::from(attempt) << 32) | u64::from(wave))
    }

    /// How many of the nearest eligible drivers are ranked for `places` places. Where nothing but
    /// distance counts it is the places themselves: looking farther would change nothing.
    pub fn pool_size(&self, places: usize) -> usize {
        let groups = (self.policy.favourites_first && !self.favourite_drivers.is_empty())
            || (self.policy.go_home_gain_m > 0 && self.dropoff.is_some())
            || !self.policy.priority_tags.is_empty();
        let pool = if groups || self.policy.ranking != Ranking::Nearest {
            places.max(self.policy.pool_size as usize)
        } else {
            places
        };
        // Farther drivers who were not asked yet come before all of these.
        pool.saturating_add(self.asked_before.len())
    }

    fn group_of(&self, candidate: &Candidate) -> PriorityGroup {
        if self.asked_before.contains(&candidate.driver) {
            PriorityGroup::AskedBefore
        } else if self.policy.favourites_first && self.favourite_drivers.contains(&candidate.driver)
        {
            PriorityGroup::Favourite
        } else if candidate.standing.home.is_some_and(|home| self.leads_home(home)) {
            PriorityGroup::HeadingHome
        } else if candidate.carries_any(&self.policy.priority_tags) {
            PriorityGroup::PriorityTag
        } else {
            PriorityGroup::Other
        }
    }

    fn leads_home(&self, home: Position) -> bool {
        let gain_m = f64::from(self.policy.go_home_gain_m);
        let gains = |dropoff: Position| {
            self.pickup.distance(home).get() - dropoff.distance(home).get() >= gain_m
        };
        gain_m > 0.0 && self.dropoff.is_some_and(gains)
    }

    /// The weighted sum that orders, and the terms for people.
    fn score(&self, candidate: &Candidate, now: Timestamp) -> (u64, ScoreTerms) {
        let Standing { acceptance_permille, cancellation_permille, .. } = candidate.standing;
        let policy = &self.policy;
        let farthest = policy.pickup_eta(Meters::new(f64::from(policy.search_radius_m_max)));
        let eta = u64::from(candidate.pickup_eta(policy).get());
        let idle_ms = now.millis_since(candidate.standing.idle_since);
        let acceptance = FULL.min(u64::from(acceptance_permille));
        let cancellation = FULL.saturating_sub(u64::from(cancellation_permille));
        let idle = share(idle_ms, IDLE_FULL_MS);
        let pickup_eta = FULL - share(eta, u64::from(farthest.get()));
        let rides = share(u64::from(candidate.standing.rides_completed), RIDES_FULL);
        let weighted = [
            (policy.weight_acceptance, acceptance),
            (policy.weight_cancellation, cancellation),
            (policy.weight_idle, idle),
            (policy.weight_pickup_eta, pickup_eta),
            (policy.weight_rides, rides),
        ];
        let sum: u64 = weighted.iter().map(|(weight, term)| u64::from(*weight) * term).sum();
        let weights: u64 = weighted.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let terms = ScoreTerms {
            score: permille(sum.checked_div(weights).unwrap_or(0)),
            acceptance: permille(acceptance),
            cancellation: permille(cancellation),
            idle: permille(idle),
            pickup_eta: permille(pickup_eta),
            rides: permille(rides),
        };
        (sum, terms)
    }
}

/// `part` of `whole` in ‰, at most all of it.
fn share(part: u64, whole: u64) -> u64 {
    part.saturating_mul(FULL).checked_div(whole).unwrap_or(FULL).min(FULL)
}

fn permille(value: u64) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// Orders `pool`, best first.
pub fn rank(pool: Vec<Candidate>, query: &RankQuery, now: Timestamp) -> Vec<RankedCandidate> {
    let judge = |candidate: Candidate| {
        let (order, score) = match query.policy.ranking {
            Ranking::Nearest => (0, None),
            Ranking::Score => {
                let (sum, terms) = query.score(&candidate, now);
                (u64::MAX - sum, Some(terms))
            }
            Ranking::Random => {
                (stable_hash(candidate.driver.as_str().as_bytes(), query.seed), None)
            }
        };
        let group = query.group_of(&candidate);
        (order, RankedCandidate { candidate, group, score })
    };
    let mut ranked: Vec<(u64, RankedCandidate)> = pool.into_iter().map(judge).collect();
    ranked.sort_by(|(order, one), (other_order, other)| {
        let groups = one.group.cmp(&other.group);
        let nearer = || one.candidate.nearer(&other.candidate);
        groups.then(order.cmp(other_order)).then_with(nearer)
    });
    ranked.into_iter().map(|(_, ranked)| ranked).collect()
}
