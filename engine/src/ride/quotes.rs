//! Quotes: accepts that wait for the rider, and the rider's choice.
//!
//! A quote is a live offer that its driver has accepted for a fare; everything that ends offers ends
//! it. A choice is put to the driver's machine first: only he knows whether he can still take the
//! ride.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Outbox, Refusal, ReplyTo};
use crate::event::EventKind;
use crate::id::{DriverId, OfferId};
use crate::offer::{
    OfferEnd, OfferKind, Quote, QuoteEnd, QuoteTerms, StandbyOutcome, WithdrawReason,
};
use crate::ride::machine::RideMachine;
use crate::ride::record::{LiveOffer, RideEventKind, RideStatus};
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::units::Money;

/// Ended quotes that a ride remembers, so that a late choice learns how they ended; older ones are
/// unknown to it.
pub const ENDED_QUOTES_MAX: usize = 64;

/// Callers that may wait for one choice; one more is refused.
pub const SELECTION_ASKERS_MAX: usize = 16;

/// What a driver's yes brings along.
#[derive(Debug)]
pub(super) struct Acceptance {
    pub(super) vehicle: Arc<str>,
    pub(super) fare: Option<Money>,
}

/// A choice that its driver has not confirmed. It dies with the machine: its callers ask again.
#[derive(Debug)]
pub(super) struct Selection {
    quote: OfferId,
    askers: Vec<ReplyTo>,
    /// When the driver is asked again: his machine may have died with the question.
    retry_at: Timestamp,
}

impl RideMachine {
    pub(super) fn has_quote(&self, offer: &OfferId) -> bool {
        self.record.offers.get(offer).is_some_and(|live| live.quote.is_some())
    }

    fn quotes(&self) -> usize {
        self.record.offers.values().filter(|live| live.quote.is_some()).count()
    }

    /// Whether a driver has an offer of this ride to answer.
    pub(super) fn awaits_answers(&self) -> bool {
        self.record.offers.values().any(|live| live.quote.is_none())
    }

    fn has_enough_quotes(&self) -> bool {
        self.quotes() >= self.policy.quotes_max as usize
    }

    /// Whether another wave may go out. A ride with quotes does not end for want of waves.
    pub(super) fn may_send_wave(&self) -> bool {
        let waves_left = self.record.wave < self.policy.wave_count_max;
        !self.has_enough_quotes() && (waves_left || self.quotes() == 0)
    }

    /// Whether the search stands still although it may go on.
    pub(super) fn may_look_on(&self) -> bool {
        !self.awaits_answers() && self.may_send_wave()
    }

    /// Whether an accept of this offer waits for the rider.
    pub(super) fn takes_as_quote(&self, live: &LiveOffer) -> bool {
        let quotes = matches!(live.kind, OfferKind::Quote { .. });
        quotes && (live.quote.is_some() || !self.policy.quotes_auto_assign)
    }

    /// Keeps an accept as a quote; a repeated one is answered with the quote as it stands.
    pub(super) fn on_quoted(
        &mut self,
        offer: OfferId,
        live: LiveOffer,
        acceptance: Acceptance,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if let Some(quote) = live.quote {
            let terms = QuoteTerms { fare: quote.fare, expires_at: live.expires_at };
            return answer_quoted(live.driver, offer, terms, out);
        }
        let Some(fare) = acceptance.fare.or_else(|| self.record.request.fare.clone()) else {
            // His machine lets no such accept through; an offer that is answered is over all the same.
            self.end_offer(&offer, OfferEnd::Withdrawn, now, out);
            self.commit(RideEventKind::OffersEnded, now, None, out);
            return self.answer_lost(live.driver, offer, WithdrawReason::Superseded, out);
        };
        let limit = self.record.search_deadline;
        let expires_at = now.plus_millis(self.policy.quote_ttl_ms).min(limit);
        let terms = QuoteTerms { fare: fare.clone(), expires_at };
        let quote = Some(Quote { fare, vehicle: acceptance.vehicle, quoted_at: now });
        let driver = live.driver.clone();
        self.record.offers.insert(offer.clone(), LiveOffer { quote, expires_at, ..live });
        self.publish(EventKind::QuoteReceived, out);
        let mut pulled = Vec::new();
        if self.has_enough_quotes() {
            let open = self.record.offers.iter().filter(|(_, live)| live.quote.is_none());
            let open = open.map(|(id, _)| id.clone()).collect();
            pulled = self.withdraw(open, WithdrawReason::Taken, now, out);
            self.retry_at = None;
        }
        self.commit(RideEventKind::QuoteReceived, now, None, out);
        answer_quoted(driver, offer, terms, out);
        pulled.into_iter().for_each(|effect| out.push(effect));
        self.look_on(now, out);
    }

    /// Goes on with a search that stands still although it may go on.
    pub(super) fn look_on(&mut self, now: Timestamp, out: &mut Outbox) {
        let stands = self.record.status == RideStatus::Searching && self.retry_at.is_none();
        if stands && self.may_look_on() {
            self.begin_wave(now, out);
        }
    }

    /// A quote has ended with its offer: it is remembered, and who chose it is told unless it was
    /// won.
    pub(super) fn quote_ended(&mut self, quote: &OfferId, end: OfferEnd, out: &mut Outbox) {
        let end = match end {
            OfferEnd::Accepted => QuoteEnd::Selected,
            OfferEnd::Expired => QuoteEnd::Expired,
            OfferEnd::Declined | OfferEnd::Withdrawn => QuoteEnd::Withdrawn,
        };
        self.publish(EventKind::QuoteEnded { end }, out);
        let ended = &mut self.record.ended_quotes;
        if ended.len() >= ENDED_QUOTES_MAX {
            ended.remove(0);
        }
        ended.push((quote.clone(), end));
        if let Some(selection) = self.selection.take_if(|own| own.quote == *quote) {
            for asker in selection.askers {
                Self::refuse(Some(asker), refusal_of(end), out);
            }
        }
    }

    /// Its driver took a quote back or cannot keep it; nothing is held against him.
    pub(super) fn on_quote_withdrawn(&mut self, quote: &OfferId, now: Timestamp, out: &mut Outbox) {
        self.end_offer(quote, OfferEnd::Withdrawn, now, out);
        self.commit(RideEventKind::QuoteEnded, now, None, out);
        self.look_on(now, out);
    }

    /// Ends an offer whose time has passed. Who quoted or stands by waits for the ride's word: it is
    /// returned, to be told once that is durable.
    pub(super) fn expire(
        &mut self,
        offer: &OfferId,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Option<Effect> {
        let (quoted, stands_by) = (self.has_quote(offer), self.has_standby(offer));
        let driver = self.end_offer(offer, OfferEnd::Expired, now, out);
        let driver = driver.filter(|_| quoted || stands_by)?;
        if stands_by {
            self.publish(EventKind::Standby { outcome: StandbyOutcome::Expired }, out);
        }
        let (offer, reason) = (offer.clone(), WithdrawReason::Expired);
        Some(Effect::ToDriver(driver, DriverCommand::Withdraw { offer, reason }))
    }

    /// The rider chooses: his driver is asked whether he can still take the ride. A repeat waits
    /// with the first call, or is answered with the ride that it won.
    pub(super) fn on_select_quote(
        &mut self,
        quote: OfferId,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let status = self.record.status;
        let served = status.has_driver() || status == RideStatus::Completed;
        if served && self.record.assignment.as_ref().is_some_and(|a| a.offer == quote) {
            return self.answer(reply, out);
        }
        if let Err(refusal) = self.check_selection(&quote) {
            return Self::refuse(reply, refusal, out);
        }
        match self.selection.as_mut() {
            Some(same) if same.quote == quote && same.askers.len() < SELECTION_ASKERS_MAX => {
                same.askers.extend(reply);
            }
            Some(_) => Self::refuse(reply, Refusal::SelectionPending, out),
            None => {
                let askers = reply.into_iter().collect();
                self.selection = Some(Selection { quote, askers, retry_at: now });
                self.ask_again_to_confirm(now, out);
            }
        }
    }

    fn check_selection(&self, quote: &OfferId) -> Result<(), Refusal> {
        let mut ended = self.record.ended_quotes.iter();
        let end = ended.find(|(ended, _)| ended == quote).map(|(_, end)| *end);
        if end.is_none() && !self.has_quote(quote) {
            return Err(Refusal::UnknownQuote);
        }
        match self.record.status {
            RideStatus::Searching => end.map_or(Ok(()), |end| Err(refusal_of(end))),
            RideStatus::Assigned | RideStatus::Arrived | RideStatus::InProgress => {
                Err(Refusal::RideAlreadyAssigned)
            }
            RideStatus::Scheduled
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => Err(self.over_because()),
        }
    }

    pub(super) fn selection_deadline(&self) -> Option<Deadline> {
        let at = self.selection.as_ref()?.retry_at;
        Some(Deadline { at, reason: DeadlineReason::SelectionRetry })
    }

    /// Puts the rider's choice to its driver, if it is time to.
    pub(super) fn ask_again_to_confirm(&mut self, now: Timestamp, out: &mut Outbox) {
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        let due = self.selection.as_mut().filter(|selection| selection.retry_at <= now);
        let Some(selection) = due else { return };
        selection.retry_at = retry_at;
        let quote = selection.quote.clone();
        if let Some(live) = self.record.offers.get(&quote) {
            let offer = Box::new(self.offer(&quote, live));
            let command = DriverCommand::ConfirmQuote { offer };
            out.push(Effect::ToDriver(live.driver.clone(), command));
        }
    }

    /// The chosen driver can take the ride: it is his.
    pub(super) fn on_quote_confirmed(
        &mut self,
        quote: OfferId,
        driver: DriverId,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let chosen = self.selection.as_ref().is_some_and(|own| own.quote == quote);
        let live = self.record.offers.get(&quote).filter(|live| live.driver == driver);
        let kept = live.and_then(|live| Some((live.clone(), live.quote.clone()?)));
        let Some((live, Quote { fare, vehicle, .. })) = kept else {
            // Won already, or not live any more: as for an accept that comes again.
            let acceptance = Acceptance { vehicle: Arc::from("{}"), fare: None };
            return self.on_accepted(quote, driver, acceptance, now, out);
        };
        if !chosen {
            // The choice died with this machine's memory; the driver goes on waiting.
            let terms = QuoteTerms { fare, expires_at: live.expires_at };
            return answer_quoted(driver, quote, terms, out);
        }
        let askers = self.selection.take().map(|selection| selection.askers).unwrap_or_default();
        self.win(quote, live, Acceptance { vehicle, fare: Some(fare) }, now, out);
        for asker in askers {
            self.answer(Some(asker), out);
        }
    }
}

const fn refusal_of(end: QuoteEnd) -> Refusal {
    match end {
        QuoteEnd::Expired => Refusal::QuoteExpired,
        QuoteEnd::Selected | QuoteEnd::Withdrawn => Refusal::QuoteUnavailable,
    }
}

fn answer_quoted(driver: DriverId, offer: OfferId, terms: QuoteTerms, out: &mut Outbox) {
    let answer = AcceptAnswer::Quoted(terms);
    out.push(Effect::ToDriver(driver, DriverCommand::AcceptAnswered { offer, answer }));
}
