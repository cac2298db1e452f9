//! The ride after the one a driver serves: offered, accepted, held, promoted, given back.

use super::case_tests::*;

use std::sync::Arc;

use crate::driver::{DriverCommand, PhoneFrame, RidePreferences};
use crate::effect::{AcceptAnswer, Answer, Effect};
use crate::forward::{ForwardLink, ForwardNews, ForwardReturn, ForwardSupply};
use crate::geo::Position;
use crate::grid::{DriverStatus, Fix, FixLimits};
use crate::id::RideId;
use crate::offer::{Exclusion, Offer, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::{CancelledBy, RideCommand, RideRecord, RideStatus};

/// A place so many metres east of where the driver is.
fn east(metres: f64) -> Position {
    Position::from_degrees(0.5, 0.5 + metres / 111_195.0).unwrap()
}

fn link(after: &str, metres: f64) -> ForwardLink {
    ForwardLink { after: RideId::new(after).unwrap(), dropoff: east(metres) }
}

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        stale_after_ms: 3_600_000,
        lost_after_ms: 3_600_000,
        accept_cooldown_ms: 0,
        accept_retry_ms: 2_000,
        forward_late_s_max: 400,
        forward_late_ms: 10_000,
        ..DispatchPolicy::default()
    }
}

/// Ride `name` as it goes to a place so many metres east.
fn trip(name: &str, status: RideStatus, metres: f64) -> RideRecord {
    let mut record = RideRecord::clone(&ride(name, status, 0));
    record.dropoff = Some(east(metres));
    record
}

fn updated(case: &mut Case, record: RideRecord, ms: u64) {
    case.tell(DriverCommand::RideUpdated { ride: Arc::new(record) }, ms);
}

/// A driver on ride `now`, 500 metres from its end.
fn on_trip(policy: DispatchPolicy) -> Case {
    let mut case = Case::with(policy);
    updated(&mut case, trip("now", RideStatus::InProgress, 500.0), 0);
    case
}

fn forward_offer(name: &str) -> Offer {
    Offer { forward: Some(link("now", 500.0)), ..offer(name) }
}

fn offered(case: &mut Case, offer: Offer, ms: u64) {
    case.tell(DriverCommand::Offer { offer: Box::new(offer), redelivered: false }, ms);
}

/// Ride `name` as it waits for the driver who is on ride `now`.
fn waiting(name: &str) -> RideRecord {
    let mut record = trip(name, RideStatus::Assigned, 3_000.0);
    record.assignment.as_mut().unwrap().assigned_at = at(100);
    record.assignment.as_mut().unwrap().forward = Some(link("now", 500.0));
    record
}

fn promoted(name: &str) -> RideRecord {
    let mut record = waiting(name);
    record.assignment.as_mut().unwrap().forward = None;
    record
}

/// A driver on ride `now` who has won ride `next` for after it.
fn holding(policy: DispatchPolicy) -> Case {
    let mut case = on_trip(policy);
    offered(&mut case, forward_offer("next"), 10);
    case.accept("next", 7, 50);
    case.answered("next", AcceptAnswer::Won(Arc::new(waiting("next"))), 100);
    assert_eq!(case.machine.forward_ride().map(RideId::as_str), Some("next"));
    case
}

/// What the driver tells a ride in this turn.
fn tells<'a>(case: &'a Case, to: &str) -> Vec<&'a RideCommand> {
    let told = case.effects.iter().filter_map(|effect| {
        let Effect::ToRide(ride, command) = effect else { return None };
        (ride.as_str() == to).then_some(command)
    });
    told.collect()
}

fn news(case: &Case) -> Vec<ForwardNews> {
    let told = tells(case, "next").into_iter().filter_map(|command| {
        let RideCommand::Forward { news, .. } = command else { return None };
        Some(news.clone())
    });
    told.collect()
}

fn drive_to(case: &Case, metres: f64, ms: u64) {
    let position = east(metres);
    let fix = Fix { position, at: at(ms), accuracy_m: None, speed_mps: None, bearing_deg: None };
    case.machine.slot.apply(&fix, at(ms), &FixLimits::default(), &market()).unwrap();
}

#[test]
fn supply_says_where_a_driver_on_a_trip_comes_free_and_why_another_does_not() {
    let mut case = Case::available();
    updated(&mut case, trip("now", RideStatus::Assigned, 500.0), 0);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::NotOnTrip);
    updated(&mut case, trip("now", RideStatus::InProgress, 500.0), 1);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::After(link("now", 500.0).into()));
    updated(&mut case, trip("now", RideStatus::InProgress, 700.0), 2);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::After(link("now", 700.0).into()));

    let mut case = Case::available();
    updated(&mut case, RideRecord::clone(&ride("now", RideStatus::InProgress, 0)), 0);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::NoDropoff);

    let mut case = on_trip(policy());
    let mut shy = profile();
    shy.preferences = RidePreferences { forward: Some(false), ..Default::default() }.into();
    case.tell(DriverCommand::PutProfile { profile: Box::new(shy), reply: None }, 1);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::Unwanted);

    let mut case = on_trip(policy());
    offered(&mut case, forward_offer("next"), 10);
    case.accept("next", 7, 50);
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::Held);
    assert_eq!(holding(policy()).supply().unwrap().forward, ForwardSupply::Held);
}

#[test]
fn a_forward_offer_is_taken_in_on_the_trip_it_follows_and_refused_with_a_reason_otherwise() {
    let mut case = on_trip(policy());
    offered(&mut case, forward_offer("next"), 10);
    assert_eq!(case.live(), ["next"]);
    assert_eq!(case.machine.status(), DriverStatus::OnTrip);
    let PhoneFrame::Offer { offer: shown, .. } = case.frames()[0] else { panic!() };
    assert!(shown.forward.is_some());

    let refused = |case: &mut Case, offer: Offer| {
        offered(case, offer, 20);
        case.refused_to_ride()
    };
    let mut case = on_trip(policy());
    assert_eq!(refused(&mut case, offer("idle")), [Exclusion::OnRide]);
    let moved = Offer { forward: Some(link("now", 501.0)), ..offer("moved") };
    assert_eq!(refused(&mut case, moved), [Exclusion::ForwardDropoffChanged]);
    let other = Offer { forward: Some(link("other", 500.0)), ..offer("other") };
    assert_eq!(refused(&mut case, other), [Exclusion::ForwardDropoffChanged]);
    drive_to(&case, -1_100.0, 60_000);
    offered(&mut case, Offer { expires_at: at(90_000), ..forward_offer("far") }, 60_000);
    assert_eq!(case.refused_to_ride(), [Exclusion::ForwardRemainingDistance]);

    let mut case = on_trip(policy());
    updated(&mut case, trip("now", RideStatus::Completed, 500.0), 5);
    updated(&mut case, trip("next", RideStatus::Arrived, 500.0), 6);
    let early = Offer { forward: Some(link("next", 500.0)), ..offer("early") };
    assert_eq!(refused(&mut case, early), [Exclusion::OnRide]);
    assert_eq!(refused(&mut holding(policy()), forward_offer("third")), [Exclusion::ForwardHeld]);
}

#[test]
fn forward_offers_have_a_cap_of_their_own() {
    let two = DispatchPolicy { forward_live_offers_max: 2, live_offers_max: 1, ..policy() };
    let mut case = on_trip(two);
    for (name, held) in [("r1", 1), ("r2", 2), ("r3", 2)] {
        offered(&mut case, forward_offer(name), 10);
        assert_eq!(case.live().len(), held, "{name}");
    }
    assert_eq!(case.refused_to_ride(), [Exclusion::OfferSlotsFull]);
}

#[test]
fn a_driver_on_a_trip_accepts_once_and_holds_the_ride_beside_the_one_he_serves() {
    let mut case = on_trip(DispatchPolicy { forward_live_offers_max: 2, ..policy() });
    offered(&mut case, forward_offer("next"), 10);
    offered(&mut case, forward_offer("other"), 11);
    case.accept("next", 7, 50);
    assert!(matches!(tells(&case, "next")[..], [RideCommand::OfferAccepted { .. }]));
    case.accept("other", 8, 51);
    assert!(
        matches!(case.answers()[..], [Answer::Refused(refusal)] if refusal.code() == "accept_pending")
    );
    case.wake(50 + 2_000);
    assert!(matches!(tells(&case, "next")[..], [RideCommand::OfferAccepted { .. }]), "asked again");
    case.answered("next", AcceptAnswer::Won(Arc::new(waiting("next"))), 2_100);
    assert!(matches!(case.answers()[..], [Answer::Accept(AcceptAnswer::Won(_))]));
    assert_eq!(case.refused_to_ride(), [Exclusion::ForwardHeld], "the other offer is let go");
    let view = case.machine.view();
    assert_eq!(view.ride.as_ref().map(RideId::as_str), Some("now"));
    assert_eq!(view.forward_ride.as_ref().map(RideId::as_str), Some("next"));
    assert_eq!(view.status, DriverStatus::OnTrip);
}

#[test]
fn losing_a_forward_race_costs_nothing() {
    let mut case = on_trip(DispatchPolicy { accept_cooldown_ms: 60_000, ..policy() });
    offered(&mut case, forward_offer("next"), 10);
    case.accept("next", 7, 50);
    case.answered("next", AcceptAnswer::Lost(WithdrawReason::Taken), 60);
    assert!(matches!(
        case.answers()[..],
        [Answer::Accept(AcceptAnswer::Lost(WithdrawReason::Taken))]
    ));
    let supply = case.supply().unwrap();
    assert_eq!(supply.forward, ForwardSupply::After(link("now", 500.0).into()));
    assert!(!supply.cooling_down);
    offered(&mut case, forward_offer("again"), 70);
    assert_eq!(case.live(), ["again"]);
}

#[test]
fn the_next_ride_is_promoted_when_the_one_before_ends_in_whatever_way() {
    for (end, reassigned) in [
        (RideStatus::Completed, false),
        (RideStatus::Cancelled, false),
        (RideStatus::Searching, true),
    ] {
        let mut case = holding(policy());
        let mut over = trip("now", end, 500.0);
        if reassigned {
            over.assignment = None;
        }
        updated(&mut case, over, 5_000);
        assert_eq!(news(&case), [ForwardNews::Due]);
        assert_eq!(case.machine.status(), DriverStatus::EnRoute, "not free for others");
        offered(&mut case, Offer { expires_at: at(9_000), ..offer("third") }, 5_001);
        assert_eq!(case.refused_to_ride(), [Exclusion::OnRide]);
        updated(&mut case, promoted("next"), 5_100);
        assert_eq!(case.machine.serving().map(RideId::as_str), Some("next"));
        assert_eq!(case.machine.forward_ride(), None);
        assert!(
            matches!(case.frames()[..], [PhoneFrame::RideUpdated { ride }] if ride.forward().is_none())
        );
    }
}

#[test]
fn a_promotion_without_an_answer_is_asked_for_again() {
    let mut case = holding(policy());
    updated(&mut case, trip("now", RideStatus::Completed, 500.0), 5_000);
    case.wake(7_000);
    assert!(matches!(tells(&case, "now")[..], [RideCommand::TellDriver { .. }]));
    updated(&mut case, trip("now", RideStatus::Completed, 500.0), 7_010);
    assert_eq!(news(&case), [ForwardNews::Due]);
}

#[test]
fn an_accept_that_outlives_the_trip_is_promoted_once_won() {
    let mut case = on_trip(policy());
    offered(&mut case, forward_offer("next"), 10);
    case.accept("next", 7, 50);
    updated(&mut case, trip("now", RideStatus::Completed, 500.0), 60);
    assert_eq!(case.machine.status(), DriverStatus::Reserved);
    case.answered("next", AcceptAnswer::Won(Arc::new(waiting("next"))), 100);
    assert!(matches!(case.answers()[..], [Answer::Accept(AcceptAnswer::Won(_))]));
    assert!(matches!(tells(&case, "now")[..], [RideCommand::TellDriver { .. }]));
    updated(&mut case, trip("now", RideStatus::Completed, 500.0), 110);
    assert_eq!(news(&case), [ForwardNews::Due]);
}

#[test]
fn a_rebuilt_driver_takes_up_both_rides_in_either_order() {
    for next_first in [true, false] {
        let mut case = Case::with(policy());
        let mut told = [trip("now", RideStatus::InProgress, 500.0), waiting("next")];
        if next_first {
            told.reverse();
        }
        for (ms, record) in told.into_iter().enumerate() {
            updated(&mut case, record, ms as u64);
        }
        assert_eq!(case.machine.serving().map(RideId::as_str), Some("now"));
        assert_eq!(case.machine.forward_ride().map(RideId::as_str), Some("next"));
        assert_eq!(case.machine.status(), DriverStatus::OnTrip);
        assert_eq!(news(&case), []);
    }
}

#[test]
fn a_forward_offer_that_comes_back_before_its_trip_is_kept() {
    let mut case = Case::with(policy());
    let again = DriverCommand::Offer { offer: Box::new(forward_offer("next")), redelivered: true };
    case.tell(again, 0);
    updated(&mut case, trip("now", RideStatus::InProgress, 500.0), 1);
    assert_eq!(case.live(), ["next"]);
}

#[test]
fn another_drop_off_ends_the_offers_that_counted_on_the_old_one() {
    let mut case = on_trip(policy());
    offered(&mut case, forward_offer("next"), 10);
    updated(&mut case, trip("now", RideStatus::InProgress, 600.0), 20);
    assert_eq!(case.refused_to_ride(), [Exclusion::ForwardDropoffChanged]);
    assert!(case.frames().iter().any(|frame| matches!(
        frame,
        PhoneFrame::OfferWithdrawn { reason: WithdrawReason::DropoffChanged, .. }
    )));
    case.accept("next", 7, 30);
    assert!(matches!(
        case.answers()[..],
        [Answer::Accept(AcceptAnswer::Lost(WithdrawReason::DropoffChanged))]
    ));
}

#[test]
fn another_drop_off_is_told_to_the_ride_that_waits() {
    let mut case = holding(policy());
    updated(&mut case, trip("now", RideStatus::InProgress, 500.0), 200);
    assert_eq!(news(&case), [], "the same one");
    updated(&mut case, trip("now", RideStatus::InProgress, 900.0), 300);
    let moved = ForwardNews::DropoffMoved { from: Some(place()), dropoff: east(900.0) };
    assert_eq!(news(&case), [moved]);
}

#[test]
fn a_driver_who_is_lost_gives_the_next_ride_back_and_asks_until_he_is_answered() {
    let mut case =
        holding(DispatchPolicy { lost_after_ms: 40_000, stale_after_ms: 30_000, ..policy() });
    case.wake(40_099);
    assert_eq!(news(&case), [], "heard at the start, but known to hold since 100 ms");
    case.wake(40_100);
    let lost = ForwardNews::Infeasible(ForwardReturn::DriverLost);
    let lost = [lost];
    assert_eq!(news(&case), lost);
    case.wake(41_000);
    assert_eq!(news(&case), []);
    case.wake(42_100);
    assert_eq!(news(&case), lost);
    let mut back = waiting("next");
    (back.status, back.assignment) = (RideStatus::Searching, None);
    updated(&mut case, back, 42_200);
    let frames = case.frames();
    let [PhoneFrame::ForwardReturned { why: ForwardReturn::DriverLost, .. }] = frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!(case.machine.forward_ride(), None);
    assert_eq!(case.machine.serving().map(RideId::as_str), Some("now"));
    let written = case.effects.iter().any(|effect| matches!(effect, Effect::PersistDriver(_)));
    assert!(!written, "it costs him nothing");
}

#[test]
fn a_trip_that_lasts_too_long_for_too_long_gives_the_next_ride_back() {
    // 400 s at 4.2 m/s over 1.3 times the straight line are 1292 m.
    let mut case = holding(policy());
    drive_to(&case, -700.0, 60_000);
    case.tell(DriverCommand::PositionChanged, 60_000);
    assert_eq!(news(&case), [], "1200 m are not late");
    drive_to(&case, -900.0, 70_000);
    case.tell(DriverCommand::PositionChanged, 70_000);
    case.wake(79_999);
    assert_eq!(news(&case), [], "late, but not for long");
    drive_to(&case, -700.0, 79_999);
    case.wake(80_000);
    assert_eq!(news(&case), [], "in time again");
    drive_to(&case, -900.0, 90_000);
    case.tell(DriverCommand::PositionChanged, 90_000);
    case.wake(100_000);
    assert_eq!(news(&case), [ForwardNews::Infeasible(ForwardReturn::Late)]);
}

#[test]
fn a_next_ride_that_its_rider_cancels_leaves_the_present_one_alone() {
    let mut case = holding(policy());
    let mut over = waiting("next");
    (over.status, over.cancelled_by) = (RideStatus::Cancelled, Some(CancelledBy::Rider));
    updated(&mut case, over, 300);
    assert!(matches!(case.frames()[..], [PhoneFrame::RideCancelled { .. }]));
    assert_eq!(case.machine.serving().map(RideId::as_str), Some("now"));
    assert_eq!(case.supply().unwrap().forward, ForwardSupply::After(link("now", 500.0).into()));
}

#[test]
fn a_next_ride_that_the_driver_gives_back_counts_against_him() {
    let mut case = holding(policy());
    let mut back = waiting("next");
    (back.status, back.assignment) = (RideStatus::Searching, None);
    back.gave_back.insert(case.machine.record().driver.clone());
    updated(&mut case, back, 300);
    assert!(case.effects.iter().any(|effect| matches!(effect, Effect::PersistDriver(_))));
    assert!(matches!(case.frames()[..], [PhoneFrame::RideCancelled { .. }]));
}
