//! Several drivers of a window are asked at once: the first who accepts, or the best of the acceptors.

use super::batched_tests::{batched, waiting};
use super::case_tests::*;

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::machine::Machine;
use crate::offer::WithdrawReason;
use crate::policy::{DispatchPolicy, MatchAccept, PolicyBook};
use crate::ride::{CancelledBy, RideCommand, RideMachine, RideStatus};
use crate::time::DeadlineReason;

fn best() -> DispatchPolicy {
    DispatchPolicy {
        match_offers_parallel: 3,
        match_accept: MatchAccept::BestOfAcceptors,
        match_collect_ms: 3_000,
        ..batched()
    }
}

/// Three drivers who were asked at one second; the first costs least.
fn asked(policy: DispatchPolicy) -> Case {
    let (mut case, request) = waiting(policy);
    let names = ["near", "next", "last"];
    case.matched_at_costs(&request, &names, &[100, 200, 300], 1_000);
    assert_eq!(case.live(), ["last", "near", "next"]);
    case
}

fn won_by(case: &Case) -> Option<&str> {
    let record = case.machine.record();
    let assigned = record.assignment.as_ref().filter(|_| record.status == RideStatus::Assigned);
    assigned.map(|assignment| assignment.driver.id.as_str())
}

fn loses(case: &Case, name: &str) -> bool {
    let taken = WithdrawReason::Taken;
    let withdrawn = |command: &&&DriverCommand| matches!(command, DriverCommand::Withdraw { reason, .. } if *reason == taken);
    case.told(name).iter().filter(withdrawn).count() == 1
}

fn due(case: &Case) -> (u64, DeadlineReason) {
    let due = case.machine.next_deadline().unwrap();
    (due.at.millis_since(START), due.reason)
}

#[test]
fn match_accept_first_gives_the_ride_to_the_first_who_accepts() {
    let mut case = asked(DispatchPolicy { match_accept: MatchAccept::FirstAccept, ..best() });
    case.accept("last", 2_000);
    assert_eq!(won_by(&case), Some("last"));
    assert!(loses(&case, "near") && loses(&case, "next"));
}

#[test]
fn match_accept_best_waits_for_a_better_driver_and_tells_nobody_anything_meanwhile() {
    let mut case = asked(best());
    case.accept("last", 2_000);
    assert_eq!((won_by(&case), case.effects.len()), (None, 0));
    case.accept("next", 2_500);
    assert_eq!((won_by(&case), case.effects.len()), (None, 0));
    case.accept("near", 3_000);
    assert_eq!(won_by(&case), Some("near"), "nobody would cost less");
    assert!(loses(&case, "next") && loses(&case, "last"));
}

#[test]
fn after_match_collect_ms_the_best_of_those_who_accepted_wins() {
    let mut case = asked(DispatchPolicy { match_collect_ms: 3_000, ..best() });
    case.accept("last", 2_000);
    case.accept("next", 3_000);
    assert_eq!(due(&case), (5_000, DeadlineReason::CollectionClose));
    // A repeated accept neither prolongs it nor counts twice.
    case.accept("last", 4_000);
    case.wake(5_000);
    assert_eq!(won_by(&case), Some("next"));
    assert!(loses(&case, "near") && loses(&case, "last"));
}

#[test]
fn the_choice_is_made_when_everyone_better_has_declined() {
    let mut case = asked(best());
    case.accept("next", 2_000);
    case.decline("last", 2_100);
    assert_eq!(won_by(&case), None);
    case.decline("near", 2_200);
    assert_eq!(won_by(&case), Some("next"));
}

#[test]
fn the_choice_is_made_before_an_accepted_offer_runs_out() {
    let ttl_ms = best().offer_ttl_ms;
    let mut case = asked(best());
    case.accept("next", ttl_ms - 500);
    assert_eq!(due(&case), (1_000 + ttl_ms - 500, DeadlineReason::CollectionClose));
    case.wake(1_000 + ttl_ms - 500);
    assert_eq!(won_by(&case), Some("next"));
    let mut case = asked(best());
    case.accept("last", 1_000 + ttl_ms - 100);
    assert_eq!(won_by(&case), Some("last"), "there is no time to wait");
}

#[test]
fn a_driver_whose_machine_was_rebuilt_must_accept_again() {
    let mut case = asked(best());
    case.accept("next", 2_000);
    case.tell(RideCommand::DriverRebuilt { driver: driver("next") }, 2_100);
    assert_eq!(case.told("next").len(), 1, "the offer is shown again");
    case.wake(5_000);
    assert_eq!(won_by(&case), None);
    case.accept("next", 6_000);
    case.wake(9_000);
    assert_eq!(won_by(&case), Some("next"));
}

#[test]
fn a_ride_that_was_rebuilt_collects_anew_what_its_drivers_ask_again() {
    let mut case = asked(best());
    case.accept("last", 2_000);
    let book = Arc::new(PolicyBook::of(best()));
    case.machine = RideMachine::restore(case.machine.record().clone(), market(), book);
    case.tell(RideCommand::Resume, 3_000);
    case.accept("last", 4_000);
    assert_eq!(won_by(&case), None);
    case.wake(7_000);
    assert_eq!(won_by(&case), Some("last"));
}

#[test]
fn a_rider_who_cancels_meanwhile_ends_it_for_all_of_them() {
    let mut case = asked(best());
    case.accept("last", 2_000);
    case.cancel(CancelledBy::Rider, 2_500);
    assert_eq!(case.status(), RideStatus::Cancelled);
    assert!(["near", "next", "last"].iter().all(|name| case.told(name).len() == 1));
    case.wake(5_000);
    assert_eq!(won_by(&case), None);
}

#[test]
fn one_driver_alone_wins_at_once() {
    let (mut case, request) = waiting(best());
    case.matched_at_costs(&request, &["near"], &[], 1_000);
    case.accept("near", 2_000);
    assert_eq!(won_by(&case), Some("near"));
}
