//! When a ride that is scheduled searches, and what happens between its tries.
//!
//! Which tries have been follows from the record alone, from when its newest search began, so a
//! restart between two tries changes nothing.

use crate::effect::Outbox;
use crate::offer::WithdrawReason;
use crate::policy::AttemptKind;
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideEventKind, RideStatus};
use crate::time::Timestamp;

impl RideMachine {
    /// When a scheduled ride begins to search, in order.
    fn tries(&self) -> impl Iterator<Item = Timestamp> {
        let pickup_at = self.record.request.pickup_at;
        let before_ms = self.policy.tries_before_pickup_ms().iter();
        before_ms.filter_map(move |ms| Some(pickup_at?.minus_millis(*ms)))
    }

    /// Whether a new request waits for its first try.
    pub(super) fn waits_for_first_try(&self, now: Timestamp) -> bool {
        self.tries().next().is_some_and(|at| at > now)
    }

    /// The first try after the newest search began: tries that passed meanwhile are one with it.
    fn next_try_at(&self) -> Option<Timestamp> {
        self.tries().find(|at| *at > self.record.search_began_at)
    }

    /// When a ride that waits searches. Under rules that have no try left for it, it does at once.
    pub(super) fn scheduled_search_at(&self) -> Timestamp {
        self.next_try_at().unwrap_or(self.record.search_began_at)
    }

    /// The time of a try has come.
    pub(super) fn begin_try(&mut self, now: Timestamp, out: &mut Outbox) {
        self.enter_search(AttemptKind::Scheduled, now);
        self.commit(RideEventKind::SearchStarted, now, None, out);
        self.begin_wave(now, out);
    }

    /// After a search that found no driver: waits for the next try of a scheduled ride, or begins
    /// it. Returns whether there is one.
    pub(super) fn goes_on_with_next_try(&mut self, now: Timestamp, out: &mut Outbox) -> bool {
        let Some(next) = self.next_try_at() else { return false };
        let losers = self.withdraw_all(WithdrawReason::Expired, now, out);
        self.record.attempt += 1;
        self.retry_at = None;
        self.seeking = None;
        if next <= now {
            self.begin_try(now, out);
        } else {
            self.record.status = RideStatus::Scheduled;
            self.record.instant = None;
            self.record.otp = None;
            self.record.otp_ride = false;
            self.commit(RideEventKind::TryUnfulfilled, now, None, out);
        }
        losers.into_iter().for_each(|effect| out.push(effect));
        true
    }
}
