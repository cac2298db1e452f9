//! A rider's one-time password, entered by a driver at a zone: from the zone's answer to the same
//! protocol as any accept.

use std::collections::VecDeque;

use crate::driver::command::PhoneFrame;
use crate::driver::machine::{DriverMachine, Duty, Reserved, WaitsFor};
use crate::driver::seldom::Blank;
use crate::effect::{AcceptAnswer, Asker, Effect, Outbox, Refusal};
use crate::grid::Contact;
use crate::id::{OfferId, ServiceTierId, ZoneId};
use crate::ride::{OtpEntry, suits, tier_with_least_downgrade};
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::zone::{StandingOffer, ZoneCommand};

/// One-time passwords as their driver knows them.
#[derive(Debug, Default)]
pub(super) struct Otp {
    /// The one that waits for its zone's answer.
    ask: Option<OtpAsk>,
    /// The accept under way, when it came by one.
    accept: Option<OtpEntry>,
    /// When he entered wrong ones.
    failures: VecDeque<Timestamp>,
}

impl Blank for Otp {
    fn blank() -> &'static Self {
        static BLANK: Otp = Otp { ask: None, accept: None, failures: VecDeque::new() };
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self.ask.is_none() && self.accept.is_none() && self.failures.is_empty()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct OtpAsk {
    zone: ZoneId,
    otp: String,
    asked_at: Timestamp,
    retry_at: Timestamp,
    askers: Vec<Asker>,
}

/// Callers who may wait for the answer to one password: a phone that repeats itself, and little more.
const ASKERS_MAX: usize = 8;

impl DriverMachine {
    /// Takes a password from a driver who could take its ride. Entered twice, it has one effect.
    pub(super) fn on_enter_otp(
        &mut self,
        otp: String,
        asker: Option<Asker>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match &mut self.duty {
            Duty::Serving { ride, .. } => {
                let same = ride.otp_ride && ride.otp.as_ref() == Some(&otp);
                let Some(assignment) = ride.assignment.as_ref().filter(|_| same) else {
                    return Self::refuse_otp(asker, Refusal::DriverOnRide, out);
                };
                let (offer, won) = (assignment.offer.clone(), AcceptAnswer::Won(ride.clone()));
                return Self::answer_accept(asker, &offer, won, out);
            }
            Duty::Reserved(own) => {
                let same = self.otp.accept.as_ref().is_some_and(|entry| entry.otp == otp);
                if same && own.askers.len() < ASKERS_MAX {
                    return own.askers.extend(asker);
                }
                return Self::refuse_otp(asker, Refusal::AcceptPending, out);
            }
            Duty::Free if self.forward.is_held() => {
                return Self::refuse_otp(asker, Refusal::DriverOnRide, out);
            }
            Duty::Free => {}
        }
        if let Some(ask) = self.otp.there().and_then(|known| known.ask.as_mut()) {
            if ask.otp == otp && ask.askers.len() < ASKERS_MAX {
                return ask.askers.extend(asker);
            }
            return Self::refuse_otp(asker, Refusal::AcceptPending, out);
        }
        match self.otp_zone(now) {
            Err(refusal) => Self::refuse_otp(asker, refusal, out),
            Ok(zone) => {
                let askers = asker.into_iter().collect();
                let ask = OtpAsk { zone, otp, asked_at: now, retry_at: now, askers };
                self.otp.made().ask = Some(ask);
                self.repeat_otp(now, out);
            }
        }
    }

    /// The zone whose passwords this driver may enter now.
    fn otp_zone(&mut self, now: Timestamp) -> Result<ZoneId, Refusal> {
        let since = now.minus_millis(self.policy.otp_attempts_window_ms);
        if let Some(known) = self.otp.there() {
            known.failures.retain(|failed_at| *failed_at > since);
        }
        if self.otp.failures.len() >= self.policy.otp_attempts_max as usize {
            return Err(Refusal::OtpAttemptsExhausted);
        }
        if !self.record.online || self.contact() != Contact::Live {
            return Err(Refusal::DriverOffline);
        }
        let here = self.slot.whereabouts();
        let zone = here.zone().and_then(|zone| self.market.zones().get(zone));
        zone.filter(|zone| zone.otp).map(|zone| zone.id.clone()).ok_or(Refusal::NotAtZone)
    }

    fn refuse_otp(asker: Option<Asker>, refusal: Refusal, out: &mut Outbox) {
        match asker {
            Some(Asker::Caller(reply)) => Self::refuse(Some(reply), refusal, out),
            Some(Asker::Phone(session)) => {
                out.push(Effect::SendFrame(session, PhoneFrame::OtpRefused { refusal }));
            }
            None => {}
        }
    }

    fn refuse_otp_ask(&mut self, refusal: Refusal, out: &mut Outbox) {
        for asker in self.end_otp_ask() {
            Self::refuse_otp(Some(asker), refusal, out);
        }
    }

    /// No password waits any longer; who waited for its answer.
    fn end_otp_ask(&mut self) -> Vec<Asker> {
        let ask = self.otp.there().and_then(|known| known.ask.take());
        ask.map(|ask| ask.askers).unwrap_or_default()
    }

    /// The accept under way is over.
    pub(super) fn forget_otp_accept(&mut self) {
        if let Some(known) = self.otp.there() {
            known.accept = None;
        }
    }

    /// Asks the zone, again when it has not answered.
    pub(super) fn repeat_otp(&mut self, now: Timestamp, out: &mut Outbox) {
        let (driver, retry_ms) = (self.id().clone(), self.policy.accept_retry_ms);
        if let Some(ask) = self.otp.there().and_then(|known| known.ask.as_mut())
            && ask.retry_at <= now
        {
            ask.retry_at = now.plus_millis(retry_ms);
            let (otp, asked_at) = (ask.otp.clone(), ask.asked_at);
            let enter = ZoneCommand::EnterOtp { driver, otp, asked_at };
            out.push(Effect::ToZone(ask.zone.clone(), enter));
        }
    }

    pub(super) fn otp_deadline(&self) -> Option<Deadline> {
        let ask = self.otp.ask.as_ref()?;
        Some(Deadline { at: ask.retry_at, reason: DeadlineReason::QueueRetry })
    }

    pub(super) fn on_otp_unknown(&mut self, asked_at: Timestamp, now: Timestamp, out: &mut Outbox) {
        if self.otp.ask.as_ref().is_none_or(|ask| ask.asked_at != asked_at) {
            return;
        }
        self.otp.made().failures.push_back(now);
        self.refuse_otp_ask(Refusal::OtpMismatch, out);
    }

    /// The ride is known: reserved until it answers, like after any accept.
    pub(super) fn on_otp_found(
        &mut self,
        asked_at: Timestamp,
        standing: &StandingOffer,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if self.otp.ask.as_ref().is_none_or(|ask| ask.asked_at != asked_at) {
            return;
        }
        if self.duty != Duty::Free || self.forward.is_held() {
            return self.refuse_otp_ask(Refusal::AcceptPending, out);
        }
        let Some(entry) = self.eligible_entry(standing, now) else {
            return self.refuse_otp_ask(Refusal::DriverNotEligible, out);
        };
        let askers = self.end_otp_ask();
        let (offer, ride) = (standing.offer.clone(), standing.ride.clone());
        let retry_at = now.plus_millis(self.policy.accept_retry_ms);
        self.otp.made().accept = Some(entry);
        let waits_for = WaitsFor::Ride;
        let (accepted, of) = (offer.clone(), ride.clone());
        let own = Reserved { offer: accepted, ride: of, fare: None, waits_for, askers, retry_at };
        self.duty = Duty::Reserved(Box::new(own));
        out.push(Effect::ToRide(ride, self.accept_command(offer, None)));
    }

    fn eligible_entry(&self, standing: &StandingOffer, now: Timestamp) -> Option<OtpEntry> {
        let needs = &standing.terms.needs;
        let reading = self.slot.read()?;
        let wanted = self.market.tier_set(&standing.tiers).ok()?;
        let levels_max = needs.downgrade_levels_max();
        let tier = tier_with_least_downgrade(self.tiers, wanted, levels_max)?;
        let service_tier: ServiceTierId = self.market.tiers().get(usize::from(tier))?.clone();
        suits(needs, &self.facts, reading.position, now).ok()?;
        if !self.record.online || self.blocked(now) {
            return None;
        }
        Some(OtpEntry {
            offer: standing.offer.clone(),
            driver: self.id().clone(),
            vehicle: self.record.profile.vehicle.clone(),
            service_tier,
            distance: reading.position.distance(standing.terms.pickup),
            otp: standing.otp.clone(),
        })
    }

    /// The password entered for this offer, if that is how it came.
    pub(super) fn otp_entry(&self, offer: &OfferId) -> Option<OtpEntry> {
        self.otp.accept.as_ref().filter(|entry| entry.offer == *offer).cloned()
    }
}
