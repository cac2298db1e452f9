//! Bugs planted into the simulated shell and store: the swarm finds each, and names what it broke.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::sync::Mutex;

use muster_engine::invariant::Invariant;
use muster_sim::{Report, Sabotage, run_many};

/// The report of the first seed that fails, of at most `seeds`.
fn first_failure(sabotage: Sabotage, seeds: u64) -> Report {
    let found = Mutex::new(None::<Report>);
    run_many(0, seeds, 1, Some(sabotage), |report| {
        let failed = report.violation.is_some();
        if failed {
            *found.lock().unwrap() = Some(report);
        }
        !failed
    });
    let report = found.into_inner().unwrap();
    report.unwrap_or_else(|| panic!("{sabotage:?} was not found in {seeds} seeds"))
}

fn assert_found(sabotage: Sabotage, seeds: u64, names: &[Invariant]) {
    let report = first_failure(sabotage, seeds);
    let violation = report.violation.unwrap();
    let nth = report.seed + 1;
    let line =
        format!("{sabotage:?}: {} after {nth} seeds: {}", violation.invariant, violation.detail);
    eprintln!("{line}");
    assert!(names.contains(&violation.invariant), "{line}");
}

#[test]
fn a_slot_that_the_loser_keeps_is_found() {
    assert_found(Sabotage::KeepLoserSlots, 50, &[Invariant::M5, Invariant::M8]);
}

#[test]
fn an_accept_taken_after_its_offer_expired_is_found() {
    // A quote taken over and over at its expiry never ends.
    assert_found(Sabotage::HoldClockAtExpiry, 1_000, &[Invariant::M3, Invariant::M14]);
}

#[test]
fn a_promise_made_before_the_commit_is_found() {
    assert_found(Sabotage::TellBeforeCommit, 5, &[Invariant::M13]);
}

#[test]
fn a_store_that_takes_stale_writes_is_found() {
    let names = [Invariant::M1, Invariant::M2, Invariant::M8, Invariant::M10, Invariant::M13];
    assert_found(Sabotage::StaleWrites, 1_000, &names);
}

#[test]
fn a_rebuilt_driver_whom_nobody_tells_his_ride_is_found() {
    assert_found(Sabotage::SkipRedrive, 50, &[Invariant::M5, Invariant::M8]);
}

#[test]
fn a_driver_evicted_by_one_noisy_fix_is_found() {
    assert_found(Sabotage::EvictOnNoise, 50, &[Invariant::M15]);
}

#[test]
fn a_queue_served_out_of_its_order_is_found() {
    assert_found(Sabotage::JumpQueue, 50, &[Invariant::M15]);
}
