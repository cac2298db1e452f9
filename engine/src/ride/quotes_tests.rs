//! Quotes as sentences: how one comes about, how it is chosen, and every way it ends.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Answer, Effect, Refusal, ReplyTo};
use crate::id::OfferId;
use crate::machine::Machine;
use crate::offer::{Exclusion, OfferKind, QuoteEnd, WithdrawReason};
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::{
    CancelledBy, ENDED_QUOTES_MAX, RideCommand, RideEventKind, RideMachine, RideRequest,
    RideStatus, SELECTION_ASKERS_MAX,
};
use crate::time::DeadlineReason;
use crate::units::Money;

fn usd(amount: u64) -> Money {
    Money { amount, currency: "USD".to_owned() }
}

fn quotes() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Quotes,
        wave_size: 2,
        offer_ttl_ms: 10_000,
        quote_ttl_ms: 30_000,
        search_limit_ms: 120_000,
        ..policy()
    }
}

fn searching(policy: DispatchPolicy, nearby: &[&str]) -> Case {
    let request = RideRequest { fare: Some(usd(1_000)), ..request(None) };
    let mut case = Case::of(request, policy, nearby);
    case.tell(RideCommand::Request { reply: None }, 0);
    case
}

impl Case {
    fn quotes(&mut self, name: &str, amount: u64, ms: u64) -> OfferId {
        let offer = self.offer_to(name);
        self.quote_offer(&offer, name, Some(usd(amount)), ms);
        offer
    }

    fn select(&mut self, quote: &OfferId, reply: u64, ms: u64) {
        let (quote, reply) = (quote.clone(), Some(ReplyTo(reply)));
        self.tell(RideCommand::SelectQuote { quote, reply }, ms);
    }

    fn confirm(&mut self, quote: &OfferId, name: &str, ms: u64) {
        let (quote, driver) = (quote.clone(), driver(name));
        self.tell(RideCommand::QuoteConfirmed { quote, driver }, ms);
    }

    fn kinds(&self) -> Vec<RideEventKind> {
        let commits = self.effects.iter().filter_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            Some(commit.kind)
        });
        commits.collect()
    }

    fn ended(&self, quote: &OfferId) -> Option<QuoteEnd> {
        let ended = &self.machine.record().ended_quotes;
        ended.iter().find(|(id, _)| id == quote).map(|(_, end)| *end)
    }

    fn is_told_withdrawn(&self, name: &str, why: WithdrawReason) -> bool {
        self.told(name).iter().any(
            |command| matches!(command, DriverCommand::Withdraw { reason, .. } if *reason == why),
        )
    }
}

#[test]
fn an_accept_becomes_a_quote_that_holds_its_driver_until_its_own_deadline() {
    let mut case = searching(quotes(), &["a", "b"]);
    let quote = case.quotes("a", 1_200, 1_000);
    assert_eq!(
        (case.status(), case.kinds()),
        (RideStatus::Searching, vec![RideEventKind::QuoteReceived])
    );
    let live = &case.machine.record().offers[&quote];
    assert_eq!(live.expires_at, at(31_000));
    assert_eq!(live.quote.as_ref().unwrap().fare, usd(1_200));
    assert!(matches!(
        case.told("a")[..],
        [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Quoted(_), .. }]
    ));
    assert_eq!(case.live(), ["a", "b"], "the other driver may still answer");
}

#[test]
fn the_bounds_of_a_fare_follow_the_policy_and_the_requested_fare() {
    let narrow =
        DispatchPolicy { quote_fare_permille_min: 900, quote_fare_permille_max: 1_100, ..quotes() };
    let case = searching(narrow, &["a"]);
    let live = case.machine.record().offers.values().next().unwrap();
    let OfferKind::Quote { bounds: Some(bounds) } = &live.kind else { panic!("{:?}", live.kind) };
    assert_eq!((bounds.min.amount, bounds.max.amount), (900, 1_100));
    let case = Case::searching(quotes(), &["a"]);
    let live = case.machine.record().offers.values().next().unwrap();
    assert_eq!(live.kind, OfferKind::Quote { bounds: None });
}

#[test]
fn a_repeated_accept_is_answered_with_the_quote_and_changes_nothing() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_200, 100);
    let version = case.version();
    case.quote_offer(&quote, "a", Some(usd(900)), 200);
    assert_eq!(case.version(), version);
    let [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Quoted(terms), .. }] =
        case.told("a")[..]
    else {
        panic!("{:?}", case.told("a"))
    };
    assert_eq!((terms.fare.amount, terms.expires_at), (1_200, at(30_100)));
}

#[test]
fn the_chosen_driver_is_asked_before_the_ride_is_his_and_the_other_quote_is_taken_back() {
    let mut case = searching(quotes(), &["a", "b"]);
    let (first, second) = (case.quotes("a", 1_200, 100), case.quotes("b", 900, 200));
    case.select(&second, 7, 1_000);
    assert_eq!((case.status(), case.persists()), (RideStatus::Searching, 0));
    assert!(matches!(case.told("b")[..], [DriverCommand::ConfirmQuote { .. }]));
    case.confirm(&second, "b", 1_010);
    assert_eq!(case.kinds(), [RideEventKind::DriverAssigned]);
    let assignment = case.machine.record().assignment.clone().unwrap();
    assert_eq!((assignment.driver.id, assignment.fare), (driver("b"), Some(usd(900))));
    assert!(case.is_told_withdrawn("a", WithdrawReason::Taken));
    assert!(case.effects.iter().any(
        |effect| matches!(effect, Effect::Answer(ReplyTo(7), Answer::Ride(ride)) if ride.status == RideStatus::Assigned)
    ));
    assert_eq!(case.ended(&first), Some(QuoteEnd::Withdrawn));
    assert_eq!(case.ended(&second), Some(QuoteEnd::Selected));
    let counts = case.machine.record().offer_counts;
    assert_eq!((counts.sent, counts.accepted, counts.withdrawn), (2, 1, 1));
}

#[test]
fn choosing_again_is_answered_with_the_ride_and_choosing_another_is_refused() {
    let mut case = searching(quotes(), &["a", "b"]);
    let (first, second) = (case.quotes("a", 1_200, 100), case.quotes("b", 900, 200));
    case.select(&second, 1, 1_000);
    case.select(&second, 2, 1_001);
    assert!(case.effects.is_empty(), "the second call waits with the first");
    case.select(&first, 3, 1_002);
    assert_eq!(case.refusal(), Some(Refusal::SelectionPending));
    case.confirm(&second, "b", 1_010);
    let answered = |reply: u64| {
        case.effects.iter().any(
            |effect| matches!(effect, Effect::Answer(to, Answer::Ride(_)) if *to == ReplyTo(reply)),
        )
    };
    assert!(answered(1) && answered(2));
    let version = case.version();
    case.select(&second, 4, 2_000);
    assert!(matches!(case.effects[..], [Effect::Answer(ReplyTo(4), Answer::Ride(_))]));
    case.select(&first, 5, 2_000);
    assert_eq!(case.refusal(), Some(Refusal::RideAlreadyAssigned));
    assert_eq!(case.version(), version);
}

#[test]
fn more_callers_than_may_wait_for_one_choice_are_refused() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    for reply in 0..SELECTION_ASKERS_MAX as u64 {
        case.select(&quote, reply, 200);
        assert_eq!(case.refusal(), None);
    }
    case.select(&quote, 99, 200);
    assert_eq!(case.refusal(), Some(Refusal::SelectionPending));
}

#[test]
fn a_choice_at_the_instant_of_expiry_finds_the_quote_expired() {
    for (ms, refusal) in [(30_099, None), (30_100, Some(Refusal::QuoteExpired))] {
        let mut case = searching(quotes(), &["a"]);
        let quote = case.quotes("a", 1_000, 100);
        case.select(&quote, 1, ms);
        assert_eq!(case.refusal(), refusal, "{ms}");
        let told = case.is_told_withdrawn("a", WithdrawReason::Expired);
        assert_eq!(told, refusal.is_some(), "the driver waits for the ride's word");
        let unknown = OfferId::new("nobody").unwrap();
        case.select(&unknown, 2, ms);
        assert_eq!(case.refusal(), Some(Refusal::UnknownQuote));
    }
}

#[test]
fn a_confirmation_that_comes_after_the_expiry_is_lost_and_the_caller_is_told() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    case.select(&quote, 1, 30_000);
    case.wake(30_100);
    assert_eq!(case.refusal(), Some(Refusal::QuoteExpired));
    assert_eq!(case.kinds()[0], RideEventKind::QuoteEnded);
    case.confirm(&quote, "a", 30_101);
    assert!(matches!(
        case.told("a")[..],
        [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Lost(WithdrawReason::Expired), .. }]
    ));
    assert_eq!(case.status(), RideStatus::Searching);
}

#[test]
fn a_driver_who_cannot_take_the_ride_any_more_fails_the_choice_and_the_quote_is_gone() {
    let mut case = searching(quotes(), &["a", "b", "c"]);
    let (first, _) = (case.quotes("a", 1_000, 100), case.quotes("b", 900, 200));
    case.select(&first, 1, 1_000);
    let offer = first.clone();
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::StalePosition }, 1_010);
    assert_eq!(case.refusal(), Some(Refusal::QuoteUnavailable));
    assert_eq!(case.ended(&first), Some(QuoteEnd::Withdrawn));
    assert_eq!(case.kinds()[0], RideEventKind::QuoteEnded);
    assert!(!case.live().contains(&"a"));
    case.select(&first, 2, 1_020);
    assert_eq!(case.refusal(), Some(Refusal::QuoteUnavailable));
    assert!(case.machine.record().asked.contains(&driver("a")), "he is not asked again");
}

#[test]
fn a_choice_without_an_answer_is_put_to_the_driver_again() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    case.select(&quote, 1, 1_000);
    let retry_ms = 1_000 + quotes().accept_retry_ms;
    // The search for more quotes may look again before.
    while case.machine.next_deadline().unwrap().reason != DeadlineReason::SelectionRetry {
        let ms = case.machine.next_deadline().unwrap().at.millis_since(START);
        assert!(ms < retry_ms);
        case.wake(ms);
    }
    case.wake(retry_ms);
    assert!(matches!(case.told("a")[..], [DriverCommand::ConfirmQuote { .. }]));
}

#[test]
fn with_enough_quotes_open_offers_are_taken_back_and_no_more_go_out_until_one_ends() {
    let two = DispatchPolicy { quotes_max: 2, wave_size: 3, ..quotes() };
    let mut case = searching(two, &["a", "b", "c", "d"]);
    case.quotes("a", 1_000, 100);
    let second = case.quotes("b", 1_000, 200);
    assert!(case.is_told_withdrawn("c", WithdrawReason::Taken));
    assert_eq!(case.live(), ["a", "b"]);
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(30_100), DeadlineReason::WaveClose));
    case.tell(RideCommand::OfferDeclined { offer: second.clone() }, 1_000);
    assert_eq!(case.kinds(), [RideEventKind::QuoteEnded, RideEventKind::WaveSent]);
    assert_eq!(case.live(), ["a", "d"], "a place is free, and somebody was not asked yet");
    assert_eq!(case.ended(&second), Some(QuoteEnd::Withdrawn));
    assert_eq!(case.machine.record().offer_counts.declined, 0);
}

#[test]
fn the_first_quote_is_assigned_at_once_where_policy_says_so() {
    let auto = DispatchPolicy { quotes_auto_assign: true, ..quotes() };
    let mut case = searching(auto, &["a", "b"]);
    case.quotes("a", 1_200, 100);
    assert_eq!(case.kinds(), [RideEventKind::DriverAssigned]);
    assert_eq!(case.machine.record().assignment.as_ref().unwrap().fare, Some(usd(1_200)));
    assert!(case.is_told_withdrawn("b", WithdrawReason::Taken));
}

#[test]
fn a_search_goes_on_beside_its_quotes_and_does_not_end_for_want_of_waves() {
    let one = DispatchPolicy { wave_size: 1, wave_count_max: 2, ..quotes() };
    let mut case = searching(one, &["a", "b", "c"]);
    case.quotes("a", 1_000, 100);
    assert_eq!((case.live(), case.machine.record().wave), (vec!["a", "b"], 2));
    case.decline("b", 200);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["a"]));
    case.wake(30_100);
    assert_eq!(
        case.status(),
        RideStatus::Unfulfilled,
        "the last quote is gone, and so are the waves"
    );
    assert_eq!(case.kinds(), [RideEventKind::QuoteEnded, RideEventKind::RideUnfulfilled]);
}

#[test]
fn a_quote_never_outlives_its_search_and_dies_with_it() {
    let short = DispatchPolicy { search_limit_ms: 20_000, ..quotes() };
    let mut case = searching(short, &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    assert_eq!(case.machine.record().offers[&quote].expires_at, at(20_000));
    case.wake(20_000);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    assert!(case.is_told_withdrawn("a", WithdrawReason::Expired));
    case.select(&quote, 1, 20_001);
    assert_eq!(case.refusal(), Some(Refusal::RideUnfulfilled));
}

#[test]
fn a_retry_takes_the_quotes_of_the_old_attempt_back_and_refuses_the_choice_of_one() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    case.select(&quote, 1, 200);
    case.tell(RideCommand::Retry { tip: Some(usd(50)), service_tiers: None, reply: None }, 300);
    assert_eq!(case.refusal(), Some(Refusal::QuoteUnavailable));
    assert!(case.is_told_withdrawn("a", WithdrawReason::Superseded));
    case.confirm(&quote, "a", 400);
    assert!(matches!(
        case.told("a")[..],
        [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Lost(_), .. }]
    ));
    assert_eq!((case.status(), case.machine.record().attempt), (RideStatus::Searching, 2));
}

#[test]
fn a_cancelled_ride_takes_its_quotes_back() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_000, 100);
    case.cancel(CancelledBy::Rider, 200);
    assert!(case.is_told_withdrawn("a", WithdrawReason::Cancelled));
    assert_eq!(case.ended(&quote), Some(QuoteEnd::Withdrawn));
    case.select(&quote, 1, 300);
    assert_eq!(case.refusal(), Some(Refusal::RideAlreadyCancelled));
}

#[test]
fn a_restarted_ride_has_its_quotes_and_forgets_a_choice_that_was_not_confirmed() {
    let mut case = searching(quotes(), &["a"]);
    let quote = case.quotes("a", 1_200, 100);
    case.select(&quote, 1, 200);
    let book = std::sync::Arc::new(crate::policy::PolicyBook::of(quotes()));
    case.machine = RideMachine::restore(case.machine.record().clone(), market(), book);
    case.tell(RideCommand::Resume, 1_000);
    let [DriverCommand::Offer { offer, redelivered: true }] = case.told("a")[..] else {
        panic!("{:?}", case.told("a"))
    };
    assert_eq!((offer.quoted.clone(), offer.expires_at), (Some(usd(1_200)), at(30_100)));
    case.confirm(&quote, "a", 1_001);
    assert!(
        matches!(
            case.told("a")[..],
            [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Quoted(_), .. }]
        ),
        "the driver goes on waiting"
    );
    case.select(&quote, 2, 1_100);
    case.confirm(&quote, "a", 1_110);
    assert_eq!(case.machine.record().assignment.as_ref().unwrap().driver.id, driver("a"));
}

#[test]
fn only_the_newest_ended_quotes_are_remembered() {
    let names: Vec<String> = (0..=ENDED_QUOTES_MAX).map(|n| format!("d{n:03}")).collect();
    let nearby: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = DispatchPolicy { wave_size: 1, wave_count_max: 1_000, ..quotes() };
    let mut case = searching(many, &nearby);
    let mut first = None;
    for name in &nearby {
        let quote = case.quotes(name, 1_000, 100);
        case.tell(RideCommand::OfferDeclined { offer: quote.clone() }, 100);
        first.get_or_insert(quote);
    }
    assert_eq!(case.machine.record().ended_quotes.len(), ENDED_QUOTES_MAX);
    case.select(&first.unwrap(), 1, 200);
    assert_eq!(case.refusal(), Some(Refusal::UnknownQuote));
}
