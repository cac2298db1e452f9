//! The rules of a driver as sentences, in the order of his day.

use std::sync::Arc;

use super::case_tests::*;

use crate::driver::{DriverCommand, DriverProfile, PhoneFrame};
use crate::effect::{AcceptAnswer, Answer, CloseReason, Effect, Refusal, SessionId};
use crate::grid::DriverStatus;
use crate::id::{DriverId, RiderId};
use crate::machine::Machine;
use crate::offer::{Exclusion, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::{CancelledBy, RideCommand, RideRecord, RideStatus};
use crate::time::DeadlineReason;

#[test]
fn an_offer_takes_a_slot_and_is_shown_once() {
    let mut case = Case::available();
    case.offered("r1", 0);
    assert!(matches!(case.frames()[..], [PhoneFrame::Offer { .. }]));
    assert_eq!(case.supply().unwrap().live_offers, 1);
    case.offered("r1", 10);
    assert!(case.effects.iter().all(|effect| matches!(effect, Effect::PlaceSupply(_))));
    assert_eq!(case.live(), ["r1"]);
}

#[test]
fn offers_beyond_the_slots_are_refused() {
    let mut case = Case::available();
    for name in ["r1", "r2", "r3"] {
        case.offered(name, 0);
    }
    assert_eq!(case.refused_to_ride(), [Exclusion::OfferSlotsFull]);
    assert_eq!(case.live(), ["r1", "r2"]);
}

#[test]
fn a_driver_who_cannot_take_an_offer_refuses_it_with_the_reason() {
    let mut offline = Case::available();
    offline.set_online(false, 0);
    let mut reserved = Case::available();
    reserved.offered("r1", 0);
    reserved.accept("r1", 1, 0);
    let mut serving = Case::available();
    serving.offered("r1", 0);
    serving.wins("r1", 0);
    let mut blocked = Case::available();
    let until = DriverProfile { blocked_until: Some(at(60_000)), ..profile() };
    blocked.tell(DriverCommand::PutProfile { profile: Box::new(until), reply: None }, 0);
    let silent = Case::with(DispatchPolicy { stale_after_ms: 1_000, ..DispatchPolicy::default() });
    let cases = [
        (offline, Exclusion::Offline),
        (reserved, Exclusion::Reserved),
        (serving, Exclusion::OnRide),
        (blocked, Exclusion::Blocked),
        (silent, Exclusion::StalePosition),
        (Case::available(), Exclusion::OfferExpired),
    ];
    for (mut case, reason) in cases {
        let late = if reason == Exclusion::OfferExpired { TTL_MS } else { 2_000 };
        case.offered("r2", late);
        assert_eq!(case.refused_to_ride(), [reason]);
    }
}

#[test]
fn an_unanswered_offer_is_dead_at_its_expiry_instant() {
    let mut case = Case::available();
    case.offered("r1", 0);
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(TTL_MS), DeadlineReason::OfferExpiry));
    case.accept("r1", 1, TTL_MS);
    assert_eq!(case.machine.status(), DriverStatus::Available);
    let lost = Answer::Accept(AcceptAnswer::Lost(WithdrawReason::Expired));
    assert_eq!(case.answers(), [&lost]);
}

#[test]
fn an_accept_reserves_the_driver_so_that_a_second_one_is_refused() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.offered("r2", 0);
    case.accept("r1", 1, 100);
    assert_eq!(case.machine.status(), DriverStatus::Reserved);
    case.accept("r2", 2, 100);
    assert_eq!(case.answers(), [&Answer::Refused(Refusal::AcceptPending)]);
}

#[test]
fn an_accepted_offer_that_runs_out_is_left_to_its_ride() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, TTL_MS - 1);
    case.wake(TTL_MS + 10);
    assert!(case.frames().is_empty());
    assert!(case.machine.next_deadline().unwrap().at > at(TTL_MS + 10));
    case.wins("r1", TTL_MS + 20);
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }]));
}

#[test]
fn an_accept_without_an_answer_is_repeated() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 0);
    case.wake(DispatchPolicy::default().accept_retry_ms);
    let repeated =
        |effect: &Effect| matches!(effect, Effect::ToRide(_, RideCommand::OfferAccepted { .. }));
    assert_eq!(case.effects.iter().filter(|effect| repeated(effect)).count(), 1);
}

#[test]
fn losing_releases_the_slot_and_clears_the_cooldown() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 100);
    assert!(case.supply().unwrap().cooling_down);
    case.answered("r1", AcceptAnswer::Lost(WithdrawReason::Taken), 200);
    assert_eq!((case.machine.status(), case.live().len()), (DriverStatus::Available, 0));
    let supply = case.supply().unwrap();
    assert_eq!((supply.live_offers, supply.cooling_down), (0, false));
    case.offered("r2", 300);
    assert_eq!(case.live(), ["r2"]);
}

#[test]
fn winning_lets_the_other_offers_go_and_answers_every_caller() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.offered("r2", 0);
    case.accept("r1", 1, 100);
    case.accept("r1", 2, 110);
    case.wins("r1", 200);
    assert_eq!(case.refused_to_ride(), [Exclusion::OnRide]);
    assert_eq!((case.answers().len(), case.live().len()), (2, 0));
    assert_eq!(case.machine.status(), DriverStatus::EnRoute);
    case.accept("r1", 3, 300);
    assert!(matches!(case.answers()[..], [Answer::Accept(AcceptAnswer::Won(_))]));
}

#[test]
fn going_offline_withdraws_offers_at_once() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.set_online(false, 100);
    assert_eq!(case.refused_to_ride(), [Exclusion::Offline]);
    assert!(case.live().is_empty() && case.effects.contains(&Effect::RemoveSupply));
    case.set_online(false, 200);
    assert!(case.effects.is_empty());
}

#[test]
fn going_offline_on_a_ride_applies_when_it_ends() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 0);
    case.wins("r1", 100);
    case.set_online(false, 200);
    assert_eq!(case.machine.status(), DriverStatus::EnRoute);
    let over = ride("r1", RideStatus::Completed, 100);
    case.tell(DriverCommand::RideUpdated { ride: over }, 300);
    assert_eq!(case.machine.status(), DriverStatus::Offline);
}

#[test]
fn going_offline_lets_an_accept_run_that_waits_for_its_answer() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 0);
    case.set_online(false, 100);
    assert!(case.refused_to_ride().is_empty());
    case.wins("r1", 200);
    assert_eq!(case.machine.status(), DriverStatus::EnRoute);
}

#[test]
fn a_decline_that_is_repeated_ends_the_offer_once() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.decline("r1", 100);
    let declined =
        |effect: &&Effect| matches!(effect, Effect::ToRide(_, RideCommand::OfferDeclined { .. }));
    assert_eq!(case.effects.iter().filter(declined).count(), 1);
    case.decline("r1", 200);
    assert_eq!(case.effects.iter().filter(declined).count(), 0);
    assert!(matches!(case.answers()[..], [Answer::Driver(_)]));
    case.offered("r1", 300);
    assert_eq!((case.effects.iter().filter(declined).count(), case.live().len()), (1, 0));
}

#[test]
fn a_withdrawal_that_is_repeated_is_shown_once() {
    let mut case = Case::available();
    case.offered("r1", 0);
    let reason = WithdrawReason::Cancelled;
    let withdraw = || DriverCommand::Withdraw { offer: offer_id("r1"), reason };
    case.tell(withdraw(), 100);
    assert!(matches!(case.frames()[..], [PhoneFrame::OfferWithdrawn { .. }]));
    case.tell(withdraw(), 200);
    assert!(case.effects.is_empty());
}

#[test]
fn a_newer_session_supersedes_the_old_one() {
    let mut case = Case::available();
    case.connect(2, None, 100);
    let closed = Effect::CloseSession(SessionId(1), CloseReason::Superseded);
    assert!(case.effects.contains(&closed));
    case.tell(DriverCommand::Disconnect { session: SessionId(1) }, 200);
    case.offered("r1", 300);
    assert!(matches!(case.effects[1], Effect::SendFrame(SessionId(2), PhoneFrame::Offer { .. })));
}

#[test]
fn frames_that_were_not_acknowledged_are_replayed_in_order_after_the_welcome() {
    let mut case = Case::available();
    case.offered("r1", 0);
    let seen = case.frames()[0].seq().unwrap();
    case.offered("r2", 0);
    case.connect(2, Some(seen), 100);
    let seqs: Vec<_> = case.frames().iter().map(|frame| frame.seq()).collect();
    assert_eq!(seqs, [None, Some(seen + 1)]);
    case.tell(DriverCommand::Ack { seq: seen + 1 }, 200);
    case.connect(3, None, 300);
    assert!(matches!(case.frames()[..], [PhoneFrame::Welcome { .. }]));
}

#[test]
fn an_offer_that_ended_is_not_replayed() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.tell(DriverCommand::Disconnect { session: SessionId(1) }, 10);
    case.wake(TTL_MS);
    case.connect(2, None, TTL_MS + 10);
    let offers = |frame: &&&PhoneFrame| matches!(frame, PhoneFrame::Offer { .. });
    assert_eq!(case.frames().iter().filter(offers).count(), 0);
}

#[test]
fn an_offer_that_was_refused_is_refused_again_when_it_comes_again() {
    let mut case =
        Case::with(DispatchPolicy { stale_after_ms: 1_000, ..DispatchPolicy::default() });
    case.offered("r1", 2_000);
    assert_eq!(case.refused_to_ride(), [Exclusion::StalePosition]);
    let again = DriverCommand::Offer { offer: Box::new(offer("r1")), redelivered: true };
    case.tell(again, 2_000);
    assert_eq!((case.refused_to_ride().len(), case.live().len()), (1, 0));
}

#[test]
fn a_rebuilt_driver_takes_his_offers_and_his_ride_back_in() {
    let mut case =
        Case::with(DispatchPolicy { stale_after_ms: 1_000, ..DispatchPolicy::default() });
    let again = DriverCommand::Offer { offer: Box::new(offer("r1")), redelivered: true };
    case.tell(again, 2_000);
    assert_eq!(case.live(), ["r1"]);
    let mine = ride("r2", RideStatus::InProgress, 0);
    case.tell(DriverCommand::RideUpdated { ride: mine }, 2_000);
    assert_eq!(case.machine.status(), DriverStatus::OnTrip);
}

#[test]
fn a_pending_accept_is_answered_when_another_ride_turns_out_to_have_the_driver() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.accept("r1", 1, 100);
    let mine = ride("r0", RideStatus::InProgress, 0);
    case.tell(DriverCommand::RideUpdated { ride: mine }, 200);
    let lost = Answer::Accept(AcceptAnswer::Lost(WithdrawReason::Superseded));
    assert_eq!(case.answers(), [&lost]);
    assert_eq!(case.machine.serving().unwrap().as_str(), "r0");
}

#[test]
fn of_two_rides_the_one_assigned_later_is_served() {
    let mut case = Case::available();
    let update =
        |name, ms| DriverCommand::RideUpdated { ride: ride(name, RideStatus::Assigned, ms) };
    case.tell(update("r2", 200), 300);
    case.tell(update("r1", 100), 400);
    assert_eq!(case.machine.serving().unwrap().as_str(), "r2");
    let says_nothing = |effect: &Effect| matches!(effect, Effect::PlaceSupply(_));
    assert!(case.effects.iter().all(says_nothing), "{:?}", case.effects);
    case.tell(update("r3", 300), 500);
    assert_eq!(case.machine.serving().unwrap().as_str(), "r3");
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }]));
}

#[test]
fn an_offer_that_comes_back_after_a_restart_is_good_even_beyond_the_slots() {
    let mut case = Case::available();
    let again =
        |name: &str| DriverCommand::Offer { offer: Box::new(offer(name)), redelivered: true };
    for name in ["r1", "r2", "r3"] {
        case.tell(again(name), 0);
    }
    assert_eq!(case.machine.live_offers().count(), 3);
    assert_eq!(case.machine.check(), Ok(()));
    case.offered("r4", 1);
    assert_eq!(case.machine.live_offers().count(), 3, "a new offer found no slot");
}

#[test]
fn a_driver_who_gives_a_ride_back_is_kept_from_its_rider_durably() {
    let given_back = |mut ride: RideRecord| {
        ride.status = RideStatus::Searching;
        ride.assignment = None;
        ride.gave_back.insert(DriverId::new("d").unwrap());
        ride
    };
    let ended = |mut ride: RideRecord| {
        ride.status = RideStatus::Cancelled;
        ride.cancelled_by = Some(CancelledBy::Driver);
        ride
    };
    let by_rider = |mut ride: RideRecord| {
        ride.status = RideStatus::Cancelled;
        ride.cancelled_by = Some(CancelledBy::Rider);
        ride
    };
    let block_ms = DispatchPolicy::default().rider_block_ms;
    let kept = |end: &dyn Fn(RideRecord) -> RideRecord, policy: DispatchPolicy| {
        let mut case = Case::with(policy);
        case.offered("r1", 0);
        case.wins("r1", 100);
        let ride = end(RideRecord::clone(&ride("r1", RideStatus::Assigned, 100)));
        case.tell(DriverCommand::RideUpdated { ride: Arc::new(ride) }, 200);
        let durable = case.effects.iter().find_map(|effect| {
            let Effect::PersistDriver(record) = effect else { return None };
            Some(record.rider_blocks.clone())
        });
        let rider = RiderId::new("rider").unwrap();
        let placed = case.supply().unwrap().facts.rider_blocks.clone();
        let holds = |ms| placed.hold(&rider, at(ms));
        let kept_durably = durable.is_some_and(|blocks| blocks.hold(&rider, at(200)));
        assert_eq!(kept_durably, holds(200));
        (holds(200), holds(200 + block_ms))
    };
    let policy = DispatchPolicy::default;
    assert_eq!(kept(&given_back, policy()), (true, false));
    assert_eq!(kept(&ended, policy()), (true, false));
    assert_eq!(kept(&by_rider, policy()), (false, false));
    let off = DispatchPolicy { rider_block_ms: 0, ..policy() };
    assert_eq!(kept(&given_back, off), (false, false));
}

#[test]
fn a_new_profile_keeps_the_riders_he_is_kept_from() {
    let mut case = Case::available();
    case.offered("r1", 0);
    case.wins("r1", 100);
    let mut gone = RideRecord::clone(&ride("r1", RideStatus::Cancelled, 100));
    gone.cancelled_by = Some(CancelledBy::Driver);
    case.tell(DriverCommand::RideUpdated { ride: Arc::new(gone) }, 200);
    case.tell(DriverCommand::PutProfile { profile: Box::new(profile()), reply: None }, 300);
    assert!(!case.machine.record().rider_blocks.is_empty());
    case.offered("r2", 6_000);
    assert_eq!(case.refused_to_ride(), [Exclusion::BlockedForRider]);
}
