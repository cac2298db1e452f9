//! Offers that a driver holds before he may see them.

use super::case_tests::*;

use crate::driver::{DriverCommand, PhoneFrame};
use crate::effect::{Answer, Effect, Refusal, ReplyTo};
use crate::machine::Machine;
use crate::offer::{Exclusion, WithdrawReason};
use crate::ride::RideCommand;
use crate::time::DeadlineReason;

const DELAY_MS: u64 = 3_000;

/// A driver who holds ride `r1`'s offer and sees it after [`DELAY_MS`].
fn holding() -> Case {
    let mut case = Case::available();
    let mut hidden = offer("r1");
    hidden.visible_at = at(DELAY_MS);
    case.tell(DriverCommand::Offer { offer: Box::new(hidden), redelivered: false }, 0);
    case
}

fn shown_in_view(case: &mut Case, ms: u64) -> usize {
    case.tell(DriverCommand::Get { reply: ReplyTo(9) }, ms);
    match case.answers()[..] {
        [Answer::Driver(view)] => view.offers.len(),
        _ => panic!("no view"),
    }
}

#[test]
fn it_takes_a_slot_at_once_and_comes_on_the_screen_at_its_time() {
    let mut case = holding();
    assert!(case.frames().is_empty());
    assert_eq!(case.supply().unwrap().live_offers, 1);
    assert_eq!(shown_in_view(&mut case, 100), 0);
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(DELAY_MS), DeadlineReason::OfferShowing));
    case.wake(DELAY_MS - 1);
    assert!(case.frames().is_empty());
    case.wake(DELAY_MS);
    assert!(matches!(case.frames()[..], [PhoneFrame::Offer { .. }]));
    assert_eq!(shown_in_view(&mut case, DELAY_MS), 1);
    assert_eq!(case.machine.next_deadline().unwrap().reason, DeadlineReason::OfferExpiry);
}

#[test]
fn a_reconnect_does_not_reveal_it() {
    let mut case = holding();
    case.connect(2, None, 1_000);
    let frames = case.frames();
    let [PhoneFrame::Welcome { driver, .. }] = frames[..] else { panic!("{frames:?}") };
    assert!(driver.offers.is_empty());
    case.connect(3, None, DELAY_MS);
    let shown = |frame: &&&PhoneFrame| matches!(frame, PhoneFrame::Offer { .. });
    assert!(case.frames().iter().any(|frame| shown(&frame)));
}

#[test]
fn a_ride_that_is_won_meanwhile_takes_it_back_unseen() {
    let mut case = holding();
    let (offer, reason) = (offer_id("r1"), WithdrawReason::Taken);
    case.tell(DriverCommand::Withdraw { offer, reason }, 1_000);
    assert!(case.frames().is_empty() && case.live().is_empty());
    assert_eq!(case.supply().unwrap().live_offers, 0);
    case.wake(DELAY_MS);
    assert!(case.frames().is_empty());
}

#[test]
fn going_offline_frees_it_unseen_and_its_ride_is_told() {
    let mut case = holding();
    case.set_online(false, 1_000);
    assert_eq!(case.refused_to_ride(), [Exclusion::Offline]);
    assert!(case.frames().is_empty());
}

#[test]
fn nobody_can_answer_what_he_has_not_seen() {
    let mut case = holding();
    let unknown = Answer::Refused(Refusal::UnknownOffer);
    case.accept("r1", 1, 1_000);
    assert_eq!(case.answers(), [&unknown]);
    case.decline("r1", 1_000);
    assert_eq!(case.answers(), [&unknown]);
    let said =
        |effect: &Effect| matches!(effect, Effect::ToRide(_, RideCommand::OfferDeclined { .. }));
    assert!(!case.effects.iter().any(said));
    case.accept("r1", 1, DELAY_MS);
    assert!(case.answers().is_empty(), "the ride is asked");
}

#[test]
fn a_machine_that_wakes_too_late_does_not_show_it_any_more() {
    let mut case = holding();
    case.wake(TTL_MS);
    assert!(case.frames().is_empty() && case.live().is_empty());
}
