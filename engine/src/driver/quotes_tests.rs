//! What a driver with a quote may do, and what may happen to him.

use super::case_tests::*;

use crate::driver::{DriverCommand, PhoneFrame};
use crate::effect::{AcceptAnswer, Answer, Effect, Refusal};
use crate::grid::DriverStatus;
use crate::machine::Machine;
use crate::offer::{Exclusion, FareBounds, Offer, OfferKind, QuoteTerms, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;
use crate::units::Money;

fn usd(amount: u64) -> Money {
    Money { amount, currency: "USD".to_owned() }
}

fn quote_offer(name: &str) -> Offer {
    let bounds = Some(FareBounds { min: usd(900), max: usd(1_100) });
    let plain = offer(name);
    let terms = crate::offer::OfferTerms { fare: Some(usd(1_000)), ..(*plain.terms).clone() };
    Offer { kind: OfferKind::Quote { bounds }, terms: terms.into(), ..plain }
}

fn terms(until_ms: u64) -> QuoteTerms {
    QuoteTerms { fare: usd(1_050), expires_at: at(until_ms) }
}

impl Case {
    fn takes(&mut self, offer: Offer, redelivered: bool, ms: u64) {
        self.tell(DriverCommand::Offer { offer: Box::new(offer), redelivered }, ms);
    }

    /// A driver whose quote for `r1` lives until one minute after the start.
    fn quoting() -> Self {
        let mut case = Self::available();
        case.takes(quote_offer("r1"), false, 0);
        case.accept_for("r1", Some(usd(1_050)), 1, 100);
        case.answered("r1", AcceptAnswer::Quoted(terms(60_000)), 110);
        case
    }

    fn confirm(&mut self, ms: u64) {
        let offer = Offer { quoted: Some(usd(1_050)), expires_at: at(60_000), ..quote_offer("r1") };
        self.tell(DriverCommand::ConfirmQuote { offer: Box::new(offer) }, ms);
    }

    fn said_to_ride(&self) -> Vec<&RideCommand> {
        let said = self.effects.iter().filter_map(|effect| {
            let Effect::ToRide(_, command) = effect else { return None };
            Some(command)
        });
        said.collect()
    }

    fn refusals(&self) -> Vec<Refusal> {
        let refused = self.answers().into_iter().filter_map(|answer| {
            let Answer::Refused(refusal) = answer else { return None };
            Some(*refusal)
        });
        refused.collect()
    }
}

#[test]
fn a_fare_outside_the_bounds_is_refused_and_the_offer_stays() {
    let mut case = Case::available();
    case.takes(quote_offer("r1"), false, 0);
    case.accept_for("r1", Some(usd(1_101)), 1, 10);
    assert_eq!(case.refusals(), [Refusal::FareOutOfBounds]);
    assert_eq!((case.live(), case.machine.status()), (vec!["r1"], DriverStatus::Available));
    case.accept_for("r1", None, 1, 20);
    let [RideCommand::OfferAccepted { fare, .. }] = case.said_to_ride()[..] else { panic!() };
    assert_eq!(*fare, Some(usd(1_000)), "without one the requested fare is asked");
    let mut plain = Case::available();
    plain.offered("r1", 0);
    plain.accept_for("r1", Some(usd(1_000)), 1, 10);
    assert_eq!(plain.refusals(), [Refusal::FareNotNegotiable]);
}

#[test]
fn a_quote_keeps_its_slot_beyond_the_offer_and_frees_the_other_offers() {
    let mut case = Case::available();
    case.takes(quote_offer("r1"), false, 0);
    case.offered("r2", 0);
    case.accept_for("r1", Some(usd(1_050)), 1, 100);
    case.answered("r1", AcceptAnswer::Quoted(terms(60_000)), 110);
    assert_eq!(case.answers(), [&Answer::Accept(AcceptAnswer::Quoted(terms(60_000)))]);
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved]);
    assert_eq!((case.live(), case.machine.status()), (vec!["r1"], DriverStatus::Reserved));
    case.wake(TTL_MS + 1);
    assert_eq!(case.live(), ["r1"]);
    case.offered("r3", 200);
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved]);
}

#[test]
fn a_repeated_accept_of_a_quote_is_answered_at_once() {
    let mut case = Case::quoting();
    case.accept_for("r1", Some(usd(950)), 2, 200);
    assert_eq!(case.answers(), [&Answer::Accept(AcceptAnswer::Quoted(terms(60_000)))]);
    assert!(case.said_to_ride().is_empty());
}

#[test]
fn a_driver_takes_his_quote_back_without_penalty() {
    let mut case = Case::quoting();
    case.decline("r1", 200);
    assert!(matches!(case.said_to_ride()[..], [RideCommand::OfferDeclined { .. }]));
    let supply = case.supply().unwrap();
    assert_eq!((supply.status, supply.cooling_down), (DriverStatus::Available, false));
    assert_eq!(supply.standing.acceptance_permille, 1_000);
    assert!(case.live().is_empty());
}

#[test]
fn a_quote_ends_with_the_drivers_work_or_when_he_is_blocked() {
    let mut offline = Case::quoting();
    offline.set_online(false, 200);
    let mut blocked = Case::quoting();
    let until = crate::driver::DriverProfile { blocked_until: Some(at(90_000)), ..profile() };
    blocked.tell(DriverCommand::PutProfile { profile: Box::new(until), reply: None }, 200);
    for (case, why) in [(offline, Exclusion::Offline), (blocked, Exclusion::Blocked)] {
        assert_eq!(case.refused_to_ride(), [why]);
        assert!(case.live().is_empty() && case.machine.quoting().is_none());
        assert!(matches!(case.frames()[..], [PhoneFrame::OfferWithdrawn { .. }]));
    }
}

#[test]
fn a_driver_who_went_offline_while_his_quote_was_kept_takes_it_back() {
    let mut case = Case::available();
    case.takes(quote_offer("r1"), false, 0);
    case.accept_for("r1", None, 1, 100);
    case.set_online(false, 105);
    assert_eq!(case.live(), ["r1"], "an accept on its way is let run");
    case.answered("r1", AcceptAnswer::Quoted(terms(60_000)), 110);
    assert_eq!(case.refused_to_ride(), [Exclusion::Offline]);
    assert_eq!(case.machine.status(), DriverStatus::Offline);
}

#[test]
fn a_quote_that_ends_frees_the_driver_as_if_nothing_was() {
    let mut case = Case::quoting();
    let (offer, reason) = (offer_id("r1"), WithdrawReason::Taken);
    case.tell(DriverCommand::Withdraw { offer, reason }, 1_000);
    let supply = case.supply().unwrap();
    assert_eq!((supply.status, supply.cooling_down), (DriverStatus::Available, false));
}

#[test]
fn a_driver_who_confirmed_is_bound_until_the_ride_answers() {
    let mut case = Case::quoting();
    case.confirm(1_000);
    assert!(matches!(case.said_to_ride()[..], [RideCommand::QuoteConfirmed { .. }]));
    case.decline("r1", 1_001);
    assert_eq!(case.refusals(), [Refusal::AcceptPending]);
    case.set_online(false, 1_002);
    assert!(case.refused_to_ride().is_empty() && case.live() == ["r1"]);
    case.confirm(1_003);
    assert!(matches!(case.said_to_ride()[..], [RideCommand::QuoteConfirmed { .. }]));
    case.wins("r1", 1_010);
    assert_eq!(case.machine.status(), DriverStatus::EnRoute);
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }]));
}

#[test]
fn a_driver_who_is_lost_or_serves_another_ride_cannot_be_chosen() {
    let near = DispatchPolicy {
        stale_after_ms: 20_000,
        lost_after_ms: 20_000,
        ..DispatchPolicy::default()
    };
    let mut lost = Case::with(near);
    lost.takes(quote_offer("r1"), false, 0);
    lost.accept_for("r1", None, 1, 100);
    lost.answered("r1", AcceptAnswer::Quoted(terms(60_000)), 110);
    lost.confirm(30_000);
    assert_eq!(lost.refused_to_ride(), [Exclusion::StalePosition]);
    assert!(lost.live().is_empty());
    let mut serving = Case::available();
    serving.offered("r2", 0);
    serving.accept("r2", 1, 1);
    serving.wins("r2", 10);
    serving.confirm(1_000);
    assert_eq!(serving.refused_to_ride(), [Exclusion::OnRide]);
    assert_eq!(serving.machine.status(), DriverStatus::EnRoute);
}

#[test]
fn a_rebuilt_driver_is_reserved_again_by_the_offer_with_its_quote() {
    let mut case = Case::available();
    case.takes(offer("r2"), true, 0);
    let again = Offer { quoted: Some(usd(1_050)), expires_at: at(60_000), ..quote_offer("r1") };
    case.takes(again, true, 10);
    assert_eq!(case.machine.quoting(), Some(&offer_id("r1")));
    assert_eq!((case.live(), case.refused_to_ride()), (vec!["r1"], vec![Exclusion::Reserved]));
    case.takes(offer("r3"), true, 20);
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved]);
    let mut asked = Case::available();
    asked.confirm(20);
    assert!(matches!(asked.said_to_ride()[..], [RideCommand::QuoteConfirmed { .. }]));
    let mut accepted = Case::available();
    accepted.takes(offer("r2"), true, 0);
    accepted.accept("r2", 1, 10);
    accepted.confirm(20);
    assert_eq!(accepted.refused_to_ride(), [Exclusion::Reserved]);
}

#[test]
fn a_driver_who_hears_nothing_of_his_quote_asks_when_its_time_has_passed() {
    let mut case = Case::quoting();
    case.wake(60_000);
    let [RideCommand::OfferAccepted { fare, .. }] = case.said_to_ride()[..] else { panic!() };
    assert_eq!(*fare, Some(usd(1_050)));
    case.answered("r1", AcceptAnswer::Lost(WithdrawReason::Expired), 60_001);
    assert_eq!(case.machine.status(), DriverStatus::Available);
}

#[test]
fn a_driver_whose_quote_is_over_by_his_clock_only_does_not_ask_in_circles() {
    let mut case = Case::quoting();
    case.wake(60_000);
    case.answered("r1", AcceptAnswer::Quoted(terms(60_000)), 60_001);
    assert!(case.machine.next_deadline().unwrap().at > at(60_001));
}
