//! A ride that drivers on a trip are asked for, and that waits until one of them has finished.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Refusal};
use crate::event::EventKind;
use crate::forward::{ForwardNews, ForwardOutcome, ForwardReturn};
use crate::geo::Position;
use crate::machine::Machine;
use crate::offer::{Exclusion, Offer};
use crate::policy::{AttemptKind, DispatchMode, DispatchPolicy};
use crate::ride::{RIDER_NO_SHOW, RideCommand, RideEventKind, RideProgress, RideStatus};
use crate::time::DeadlineReason;

fn forward(size: u32) -> DispatchPolicy {
    DispatchPolicy { forward_wave_size: size, ..policy() }
}

fn case(policy: DispatchPolicy, nearby: &[&str], on_trip: &[&str]) -> Case {
    let mut case = Case::new(policy, nearby);
    case.on_trip = on_trip.iter().map(|name| driver(name)).collect();
    case.tell(RideCommand::Request { reply: None }, 0);
    case
}

/// A ride that waits for driver `t`.
fn waiting(policy: DispatchPolicy) -> Case {
    let mut case = case(policy, &[], &["t"]);
    case.accept("t", 1_000);
    assert_eq!(case.status(), RideStatus::Assigned);
    assert_eq!(case.machine.record().forward(), Some(&before()));
    case
}

fn sent(case: &Case) -> Vec<(&str, bool)> {
    let offer = |effect: &'_ Effect| -> Option<Offer> {
        let Effect::ToDriver(_, DriverCommand::Offer { offer, .. }) = effect else { return None };
        Some((**offer).clone())
    };
    let to = |effect: &'_ Effect| offer(effect).map(|offer| offer.forward.is_some());
    let pairs = case.effects.iter().filter_map(|effect| {
        let Effect::ToDriver(driver, _) = effect else { return None };
        Some((driver.as_str(), to(effect)?))
    });
    pairs.collect()
}

fn says(case: &mut Case, name: &str, news: ForwardNews, ms: u64) {
    case.tell(RideCommand::Forward { driver: driver(name), news }, ms);
}

fn kinds(case: &Case) -> Vec<RideEventKind> {
    let kinds = case.effects.iter().filter_map(|effect| {
        let Effect::PersistRide(commit) = effect else { return None };
        Some(commit.kind)
    });
    kinds.collect()
}

fn outcomes(case: &Case) -> Vec<ForwardOutcome> {
    let outcomes = case.effects.iter().filter_map(|effect| {
        let Effect::Publish(event) = effect else { return None };
        let EventKind::Forward { outcome } = event.kind else { return None };
        Some(outcome)
    });
    outcomes.collect()
}

fn east(degrees: f64) -> Position {
    Position::from_degrees(0.5, 0.5 + degrees).unwrap()
}

#[test]
fn a_wave_has_places_of_its_own_for_drivers_on_a_trip_behind_the_idle_ones() {
    let wave = case(forward(2), &["a", "b", "c"], &["t", "u", "v"]);
    assert_eq!(sent(&wave), [("a", false), ("b", false), ("t", true), ("u", true)]);
    let off = case(forward(0), &["a", "b", "c"], &["t", "u", "v"]);
    assert_eq!(sent(&off), [("a", false), ("b", false)]);
}

#[test]
fn drivers_on_a_trip_are_asked_alone_only_once_the_full_radius_was_searched() {
    let wave = case(forward(1), &[], &["t"]);
    assert_eq!(sent(&wave), [("t", true)]);
    let (min, max) = (1_000.0, 3_000.0);
    assert_eq!(wave.radii, [min, max]);
    assert_eq!(wave.machine.record().search_radius_m, 3_000);
}

#[test]
fn in_sequential_mode_drivers_on_a_trip_take_the_place_of_idle_ones_only() {
    let sequential = DispatchPolicy { mode: DispatchMode::Sequential, ..forward(3) };
    let wave = case(sequential.clone(), &["a"], &["t", "u"]);
    assert_eq!(sent(&wave), [("a", false)]);
    let wave = case(sequential, &[], &["t", "u"]);
    assert_eq!(sent(&wave), [("t", true)]);
}

#[test]
fn scheduled_rides_are_forward_only_where_the_policy_says_so() {
    for (forward_scheduled, expected) in [(false, vec![]), (true, vec![("t", true)])] {
        let policy = DispatchPolicy { forward_scheduled, ..forward(1) };
        let mut case = Case::of(request(Some(at(60_000))), policy, &[]);
        case.on_trip = vec![driver("t")];
        case.tell(RideCommand::Request { reply: None }, 0);
        assert_eq!(sent(&case), expected);
    }
}

#[test]
fn a_place_that_a_driver_on_a_trip_refused_goes_to_another_one() {
    let mut case = case(forward(1), &["a", "b", "c"], &["t", "u"]);
    let offer = case.offer_to("t");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::ForwardHeld }, 10);
    assert_eq!(sent(&case), [("u", true)]);
}

#[test]
fn a_ride_won_by_a_driver_on_a_trip_waits_and_takes_no_step_before_it_is_promoted() {
    let mut case = waiting(forward(1));
    assert_eq!(outcomes(&case), [ForwardOutcome::Assigned]);
    let otp = case.machine.record().otp.clone();
    let no_show = RideProgress::Cancel { reason: Some(RIDER_NO_SHOW.to_owned()) };
    for step in
        [RideProgress::Arrived, RideProgress::Start { otp }, RideProgress::Complete, no_show]
    {
        case.progress("t", step.clone(), 2_000);
        assert_eq!(case.refusal(), Some(Refusal::RideIsForward), "{step:?}");
    }
    says(&mut case, "t", ForwardNews::Due, 3_000);
    assert_eq!(kinds(&case), [RideEventKind::ForwardPromoted]);
    assert_eq!(outcomes(&case), [ForwardOutcome::Promoted]);
    assert!(
        matches!(case.told("t")[..], [DriverCommand::RideUpdated { ride }] if ride.forward().is_none())
    );
    case.progress("t", RideProgress::Arrived, 4_000);
    assert_eq!(case.status(), RideStatus::Arrived);
}

#[test]
fn news_that_is_old_or_of_another_driver_is_answered_and_changes_nothing() {
    let mut case = waiting(forward(1));
    let version = case.version();
    says(&mut case, "u", ForwardNews::Due, 2_000);
    assert_eq!((case.version(), case.told("u").len()), (version, 1));
    says(&mut case, "t", ForwardNews::Due, 3_000);
    for news in [ForwardNews::Due, ForwardNews::Infeasible(ForwardReturn::Late)] {
        says(&mut case, "t", news, 4_000);
        assert_eq!((case.version(), case.told("t").len()), (version + 1, 1));
    }
    assert_eq!(case.status(), RideStatus::Assigned);
}

#[test]
fn a_driver_who_cannot_be_waited_for_loses_the_ride_without_blame() {
    let never = DispatchPolicy { reallocations_max: 0, ..forward(1) };
    let mut case = waiting(never);
    case.on_trip.clear();
    case.nearby = vec![driver("a")];
    says(&mut case, "t", ForwardNews::Infeasible(ForwardReturn::DriverLost), 2_000);
    assert_eq!(kinds(&case)[0], RideEventKind::ForwardReturned);
    assert_eq!(outcomes(&case), [ForwardOutcome::Returned(ForwardReturn::DriverLost)]);
    let record = case.machine.record();
    assert_eq!((record.status, record.attempt), (RideStatus::Searching, 2));
    assert_eq!((record.reallocations, record.gave_back.len()), (0, 0));
    assert_eq!(record.policy.attempt, AttemptKind::Reallocation);
    assert_eq!(case.live(), ["a"]);
    assert!(
        matches!(case.told("t")[..], [DriverCommand::RideUpdated { ride }] if ride.assignment.is_none())
    );
}

#[test]
fn a_driver_who_gives_his_next_ride_back_is_not_asked_again_and_it_counts() {
    let mut case = waiting(forward(1));
    case.progress("t", RideProgress::Cancel { reason: None }, 2_000);
    let record = case.machine.record();
    assert_eq!((record.status, record.reallocations), (RideStatus::Searching, 1));
    assert!(record.gave_back.contains(&driver("t")) && record.offers.is_empty());
}

#[test]
fn a_ride_waits_for_another_drop_off_only_within_the_bounds_of_an_offer() {
    let moved = |dropoff| ForwardNews::DropoffMoved { from: Some(east(0.001)), dropoff };
    let mut case = waiting(forward(1));
    says(&mut case, "t", moved(east(0.002)), 2_000);
    assert_eq!(kinds(&case), [RideEventKind::ForwardUpdated]);
    let assignment = case.machine.record().assignment.clone().unwrap();
    assert_eq!(assignment.forward.unwrap().dropoff, east(0.002));
    // 111 m to the drop-off and 222 m back to the pickup.
    assert_eq!(assignment.distance.rounded(), 334);
    assert_eq!(assignment.pickup_eta.get(), 103);
    assert_eq!(case.told("t").len(), 1);

    let tight = [
        DispatchPolicy { forward_remaining_m_max: 110, ..forward(1) },
        DispatchPolicy { forward_remaining_s_max: 33, ..forward(1) },
        DispatchPolicy { forward_radius_m: 333, ..forward(1) },
    ];
    for policy in tight {
        let mut case = waiting(policy.clone());
        case.on_trip.clear();
        says(&mut case, "t", moved(east(0.002)), 2_000);
        assert_eq!(kinds(&case)[0], RideEventKind::ForwardReturned, "{policy:?}");
        assert_eq!(case.machine.record().reallocations, 0);
    }
}

#[test]
fn a_ride_that_waits_tells_its_driver_again_after_a_restart() {
    let mut case = waiting(forward(1));
    case.tell(RideCommand::Resume, 2_000);
    assert!(
        matches!(case.told("t")[..], [DriverCommand::RideUpdated { ride }] if ride.forward().is_some())
    );
}

#[test]
fn the_pickup_of_a_ride_that_waits_is_watched_from_its_promotion_on() {
    let watched = DispatchPolicy { pickup_check_ms: 1_000, ..forward(1) };
    let mut case = waiting(watched);
    assert_eq!(case.machine.next_deadline(), None);
    says(&mut case, "t", ForwardNews::Due, 3_000);
    let next = case.machine.next_deadline().unwrap();
    assert_eq!((next.at, next.reason), (at(4_000), DeadlineReason::PickupCheck));
}
