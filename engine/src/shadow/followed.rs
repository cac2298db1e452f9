//! A ride that the shadow follows: what happens to it for real, and what the shadow decided.

use std::collections::BTreeSet;

use crate::id::DriverId;
use crate::matching::PairTerms;
use crate::policy::DispatchPolicy;
use crate::ride::{Candidate, RideRecord, RideStatus, ShadowSearch};
use crate::shadow::comparison::{Comparison, RideEnd, Side};
use crate::time::Timestamp;

/// A ride is forgotten this long after the end of the shadow's search: its own end was not told.
const FOLLOWED_MS_MAX: u64 = 4 * 3_600_000;

/// How long a trip to nobody knows where is assumed to take.
const TRIP_UNKNOWN_MS: u64 = 15 * 60_000;

/// The pause between searches that find nobody doubles this often, as for real.
const RETRY_DOUBLINGS_MAX: u32 = 2;

/// Where the shadow's search for a ride stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the shadow's dispatch windows, by this registration.
    Window { join: u64 },
    /// To look by itself from this instant on.
    Alone { at: Timestamp },
    /// It looks, or is about to.
    Looking,
    /// It has ended.
    Over,
}

/// A ride in both worlds.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) search: ShadowSearch,
    pub(super) place: Place,
    pub(super) comparison: Comparison,
    /// It is part of the summary.
    pub(super) compared: bool,
    /// Drivers whom the ride holds for real.
    pub(super) held: BTreeSet<DriverId>,
    /// The ride is over for real.
    over: bool,
    /// When whom it was given to, for real or by the shadow, would be free again.
    busy_until: Timestamp,
    empties: u32,
    /// The next instant that matters.
    pub(super) due_at: Timestamp,
}

impl Followed {
    pub(super) fn new(record: &RideRecord, search: ShadowSearch) -> Self {
        let began = record.search_began_at;
        let comparison = Comparison {
            ride: record.request.ride.clone(),
            search_began_at: began,
            mode: search.policy().mode,
            real: Side::default(),
            shadow: Side::default(),
            pair: None,
        };
        Self {
            search,
            place: Place::Alone { at: began },
            comparison,
            compared: false,
            held: BTreeSet::new(),
            over: false,
            busy_until: began,
            empties: 0,
            due_at: began,
        }
    }

    /// Takes over the newest durable state of the ride.
    pub(super) fn observe(&mut self, record: &RideRecord) {
        let began = self.comparison.search_began_at;
        let assigned = record.assignment.as_ref().filter(|_| !record.status.is_terminal());
        self.held = record.offers.values().map(|live| live.driver.clone()).collect();
        self.held.extend(assigned.map(|assignment| assignment.driver.id.clone()));
        self.over = record.status.is_terminal();
        let real = &mut self.comparison.real;
        if real.end != RideEnd::Open {
            return;
        }
        let offered = record.offers.values().map(|live| live.offered_at).min();
        let decided_after_ms = offered.map(|at| at.millis_since(began));
        real.decided_after_ms = real.decided_after_ms.or(decided_after_ms);
        if let Some(assignment) = &record.assignment {
            let after_ms = assignment.assigned_at.millis_since(began);
            *real = Side {
                end: RideEnd::Served,
                driver: Some(assignment.driver.id.clone()),
                pickup_eta: Some(assignment.pickup_eta),
                decided_after_ms: real.decided_after_ms.or(Some(after_ms)),
                assigned_after_ms: Some(after_ms),
            };
            let pickup_ms = u64::from(assignment.pickup_eta.get()) * 1_000;
            self.gives(assignment.assigned_at, pickup_ms);
        } else {
            real.end = match record.status {
                RideStatus::Cancelled => RideEnd::Cancelled,
                // A scheduled ride that waits again has had its first search.
                RideStatus::Unfulfilled | RideStatus::Scheduled => RideEnd::Unserved,
                RideStatus::Searching
                | RideStatus::Assigned
                | RideStatus::Arrived
                | RideStatus::InProgress
                | RideStatus::Completed => RideEnd::Open,
            };
        }
    }

    /// The shadow gives the ride to a driver.
    pub(super) fn decide(&mut self, found: &Candidate, pair: Option<PairTerms>, now: Timestamp) {
        let pickup_eta = found.pickup_eta(self.policy());
        self.place = Place::Over;
        self.comparison.pair = pair;
        self.comparison.shadow = Side {
            end: RideEnd::Served,
            driver: Some(found.driver.clone()),
            pickup_eta: Some(pickup_eta),
            decided_after_ms: Some(now.millis_since(self.comparison.search_began_at)),
            assigned_after_ms: None,
        };
        self.gives(now, u64::from(pickup_eta.get()) * 1_000);
    }

    /// The shadow's search ends without a driver.
    pub(super) const fn end(&mut self, end: RideEnd) {
        self.place = Place::Over;
        self.comparison.shadow.end = end;
    }

    /// The shadow found nobody: it looks again later, ever more rarely.
    pub(super) fn rest(&mut self, now: Timestamp) {
        let pause_ms = self.policy().search_retry_ms << self.empties.min(RETRY_DOUBLINGS_MAX);
        self.empties += 1;
        self.place = Place::Alone { at: now.plus_millis(pause_ms) };
    }

    /// The shadow's policy for the ride.
    pub(super) fn policy(&self) -> &DispatchPolicy {
        self.search.policy()
    }

    /// When the shadow's search ends.
    pub(super) fn deadline(&self) -> Timestamp {
        self.comparison.search_began_at.plus_millis(self.policy().search_limit_ms)
    }

    /// When the ride is forgotten whatever happens.
    pub(super) fn forgotten_at(&self) -> Timestamp {
        self.deadline().plus_millis(FOLLOWED_MS_MAX)
    }

    /// The driver whom the shadow gave the ride.
    pub(super) const fn given(&self) -> Option<&DriverId> {
        self.comparison.shadow.driver.as_ref()
    }

    fn gives(&mut self, now: Timestamp, pickup_ms: u64) {
        let ranking = &self.search.query.ranking;
        let way = ranking.dropoff.map(|to| ranking.pickup.distance(to));
        let trip_ms = way.map(|way| u64::from(self.policy().pickup_eta(way).get()) * 1_000);
        let free_at = now.plus_millis(pickup_ms + trip_ms.unwrap_or(TRIP_UNKNOWN_MS));
        self.busy_until = self.busy_until.max(free_at);
    }

    /// Whether the two fleets do not, or no longer, differ by this ride.
    fn is_reconciled(&self, now: Timestamp) -> bool {
        let Comparison { real, shadow, .. } = &self.comparison;
        let nobody = shadow.driver.is_none() && self.held.is_empty();
        // Whom the shadow gave a ride that found nobody for real is busy as long as estimated.
        let ended = self.over && real.end != RideEnd::Unserved;
        self.comparison.same_driver() || nobody || ended || now >= self.busy_until
    }

    /// Whether nothing is left to follow.
    pub(super) fn is_done(&self, now: Timestamp) -> bool {
        self.compared && self.is_reconciled(now)
    }

    /// When the ride matters next.
    pub(super) fn next_due(&self) -> Timestamp {
        match self.place {
            Place::Alone { at } => at.min(self.deadline()),
            Place::Window { .. } | Place::Looking => self.deadline(),
            Place::Over if self.compared => self.busy_until.min(self.forgotten_at()),
            Place::Over => self.forgotten_at(),
        }
    }
}
