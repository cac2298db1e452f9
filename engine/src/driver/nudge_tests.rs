//! A nudge reaches the phone once per stall, also over a lost connection and a restart.

use super::case_tests::*;

use std::sync::Arc;

use crate::driver::{DriverCommand, PhoneFrame};
use crate::ride::{Reallocation, ReallocationCause, ReallocationStage, RideRecord, RideStatus};

fn nudged(ms: Option<u64>, status: RideStatus) -> Arc<RideRecord> {
    let mut record = RideRecord::clone(&ride("r", status, 1_000));
    record.assignment.as_mut().unwrap().nudged_at = ms.map(at);
    Arc::new(record)
}

fn update(case: &mut Case, ride: Arc<RideRecord>, ms: u64) -> usize {
    case.tell(DriverCommand::RideUpdated { ride }, ms);
    nudges(case)
}

fn nudges(case: &Case) -> usize {
    case.frames().iter().filter(|frame| matches!(frame, PhoneFrame::Nudge { .. })).count()
}

fn serving() -> Case {
    let mut case = Case::available();
    case.offered("r", 0);
    case.accept("r", 1, 500);
    case.wins("r", 1_000);
    case
}

#[test]
fn a_nudge_is_passed_on_once_and_again_until_it_is_acknowledged() {
    let mut case = serving();
    assert_eq!(update(&mut case, nudged(None, RideStatus::Assigned), 2_000), 0);
    assert_eq!(update(&mut case, nudged(Some(3_000), RideStatus::Assigned), 3_000), 1);
    assert_eq!(update(&mut case, nudged(Some(3_000), RideStatus::Assigned), 3_100), 0);
    let seq = START.as_millis();
    case.connect(2, Some(seq), 4_000);
    assert_eq!(nudges(&case), 1, "a phone that lost its connection is told again");
    assert_eq!(update(&mut case, nudged(Some(9_000), RideStatus::Assigned), 9_000), 1);
}

#[test]
fn a_nudge_is_void_once_the_driver_is_there() {
    let mut case = serving();
    update(&mut case, nudged(Some(3_000), RideStatus::Assigned), 3_000);
    update(&mut case, nudged(Some(3_000), RideStatus::Arrived), 4_000);
    case.connect(2, None, 5_000);
    assert_eq!(nudges(&case), 0);
}

#[test]
fn a_rebuilt_driver_is_told_of_his_ride_and_of_the_nudge() {
    let mut case = Case::available();
    assert_eq!(update(&mut case, nudged(Some(3_000), RideStatus::Assigned), 4_000), 1);
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }, PhoneFrame::Nudge { .. }]));
}

#[test]
fn a_ride_that_was_taken_from_a_driver_is_not_his_cancellation() {
    for (cause, cancelled) in
        [(ReallocationCause::DriverStalled, false), (ReallocationCause::Driver, true)]
    {
        let mut case = serving();
        let mut record = RideRecord::clone(&nudged(None, RideStatus::Searching));
        let driver = record.assignment.take().unwrap().driver.id;
        record.gave_back.insert(driver.clone());
        let stage = ReallocationStage::Assigned;
        record.attempts.reallocated.push(Reallocation { driver, cause, stage });
        let rider = record.request.rider.clone();
        case.tell(DriverCommand::RideUpdated { ride: Arc::new(record) }, 2_000);
        assert!(matches!(case.frames()[..], [PhoneFrame::RideCancelled { .. }]));
        let blocked = case.machine.record().rider_blocks.hold(&rider, at(2_001));
        assert_eq!(blocked, cancelled, "{cause:?}");
        let policy = crate::policy::DispatchPolicy { ratio_history_min: 1, ..Default::default() };
        case.machine.use_policy(&Arc::new(policy));
        let permille = case.machine.standing(at(2_001)).cancellation_permille;
        assert_eq!(permille, if cancelled { 1_000 } else { 0 }, "{cause:?}");
    }
}
