//! Offers a driver holds: taking in, letting go, running out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::driver::command::PhoneFrame;
use crate::driver::machine::{DriverMachine, Duty, ENDED_OFFERS_MAX, EndedOffer, WaitsFor};
use crate::driver::seldom::Blank;
use crate::effect::{Effect, Outbox, Refusal, ReplyTo};
use crate::grid::Contact;
use crate::id::OfferId;
use crate::offer::{Exclusion, Offer, OfferEnd, OfferKind, WithdrawReason};
use crate::ride::{RideCommand, suits, suits_untimed, tier_with_least_downgrade};
use crate::time::Timestamp;
use crate::travel::EtaSource;

/// Offers as their driver knows them.
#[derive(Debug, Default)]
pub(super) struct Offered {
    /// Slots are these offers and nothing else (M5).
    pub(super) live: BTreeMap<OfferId, Offer>,
    /// Those of `live` that came back after a restart. They were on a screen, so they are good until
    /// they end, even when an answer that was lost with the process freed a slot for another.
    pub(super) redelivered: BTreeSet<OfferId>,
    /// Those of `live` whose time on the screen has yet to come: no frame, no view and no answer
    /// knows them.
    pub(super) hidden: BTreeSet<OfferId>,
    /// The newest that ended, oldest first.
    ended: VecDeque<(OfferId, EndedOffer)>,
}

impl Blank for Offered {
    fn blank() -> &'static Self {
        static BLANK: Offered = Offered {
            live: BTreeMap::new(),
            redelivered: BTreeSet::new(),
            hidden: BTreeSet::new(),
            ended: VecDeque::new(),
        };
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self.live.is_empty() && self.ended.is_empty()
    }
}

impl Offered {
    /// The offer, if its driver has seen it or may have.
    pub(super) fn shown(&self, id: &OfferId) -> Option<&Offer> {
        self.live.get(id).filter(|_| !self.hidden.contains(id))
    }
}

impl DriverMachine {
    /// Holds a slot and shows the offer, now or at its time, or answers why not: this check is the
    /// authoritative one.
    pub(super) fn on_offer(
        &mut self,
        offer: Offer,
        redelivered: bool,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if self.offered.live.contains_key(&offer.id) {
            return;
        }
        if let Some(ended) = self.ended_offer(&offer.id) {
            return Self::repeat_end(&offer, ended, out);
        }
        // Who is not asked is checked anew, however often.
        let known = redelivered && offer.kind != OfferKind::Instant;
        if let Err(reason) = self.admits(&offer, known, now) {
            // The same offer may be under way again, from before the ride hears of this.
            let refused =
                EndedOffer { end: OfferEnd::Withdrawn, reason: WithdrawReason::Superseded };
            self.remember_end(offer.id.clone(), refused, out);
            let command = RideCommand::OfferRefused { offer: offer.id, reason };
            return out.push(Effect::ToRide(offer.ride, command));
        }
        out.push(Effect::IndexOffer(offer.id.clone()));
        let instant = offer.kind == OfferKind::Instant;
        if offer.visible_at > now || instant {
            self.offered.made().hidden.insert(offer.id.clone());
        } else {
            self.show(&offer, out);
        }
        if known {
            self.offered.made().redelivered.insert(offer.id.clone());
        }
        let (id, ride) = (offer.id.clone(), offer.ride.clone());
        self.offered.made().live.insert(id.clone(), offer);
        if instant {
            self.reserve(id, ride, None, Vec::new(), now, out);
        } else {
            self.resume_quote(&id, out);
            self.resume_standby(&id, out);
        }
    }

    fn show(&mut self, offer: &Offer, out: &mut Outbox) {
        let offer = Box::new(offer.clone());
        self.frames.push(|seq| PhoneFrame::Offer { seq, offer }, out);
    }

    /// Offers that will come on the screen.
    fn unseen(&self) -> impl Iterator<Item = &Offer> {
        let unseen = self.offered.hidden.iter().filter_map(|id| self.offered.live.get(id));
        unseen.filter(|offer| offer.kind != OfferKind::Instant)
    }

    /// When the next offer comes on the screen.
    pub(super) fn next_showing(&self) -> Option<Timestamp> {
        self.unseen().map(|offer| offer.visible_at).min()
    }

    /// Shows the offers whose time has come.
    pub(super) fn show_due(&mut self, now: Timestamp, out: &mut Outbox) {
        let is_due = |offer: &&Offer| offer.visible_at <= now;
        let due: Vec<Offer> = self.unseen().filter(is_due).cloned().collect();
        for offer in due {
            self.offered.made().hidden.remove(&offer.id);
            self.show(&offer, out);
        }
    }

    /// The ride missed how this offer ended: say it again.
    fn repeat_end(offer: &Offer, ended: EndedOffer, out: &mut Outbox) {
        let id = offer.id.clone();
        let command = match ended.end {
            OfferEnd::Declined => RideCommand::OfferDeclined { offer: id },
            OfferEnd::Accepted | OfferEnd::Expired | OfferEnd::Withdrawn => {
                RideCommand::OfferRefused { offer: id, reason: Exclusion::OfferExpired }
            }
        };
        out.push(Effect::ToRide(offer.ride.clone(), command));
    }

    fn admits(&self, offer: &Offer, redelivered: bool, now: Timestamp) -> Result<(), Exclusion> {
        if offer.expires_at <= now {
            return Err(Exclusion::OfferExpired);
        }
        match &self.duty {
            Duty::Serving { ride, status } => {
                return self.admits_forward(offer, ride, *status, redelivered, now);
            }
            Duty::Free if self.forward.is_held() => return Err(Exclusion::OnRide),
            Duty::Reserved(own) => {
                let again = redelivered && offer.quoted.is_none() && !offer.standby;
                if own.waits_for != WaitsFor::Ride || !again {
                    return Err(Exclusion::Reserved);
                }
            }
            Duty::Free => {}
        }
        if !self.record.online {
            return Err(Exclusion::Offline);
        }
        if redelivered {
            return Ok(());
        }
        let full = self.offered.live.len() >= usize::from(self.policy.live_offers_max)
            || (offer.forward.is_some() && !self.has_forward_slot());
        if full {
            return Err(Exclusion::OfferSlotsFull);
        }
        self.admits_now(offer, now)?;
        if offer.kind == OfferKind::Instant {
            self.admits_instant(offer)?;
        }
        self.suits(offer, now)
    }

    /// What must hold of a driver whom nothing keeps from any offer.
    pub(super) fn admits_now(&self, offer: &Offer, now: Timestamp) -> Result<(), Exclusion> {
        let serves = self.record.profile.service_tiers.contains(&offer.service_tier);
        let checks = [
            (self.blocked(now), Exclusion::Blocked),
            (self.contact() != Contact::Live, Exclusion::StalePosition),
            (self.cooldown_until > now, Exclusion::CoolingDown),
            (!serves, Exclusion::ServiceTier),
        ];
        if let Some((_, reason)) = checks.into_iter().find(|(holds, _)| *holds) {
            return Err(reason);
        }
        let needs = &offer.terms.needs;
        let wanted = self.market.tier_set(std::slice::from_ref(&offer.service_tier));
        let wanted = wanted.map_err(|_| Exclusion::ServiceTier)?;
        let levels_max = needs.downgrade_levels_max();
        if tier_with_least_downgrade(self.tiers, wanted, levels_max).is_none() {
            return Err(Exclusion::TierDowngrade);
        }
        Ok(())
    }

    /// The rules of the search, with what this machine knows better: his profile, his place.
    fn suits(&self, offer: &Offer, now: Timestamp) -> Result<(), Exclusion> {
        let needs = &offer.terms.needs;
        let reading = self.slot.read().ok_or(Exclusion::StalePosition)?;
        // What the search knew better than the straight line is not judged by it again.
        match offer.eta_source {
            EtaSource::GreatCircle => suits(needs, &self.facts, reading.position, now),
            EtaSource::Roads | EtaSource::Osrm | EtaSource::Valhalla | EtaSource::Fallback => {
                suits_untimed(needs, &self.facts, reading.position, now)
            }
        }
    }

    pub(super) fn ended_offer(&self, id: &OfferId) -> Option<EndedOffer> {
        self.offered.ended.iter().find(|(ended, _)| ended == id).map(|(_, how)| *how)
    }

    /// Lets a live offer go that its driver did not end himself, and takes it off his screen if it
    /// was on it.
    pub(super) fn take_back(
        &mut self,
        id: &OfferId,
        end: OfferEnd,
        reason: WithdrawReason,
        out: &mut Outbox,
    ) -> Option<Offer> {
        let seen = !self.offered.hidden.contains(id);
        let closed = self.close_offer(id, end, reason, out)?;
        if seen {
            let offer = id.clone();
            self.frames.push(|seq| PhoneFrame::OfferWithdrawn { seq, offer, reason }, out);
        }
        Some(closed)
    }

    /// Lets a live offer go and remembers how (M4, M5).
    pub(super) fn close_offer(
        &mut self,
        id: &OfferId,
        end: OfferEnd,
        reason: WithdrawReason,
        out: &mut Outbox,
    ) -> Option<Offer> {
        let offered = self.offered.there()?;
        let offer = offered.live.remove(id)?;
        offered.redelivered.remove(id);
        offered.hidden.remove(id);
        self.frames.void_offer(id);
        self.remember_end(id.clone(), EndedOffer { end, reason }, out);
        Some(offer)
    }

    fn remember_end(&mut self, id: OfferId, ended: EndedOffer, out: &mut Outbox) {
        let known = &mut self.offered.made().ended;
        if known.len() == ENDED_OFFERS_MAX
            && let Some((oldest, _)) = known.pop_front()
        {
            out.push(Effect::ForgetOffer(oldest));
        }
        known.push_back((id, ended));
    }

    /// The ride takes its offer back; nothing is held against the driver (M11).
    pub(super) fn on_withdraw(
        &mut self,
        id: &OfferId,
        reason: WithdrawReason,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.count_lost(id, reason, now, out);
        self.take_back(id, OfferEnd::Withdrawn, reason, out);
        self.lose(id, reason, out);
    }

    /// Live offers that the driver has not accepted.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &Offer> {
        self.offered.live.values().filter(|offer| !self.accepts(&offer.id))
    }

    /// Lets all offers go because the driver cannot take any; the rides look for others at once.
    /// An accept that waits for its answer is let run.
    pub(super) fn release_offers(&mut self, why: Exclusion, out: &mut Outbox) {
        self.release_those(|_| true, WithdrawReason::Superseded, why, out);
    }

    /// As [`release_offers`](Self::release_offers), for some of them.
    pub(super) fn release_those(
        &mut self,
        which: impl Fn(&Offer) -> bool,
        reason: WithdrawReason,
        why: Exclusion,
        out: &mut Outbox,
    ) {
        let some = self.unanswered().filter(|offer| which(offer));
        let ids: Vec<OfferId> = some.map(|offer| offer.id.clone()).collect();
        for id in ids {
            if let Some(offer) = self.take_back(&id, OfferEnd::Withdrawn, reason, out) {
                let command = RideCommand::OfferRefused { offer: id, reason: why };
                out.push(Effect::ToRide(offer.ride, command));
            }
        }
    }

    /// An offer is dead at its deadline; the ride notices by itself. One that the driver has
    /// accepted in time is decided by the ride.
    pub(super) fn expire_offers(&mut self, now: Timestamp, out: &mut Outbox) {
        let dead: Vec<OfferId> = self
            .unanswered()
            .filter(|offer| offer.expires_at <= now)
            .map(|offer| offer.id.clone())
            .collect();
        for id in dead {
            let seen = !self.offered.hidden.contains(&id);
            let ended = self.take_back(&id, OfferEnd::Expired, WithdrawReason::Expired, out);
            if let Some(offer) = ended.filter(|_| seen) {
                self.count_refusal(&offer, now, out);
            }
        }
    }

    /// He let a ride go that he could have had: it counts in his ratios and in the queue he waits in.
    /// Standing by is a favour: who does not loses nothing.
    fn count_refusal(&mut self, offer: &Offer, now: Timestamp, out: &mut Outbox) {
        if offer.kind != OfferKind::Standby {
            self.count_unanswered(now);
            self.tell_skipped(offer, out);
        }
    }

    pub(super) fn on_decline(
        &mut self,
        id: &OfferId,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let waiting = self.waits_with(id);
        if waiting {
            self.free_of_waiting();
        } else if self.accepts(id) {
            return Self::refuse(reply, Refusal::AcceptPending, out);
        }
        if self.offered.hidden.contains(id) {
            return Self::refuse(reply, Refusal::UnknownOffer, out);
        }
        match self.close_offer(id, OfferEnd::Declined, WithdrawReason::Superseded, out) {
            Some(offer) => {
                // What he takes back while he waits counts nowhere.
                if !waiting {
                    self.count_refusal(&offer, now, out);
                }
                let command = RideCommand::OfferDeclined { offer: id.clone() };
                out.push(Effect::ToRide(offer.ride, command));
                self.answer(reply, out);
            }
            None if self.ended_offer(id).is_some() => self.answer(reply, out),
            None => Self::refuse(reply, Refusal::UnknownOffer, out),
        }
    }
}
