//! The driver's decisions as a pure state machine: frames and time in, frames and notes out.
//!
//! ```text
//! Free ── offer, thinks it over ── accept ──► Accepting ── won ──► OnRide ── completed ──► Free
//!   ▲                                │ lost, expired                 │ cancelled, given up
//!   └────────────────────────────────┴───────────────────────────────┘
//! ```
//! One offer is thought over at a time; others wait their turn while they live. Whoever has won
//! a ride declines everything else as `busy`. [`super::ride`] holds what happens on a ride, [`super::stand`]
//! rides that a driver at a taxi stand takes by the rider's code.

use std::collections::{HashMap, VecDeque};

use super::hands::{Hands, Note};
use super::ride::OnRide;
use super::stand::{Entering, is_about_codes};
use crate::behaviour::{Answer, Behaviour};
use crate::geo::Point;
use crate::quoting::Quoting as _;
use crate::wire::{
    AcceptOutcome, ClientFrame, Money, OfferView, QueueCall, RideStatus, RideView, ServerFrame,
};

/// Offers that may wait to be looked at; more are declined as `busy`.
const WAITING_MAX: usize = 16;
/// Life of an offer that does not say when it ends.
const OFFER_LIFE_MS: i64 = 15_000;
/// Pickup ETA is guessed at this speed when an offer does not tell it.
const GUESSED_SPEED_MPS: f64 = 4.2;
/// Pickup ETA of an offer that does not even tell the distance.
const GUESSED_ETA_S: f64 = 180.0;
/// Times an unanswered accept is sent.
const ACCEPT_TRIES_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Considering {
    offer: OfferView,
    answer: Answer,
    eta_s: f64,
    respond_at_ms: i64,
}

#[derive(Debug)]
pub(super) enum Phase {
    Free,
    Accepting {
        offer: Box<OfferView>,
        fare: Option<Money>,
        sent_at_ms: i64,
        tries: u32,
    },
    /// A rider at a stand told the code, and the server has not answered.
    Entering(Entering),
    OnRide(OnRide),
}

/// One driver's mind.
#[derive(Debug)]
pub(crate) struct DriverMachine {
    driver_id: String,
    behaviour: Behaviour,
    /// City time after which an unconfirmed frame is sent again.
    confirm_after_ms: i64,
    pub(super) phase: Phase,
    pub(super) considering: Option<Considering>,
    waiting: VecDeque<OfferView>,
    asked: HashMap<String, u32>,
    last_ended: Option<String>,
}

impl DriverMachine {
    pub(crate) fn new(driver_id: String, behaviour: Behaviour, confirm_after_ms: i64) -> Self {
        Self {
            driver_id,
            behaviour,
            confirm_after_ms,
            phase: Phase::Free,
            considering: None,
            waiting: VecDeque::new(),
            asked: HashMap::new(),
            last_ended: None,
        }
    }

    /// When [`Self::on_wake`] must run next.
    pub(crate) fn next_wake(&self) -> Option<i64> {
        let answer = self.considering.as_ref().map(|considering| considering.respond_at_ms);
        let phase = match &self.phase {
            Phase::Free => None,
            Phase::Accepting { sent_at_ms, .. } => Some(sent_at_ms + self.confirm_after_ms),
            Phase::Entering(entering) => Some(entering.sent_at_ms + self.confirm_after_ms),
            Phase::OnRide(ride) => Some(ride.next_wake(self.confirm_after_ms)),
        };
        answer.into_iter().chain(phase).min()
    }

    /// Does what has fallen due.
    pub(crate) fn on_wake(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if self.considering.as_ref().is_some_and(|c| c.respond_at_ms <= now_ms)
            && let Some(considering) = self.considering.take()
        {
            self.answer(considering, now_ms, hands);
        }
        match &mut self.phase {
            Phase::Free => self.take_from_stand(now_ms, hands),
            Phase::Entering(entering) => {
                if entering.sent_at_ms + self.confirm_after_ms <= now_ms {
                    self.enter_again(now_ms, hands);
                }
            }
            Phase::Accepting { sent_at_ms, .. } => {
                if *sent_at_ms + self.confirm_after_ms <= now_ms {
                    self.ask_again(now_ms, hands);
                }
            }
            Phase::OnRide(ride) => {
                if ride.on_wake(now_ms, self.confirm_after_ms, hands) {
                    self.end_ride(now_ms, hands);
                }
            }
        }
    }

    /// Sends again what may have been lost with the old connection.
    pub(crate) fn on_reconnected(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        match &mut self.phase {
            Phase::Free => {}
            Phase::Accepting { .. } => self.ask_again(now_ms, hands),
            Phase::Entering(_) => self.enter_again(now_ms, hands),
            Phase::OnRide(ride) => ride.repeat(now_ms, hands),
        }
    }

    /// Reacts to a frame.
    pub(crate) fn on_frame(&mut self, frame: ServerFrame, now_ms: i64, hands: &mut Hands<'_>) {
        match frame {
            ServerFrame::Offer(offer) => self.on_offer(offer, now_ms, hands),
            ServerFrame::OfferWithdrawn { offer_id } => self.forget(&offer_id, now_ms, hands),
            ServerFrame::AcceptResult { offer_id, result, ride } => {
                self.on_result(&offer_id, result, ride, now_ms, hands);
            }
            ServerFrame::Assigned(ride) => self.begin(&ride, now_ms, hands),
            ServerFrame::RideCancelled { ride_id, .. } => {
                if self.ride().is_some_and(|ride| ride.ride_id == ride_id) {
                    self.end_ride(now_ms, hands);
                }
            }
            ServerFrame::RideUpdated(view) => {
                let driver_id = &self.driver_id;
                if let Phase::OnRide(ride) = &mut self.phase
                    && ride.on_update(&view, driver_id, now_ms, hands)
                {
                    self.end_ride(now_ms, hands);
                }
            }
            ServerFrame::QueueCall { zone, call } => self.on_call(zone, call, now_ms, hands),
            ServerFrame::Error { code, ride_id, offer_id } => {
                self.on_error(&code, ride_id.as_deref(), offer_id.as_deref(), now_ms, hands);
            }
            ServerFrame::Welcome { .. }
            | ServerFrame::Rejected { .. }
            | ServerFrame::Bye { .. }
            | ServerFrame::Other => {}
        }
    }

    fn ride(&self) -> Option<&OnRide> {
        match &self.phase {
            Phase::OnRide(ride) => Some(ride),
            Phase::Free | Phase::Accepting { .. } | Phase::Entering(_) => None,
        }
    }

    /// Goes to the gate where riders wait, unless he has something better to do.
    fn on_call(&self, zone: String, call: QueueCall, now_ms: i64, hands: &mut Hands<'_>) {
        if call.arrive_by.is_some() {
            return;
        }
        let accept = matches!(self.phase, Phase::Free)
            && hands.vehicle.go_to_gate(now_ms, &zone, &call.gate);
        hands.send(ClientFrame::QueueRespond { zone, call_id: call.call_id, accept });
    }

    fn on_offer(&mut self, offer: OfferView, now_ms: i64, hands: &mut Hands<'_>) {
        let considered = self.considering.as_ref().map(|considering| &considering.offer);
        let accepted = match &self.phase {
            Phase::Accepting { offer, .. } => Some(offer.as_ref()),
            Phase::Free | Phase::Entering(_) | Phase::OnRide(_) => None,
        };
        let mut known = considered.into_iter().chain(accepted).chain(&self.waiting);
        if known.any(|one| one.offer_id == offer.offer_id) {
            return;
        }
        if hands.vehicle.is_occupied() {
            decline(offer.offer_id, "occupied", hands);
        } else if matches!(self.phase, Phase::OnRide(_))
            || offer.forward
            || self.waiting.len() >= WAITING_MAX
        {
            decline(offer.offer_id, "busy", hands);
        } else {
            self.waiting.push_back(offer);
            self.consider_next(now_ms, hands);
        }
    }

    /// Looks at the next waiting offer that still lives.
    pub(super) fn consider_next(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        while matches!(self.phase, Phase::Free) && self.considering.is_none() {
            let Some(offer) = self.waiting.pop_front() else { return };
            let looks_at_ms = offer.visible_at.unwrap_or(now_ms).max(now_ms);
            let live_ms = offer.expires_at.map_or(OFFER_LIFE_MS, |end| end - looks_at_ms);
            if live_ms <= 0 {
                continue;
            }
            let key = ride_key(&offer.ride_id).to_owned();
            let asked = self.asked.entry(key.clone()).or_insert(0);
            *asked += 1;
            let eta_s = offer.pickup_eta_s.unwrap_or_else(|| guessed_eta_s(&offer));
            let plan = self.behaviour.offer(&self.driver_id, &key, *asked, eta_s, live_ms);
            if plan.answer == Answer::Silent {
                hands.note(Note::LeftUnanswered);
                continue;
            }
            let respond_at_ms = looks_at_ms + plan.delay_ms;
            let answer = plan.answer;
            self.considering = Some(Considering { offer, answer, eta_s, respond_at_ms });
        }
    }

    fn answer(&mut self, considering: Considering, now_ms: i64, hands: &mut Hands<'_>) {
        let Considering { offer, answer, eta_s, .. } = considering;
        let refusal = match answer {
            Answer::Accept if hands.vehicle.is_occupied() => Some("occupied"),
            Answer::Accept | Answer::Silent => None,
            Answer::Decline(reason) => Some(reason),
        };
        if let Some(reason) = refusal {
            decline(offer.offer_id, reason, hands);
            self.consider_next(now_ms, hands);
            return;
        }
        hands.note(Note::Accepted {
            offer_id: offer.offer_id.clone(),
            sent_at_ms: now_ms,
            expires_at_ms: offer.expires_at,
        });
        let fare = self.behaviour.asks(&self.driver_id, ride_key(&offer.ride_id), &offer, eta_s);
        hands.send(ClientFrame::Accept { offer_id: offer.offer_id.clone(), fare: fare.clone() });
        let offer = Box::new(offer);
        self.phase = Phase::Accepting { offer, fare, sent_at_ms: now_ms, tries: 1 };
    }

    /// The answer to an accept is missing: repeats it, or takes it for lost in the end.
    fn ask_again(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        let Phase::Accepting { offer, fare, sent_at_ms, tries } = &mut self.phase else { return };
        if *tries < ACCEPT_TRIES_MAX {
            *tries += 1;
            *sent_at_ms = now_ms;
            let (offer_id, fare) = (offer.offer_id.clone(), fare.clone());
            hands.send(ClientFrame::Accept { offer_id, fare });
        } else {
            self.phase = Phase::Free;
            self.consider_next(now_ms, hands);
        }
    }

    fn forget(&mut self, offer_id: &str, now_ms: i64, hands: &mut Hands<'_>) {
        self.waiting.retain(|offer| offer.offer_id != offer_id);
        if self.considering.as_ref().is_some_and(|c| c.offer.offer_id == offer_id) {
            self.considering = None;
        }
        // An accept under way is answered by its own result; the withdrawal says it lost.
        self.lose(Some(offer_id), now_ms, hands);
        self.consider_next(now_ms, hands);
    }

    fn on_result(
        &mut self,
        offer_id: &str,
        result: AcceptOutcome,
        ride: Option<RideView>,
        now_ms: i64,
        hands: &mut Hands<'_>,
    ) {
        match (result, ride) {
            (AcceptOutcome::Won, Some(ride)) => self.begin(&ride, now_ms, hands),
            (AcceptOutcome::Won, None) => {
                if let Phase::Accepting { offer, .. } = &self.phase
                    && offer.offer_id == offer_id
                {
                    let (ride_id, pickup) = (offer.ride_id.clone(), offer.pickup);
                    let dropoff = offer.dropoff;
                    self.set_out(&ride_id, pickup, dropoff, now_ms, hands);
                }
            }
            // A quote is chosen later, by an `assigned` frame.
            (
                AcceptOutcome::Lost
                | AcceptOutcome::Expired
                | AcceptOutcome::Quoted
                | AcceptOutcome::Other,
                _,
            ) => {
                self.lose(Some(offer_id), now_ms, hands);
                self.turned_away(now_ms, hands);
            }
        }
    }

    /// The accept under way, if it is the one named, did not win.
    fn lose(&mut self, offer_id: Option<&str>, now_ms: i64, hands: &mut Hands<'_>) {
        if let Phase::Accepting { offer, .. } = &self.phase
            && offer_id.is_none_or(|id| id == offer.offer_id)
        {
            self.phase = Phase::Free;
            self.consider_next(now_ms, hands);
        }
    }

    fn begin(&mut self, view: &RideView, now_ms: i64, hands: &mut Hands<'_>) {
        self.set_out(&view.ride_id, view.pickup, view.dropoff, now_ms, hands);
        if view.status == RideStatus::InProgress
            && let Phase::OnRide(ride) = &mut self.phase
            && ride.ride_id == view.ride_id
        {
            ride.begin_at_stand(now_ms, hands);
        }
    }

    fn set_out(
        &mut self,
        ride_id: &str,
        pickup: Option<Point>,
        dropoff: Option<Point>,
        now_ms: i64,
        hands: &mut Hands<'_>,
    ) {
        let (Some(pickup), None) = (pickup, self.ride()) else { return };
        if self.last_ended.as_deref() == Some(ride_id) {
            return;
        }
        let plan = self.behaviour.ride(&self.driver_id, ride_key(ride_id));
        let leg = hands.vehicle.drive_to(now_ms, pickup);
        hands.note(Note::Began {
            ride_id: ride_id.to_owned(),
            at_ms: now_ms,
            pickup_m: leg.length_m,
        });
        self.phase =
            Phase::OnRide(OnRide::new(ride_id.to_owned(), dropoff, plan, now_ms, leg.arrive_at_ms));
        let considered = self.considering.take().map(|considering| considering.offer);
        for offer in considered.into_iter().chain(std::mem::take(&mut self.waiting)) {
            if offer.ride_id != ride_id {
                decline(offer.offer_id, "busy", hands);
            }
        }
    }

    fn end_ride(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if let Phase::OnRide(ride) = std::mem::replace(&mut self.phase, Phase::Free) {
            self.last_ended = Some(ride.ride_id);
            hands.vehicle.release(now_ms);
        }
    }

    fn on_error(
        &mut self,
        code: &str,
        ride_id: Option<&str>,
        offer_id: Option<&str>,
        now_ms: i64,
        hands: &mut Hands<'_>,
    ) {
        match &mut self.phase {
            Phase::Free => {}
            Phase::Accepting { .. } if ride_id.is_none() || offer_id.is_some() => {
                if !is_transient(code) {
                    self.lose(offer_id, now_ms, hands);
                }
            }
            Phase::Accepting { .. } => {}
            Phase::Entering(_) => {
                if is_about_codes(code) {
                    self.refused_at_stand(code, now_ms, hands);
                }
            }
            Phase::OnRide(ride) => {
                let meant = offer_id.is_none()
                    && !is_about_offers(code)
                    && ride_id.is_none_or(|id| id == ride.ride_id);
                if meant && !is_transient(code) && ride.on_refusal(code, now_ms, hands) {
                    self.end_ride(now_ms, hands);
                }
            }
        }
    }
}

/// The part of a ride id that is the same in every run with the same seed.
pub(crate) fn ride_key(ride_id: &str) -> &str {
    ride_id.rsplit('-').next().unwrap_or(ride_id)
}

/// Refusals after which the same frame may succeed.
pub(super) fn is_transient(code: &str) -> bool {
    matches!(
        code,
        "overloaded"
            | "rate_limited"
            | "store_unavailable"
            | "timed_out"
            | "draining"
            | "accept_pending"
            | "invalid_frame"
    ) || code.starts_with("internal")
}

/// Refusals of an answer to an offer or a call, not of a stage of the ride. Errors carry no ids: the code
/// alone tells what was refused.
fn is_about_offers(code: &str) -> bool {
    code.contains("offer") || matches!(code, "driver_offline" | "unknown_call")
}

/// The pickup ETA for an offer that tells only its distance, or nothing.
fn guessed_eta_s(offer: &OfferView) -> f64 {
    offer.distance_m.map_or(GUESSED_ETA_S, |metres| metres / GUESSED_SPEED_MPS)
}

fn decline(offer_id: String, reason: &'static str, hands: &mut Hands<'_>) {
    hands.note(Note::Declined { reason });
    hands.send(ClientFrame::Decline { offer_id, reason });
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
