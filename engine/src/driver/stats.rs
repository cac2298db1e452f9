//! What a driver did of late, counted in a sliding window.
//!
//! An offer counts when its driver has answered it: by winning the ride, by declining, or by letting
//! it run out on his screen. Offers taken back and offers he never saw count nowhere (M11); an accept
//! that another driver's beat counts by itself, so that fairness can make up for it. A ride counts as assigned once, also when the assignment is told again after a restart.
//!
//! The counts become durable with the driver's record when one of his rides ends, and whenever the
//! record is written anyway: a write per offer would cost more than the ratios are worth. A crash
//! may lose what he declined or let run out since then, and the end of a ride he is not told again;
//! an assignment under way is counted again when his ride tells him of it.

use std::collections::VecDeque;
use std::sync::Arc;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::driver::machine::{DriverMachine, Duty};
use crate::driver::seldom::{Blank, Seldom};
use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::grid::Standing;
use crate::id::OfferId;
use crate::offer::WithdrawReason;
use crate::policy::DispatchPolicy;
use crate::ride::{CancelledBy, RIDER_NO_SHOW, RideRecord, RideStatus};
use crate::time::Timestamp;

/// Parts of the window that fall out of it one by one.
pub const STATS_BUCKETS_MAX: usize = 28;

/// The counts of one part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
struct Bucket {
    began_at: Timestamp,
    offers_answered: u32,
    offers_accepted: u32,
    rides_assigned: u32,
    rides_cancelled: u32,
    rides_completed: u32,
    #[cfg_attr(feature = "serde", serde(default))]
    acceptances_lost: u32,
}

impl Blank for VecDeque<Bucket> {
    fn blank() -> &'static Self {
        static BLANK: VecDeque<Bucket> = VecDeque::new();
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self.is_empty()
    }
}

/// A driver's recent history.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct DriverStats {
    /// Oldest first, at most [`STATS_BUCKETS_MAX`].
    buckets: Seldom<VecDeque<Bucket>>,
    /// The offer whose assignment was counted last.
    counted_offer: Option<OfferId>,
    /// Since when he has been without a ride.
    idle_since: Timestamp,
}

impl DriverStats {
    /// The bucket of `now`, after those that fell out of the window went.
    fn bucket(&mut self, window_ms: u64, now: Timestamp) -> &mut Bucket {
        let width_ms = (window_ms / STATS_BUCKETS_MAX as u64).max(1);
        let began_at = now.minus_millis(now.as_millis() % width_ms);
        let buckets = self.buckets.made();
        buckets.retain(|bucket| bucket.began_at.plus_millis(window_ms) > now);
        if buckets.back().is_none_or(|newest| newest.began_at < began_at) {
            if buckets.len() == STATS_BUCKETS_MAX {
                buckets.pop_front();
            }
            buckets.push_back(Bucket { began_at, ..Bucket::default() });
        }
        let newest = buckets.len() - 1;
        &mut buckets[newest]
    }

    /// Parts of the window that something is remembered of.
    #[cfg(test)]
    pub(super) fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    fn totals(&self, window_ms: u64, now: Timestamp) -> Bucket {
        let within = |bucket: &&Bucket| bucket.began_at.plus_millis(window_ms) > now;
        self.buckets.iter().filter(within).fold(Bucket::default(), |sum, bucket| Bucket {
            began_at: sum.began_at,
            offers_answered: sum.offers_answered + bucket.offers_answered,
            offers_accepted: sum.offers_accepted + bucket.offers_accepted,
            rides_assigned: sum.rides_assigned + bucket.rides_assigned,
            rides_cancelled: sum.rides_cancelled + bucket.rides_cancelled,
            rides_completed: sum.rides_completed + bucket.rides_completed,
            acceptances_lost: sum.acceptances_lost + bucket.acceptances_lost,
        })
    }

    /// Offers he accepted within the last `window_ms` that another driver won.
    pub fn acceptances_lost(&self, window_ms: u64, now: Timestamp) -> u32 {
        self.totals(window_ms, now).acceptances_lost
    }

    /// What ranking reads: neutral ratios until there is enough history.
    fn standing(&self, policy: &DispatchPolicy, now: Timestamp) -> Standing {
        let totals = self.totals(policy.stats_window_ms, now);
        let ratio = |part: u32, whole: u32, neutral: u16| {
            let counts = whole > 0 && whole >= policy.ratio_history_min;
            let permille = u64::from(part) * 1_000 / u64::from(whole.max(1));
            if counts { u16::try_from(permille.min(1_000)).unwrap_or(neutral) } else { neutral }
        };
        let neutral = Standing::default();
        Standing {
            acceptance_permille: ratio(
                totals.offers_accepted,
                totals.offers_answered,
                neutral.acceptance_permille,
            ),
            cancellation_permille: ratio(
                totals.rides_cancelled,
                totals.rides_assigned,
                neutral.cancellation_permille,
            ),
            rides_completed: u16::try_from(totals.rides_completed).unwrap_or(u16::MAX),
            idle_since: self.idle_since,
            home: None,
            offers_answered: totals.offers_answered,
            offers_accepted: totals.offers_accepted,
            acceptances_lost: totals.acceptances_lost,
        }
    }

    /// The history of a driver who is seen for the first time begins now; nothing for another's.
    pub(super) fn begun(&self, now: Timestamp) -> Option<Self> {
        (*self == Self::default()).then(|| Self { idle_since: now, ..Self::default() })
    }
}

impl DriverMachine {
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let home = self.record.profile.home;
        Standing { home, ..self.stats().standing(&self.policy, now) }
    }

    /// What he did of late, written or not.
    pub(super) fn stats(&self) -> &DriverStats {
        self.stats_ahead.as_deref().unwrap_or(&self.record.stats)
    }

    fn stats_mut(&mut self) -> &mut DriverStats {
        self.stats_ahead.get_or_insert_with(|| Box::new(self.record.stats.clone()))
    }

    fn bucket(&mut self, now: Timestamp) -> &mut Bucket {
        let window_ms = self.policy.stats_window_ms;
        self.stats_mut().bucket(window_ms, now)
    }

    /// He said no, or let an offer run out that he could have taken.
    pub(super) fn count_unanswered(&mut self, now: Timestamp) {
        if matches!(self.duty, Duty::Free) {
            self.bucket(now).offers_answered += 1;
        }
    }

    pub(super) fn count_assignment(&mut self, offer: &OfferId, now: Timestamp) {
        if self.stats().counted_offer.as_ref() == Some(offer) {
            return;
        }
        self.stats_mut().counted_offer = Some(offer.clone());
        let bucket = self.bucket(now);
        bucket.offers_answered += 1;
        bucket.offers_accepted += 1;
        bucket.rides_assigned += 1;
    }

    /// Another driver has the ride that he accepted.
    pub(super) fn count_lost(
        &mut self,
        offer: &OfferId,
        reason: WithdrawReason,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if reason == WithdrawReason::Taken && self.accepts(offer) {
            self.bucket(now).acceptances_lost += 1;
            self.publish(EventKind::AcceptanceLost, out);
        }
    }

    /// His ride is over: from here he waits for the next.
    pub(super) fn count_end(&mut self, ride: &RideRecord, now: Timestamp, out: &mut Outbox) {
        let by_driver = ride.cancelled_by == Some(CancelledBy::Driver);
        let no_show = ride.reason.as_deref() == Some(RIDER_NO_SHOW);
        let gave_back = ride.was_given_back_by(&self.record.driver);
        let bucket = self.bucket(now);
        if ride.status == RideStatus::Completed {
            bucket.rides_completed += 1;
        } else if gave_back || (by_driver && !no_show) {
            bucket.rides_cancelled += 1;
        }
        self.stats_mut().idle_since = now;
        self.persist(out);
    }

    /// From here he waits for a ride.
    pub(super) fn count_going_online(&mut self, now: Timestamp) {
        self.stats_mut().idle_since = now;
    }

    /// Makes the record durable, with the counts as they are.
    pub(super) fn persist(&mut self, out: &mut Outbox) {
        // Nothing must be written behind the word that he is gone.
        if self.is_gone() {
            return;
        }
        if let Some(ahead) = self.stats_ahead.take() {
            Arc::make_mut(&mut self.record).stats = *ahead;
        }
        out.push(Effect::PersistDriver(Arc::clone(&self.record)));
    }
}
