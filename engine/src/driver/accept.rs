//! Saying yes: reserved until the ride answers, then serving it or free again as if nothing was.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::driver::command::PhoneFrame;
use crate::driver::forward::{Forward, follows};
use crate::driver::machine::{DriverMachine, Duty, Reserved, WaitsFor};
use crate::effect::{AcceptAnswer, Answer, Asker, Effect, Outbox, Refusal, ReplyTo};
use crate::event::EventKind;
use crate::grid::DriverStatus;
use crate::id::{DriverId, OfferId, RideId};
use crate::invariant::Invariant;
use crate::offer::{Exclusion, Offer, OfferEnd, WithdrawReason};
use crate::ride::{CancelledBy, RideCommand, RideRecord, RideStatus};
use crate::time::Timestamp;
use crate::units::Money;

impl DriverMachine {
    pub(super) fn refuse(reply: Option<ReplyTo>, refusal: Refusal, out: &mut Outbox) {
        if let Some(reply) = reply {
            out.push(Effect::Answer(reply, Answer::Refused(refusal)));
        }
    }

    /// Reserves the driver (M2: no second accept) and asks the ride.
    pub(super) fn on_accept(
        &mut self,
        id: OfferId,
        fare: Option<Money>,
        asker: Option<Asker>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if let Some(ride) = self.forward.ride().filter(|ride| won_by(ride, &id)) {
            let won = AcceptAnswer::Won(Arc::clone(ride));
            return Self::answer_accept(asker, &id, won, out);
        }
        if let Some(terms) = self.quote_of(&id) {
            return Self::answer_accept(asker, &id, AcceptAnswer::Quoted(terms), out);
        }
        if let Some(expires_at) = self.stands_by_until(&id) {
            return Self::answer_accept(asker, &id, AcceptAnswer::Standby { expires_at }, out);
        }
        match &mut self.duty {
            Duty::Serving { ride, .. } if won_by(ride, &id) => {
                let won = AcceptAnswer::Won(Arc::clone(ride));
                return Self::answer_accept(asker, &id, won, out);
            }
            Duty::Reserved(own) if own.offer == id => return own.askers.extend(asker),
            Duty::Reserved(_) => {
                return Self::refuse_accept(asker, &id, Refusal::AcceptPending, out);
            }
            Duty::Serving { .. } => return self.accept_forward(id, asker, now, out),
            Duty::Free => {}
        }
        let Some(offer) = self.offered.shown(&id) else {
            return self.answer_dead_offer(&id, asker, out);
        };
        match offer.kind.fare_of(offer.terms.fare.as_ref(), fare) {
            Ok(fare) => {
                let (ride, askers) = (offer.ride.clone(), asker.into_iter().collect());
                self.reserve(id, ride, fare, askers, now, out);
            }
            Err(refusal) => Self::refuse_accept(asker, &id, refusal, out),
        }
    }

    pub(super) fn reserve(
        &mut self,
        offer: OfferId,
        ride: RideId,
        fare: Option<Money>,
        askers: Vec<Asker>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.cooldown_until = now.plus_millis(self.policy.accept_cooldown_ms);
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        let command = self.accept_command(offer.clone(), fare.clone());
        out.push(Effect::ToRide(ride.clone(), command));
        let waits_for = WaitsFor::Ride;
        let own = Reserved { offer, ride, fare, waits_for, askers, retry_at };
        self.duty = Duty::Reserved(Box::new(own));
    }

    pub(super) fn accept_command(&self, offer: OfferId, fare: Option<Money>) -> RideCommand {
        if let Some(entry) = self.otp_entry(&offer) {
            return RideCommand::OtpEntered(entry);
        }
        let vehicle = Arc::clone(&self.record.profile.vehicle);
        RideCommand::OfferAccepted { offer, driver: self.id().clone(), vehicle, fare }
    }

    pub(super) fn answer_accept(
        asker: Option<Asker>,
        offer: &OfferId,
        answer: AcceptAnswer,
        out: &mut Outbox,
    ) {
        match asker {
            Some(Asker::Caller(reply)) => {
                out.push(Effect::Answer(reply, Answer::Accept(answer)));
            }
            Some(Asker::Phone(session)) => {
                let frame = PhoneFrame::AcceptResult { offer: offer.clone(), answer };
                out.push(Effect::SendFrame(session, frame));
            }
            None => {}
        }
    }

    pub(super) fn refuse_accept(
        asker: Option<Asker>,
        offer: &OfferId,
        refusal: Refusal,
        out: &mut Outbox,
    ) {
        match asker {
            Some(Asker::Caller(reply)) => Self::refuse(Some(reply), refusal, out),
            Some(Asker::Phone(session)) => {
                let frame = PhoneFrame::AcceptRefused { offer: offer.clone(), refusal };
                out.push(Effect::SendFrame(session, frame));
            }
            None => {}
        }
    }

    pub(super) fn answer_dead_offer(&self, id: &OfferId, asker: Option<Asker>, out: &mut Outbox) {
        match self.ended_offer(id) {
            None => Self::refuse_accept(asker, id, Refusal::UnknownOffer, out),
            Some(ended) => {
                Self::answer_accept(asker, id, AcceptAnswer::Lost(ended.reason), out);
            }
        }
    }

    /// An accept without an answer is repeated: the ride's actor may have died with it. So is a
    /// quote whose end the driver was not told.
    pub(super) fn repeat_accept(&mut self, now: Timestamp, out: &mut Outbox) {
        let retry_ms = self.policy.accept_retry_ms;
        if let Duty::Reserved(own) = &mut self.duty
            && own.retry_at <= now
        {
            own.retry_at = now.plus_millis(retry_ms);
            let (offer, ride, fare) = (own.offer.clone(), own.ride.clone(), own.fare.clone());
            out.push(Effect::ToRide(ride, self.accept_command(offer, fare)));
        }
    }

    pub(super) fn on_accept_answered(
        &mut self,
        offer: &OfferId,
        answer: AcceptAnswer,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match answer {
            AcceptAnswer::Won(ride) => self.on_ride_updated(&ride, now, out),
            AcceptAnswer::Quoted(terms) => self.on_quoted(offer, terms, now, out),
            AcceptAnswer::Standby { expires_at } => self.on_standby(offer, expires_at, now, out),
            AcceptAnswer::Lost(reason) => {
                self.count_lost(offer, reason, now, out);
                self.take_back(offer, OfferEnd::Withdrawn, reason, out);
                self.lose(offer, reason, out);
            }
        }
    }

    /// The race for this offer is lost: as if it had never been run (M11).
    pub(super) fn lose(&mut self, lost: &OfferId, reason: WithdrawReason, out: &mut Outbox) {
        self.lose_forward(lost, reason, out);
        let Duty::Reserved(own) = &mut self.duty else { return };
        if own.offer != *lost {
            return;
        }
        for asker in std::mem::take(&mut own.askers) {
            Self::answer_accept(Some(asker), lost, AcceptAnswer::Lost(reason), out);
        }
        self.duty = Duty::Free;
        self.forget_otp_accept();
        self.cooldown_until = Timestamp::default();
    }

    /// A ride tells how it stands; whether it is this driver's follows from its record.
    pub(super) fn on_ride_updated(
        &mut self,
        ride: &Arc<RideRecord>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let assigned = ride.assignment.as_ref().filter(|a| a.driver.id == *self.id());
        match (assigned, driver_status(ride.status)) {
            (Some(assignment), Some(status)) => {
                let offer = assignment.offer.clone();
                self.count_assignment(&offer, now);
                if ride.forward().is_some() {
                    self.hold_forward(ride, &offer, now, out);
                } else {
                    self.serve(ride, &offer, status, out);
                }
            }
            (Some(_) | None, Some(_) | None) => self.stop_serving(ride, now, out),
        }
    }

    fn serve(
        &mut self,
        ride: &Arc<RideRecord>,
        offer: &OfferId,
        status: DriverStatus,
        out: &mut Outbox,
    ) {
        let id = ride.request.ride.clone();
        let nudged_at = self.nudged_at(&id);
        let mut askers = Vec::new();
        let promoted = self.forward.is_held_of(&id);
        let known = match &mut self.duty {
            Duty::Serving { ride: serving, .. } if serving.request.ride != id => {
                match assigned_at(ride).cmp(&assigned_at(serving)) {
                    // News from before this ride: what ends the other one is on its way.
                    Ordering::Less => return,
                    // The store's unique index makes this impossible; count it if it happens.
                    Ordering::Equal => {
                        return self.publish(EventKind::InvariantViolated(Invariant::M2), out);
                    }
                    // The store took the later assignment, so the earlier ride has ended.
                    Ordering::Greater => {
                        let over = serving.request.ride.clone();
                        self.frames.void_assigned(&over);
                        false
                    }
                }
            }
            Duty::Serving { .. } => true,
            Duty::Reserved(own) => {
                let waiting = std::mem::take(&mut own.askers);
                if own.offer == *offer {
                    askers = waiting;
                } else {
                    // A rebuilt driver accepted before he was told of the ride he has.
                    for asker in waiting {
                        let lost = AcceptAnswer::Lost(WithdrawReason::Superseded);
                        Self::answer_accept(Some(asker), &own.offer, lost, out);
                    }
                }
                false
            }
            Duty::Free => false,
        };
        if promoted {
            self.forward = Forward::None;
        }
        self.duty = Duty::Serving { ride: Arc::clone(ride), status };
        for asker in askers {
            Self::answer_accept(Some(asker), offer, AcceptAnswer::Won(Arc::clone(ride)), out);
        }
        if known || promoted {
            self.frames.send(PhoneFrame::RideUpdated { ride: Arc::clone(ride) }, out);
            self.follow_dropoff(ride, out);
            return self.pass_nudge(nudged_at, out);
        }
        self.close_offer(offer, OfferEnd::Accepted, WithdrawReason::Taken, out);
        let told = Arc::clone(ride);
        self.frames.push(|seq| PhoneFrame::Assigned { seq, ride: told }, out);
        let other = |offer: &Offer| !follows(offer, ride);
        self.release_those(other, WithdrawReason::Superseded, Exclusion::OnRide, out);
        self.follow_dropoff(ride, out);
        self.pass_nudge(nudged_at, out);
    }

    /// A driver who cancelled on a rider is not offered that rider's next ride for a while.
    pub(super) fn keep_from_rider(&mut self, ride: &RideRecord, now: Timestamp) {
        let block_ms = self.policy.rider_block_ms;
        if block_ms == 0 || !cancelled_on(ride, self.id()) {
            return;
        }
        Arc::make_mut(&mut self.record).rider_blocks.add(
            &ride.request.rider,
            now.plus_millis(block_ms),
            now,
        );
        self.refresh_facts();
    }

    /// The ride is over or not this driver's any more.
    fn stop_serving(&mut self, ride: &Arc<RideRecord>, now: Timestamp, out: &mut Outbox) {
        let id = &ride.request.ride;
        if self.forward.is_held_of(id) {
            return self.let_forward_go(ride, now, out);
        }
        if self.serving() != Some(id) {
            return self.forward_is_due(Some(id), now, out);
        }
        self.duty = Duty::Free;
        self.keep_place_after(ride);
        self.keep_from_rider(ride, now);
        self.count_end(ride, now, out);
        self.frames.void_assigned(id);
        let told = Arc::clone(ride);
        if ride.status == RideStatus::Completed {
            self.frames.send(PhoneFrame::RideUpdated { ride: told }, out);
        } else {
            self.frames.push(|seq| PhoneFrame::RideCancelled { seq, ride: told }, out);
        }
        self.forward_is_due(None, now, out);
    }
}

/// Whether this driver, or whoever acts for him, called the ride off.
pub(super) fn cancelled_on(ride: &RideRecord, driver: &DriverId) -> bool {
    ride.cancelled_by == Some(CancelledBy::Driver) || ride.was_given_back_by(driver)
}

pub(super) fn assigned_at(ride: &RideRecord) -> Option<Timestamp> {
    ride.assignment.as_ref().map(|assignment| assignment.assigned_at)
}

fn won_by(ride: &RideRecord, offer: &OfferId) -> bool {
    ride.assignment.as_ref().is_some_and(|assignment| assignment.offer == *offer)
}

/// What a ride's driver does; nothing when the ride has none.
const fn driver_status(status: RideStatus) -> Option<DriverStatus> {
    match status {
        RideStatus::Assigned => Some(DriverStatus::EnRoute),
        RideStatus::Arrived => Some(DriverStatus::AtPickup),
        RideStatus::InProgress => Some(DriverStatus::OnTrip),
        RideStatus::Scheduled
        | RideStatus::Searching
        | RideStatus::Completed
        | RideStatus::Cancelled
        | RideStatus::Unfulfilled => None,
    }
}
