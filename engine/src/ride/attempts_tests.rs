//! What happens between attempts: offers repeated, rides reallocated, tries of scheduled rides.

use super::case_tests::*;

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Effect, ReplyTo};
use crate::machine::Machine;
use crate::offer::Exclusion;
use crate::policy::{AttemptKind, DispatchPolicy, PolicyBook};
use crate::ride::{
    CancelledBy, DRIVER_LOST, DRIVER_NO_SHOW, OPERATOR_REASSIGNED, PriorityGroup,
    ReallocationCause, RideCommand, RideEventKind, RideMachine, RideProgress, RideStatus,
};

/// Runs the ride's next deadline; returns its milliseconds after the start.
fn wake_next(case: &mut Case) -> u64 {
    let ms = case.machine.next_deadline().unwrap().at.millis_since(START);
    case.wake(ms);
    ms
}

fn written(case: &Case) -> Vec<RideEventKind> {
    let kind = |effect: &Effect| {
        let Effect::PersistRide(commit) = effect else { return None };
        Some(commit.kind)
    };
    case.effects.iter().filter_map(kind).collect()
}

fn one_by_one(offers_per_attempt_max: u32) -> DispatchPolicy {
    DispatchPolicy { wave_size: 1, offers_per_attempt_max, ..policy() }
}

#[test]
fn a_driver_is_asked_once_in_an_attempt() {
    let mut case = Case::searching(one_by_one(1), &["a"]);
    case.decline("a", 100);
    wake_next(&mut case);
    assert_eq!(case.live(), Vec::<&str>::new());
    let retry = RideCommand::Retry { tip: None, service_tiers: None, reply: None };
    case.tell(retry, 9_000);
    assert_eq!(case.live(), ["a"], "the limit counts per attempt");
}

#[test]
fn a_driver_is_asked_again_after_a_pause_as_often_as_policy_says() {
    let mut case = Case::searching(one_by_one(3), &["a"]);
    case.decline("a", 100);
    assert_eq!(case.live(), Vec::<&str>::new());
    assert_eq!(wake_next(&mut case), 100 + policy().search_retry_ms);
    assert_eq!(case.live(), ["a"]);
    let expired = wake_next(&mut case);
    assert_eq!((case.live(), case.machine.record().offer_counts.expired), (vec![], 1));
    assert_eq!(wake_next(&mut case), expired + policy().search_retry_ms);
    assert_eq!((case.live(), case.machine.record().offers_to(&driver("a"))), (vec!["a"], 3));
    case.decline("a", 60_000);
    for _ in 0..3 {
        wake_next(&mut case);
        assert_eq!(case.live(), Vec::<&str>::new());
    }
}

#[test]
fn whoever_was_not_asked_yet_comes_before_those_who_were() {
    let mut case = Case::searching(one_by_one(2), &["a"]);
    case.decline("a", 100);
    case.nearby.push(driver("b"));
    wake_next(&mut case);
    assert_eq!(case.live(), ["b"]);
    case.decline("b", 5_000);
    assert_eq!(case.live(), ["a"]);
    let decision = case.effects.iter().find_map(|effect| {
        let Effect::PersistRide(commit) = effect else { return None };
        commit.decision.clone()
    });
    assert_eq!(decision.unwrap().ranked[0].group, PriorityGroup::AskedBefore);
}

#[test]
fn an_offer_that_its_driver_never_saw_does_not_count() {
    let mut case = Case::searching(one_by_one(2), &["a"]);
    for ms in [100, 6_000] {
        let (offer, reason) = (case.offer_to("a"), Exclusion::Reserved);
        case.tell(RideCommand::OfferRefused { offer, reason }, ms);
        assert_eq!(case.machine.record().offers_to(&driver("a")), 0);
        case.wake(ms + policy().search_retry_ms);
    }
    case.decline("a", 9_000);
    wake_next(&mut case);
    let (offer, reason) = (case.offer_to("a"), Exclusion::Reserved);
    case.tell(RideCommand::OfferRefused { offer, reason }, 12_000);
    assert_eq!(case.machine.record().offers_to(&driver("a")), 1);
}

#[test]
fn a_retry_says_whether_it_replaces_a_search() {
    let retry = || RideCommand::Retry { tip: None, service_tiers: None, reply: None };
    let kind = |case: &Case| case.machine.record().policy.attempt;
    let mut case = Case::searching(DispatchPolicy { wave_count_max: 1, ..one_by_one(1) }, &["a"]);
    case.tell(retry(), 100);
    assert_eq!(kind(&case), AttemptKind::CancelledAndRetried);
    case.decline("a", 200);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    case.tell(retry(), 300);
    assert_eq!(kind(&case), AttemptKind::Retry);
}

/// The driver `a` of an assigned ride loses it at two seconds, by his own word or another's.
fn loses(policy: DispatchPolicy, own: bool, reason: &str) -> Case {
    let mut case = Case::assigned(policy, &["a"]);
    lose(&mut case, own, reason);
    case
}

fn lose(case: &mut Case, own: bool, reason: &str) {
    let driver = own.then(|| driver("a"));
    let step = RideProgress::Cancel { reason: Some(reason.to_owned()) };
    case.tell(RideCommand::Progress { driver, step, reply: Some(ReplyTo(1)) }, 2_000);
}

#[test]
fn every_cause_has_its_own_limit() {
    use ReallocationCause::{Driver, DriverLost, Operator};
    let causes = [
        (true, "flat tyre", Driver),
        (false, "flat tyre", Driver),
        (true, DRIVER_LOST, Driver),
        (false, DRIVER_LOST, DriverLost),
        (false, DRIVER_NO_SHOW, DriverLost),
        (false, OPERATOR_REASSIGNED, Operator),
    ];
    for (own, reason, cause) in causes {
        let case = loses(policy(), own, reason);
        assert_eq!(case.status(), RideStatus::Searching, "{reason}");
        assert_eq!(case.machine.record().attempts.reallocated[0].cause, cause, "{reason}");
        for limited in [Driver, DriverLost, Operator] {
            let limit = |of| if limited == of { 0 } else { 100 };
            let limits = DispatchPolicy {
                reallocations_driver_max: limit(Driver),
                reallocations_lost_max: limit(DriverLost),
                reallocations_operator_max: limit(Operator),
                ..policy()
            };
            let case = loses(limits, own, reason);
            let expected = match (limited == cause, cause) {
                (false, _) => RideStatus::Searching,
                (true, Driver) => RideStatus::Cancelled,
                (true, _) => RideStatus::Unfulfilled,
            };
            assert_eq!(case.status(), expected, "{reason} when {limited:?} is limited");
        }
    }
}

#[test]
fn every_stage_has_its_own_limit() {
    let stages = [(false, 0, 100), (true, 100, 0)];
    for (arrived, assigned_max, arrived_max) in stages {
        for (limited, expected) in [(true, RideStatus::Cancelled), (false, RideStatus::Searching)] {
            let (here, there) = if arrived == limited { (100, 0) } else { (0, 100) };
            let limits = DispatchPolicy {
                reallocations_assigned_max: if limited { assigned_max } else { here },
                reallocations_arrived_max: if limited { arrived_max } else { there },
                ..policy()
            };
            let mut case = Case::assigned(limits, &["a"]);
            if arrived {
                case.progress("a", RideProgress::Arrived, 1_500);
            }
            lose(&mut case, true, "flat tyre");
            assert_eq!(case.status(), expected, "arrived: {arrived}, limited: {limited}");
        }
    }
}

#[test]
fn scheduled_rides_have_their_own_limit() {
    let none = DispatchPolicy { reallocations_scheduled_max: 0, ..policy() };
    assert_eq!(loses(none.clone(), true, "x").status(), RideStatus::Searching);
    let mut case = Case::of(request(Some(at(10_000))), none, &["a"]);
    case.tell(RideCommand::Request { reply: None }, 0);
    case.accept("a", 1_000);
    lose(&mut case, true, "x");
    assert_eq!(case.status(), RideStatus::Cancelled);
    assert_eq!(case.machine.record().cancelled_by, Some(CancelledBy::Driver));
}

#[test]
fn a_ride_beyond_the_limit_is_unfulfilled_its_driver_is_told_and_a_retry_passes_him_over() {
    let none = DispatchPolicy { reallocations_max: 0, ..policy() };
    let mut case = loses(none, false, OPERATOR_REASSIGNED);
    let record = case.machine.record();
    assert_eq!(record.reason.as_deref(), Some("reallocation_limit"));
    assert!(record.assignment.is_none() && record.otp.is_none());
    assert!(!record.was_given_back_by(&driver("a")));
    assert!(matches!(case.told("a")[..], [DriverCommand::RideUpdated { .. }]));
    case.nearby.push(driver("b"));
    let retry = RideCommand::Retry { tip: None, service_tiers: None, reply: None };
    case.tell(retry, 3_000);
    assert_eq!(case.live(), ["b"]);
}

#[test]
fn only_what_the_driver_did_counts_as_his_cancellation() {
    let counts = [(DRIVER_LOST, true), ("flat tyre", true), (OPERATOR_REASSIGNED, false)];
    for (reason, counts) in counts {
        let case = loses(policy(), false, reason);
        assert_eq!(case.machine.record().was_given_back_by(&driver("a")), counts, "{reason}");
    }
}

/// Two tries, one minute and twenty seconds before a pickup at 100 s.
fn two_tries() -> DispatchPolicy {
    DispatchPolicy {
        scheduled_try_ms: vec![60_000, 20_000],
        search_limit_ms: 15_000,
        offer_ttl_ms: 10_000,
        ..policy()
    }
}

fn scheduled(policy: DispatchPolicy, requested_ms: u64) -> Case {
    let mut case = Case::of(request(Some(at(100_000))), policy, &[]);
    case.tell(RideCommand::Request { reply: None }, requested_ms);
    case
}

fn stands(case: &Case) -> (RideStatus, u32, u64) {
    let due = case.machine.next_deadline().unwrap().at.millis_since(START);
    (case.status(), case.machine.record().attempt, due)
}

#[test]
fn every_try_of_a_scheduled_ride_is_an_attempt_and_in_between_it_waits() {
    let mut case = scheduled(two_tries(), 0);
    assert_eq!(stands(&case), (RideStatus::Scheduled, 1, 40_000));
    case.nearby.push(driver("a"));
    case.wake(40_000);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["a"]));
    case.wake(55_000);
    assert_eq!(written(&case), [RideEventKind::TryUnfulfilled]);
    assert_eq!((stands(&case), case.live()), ((RideStatus::Scheduled, 2, 80_000), vec![]));
    case.wake(80_000);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["a"]));
    assert_eq!(case.machine.record().policy.attempt, AttemptKind::Scheduled);
    case.wake(95_000);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    assert_eq!(case.machine.record().reason.as_deref(), Some("search_limit"));
}

#[test]
fn a_restart_between_two_tries_goes_on_with_the_second() {
    let mut case = scheduled(two_tries(), 0);
    case.wake(40_000);
    case.wake(55_000);
    let record = case.machine.record().clone();
    let restart = |policy: DispatchPolicy| {
        let book = Arc::new(PolicyBook::of(policy));
        RideMachine::restore(record.clone(), market(), book).next_deadline().unwrap().at
    };
    assert_eq!(restart(two_tries()), at(80_000));
    let moved = DispatchPolicy { scheduled_try_ms: vec![50_000, 10_000], ..two_tries() };
    assert_eq!(restart(moved), at(50_000), "a try that has passed under new rules begins at once");
    let none_left = DispatchPolicy { scheduled_try_ms: vec![70_000], ..two_tries() };
    assert!(restart(none_left) <= at(55_000), "a ride is never left waiting for nothing");
}

#[test]
fn tries_that_pass_while_a_search_runs_are_one_and_begin_when_it_ends() {
    let policy = DispatchPolicy {
        scheduled_try_ms: vec![60_000, 40_000, 20_000, 2_000],
        search_limit_ms: 45_000,
        ..two_tries()
    };
    let mut case = scheduled(policy, 0);
    case.wake(40_000);
    case.wake(85_000);
    assert_eq!(written(&case)[0], RideEventKind::SearchStarted);
    assert_eq!((case.status(), case.machine.record().attempt), (RideStatus::Searching, 2));
    case.wake(130_000);
    assert_eq!((case.status(), case.machine.record().attempt), (RideStatus::Searching, 3));
    case.wake(175_000);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
}

#[test]
fn a_request_after_its_first_try_searches_at_once_and_again_at_the_next() {
    let mut case = scheduled(two_tries(), 50_000);
    assert_eq!(case.status(), RideStatus::Searching);
    case.wake(65_000);
    assert_eq!(stands(&case), (RideStatus::Scheduled, 2, 80_000));
    case.cancel(CancelledBy::Rider, 70_000);
    assert_eq!(case.status(), RideStatus::Cancelled);
}

#[test]
fn a_scheduled_ride_whose_waves_are_used_up_waits_for_its_next_try_too() {
    let mut case = Case::of(request(Some(at(100_000))), two_tries_of_one_wave(), &["a", "b", "c"]);
    case.tell(RideCommand::Request { reply: None }, 0);
    case.wake(40_000);
    case.decline("a", 41_000);
    assert_eq!(stands(&case), (RideStatus::Scheduled, 2, 80_000));
}

fn two_tries_of_one_wave() -> DispatchPolicy {
    DispatchPolicy { wave_count_max: 1, wave_size: 1, ..two_tries() }
}

#[test]
fn tries_must_descend() {
    for tries in [vec![1, 2], vec![5, 5], vec![90_000_000], vec![1; 17]] {
        let policy = DispatchPolicy { scheduled_try_ms: tries, ..policy() };
        assert_eq!(policy.validated().unwrap_err().key, "scheduled_try_ms");
    }
}
