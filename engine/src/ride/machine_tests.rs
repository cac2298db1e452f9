//! The rules of a ride as sentences, in the order of its life.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Refusal, ReplyTo};
use crate::machine::Machine;
use crate::offer::{Exclusion, WithdrawReason};
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::{CancelledBy, RideCommand, RideProgress, RideStatus};

#[test]
fn no_deadline_runs_before_the_request() {
    let soon = Some(at(10_000));
    let mut case = Case::of(request(soon), policy(), &["a"]);
    assert_eq!(case.machine.next_deadline(), None);
    case.wake(0);
    assert!(case.effects.is_empty());
    case.tell(RideCommand::Request { reply: None }, 0);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["a"]));
}

#[test]
fn a_scheduled_ride_searches_when_its_lead_begins() {
    let lead = policy().scheduled_lead_ms;
    let mut case = Case::of(request(Some(at(lead + 60_000))), policy(), &["a"]);
    case.tell(RideCommand::Request { reply: None }, 0);
    assert_eq!((case.status(), case.live()), (RideStatus::Scheduled, vec![]));
    assert_eq!(case.machine.next_deadline().unwrap().at, at(60_000));
    case.wake(60_000);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["a"]));
}

#[test]
fn the_next_wave_goes_out_as_soon_as_all_have_declined() {
    let mut case = Case::searching(policy(), &["a", "b", "c"]);
    assert_eq!(case.live(), ["a", "b"]);
    case.decline("a", 100);
    assert_eq!(case.live(), ["b"]);
    case.decline("b", 200);
    assert_eq!((case.live(), case.machine.record().wave), (vec!["c"], 2));
}

#[test]
fn a_refusal_frees_its_place_for_the_next_candidate_at_once() {
    let mut case = Case::searching(policy(), &["a", "b", "c"]);
    let offer = case.offer_to("a");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::Reserved }, 100);
    assert_eq!((case.live(), case.machine.record().wave), (vec!["b", "c"], 1));
    assert_eq!(case.machine.record().offer_counts.withdrawn, 1);
}

#[test]
fn an_accept_at_the_expiry_instant_is_refused() {
    let ttl = policy().offer_ttl_ms;
    for (ms, wins) in [(ttl - 1, true), (ttl, false), (ttl + 1, false)] {
        let mut case = Case::searching(policy(), &["a"]);
        case.accept("a", ms);
        assert_eq!(case.status() == RideStatus::Assigned, wins, "{ms}");
        let told_lost = case.told("a").iter().any(|command| {
            let lost = AcceptAnswer::Lost(WithdrawReason::Expired);
            matches!(command, DriverCommand::AcceptAnswered { answer, .. } if *answer == lost)
        });
        assert_eq!(told_lost, !wins, "{ms}");
    }
}

#[test]
fn the_first_accept_wins_and_the_other_driver_is_let_go() {
    let mut case = Case::searching(policy(), &["a", "b"]);
    let lost = case.offer_to("b");
    case.accept("a", 100);
    assert_eq!(case.machine.record().assignment.as_ref().unwrap().driver.id, driver("a"));
    let reason = WithdrawReason::Taken;
    let withdraw = DriverCommand::Withdraw { offer: lost.clone(), reason };
    assert_eq!(case.told("b"), [&withdraw]);
    case.accept_offer(&lost, "b", 200);
    let answer = AcceptAnswer::Lost(reason);
    assert_eq!(case.told("b"), [&DriverCommand::AcceptAnswered { offer: lost, answer }]);
    assert_eq!(case.persists(), 0);
}

#[test]
fn a_repeated_accept_of_the_winner_is_answered_and_changes_nothing() {
    let mut case = Case::searching(policy(), &["a"]);
    let offer = case.accept("a", 100);
    let version = case.version();
    case.accept_offer(&offer, "a", 200);
    assert_eq!(case.version(), version);
    assert!(matches!(
        case.told("a")[..],
        [DriverCommand::AcceptAnswered { answer: AcceptAnswer::Won(_), .. }]
    ));
}

#[test]
fn sequential_offers_go_out_one_at_a_time() {
    let one = DispatchPolicy { mode: DispatchMode::Sequential, wave_size: 5, ..policy() };
    let mut case = Case::searching(one, &["a", "b"]);
    assert_eq!(case.live(), ["a"]);
    case.decline("a", 100);
    assert_eq!(case.live(), ["b"]);
}

#[test]
fn the_radius_grows_wave_by_wave() {
    let mut case = Case::searching(DispatchPolicy { wave_size: 1, ..policy() }, &["a", "b"]);
    case.decline("a", 100);
    assert_eq!(case.radii, [1_000.0, 1_500.0]);
}

#[test]
fn the_search_ends_after_its_last_wave() {
    let two = DispatchPolicy { wave_size: 1, wave_count_max: 2, ..policy() };
    let mut case = Case::searching(two, &["a", "b", "c"]);
    case.decline("a", 100);
    case.decline("b", 200);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    assert_eq!(case.machine.record().reason.as_deref(), Some("wave_limit"));
}

#[test]
fn the_search_ends_at_its_limit_and_withdraws_what_is_live() {
    let short = DispatchPolicy { search_limit_ms: 20_000, ..policy() };
    let mut case = Case::searching(short, &["a", "b", "c"]);
    case.wake(15_000);
    assert_eq!(case.live(), ["c"]);
    assert_eq!(case.machine.next_deadline().unwrap().at, at(20_000));
    case.wake(20_000);
    assert_eq!((case.status(), case.live()), (RideStatus::Unfulfilled, vec![]));
    assert_eq!(case.machine.record().reason.as_deref(), Some("search_limit"));
}

#[test]
fn a_search_that_found_nobody_looks_again() {
    let mut case = Case::searching(policy(), &[]);
    assert_eq!(case.machine.next_deadline().unwrap().at, at(policy().search_retry_ms));
    case.nearby.push(driver("late"));
    case.wake(policy().search_retry_ms);
    assert_eq!(case.live(), ["late"]);
}

#[test]
fn a_ride_is_driven_from_arrival_to_completion_and_each_step_counts_once() {
    let mut case = Case::assigned(policy(), &["a"]);
    let steps = [
        (RideProgress::Arrived, RideStatus::Arrived),
        (case.start_step(), RideStatus::InProgress),
        (RideProgress::Complete, RideStatus::Completed),
    ];
    for (step, status) in steps {
        case.progress("a", step.clone(), 2_000);
        assert_eq!((case.status(), case.persists()), (status, 1));
        case.progress("a", step, 2_100);
        assert_eq!((case.status(), case.persists(), case.refusal()), (status, 0, None));
    }
}

#[test]
fn a_wrong_password_does_not_start_the_ride() {
    let mut case = Case::assigned(policy(), &["a"]);
    case.progress("a", RideProgress::Arrived, 2_000);
    for otp in [None, Some("x".to_owned())] {
        case.progress("a", RideProgress::Start { otp }, 3_000);
        assert_eq!(case.refusal(), Some(Refusal::OtpMismatch));
        assert_eq!(case.status(), RideStatus::Arrived);
    }
}

#[test]
fn steps_out_of_order_or_by_another_driver_are_refused() {
    let mut case = Case::assigned(policy(), &["a"]);
    case.progress("b", RideProgress::Arrived, 2_000);
    assert_eq!(case.refusal(), Some(Refusal::NotAssignedDriver));
    case.progress("a", case.start_step(), 2_000);
    assert_eq!(case.refusal(), Some(Refusal::DriverNotArrived));
    case.progress("a", RideProgress::Complete, 2_000);
    assert_eq!(case.refusal(), Some(Refusal::RideNotStarted));
}

/// A ride in each state, with a nearby driver `a`.
fn in_state(status: RideStatus) -> Case {
    let mut case = match status {
        RideStatus::Scheduled => {
            let mut case = Case::of(request(Some(at(9_000_000))), policy(), &["a"]);
            case.tell(RideCommand::Request { reply: None }, 0);
            case
        }
        RideStatus::Searching => Case::searching(policy(), &["a"]),
        RideStatus::Unfulfilled => {
            let one = DispatchPolicy { wave_count_max: 1, ..policy() };
            let mut case = Case::searching(one, &["a"]);
            case.decline("a", 100);
            case
        }
        RideStatus::Cancelled => {
            let mut case = Case::searching(policy(), &["a"]);
            case.cancel(CancelledBy::Rider, 100);
            case
        }
        RideStatus::Assigned
        | RideStatus::Arrived
        | RideStatus::InProgress
        | RideStatus::Completed => Case::assigned(policy(), &["a"]),
    };
    let mut steps = vec![RideProgress::Arrived, case.start_step(), RideProgress::Complete];
    steps.truncate(match status {
        RideStatus::Arrived => 1,
        RideStatus::InProgress => 2,
        RideStatus::Completed => 3,
        RideStatus::Scheduled
        | RideStatus::Searching
        | RideStatus::Assigned
        | RideStatus::Cancelled
        | RideStatus::Unfulfilled => 0,
    });
    for step in steps {
        case.progress("a", step, 1_500);
    }
    assert_eq!(case.status(), status);
    case
}

#[test]
fn rider_and_operator_cancel_in_every_state_that_is_not_over() {
    use Refusal::{RideAlreadyCompleted, RideUnfulfilled};
    for by in [CancelledBy::Rider, CancelledBy::Operator] {
        for status in RideStatus::ALL {
            let mut case = in_state(status);
            case.cancel(by, 2_000);
            let (after, refusal) = match status {
                RideStatus::Completed => (RideStatus::Completed, Some(RideAlreadyCompleted)),
                RideStatus::Unfulfilled => (RideStatus::Unfulfilled, Some(RideUnfulfilled)),
                RideStatus::Scheduled
                | RideStatus::Searching
                | RideStatus::Assigned
                | RideStatus::Arrived
                | RideStatus::InProgress
                | RideStatus::Cancelled => (RideStatus::Cancelled, None),
            };
            assert_eq!((case.status(), case.refusal()), (after, refusal), "{status:?}");
            let changed = status != RideStatus::Cancelled && after == RideStatus::Cancelled;
            assert_eq!(case.persists(), usize::from(changed), "{status:?}");
            let told = changed && (status.has_driver() || status == RideStatus::Searching);
            assert_eq!(case.told("a").len(), usize::from(told), "{status:?}");
            let version = case.version();
            case.cancel(by, 2_100);
            assert_eq!(case.version(), version, "{status:?} again");
        }
    }
}

#[test]
fn a_driver_who_cancels_gives_the_ride_back_before_its_start_and_ends_it_after() {
    for status in RideStatus::ALL {
        let mut case = in_state(status);
        case.progress("a", RideProgress::Cancel { reason: None }, 2_000);
        let after = match status {
            RideStatus::Assigned | RideStatus::Arrived => RideStatus::Searching,
            RideStatus::InProgress => RideStatus::Cancelled,
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => status,
        };
        assert_eq!(case.status(), after, "{status:?}");
        assert_eq!(case.refusal().is_some(), !status.has_driver(), "{status:?}");
        let version = case.version();
        case.progress("a", RideProgress::Cancel { reason: None }, 2_100);
        assert_eq!(case.version(), version, "{status:?} again");
    }
}

#[test]
fn a_reallocated_ride_is_never_offered_to_the_driver_who_gave_it_back() {
    let mut case = Case::assigned(policy(), &["a"]);
    case.progress("a", RideProgress::Cancel { reason: None }, 2_000);
    let record = case.machine.record();
    assert_eq!((record.attempt, record.reallocations, case.live()), (2, 1, vec![]));
    case.nearby.push(driver("b"));
    case.wake(2_000 + policy().search_retry_ms);
    assert_eq!(case.live(), ["b"]);
}

#[test]
fn a_no_show_or_a_reallocation_beyond_the_limit_ends_the_ride() {
    let none = DispatchPolicy { reallocations_max: 0, ..policy() };
    for (policy, reason) in [(none, None), (policy(), Some("rider_no_show".to_owned()))] {
        let mut case = Case::assigned(policy, &["a"]);
        case.progress("a", RideProgress::Cancel { reason }, 2_000);
        assert_eq!(case.status(), RideStatus::Cancelled);
        assert_eq!(case.machine.record().cancelled_by, Some(CancelledBy::Driver));
    }
}

#[test]
fn a_request_is_taken_once() {
    let mut case = Case::searching(policy(), &["a"]);
    case.tell(RideCommand::Request { reply: Some(ReplyTo(1)) }, 100);
    assert_eq!((case.refusal(), case.persists()), (Some(Refusal::RideAlreadyExists), 0));
}

#[test]
fn a_refusal_or_decline_that_comes_twice_counts_once() {
    let mut case = Case::searching(policy(), &["a", "b"]);
    let (first, second) = (case.offer_to("a"), case.offer_to("b"));
    case.decline("a", 100);
    let reason = Exclusion::Offline;
    case.tell(RideCommand::OfferDeclined { offer: first.clone() }, 200);
    assert_eq!(case.persists(), 0);
    case.tell(RideCommand::OfferRefused { offer: first, reason }, 200);
    assert_eq!((case.persists(), case.offer_to("b")), (0, second));
}

#[test]
fn a_resumed_ride_tells_its_drivers_again_what_it_holds() {
    let mut case = Case::searching(policy(), &["a", "b"]);
    case.tell(RideCommand::Resume, 100);
    for name in ["a", "b"] {
        let told = case.told(name);
        assert!(matches!(told[..], [DriverCommand::Offer { redelivered: true, .. }]));
    }
    case.accept("a", 200);
    case.tell(RideCommand::DriverRebuilt { driver: driver("a") }, 300);
    assert!(matches!(case.told("a")[..], [DriverCommand::RideUpdated { .. }]));
    case.tell(RideCommand::DriverRebuilt { driver: driver("b") }, 300);
    assert!(case.effects.is_empty());
}

#[test]
fn a_ride_that_is_over_retires_by_its_own_deadline_and_a_retry_before_it_searches_again() {
    let retry = || RideCommand::Retry { tip: None, service_tiers: None, reply: Some(ReplyTo(1)) };
    let mut case = in_state(RideStatus::Unfulfilled);
    let due = case.machine.next_deadline().unwrap().at;
    let late = due.millis_since(START) + 1_000;
    case.tell(retry(), late);
    assert!(!case.effects.contains(&Effect::Retire));
    assert_eq!((case.status(), case.machine.record().attempt), (RideStatus::Searching, 2));

    let mut case = in_state(RideStatus::Unfulfilled);
    case.wake(late);
    assert_eq!(case.effects, [Effect::Retire]);
    assert_eq!(case.machine.next_deadline(), None);
    case.tell(retry(), late);
    assert_eq!((case.refusal(), case.persists()), (Some(Refusal::RideUnfulfilled), 0));
}
