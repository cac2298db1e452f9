//! The ride after the one a driver serves: offered while he is on a trip, accepted, held until that
//! trip has ended, or given back when it cannot be waited for.
//!
//! ```text
//! none → accepting → held → none      promoted: the ride is his duty now
//!           │           └────→ none   it is over, or searches again
//!           └→ none, or the duty itself when the trip ended first
//! ```
//!
//! A driver with a held ride and no other (his machine was rebuilt, or his trip has just ended) asks
//! until somebody answers: the ride before whether it has ended, then his next one to be promoted.

use std::sync::Arc;

use crate::driver::accept::{assigned_at, cancelled_on};
use crate::driver::command::PhoneFrame;
use crate::driver::machine::{DriverMachine, Duty, Reserved, WaitsFor};
use crate::effect::{AcceptAnswer, Asker, Effect, Outbox, Refusal};
use crate::event::EventKind;
use crate::forward::{ForwardLink, ForwardNews, ForwardReturn, ForwardSupply};
use crate::grid::DriverStatus;
use crate::id::{OfferId, RideId};
use crate::invariant::Invariant;
use crate::offer::{Exclusion, Offer, OfferEnd, WithdrawReason};
use crate::ride::{RideCommand, RideRecord, RideStatus, suits_forward};
use crate::time::{Deadline, DeadlineReason, Timestamp};

/// What a driver is bound to after his duty.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Forward {
    /// Nothing.
    None,
    /// He accepted while on a trip and waits for the answer; no second accept is possible.
    Accepting(Box<Accepting>),
    /// A ride waits for him.
    Held(Box<Held>),
}

/// An accept of a ride that comes after the present one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepting {
    offer: OfferId,
    ride: RideId,
    /// Who waits to learn who won.
    askers: Vec<Asker>,
    /// When the accept is repeated.
    retry_at: Timestamp,
}

/// A ride that waits for its driver.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Held {
    /// The ride as last told.
    ride: Arc<RideRecord>,
    /// Since when this machine knows: silence counts from here at the earliest, because after a
    /// restart nobody has been heard yet.
    since: Timestamp,
    /// Since when his trip has been too long.
    late_since: Option<Timestamp>,
    /// Why the ride was told to look for another driver.
    returning: Option<ForwardReturn>,
    /// When a question without an answer is repeated.
    ask_at: Timestamp,
}

impl Forward {
    pub(super) const fn ride(&self) -> Option<&Arc<RideRecord>> {
        match self {
            Self::Held(held) => Some(&held.ride),
            Self::None | Self::Accepting(_) => None,
        }
    }

    pub(super) const fn is_held(&self) -> bool {
        self.ride().is_some()
    }

    pub(super) fn is_held_of(&self, ride: &RideId) -> bool {
        self.ride().is_some_and(|held| held.request.ride == *ride)
    }
}

/// Whether an offer is one for after `ride`, and still counts on its present drop-off.
pub(super) fn follows(offer: &Offer, ride: &RideRecord) -> bool {
    let link = offer.forward.as_ref();
    link.is_some_and(|link| link.after == ride.request.ride && Some(link.dropoff) == ride.dropoff())
}

impl DriverMachine {
    /// The ride he serves after the present one.
    pub fn forward_ride(&self) -> Option<&RideId> {
        self.forward.ride().map(|ride| &ride.request.ride)
    }

    /// Whether he accepted this offer and waits for the answer.
    pub fn accepts(&self, id: &OfferId) -> bool {
        let now = matches!(&self.duty, Duty::Reserved(own) if own.offer == *id);
        now || matches!(&self.forward, Forward::Accepting(own) if own.offer == *id)
    }

    /// What the supply index says of him.
    pub(super) fn forward_supply(&self) -> ForwardSupply {
        let Duty::Serving { ride, status: DriverStatus::OnTrip } = &self.duty else {
            return ForwardSupply::NotOnTrip;
        };
        if !self.record.online {
            return ForwardSupply::NotOnTrip;
        }
        if !matches!(self.forward, Forward::None) {
            return ForwardSupply::Held;
        }
        if self.facts.preferences.forward == Some(false) {
            return ForwardSupply::Unwanted;
        }
        let after = ride.request.ride.clone();
        let link = ride.dropoff().map(|dropoff| Arc::new(ForwardLink { after, dropoff }));
        link.map_or(ForwardSupply::NoDropoff, ForwardSupply::After)
    }

    pub(super) fn has_forward_slot(&self) -> bool {
        let held = self.offered.live.values().filter(|offer| offer.forward.is_some()).count();
        held < usize::from(self.policy.forward_live_offers_max)
    }

    /// The check of an offer while he serves `ride`.
    pub(super) fn admits_forward(
        &self,
        offer: &Offer,
        ride: &RideRecord,
        status: DriverStatus,
        redelivered: bool,
        now: Timestamp,
    ) -> Result<(), Exclusion> {
        let Some(link) = &offer.forward else { return Err(Exclusion::OnRide) };
        match &self.forward {
            Forward::Held(_) => return Err(Exclusion::ForwardHeld),
            Forward::Accepting(_) if !redelivered => return Err(Exclusion::Reserved),
            Forward::Accepting(_) | Forward::None => {}
        }
        if status != DriverStatus::OnTrip {
            return Err(Exclusion::OnRide);
        }
        if !follows(offer, ride) {
            return Err(Exclusion::ForwardDropoffChanged);
        }
        if !self.record.online {
            return Err(Exclusion::Offline);
        }
        if redelivered {
            return Ok(());
        }
        if self.facts.preferences.forward == Some(false) {
            return Err(Exclusion::ForwardUnwanted);
        }
        if !self.has_forward_slot() {
            return Err(Exclusion::OfferSlotsFull);
        }
        self.admits_now(offer, now)?;
        let reading = self.slot.read().ok_or(Exclusion::StalePosition)?;
        suits_forward(&offer.terms.needs, &self.facts, link, reading.position, now)
    }

    /// An accept by a driver who is on a ride (M2: one forward ride, one accept at a time).
    pub(super) fn accept_forward(
        &mut self,
        id: OfferId,
        asker: Option<Asker>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if let Forward::Accepting(own) = &mut self.forward {
            if own.offer == id {
                return own.askers.extend(asker);
            }
            return Self::refuse_accept(asker, &id, Refusal::AcceptPending, out);
        }
        // Offers that do not fit his trip any more have ended, with a reason: see `follow_dropoff`.
        let Some(offer) = self.offered.shown(&id) else {
            return self.answer_dead_offer(&id, asker, out);
        };
        let ride = offer.ride.clone();
        self.cooldown_until = now.plus_millis(self.policy.accept_cooldown_ms);
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        let askers = asker.into_iter().collect();
        let own = Accepting { offer: id.clone(), ride: ride.clone(), askers, retry_at };
        self.forward = Forward::Accepting(Box::new(own));
        out.push(Effect::ToRide(ride, self.accept_command(id, None)));
    }

    /// As if it had never been run (M11).
    pub(super) fn lose_forward(
        &mut self,
        lost: &OfferId,
        reason: WithdrawReason,
        out: &mut Outbox,
    ) {
        let Forward::Accepting(own) = &mut self.forward else { return };
        if own.offer != *lost {
            return;
        }
        for asker in std::mem::take(&mut own.askers) {
            Self::answer_accept(Some(asker), lost, AcceptAnswer::Lost(reason), out);
        }
        self.forward = Forward::None;
        self.cooldown_until = Timestamp::default();
    }

    /// A ride says that it is his as the next one.
    pub(super) fn hold_forward(
        &mut self,
        ride: &Arc<RideRecord>,
        offer: &OfferId,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let id = &ride.request.ride;
        let known = self.forward.is_held_of(id);
        if let Some(other) = self.forward.ride().filter(|_| !known) {
            // As for two rides at once: the store took the later assignment.
            if assigned_at(ride) < assigned_at(other) {
                return;
            }
            if assigned_at(ride) == assigned_at(other) {
                return self.publish(EventKind::InvariantViolated(Invariant::M2), out);
            }
            let over = other.request.ride.clone();
            self.frames.void_assigned(&over);
        }
        for (accepted, askers) in self.end_accepts() {
            let won = accepted == *offer;
            for asker in askers {
                let answer = if won {
                    AcceptAnswer::Won(Arc::clone(ride))
                } else {
                    AcceptAnswer::Lost(WithdrawReason::Superseded)
                };
                Self::answer_accept(Some(asker), &accepted, answer, out);
            }
        }
        if let Forward::Held(held) = &mut self.forward
            && known
        {
            held.ride = Arc::clone(ride);
            // It may not have heard that it is next.
            held.ask_at = now;
        } else {
            self.forward = Forward::Held(Box::new(Held {
                ride: Arc::clone(ride),
                since: now,
                late_since: None,
                returning: None,
                ask_at: now,
            }));
        }
        let told = Arc::clone(ride);
        if known {
            self.frames.send(PhoneFrame::RideUpdated { ride: told }, out);
        } else {
            self.close_offer(offer, OfferEnd::Accepted, WithdrawReason::Taken, out);
            self.frames.push(|seq| PhoneFrame::Assigned { seq, ride: told }, out);
            self.release_offers(Exclusion::ForwardHeld, out);
        }
        if let Duty::Serving { ride, .. } = &self.duty {
            let ride = Arc::clone(ride);
            self.follow_dropoff(&ride, out);
        }
        self.tend_forward(now, out);
    }

    /// No accept waits any longer: which did, and for whom.
    fn end_accepts(&mut self) -> Vec<(OfferId, Vec<Asker>)> {
        let mut ended = Vec::new();
        if let Duty::Reserved(own) = &mut self.duty {
            ended.push((own.offer.clone(), std::mem::take(&mut own.askers)));
            self.duty = Duty::Free;
            self.forget_otp_accept();
        }
        if let Forward::Accepting(own) = &mut self.forward {
            ended.push((own.offer.clone(), std::mem::take(&mut own.askers)));
            self.forward = Forward::None;
        }
        ended
    }

    /// The ride he serves may have got another drop-off: offers that counted on the old one are
    /// off, and the next ride decides whether it waits.
    pub(super) fn follow_dropoff(&mut self, ride: &RideRecord, out: &mut Outbox) {
        let other = |offer: &Offer| !follows(offer, ride);
        let (reason, why) = (WithdrawReason::DropoffChanged, Exclusion::ForwardDropoffChanged);
        self.release_those(other, reason, why, out);
        let Some(next) = self.forward.ride() else { return };
        let counted_on = next.forward().map(|link| link.dropoff);
        let Some(dropoff) = ride.dropoff().filter(|to| Some(*to) != counted_on) else { return };
        let from = self.slot.read().map(|reading| reading.position);
        let news = ForwardNews::DropoffMoved { from, dropoff };
        let driver = self.id().clone();
        let next = next.request.ride.clone();
        out.push(Effect::ToRide(next, RideCommand::Forward { driver, news }));
    }

    /// A ride has ended for him: the one he served, or `before`, which he asked because his next
    /// ride follows it.
    pub(super) fn forward_is_due(
        &mut self,
        before: Option<&RideId>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if !matches!(self.duty, Duty::Free) {
            return;
        }
        if let Forward::Accepting(own) = &mut self.forward {
            self.duty = Duty::Reserved(Box::new(Reserved {
                offer: own.offer.clone(),
                ride: own.ride.clone(),
                fare: None,
                waits_for: WaitsFor::Ride,
                askers: std::mem::take(&mut own.askers),
                retry_at: own.retry_at,
            }));
            self.forward = Forward::None;
            return;
        }
        let driver = self.id().clone();
        let retry_ms = self.policy.accept_retry_ms;
        let Forward::Held(held) = &mut self.forward else { return };
        let follows =
            |before: &RideId| held.ride.forward().is_some_and(|link| link.after == *before);
        if held.returning.is_none() && before.is_none_or(follows) {
            held.ask_at = now.plus_millis(retry_ms);
            let next = held.ride.request.ride.clone();
            let news = ForwardNews::Due;
            out.push(Effect::ToRide(next, RideCommand::Forward { driver, news }));
        }
    }

    /// The next ride is over, or not his any more.
    pub(super) fn let_forward_go(
        &mut self,
        ride: &Arc<RideRecord>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let Forward::Held(held) = std::mem::replace(&mut self.forward, Forward::None) else {
            return;
        };
        self.frames.void_assigned(&ride.request.ride);
        let by_driver = cancelled_on(ride, self.id());
        if by_driver {
            self.keep_from_rider(ride, now);
            self.count_end(ride, now, out);
        }
        let lost = ride.attempts.reallocated_from(self.id()).is_some();
        let told = Arc::clone(ride);
        if lost || by_driver || ride.status == RideStatus::Cancelled {
            self.frames.push(|seq| PhoneFrame::RideCancelled { seq, ride: told }, out);
        } else {
            let why = held.returning.unwrap_or(ForwardReturn::DropoffMoved);
            self.frames.push(|seq| PhoneFrame::ForwardReturned { seq, ride: told, why }, out);
        }
    }

    /// How far he is from the end of his trip in seconds, when both are known.
    fn trip_left_s(&self) -> Option<u32> {
        let Duty::Serving { ride, .. } = &self.duty else { return None };
        let left = self.slot.read()?.position.distance(ride.dropoff()?);
        Some(self.policy.pickup_eta(left).get())
    }

    /// When a driver who is not heard again counts as lost.
    fn forward_lost_at(&self, held: &Held) -> Timestamp {
        let heard_at = self.slot.read().map(|reading| reading.received_at);
        let silent_since = heard_at.map_or(held.since, |at| at.max(held.since));
        silent_since.plus_millis(self.policy.lost_after_ms)
    }

    /// Repeats what has no answer, and gives the next ride back when it cannot be waited for.
    pub(super) fn tend_forward(&mut self, now: Timestamp, out: &mut Outbox) {
        let retry_ms = self.policy.accept_retry_ms;
        if let Forward::Accepting(own) = &mut self.forward
            && own.retry_at <= now
        {
            own.retry_at = now.plus_millis(retry_ms);
            let (offer, ride) = (own.offer.clone(), own.ride.clone());
            return out.push(Effect::ToRide(ride, self.accept_command(offer, None)));
        }
        let Forward::Held(held) = &self.forward else { return };
        let serving = matches!(self.duty, Duty::Serving { .. });
        let lost = serving && self.forward_lost_at(held) <= now;
        let late = self.trip_left_s().is_some_and(|left| left > self.policy.forward_late_s_max);
        let late_ms = self.policy.forward_late_ms;
        let driver = self.id().clone();
        let Forward::Held(held) = &mut self.forward else { return };
        if held.returning.is_none() && serving {
            held.late_since = late.then_some(held.late_since.unwrap_or(now));
            let too_late = held.late_since.is_some_and(|since| since.plus_millis(late_ms) <= now);
            held.returning = if lost {
                Some(ForwardReturn::DriverLost)
            } else {
                too_late.then_some(ForwardReturn::Late)
            };
            if held.returning.is_none() {
                return;
            }
            held.ask_at = now;
        }
        if held.ask_at > now {
            return;
        }
        held.ask_at = now.plus_millis(retry_ms);
        let next = held.ride.request.ride.clone();
        match (held.returning, held.ride.forward()) {
            (Some(why), _) => {
                let news = ForwardNews::Infeasible(why);
                out.push(Effect::ToRide(next, RideCommand::Forward { driver, news }));
            }
            (None, Some(link)) => {
                let before = link.after.clone();
                out.push(Effect::ToRide(before, RideCommand::TellDriver { driver }));
            }
            (None, None) => {}
        }
    }

    pub(super) fn forward_deadline(&self) -> Option<Deadline> {
        let reason = DeadlineReason::ForwardCheck;
        match &self.forward {
            Forward::None => None,
            Forward::Accepting(own) => {
                Some(Deadline { at: own.retry_at, reason: DeadlineReason::AcceptRetry })
            }
            Forward::Held(held) => {
                let serving = matches!(self.duty, Duty::Serving { .. });
                if held.returning.is_some() || !serving {
                    return Some(Deadline { at: held.ask_at, reason });
                }
                let late_ms = self.policy.forward_late_ms;
                let late_at = held.late_since.map(|since| since.plus_millis(late_ms));
                let lost_at = self.forward_lost_at(held);
                Some(Deadline { at: late_at.map_or(lost_at, |at| at.min(lost_at)), reason })
            }
        }
    }
}
