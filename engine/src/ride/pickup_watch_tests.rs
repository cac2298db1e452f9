//! Whether the driver of an assigned ride comes along, and what each key of the watch changes.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::Effect;
use crate::event::EventKind;
use crate::geo::Position;
use crate::grid::Reading;
use crate::machine::Machine;
use crate::policy::DispatchPolicy;
use crate::ride::{ReallocationCause, RideCommand, RideProgress, RideStatus};

const CHECK_MS: u64 = 10_000;

fn watched() -> DispatchPolicy {
    DispatchPolicy {
        pickup_check_ms: CHECK_MS,
        pickup_progress_m_min: 50,
        pickup_stall_checks: 2,
        pickup_stall_reallocate_checks: 4,
        arrived_radius_m: 60,
        ..policy()
    }
}

/// A reading so many metres north of the pickup, at an instant.
fn reading(metres: f64, ms: u64) -> Reading {
    let position = Position::from_degrees(0.5 + metres / 111_195.0, 0.5).unwrap();
    Reading {
        position,
        unit: position.unit(),
        recorded_at: at(ms),
        received_at: at(ms),
        speed_mps: None,
        bearing_deg: None,
    }
}

/// What became of looks at a driver who was 100 m away when he was asked and is seen at `places`:
/// `n` for a nudge, `r` for a reallocation, `.` for nothing.
fn looks(policy: DispatchPolicy, places: &[f64]) -> String {
    let mut case = Case::assigned(policy, &["a"]);
    let look = |(at, metres): (usize, &f64)| {
        let ms = 1_000 + CHECK_MS * (at as u64 + 1);
        case.seen = Some(reading(*metres, ms - 500));
        case.wake(ms);
        outcome(&case)
    };
    places.iter().enumerate().map(look).collect()
}

fn outcome(case: &Case) -> char {
    let nudged = case.effects.iter().any(
        |effect| matches!(effect, Effect::Publish(event) if event.kind == EventKind::DriverNudged),
    );
    match (case.status() == RideStatus::Searching, nudged) {
        (true, _) => 'r',
        (false, true) => 'n',
        (false, false) => '.',
    }
}

#[test]
fn a_driver_who_does_not_move_is_nudged_and_then_loses_the_ride() {
    assert_eq!(looks(watched(), &[2_000.0; 5]), ".n.rr");
    let mut case = Case::assigned(watched(), &["a"]);
    for check in 1..=4 {
        case.seen = Some(reading(2_000.0, check * CHECK_MS));
        case.wake(1_000 + check * CHECK_MS);
    }
    let record = case.machine.record();
    assert_eq!((record.reallocations, record.attempt), (1, 2));
    assert_eq!(record.attempts.reallocated[0].cause, ReallocationCause::DriverStalled);
    assert!(!record.was_given_back_by(&driver("a")));
    assert!(matches!(case.told("a")[..], [DriverCommand::RideUpdated { .. }]));
}

#[test]
fn each_key_moves_what_it_is_named_after() {
    let sooner = DispatchPolicy { pickup_stall_checks: 1, ..watched() };
    assert_eq!(looks(sooner, &[2_000.0; 4]), "n..r");
    let never = DispatchPolicy { pickup_stall_reallocate_checks: 0, ..watched() };
    assert_eq!(looks(never, &[2_000.0; 6]), ".n....");
    let creeping = [2_000.0, 1_960.0, 1_920.0, 1_880.0];
    assert_eq!(looks(watched(), &creeping), ".n.r");
    let content = DispatchPolicy { pickup_progress_m_min: 30, ..watched() };
    assert_eq!(looks(content, &creeping), "....");
    assert_eq!(looks(watched(), &[80.0; 4]), ".n.r");
    let wide = DispatchPolicy { arrived_radius_m: 90, ..watched() };
    assert_eq!(looks(wide, &[80.0; 4]), "....");
    let limited = DispatchPolicy { reallocations_stalled_max: 0, ..watched() };
    assert_eq!(looks(limited, &[2_000.0; 6]), ".n....", "beyond the limit he keeps the ride");
}

#[test]
fn progress_ends_a_stall_and_the_next_one_is_nudged_again() {
    assert_eq!(looks(watched(), &[2_000.0, 2_000.0, 1_900.0, 1_900.0, 1_900.0]), ".n..n");
}

#[test]
fn a_driver_who_is_not_heard_of_counts_as_stalled() {
    let mut case = Case::assigned(watched(), &["a"]);
    case.seen = Some(reading(50.0, 0));
    case.wake(1_000 + CHECK_MS);
    assert_eq!(outcome(&case), '.');
    for (check, expected) in [(2, '.'), (3, 'n')] {
        case.wake(1_000 + check * CHECK_MS);
        assert_eq!(outcome(&case), expected, "look {check}");
    }
}

#[test]
fn nobody_is_watched_by_default_nor_at_the_pickup() {
    let case = Case::assigned(policy(), &["a"]);
    assert_eq!(case.machine.next_deadline(), None);
    let mut case = Case::assigned(watched(), &["a"]);
    assert_eq!(case.machine.next_deadline().unwrap().at, at(1_000 + CHECK_MS));
    case.progress("a", RideProgress::Arrived, 2_000);
    assert_eq!(case.machine.next_deadline(), None);
}

#[test]
fn a_restart_watches_on_and_counts_anew() {
    let mut case = Case::assigned(watched(), &["a"]);
    case.seen = Some(reading(2_000.0, CHECK_MS));
    case.wake(1_000 + CHECK_MS);
    case.tell(RideCommand::Resume, 15_000);
    for (check, expected) in [(1, '.'), (2, '.'), (3, 'n')] {
        let ms = 15_000 + check * CHECK_MS;
        case.seen = Some(reading(2_000.0, ms));
        case.wake(ms);
        assert_eq!(outcome(&case), expected, "look {check}");
    }
}
