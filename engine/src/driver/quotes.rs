//! A quote as its driver holds it: reserved for one ride until the rider has chosen.
//!
//! The ride decides when a quote is over. While the rider may still choose the driver may take it
//! back; once he has confirmed a choice only the ride's answer frees him.

use crate::driver::machine::{DriverMachine, Duty, Reserved, WaitsFor};
use crate::effect::{AcceptAnswer, Effect, Outbox};
use crate::grid::Contact;
use crate::id::{OfferId, RideId};
use crate::offer::{Exclusion, Offer, OfferEnd, OfferKind, QuoteTerms, WithdrawReason};
use crate::ride::RideCommand;
use crate::time::Timestamp;

impl DriverMachine {
    /// His quote, if `id` is one that waits for the rider.
    pub(super) fn quote_of(&self, id: &OfferId) -> Option<QuoteTerms> {
        let quoted = self.reserved_for(WaitsFor::Rider).filter(|own| own.offer == *id)?;
        let offer = self.offered.live.get(id)?;
        Some(QuoteTerms { fare: quoted.fare.clone()?, expires_at: offer.expires_at })
    }

    /// The offer whose quote waits for the rider.
    pub fn quoting(&self) -> Option<&OfferId> {
        self.reserved_for(WaitsFor::Rider).map(|own| &own.offer)
    }

    /// What he accepted, if that waits for this word.
    pub(super) fn reserved_for(&self, word: WaitsFor) -> Option<&Reserved> {
        match &self.duty {
            Duty::Reserved(own) => Some(own.as_ref()).filter(|own| own.waits_for == word),
            Duty::Free | Duty::Serving { .. } => None,
        }
    }

    /// His accept is a quote now: he waits for the rider, and other rides need not wait for him.
    pub(super) fn on_quoted(
        &mut self,
        id: &OfferId,
        terms: QuoteTerms,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let asks_again_at = now.plus_millis(self.policy.accept_retry_ms);
        let Some((own, offer)) = self.accepted_mut(id) else { return };
        offer.expires_at = terms.expires_at;
        offer.quoted = Some(terms.fare.clone());
        own.waits_for = WaitsFor::Rider;
        // Later than now, whatever the ride's clock says: a driver must not ask in circles.
        own.retry_at = terms.expires_at.max(asks_again_at);
        own.fare = Some(terms.fare.clone());
        for asker in std::mem::take(&mut own.askers) {
            Self::answer_accept(Some(asker), id, AcceptAnswer::Quoted(terms.clone()), out);
        }
        // What happened while the ride kept the quote.
        if let Err(why) = self.may_wait(now) {
            self.free_of_waiting();
            return self.release_offers(why, out);
        }
        self.release_offers(Exclusion::Reserved, out);
    }

    /// The accept of a live offer, and the offer, to change both.
    pub(super) fn accepted_mut(&mut self, id: &OfferId) -> Option<(&mut Reserved, &mut Offer)> {
        let Duty::Reserved(own) = &mut self.duty else { return None };
        let offer = self.offered.there()?.live.get_mut(id)?;
        (own.offer == *id).then_some((own, offer))
    }

    /// An offer that came again with its quote: he is reserved as before.
    pub(super) fn resume_quote(&mut self, id: &OfferId, out: &mut Outbox) {
        let quoted = self.offered.live.get(id).filter(|own| own.quoted.is_some());
        let Some(own) = quoted else { return };
        self.duty = Duty::Reserved(Box::new(Reserved {
            offer: id.clone(),
            ride: own.ride.clone(),
            fare: own.quoted.clone(),
            waits_for: WaitsFor::Rider,
            askers: Vec::new(),
            retry_at: own.expires_at,
        }));
        self.release_offers(Exclusion::Reserved, out);
    }

    /// Whether he accepted this offer and waits with it, free to leave.
    pub(super) fn waits_with(&self, id: &OfferId) -> bool {
        self.quoting() == Some(id) || self.stands_by_until(id).is_some()
    }

    /// What waits for the rider, or stands by, binds him no more; its offer is to be let go.
    pub(super) fn free_of_waiting(&mut self) {
        if self.quoting().is_some() || self.standby_ride().is_some() {
            self.duty = Duty::Free;
            self.cooldown_until = Timestamp::default();
        }
    }

    /// Why the driver cannot wait with an accepted offer, if he cannot.
    pub(super) fn may_wait(&self, now: Timestamp) -> Result<(), Exclusion> {
        if !self.record.online {
            Err(Exclusion::Offline)
        } else if self.blocked(now) {
            Err(Exclusion::Blocked)
        } else {
            Ok(())
        }
    }

    fn may_take_ride(&self, now: Timestamp) -> Result<(), Exclusion> {
        if self.contact() == Contact::Lost {
            return Err(Exclusion::StalePosition);
        }
        self.may_wait(now)
    }

    /// The rider chose his quote, or the ride needs its standby: he can still take the ride and waits
    /// for it, or the offer is off.
    pub(super) fn on_called(&mut self, offer: Offer, now: Timestamp, out: &mut Outbox) {
        let (id, ride) = (offer.id.clone(), offer.ride.clone());
        if !self.offered.live.contains_key(&id) {
            self.on_offer(offer, true, now, out);
        }
        if !self.offered.live.contains_key(&id) {
            // Refused just now: the ride has been told.
            return;
        }
        let verdict = match &self.duty {
            Duty::Reserved(own) if own.offer == id => match own.waits_for {
                WaitsFor::Ride => Ok(()),
                WaitsFor::Rider | WaitsFor::Standby => self.may_take_ride(now),
            },
            Duty::Reserved(_) | Duty::Free | Duty::Serving { .. } => Err(Exclusion::Reserved),
        };
        match verdict {
            Ok(()) => self.confirm(id, ride, now, out),
            Err(reason) => {
                if self.waits_with(&id) {
                    self.free_of_waiting();
                }
                self.take_back(&id, OfferEnd::Withdrawn, WithdrawReason::Superseded, out);
                let command = RideCommand::OfferRefused { offer: id, reason };
                out.push(Effect::ToRide(ride, command));
            }
        }
    }

    fn confirm(&mut self, id: OfferId, ride: RideId, now: Timestamp, out: &mut Outbox) {
        let asks_again_at = now.plus_millis(self.policy.accept_retry_ms);
        if let Duty::Reserved(own) = &mut self.duty {
            own.waits_for = WaitsFor::Ride;
            own.retry_at = asks_again_at;
        }
        let driver = self.id().clone();
        let stands_by = self.offered.live.get(&id);
        let stands_by = stands_by.is_some_and(|own| own.kind == OfferKind::Standby);
        let ready = if stands_by {
            RideCommand::StandbyReady { offer: id, driver }
        } else {
            RideCommand::QuoteConfirmed { quote: id, driver }
        };
        out.push(Effect::ToRide(ride, ready));
    }
}
