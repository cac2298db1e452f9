//! What counts for a driver, what counts against him, and what does neither (M11).

use super::case_tests::*;

use std::sync::Arc;

use crate::driver::{DriverCommand, DriverRecord, STATS_BUCKETS_MAX};
use crate::effect::{AcceptAnswer, Effect};
use crate::grid::Standing;
use crate::offer::WithdrawReason;
use crate::policy::DispatchPolicy;
use crate::ride::{CancelledBy, RIDER_NO_SHOW, RideRecord, RideStatus};

const WINDOW_MS: u64 = 28 * 60_000;

fn counting(ratio_history_min: u32) -> Case {
    counting_over(WINDOW_MS, ratio_history_min)
}

fn counting_over(stats_window_ms: u64, ratio_history_min: u32) -> Case {
    Case::with(DispatchPolicy {
        stale_after_ms: 3_600_000,
        lost_after_ms: 3_600_000,
        stats_window_ms,
        ratio_history_min,
        accept_cooldown_ms: 0,
        ..DispatchPolicy::default()
    })
}

fn standing(case: &Case, ms: u64) -> Standing {
    case.machine.standing(at(ms))
}

fn ratios(case: &Case, ms: u64) -> (u16, u16, u16) {
    let standing = standing(case, ms);
    (standing.acceptance_permille, standing.cancellation_permille, standing.rides_completed)
}

fn offered(case: &mut Case, name: &str, ms: u64) {
    let mut offer = offer(name);
    (offer.offered_at, offer.visible_at, offer.expires_at) = (at(ms), at(ms), at(ms + TTL_MS));
    case.tell(DriverCommand::Offer { offer: Box::new(offer), redelivered: false }, ms);
}

fn updated(case: &mut Case, ride: RideRecord, ms: u64) {
    case.tell(DriverCommand::RideUpdated { ride: Arc::new(ride) }, ms);
}

fn wins(case: &mut Case, name: &str, ms: u64) {
    offered(case, name, ms);
    case.accept(name, 1, ms);
    case.wins(name, ms);
}

fn ends(case: &mut Case, name: &str, status: RideStatus, ms: u64) {
    updated(case, (*ride(name, status, ms)).clone(), ms);
}

fn gives_back(case: &mut Case, name: &str, ms: u64) {
    let mut back = (*ride(name, RideStatus::Searching, ms)).clone();
    back.assignment = None;
    back.gave_back.insert(case.machine.record().driver.clone());
    updated(case, back, ms);
}

fn written(case: &Case) -> Vec<&DriverRecord> {
    let record = |effect: &'_ Effect| matches!(effect, Effect::PersistDriver(_));
    let persisted = case.effects.iter().filter(|effect| record(effect));
    persisted
        .filter_map(
            |effect| {
                if let Effect::PersistDriver(record) = effect { Some(&**record) } else { None }
            },
        )
        .collect()
}

#[test]
fn declines_and_offers_left_to_run_out_lower_the_acceptance() {
    let mut case = counting(1);
    wins(&mut case, "r1", 0);
    ends(&mut case, "r1", RideStatus::Completed, 100);
    assert_eq!(ratios(&case, 100), (1_000, 0, 1));
    offered(&mut case, "r2", 200);
    case.decline("r2", 300);
    assert_eq!(ratios(&case, 300), (500, 0, 1));
    offered(&mut case, "r3", 400);
    case.wake(400 + TTL_MS);
    assert_eq!(ratios(&case, 400 + TTL_MS), (333, 0, 1));
}

#[test]
fn lost_races_withdrawn_and_unseen_offers_count_nowhere() {
    let mut case = counting(1);
    offered(&mut case, "declined", 0);
    case.decline("declined", 0);
    wins(&mut case, "won", 0);
    ends(&mut case, "won", RideStatus::Completed, 0);
    let before = ratios(&case, 0);

    offered(&mut case, "lost", 100);
    case.accept("lost", 1, 100);
    case.answered("lost", AcceptAnswer::Lost(WithdrawReason::Taken), 200);
    assert_eq!(ratios(&case, 200), before);

    offered(&mut case, "withdrawn", 300);
    let (id, reason) = (offer_id("withdrawn"), WithdrawReason::Taken);
    case.tell(DriverCommand::Withdraw { offer: id, reason }, 400);
    assert_eq!(ratios(&case, 400), before);

    let mut hidden = offer("hidden");
    (hidden.visible_at, hidden.expires_at) = (at(9_000), at(9_500));
    case.tell(DriverCommand::Offer { offer: Box::new(hidden), redelivered: false }, 500);
    case.wake(9_600);
    assert!(case.live().is_empty());
    assert_eq!(ratios(&case, 9_600), before);
}

#[test]
fn rides_given_back_count_against_him_and_rides_others_cancel_do_not() {
    let mut case = counting(1);
    wins(&mut case, "r1", 0);
    gives_back(&mut case, "r1", 100);
    assert_eq!(ratios(&case, 100).1, 1_000);
    wins(&mut case, "r2", 200);
    ends(&mut case, "r2", RideStatus::Cancelled, 300);
    assert_eq!(ratios(&case, 300).1, 500);
    for (name, reason, permille) in [("r3", RIDER_NO_SHOW, 333), ("r4", "flat_tyre", 500)] {
        wins(&mut case, name, 400);
        let mut cancelled = (*ride(name, RideStatus::Cancelled, 400)).clone();
        cancelled.cancelled_by = Some(CancelledBy::Driver);
        cancelled.reason = Some(reason.to_owned());
        updated(&mut case, cancelled, 500);
        assert_eq!(ratios(&case, 500).1, permille, "{reason}");
    }
}

#[test]
fn a_ratio_is_neutral_until_there_is_enough_history() {
    let mut case = counting(3);
    for (name, permille) in [("r1", 1_000), ("r2", 1_000), ("r3", 0)] {
        offered(&mut case, name, 0);
        case.decline(name, 0);
        assert_eq!(ratios(&case, 0).0, permille);
    }
}

#[test]
fn what_is_older_than_the_window_is_forgotten_and_space_is_bounded() {
    let mut case = counting(1);
    offered(&mut case, "r0", 0);
    case.decline("r0", 0);
    assert_eq!(ratios(&case, WINDOW_MS / 2).0, 0);
    assert_eq!(ratios(&case, WINDOW_MS).0, 1_000);
    for minute in 1..100 {
        let name = format!("r{minute}");
        offered(&mut case, &name, minute * 60_000);
        case.decline(&name, minute * 60_000);
        assert!(case.machine.stats().bucket_count() <= STATS_BUCKETS_MAX);
    }
}

#[test]
fn stats_window_ms_says_how_far_back_ratios_look() {
    for stats_window_ms in [WINDOW_MS, 2 * WINDOW_MS] {
        let mut case = counting_over(stats_window_ms, 1);
        offered(&mut case, "r0", 0);
        case.decline("r0", 0);
        let forgotten = stats_window_ms == WINDOW_MS;
        assert_eq!(ratios(&case, WINDOW_MS).0, if forgotten { 1_000 } else { 0 });
        assert_eq!(ratios(&case, 2 * WINDOW_MS).0, 1_000);
    }
}

#[test]
fn the_record_is_written_at_the_end_of_a_ride_and_not_per_offer() {
    let mut case = counting(1);
    offered(&mut case, "r1", 0);
    assert!(written(&case).is_empty());
    case.decline("r1", 0);
    assert!(written(&case).is_empty());
    wins(&mut case, "r2", 100);
    assert!(written(&case).is_empty());
    ends(&mut case, "r2", RideStatus::Completed, 200);
    let records = written(&case);
    let [record] = records[..] else { panic!("{records:?}") };
    assert_eq!(record.stats, *case.machine.stats());
}

#[test]
fn an_assignment_told_again_counts_once() {
    let mut case = counting(1);
    wins(&mut case, "r1", 0);
    let told = (*ride("r1", RideStatus::Arrived, 0)).clone();
    updated(&mut case, told, 100);
    gives_back(&mut case, "r1", 200);
    assert_eq!(ratios(&case, 200), (1_000, 1_000, 0));
}

#[test]
fn idle_time_begins_with_the_day_and_with_the_end_of_each_ride() {
    let mut case = counting(1);
    case.set_online(false, 100);
    case.set_online(true, 5_000);
    assert_eq!(standing(&case, 6_000).idle_since, at(5_000));
    wins(&mut case, "r1", 7_000);
    ends(&mut case, "r1", RideStatus::Completed, 60_000);
    assert_eq!(case.supply().unwrap().standing.idle_since, at(60_000));
}

#[test]
fn an_accept_that_another_driver_beat_counts_by_itself_and_against_nobody() {
    let mut case = counting(1);
    let lost = |case: &Case, ms| standing(case, ms).acceptances_lost;
    offered(&mut case, "r1", 0);
    case.accept("r1", 1, 10);
    let taken = WithdrawReason::Taken;
    case.tell(DriverCommand::Withdraw { offer: offer("r1").id, reason: taken }, 20);
    assert_eq!((lost(&case, 20), ratios(&case, 20)), (1, (1_000, 0, 0)));
    // Neither what he had not accepted, nor a ride that nobody got.
    offered(&mut case, "r2", 30);
    case.tell(DriverCommand::Withdraw { offer: offer("r2").id, reason: taken }, 40);
    offered(&mut case, "r3", 50);
    case.accept("r3", 1, 60);
    let cancelled = AcceptAnswer::Lost(WithdrawReason::Cancelled);
    case.tell(DriverCommand::AcceptAnswered { offer: offer("r3").id, answer: cancelled }, 70);
    assert_eq!(lost(&case, 70), 1);
    offered(&mut case, "r4", 80);
    case.accept("r4", 1, 90);
    let answer = AcceptAnswer::Lost(taken);
    case.tell(DriverCommand::AcceptAnswered { offer: offer("r4").id, answer }, 100);
    assert_eq!(lost(&case, 100), 2);
    assert_eq!(lost(&case, 100 + WINDOW_MS + 60_000), 0, "it is forgotten with the rest");
}
