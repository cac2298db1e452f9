//! Calling a ride off, and trying again.

use crate::effect::{Outbox, Refusal, ReplyTo};
use crate::event::EventKind;
use crate::id::ServiceTierId;
use crate::offer::WithdrawReason;
use crate::policy::AttemptKind;
use crate::ride::machine::RideMachine;
use crate::ride::record::{CancelledBy, RideEventKind, RideStatus};
use crate::time::Timestamp;
use crate::units::Money;

impl RideMachine {
    /// Cancels every ride that is not over; a repeat is answered with the ride as it stands.
    pub(super) fn on_cancel(
        &mut self,
        by: CancelledBy,
        reason: Option<String>,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match self.record.status {
            RideStatus::Completed => {
                return Self::refuse(reply, Refusal::RideAlreadyCompleted, out);
            }
            RideStatus::Unfulfilled => {
                return Self::refuse(reply, Refusal::RideUnfulfilled, out);
            }
            RideStatus::Cancelled => {}
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Assigned
            | RideStatus::Arrived
            | RideStatus::InProgress => self.end_cancelled(by, reason, now, out),
        }
        self.answer(reply, out);
    }

    pub(super) fn end_cancelled(
        &mut self,
        by: CancelledBy,
        reason: Option<String>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let had_driver = self.record.status.has_driver();
        let losers = self.withdraw_all(WithdrawReason::Cancelled, now, out);
        self.record.status = RideStatus::Cancelled;
        self.record.cancelled_at = Some(now);
        self.record.ended_at = Some(now);
        self.record.cancelled_by = Some(by);
        self.record.reason = reason;
        self.record.instant = None;
        self.retry_at = None;
        self.seeking = None;
        self.commit(RideEventKind::RideCancelled, now, None, out);
        self.publish(EventKind::RideCancelled { by }, out);
        losers.into_iter().for_each(|effect| out.push(effect));
        if had_driver {
            self.tell_driver(out);
        }
    }

    /// A new attempt for a ride that found no driver or still searches: live offers of the old
    /// attempt are withdrawn first.
    pub(super) fn on_retry(
        &mut self,
        tip: Option<Money>,
        service_tiers: Option<Vec<ServiceTierId>>,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let kind = match self.record.status {
            // A machine that has asked to leave memory takes no new work: the one that is loaded
            // in its place does.
            RideStatus::Unfulfilled if self.retired => {
                return Self::refuse(reply, Refusal::RideUnfulfilled, out);
            }
            RideStatus::Searching => AttemptKind::CancelledAndRetried,
            RideStatus::Unfulfilled => AttemptKind::Retry,
            RideStatus::Scheduled => {
                return Self::refuse(reply, Refusal::RideNotAssigned, out);
            }
            RideStatus::Assigned | RideStatus::Arrived | RideStatus::InProgress => {
                return Self::refuse(reply, Refusal::RideAlreadyAssigned, out);
            }
            RideStatus::Completed | RideStatus::Cancelled => {
                return Self::refuse(reply, self.over_because(), out);
            }
        };
        let losers = self.withdraw_all(WithdrawReason::Superseded, now, out);
        self.record.tip = tip.or_else(|| self.record.tip.take());
        if let Some(tiers) = service_tiers {
            self.record.service_tiers = tiers;
        }
        self.record.attempt += 1;
        self.enter_search(kind, now);
        self.commit(RideEventKind::SearchStarted, now, None, out);
        losers.into_iter().for_each(|effect| out.push(effect));
        self.begin_wave(now, out);
        self.answer(reply, out);
    }
}
