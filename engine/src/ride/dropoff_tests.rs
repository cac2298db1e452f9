//! The rider goes elsewhere.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Refusal, ReplyTo};
use crate::geo::Position;
use crate::offer::{Exclusion, WithdrawReason};
use crate::ride::{CancelledBy, RideCommand, RideEventKind, RideProgress, RideStatus};

fn elsewhere() -> Position {
    Position::from_degrees(0.6, 0.6).unwrap()
}

fn change(case: &mut Case, ms: u64) {
    let reply = Some(ReplyTo(1));
    case.tell(RideCommand::ChangeDropoff { dropoff: elsewhere(), reply }, ms);
}

#[test]
fn live_offers_are_withdrawn_and_made_anew_to_the_same_drivers() {
    let mut case = Case::searching(policy(), &["a", "b", "c"]);
    let (first, wave) = (case.offer_to("a"), case.machine.record().wave);
    change(&mut case, 5_000);
    let record = case.machine.record();
    assert_eq!((record.dropoff(), record.request.dropoff), (Some(elsewhere()), None));
    assert_eq!((case.live(), record.wave), (vec!["a", "b"], wave));
    assert_eq!((record.offer_counts.sent, record.offer_counts.withdrawn), (4, 2));
    let [
        DriverCommand::Withdraw { offer, reason },
        DriverCommand::Offer { offer: again, redelivered },
    ] = case.told("a")[..]
    else {
        panic!("{:?}", case.told("a"))
    };
    assert_eq!((offer, *reason, *redelivered), (&first, WithdrawReason::Superseded, false));
    assert_eq!(again.terms.dropoff, Some(elsewhere()));
    assert_eq!(again.expires_at, at(5_000 + policy().offer_ttl_ms), "time to think again");
    case.accept("a", 6_000);
    assert_eq!(case.status(), RideStatus::Assigned);
}

#[test]
fn an_accept_of_the_withdrawn_offer_loses() {
    let mut case = Case::searching(policy(), &["a", "b"]);
    let first = case.offer_to("a");
    change(&mut case, 5_000);
    case.accept_offer(&first, "a", 5_001);
    assert_eq!(case.status(), RideStatus::Searching);
    assert!(matches!(case.told("a")[..], [DriverCommand::AcceptAnswered { .. }]));
}

#[test]
fn a_driver_who_does_not_take_the_new_trip_makes_room_for_another() {
    let mut case = Case::searching(policy(), &["a", "b", "c"]);
    change(&mut case, 5_000);
    let offer = case.offer_to("a");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::TripDistance }, 5_010);
    assert_eq!(case.live(), ["b", "c"]);
}

#[test]
fn the_same_drop_off_again_changes_nothing() {
    let mut case = Case::searching(policy(), &["a"]);
    change(&mut case, 5_000);
    let version = case.version();
    change(&mut case, 6_000);
    assert_eq!((case.version(), case.persists(), case.refusal()), (version, 0, None));
}

#[test]
fn the_driver_is_told_at_every_step_of_the_ride() {
    let mut case = Case::assigned(policy(), &["a"]);
    for (ms, step) in
        [(2_000, None), (3_000, Some(RideProgress::Arrived)), (4_000, Some(case.start_step()))]
    {
        if let Some(step) = step {
            case.progress("a", step, ms);
        }
        let place = Position::from_degrees(0.6, 0.6 + ms as f64 / 1e6).unwrap();
        case.tell(RideCommand::ChangeDropoff { dropoff: place, reply: None }, ms);
        let [DriverCommand::RideUpdated { ride }] = case.told("a")[..] else { panic!() };
        assert_eq!(ride.dropoff(), Some(place));
        let kind = case.effects.iter().find_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            Some(commit.kind)
        });
        assert_eq!(kind, Some(RideEventKind::DropoffChanged));
    }
}

#[test]
fn a_ride_that_is_over_keeps_its_drop_off() {
    let mut case = Case::assigned(policy(), &["a"]);
    case.cancel(CancelledBy::Rider, 2_000);
    change(&mut case, 3_000);
    assert_eq!(case.refusal(), Some(Refusal::RideAlreadyCancelled));
    assert_eq!(case.machine.record().dropoff(), None);
}
