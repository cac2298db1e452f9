//! What a driver who stands by may do, and what may happen to him.

use super::case_tests::*;

use crate::driver::{DriverCommand, PhoneFrame};
use crate::effect::{AcceptAnswer, Answer, Effect};
use crate::grid::DriverStatus;
use crate::id::RideId;
use crate::offer::{Exclusion, Offer, OfferKind, WithdrawReason};
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;

const UNTIL_MS: u64 = 60_000;

fn standby_offer(name: &str) -> Offer {
    Offer { kind: OfferKind::Standby, ..offer(name) }
}

fn held_offer(name: &str) -> Box<Offer> {
    Box::new(Offer { standby: true, expires_at: at(UNTIL_MS), ..standby_offer(name) })
}

fn standby() -> AcceptAnswer {
    AcceptAnswer::Standby { expires_at: at(UNTIL_MS) }
}

impl Case {
    fn asked(&mut self, name: &str, ms: u64) {
        let offer = Box::new(standby_offer(name));
        self.tell(DriverCommand::Offer { offer, redelivered: false }, ms);
    }

    /// A driver who stands by for `r1` until one minute after the start.
    fn standing_by(policy: DispatchPolicy) -> Self {
        let mut case = Self::with(policy);
        case.asked("r1", 0);
        case.accept("r1", 1, 100);
        case.answered("r1", standby(), 110);
        assert_eq!(case.machine.standby_ride().map(RideId::as_str), Some("r1"));
        case
    }

    fn called(&mut self, ms: u64) {
        self.tell(DriverCommand::CallStandby { offer: held_offer("r1") }, ms);
    }

    fn is_ready(&self) -> bool {
        self.effects
            .iter()
            .any(|effect| matches!(effect, Effect::ToRide(_, RideCommand::StandbyReady { .. })))
    }
}

fn heard() -> DispatchPolicy {
    DispatchPolicy { stale_after_ms: 600_000, lost_after_ms: 600_000, ..DispatchPolicy::default() }
}

#[test]
fn who_stands_by_is_told_so_and_gets_no_other_offers() {
    let mut case = Case::with(heard());
    case.offered("r2", 0);
    case.asked("r1", 0);
    case.accept("r1", 1, 100);
    case.answered("r1", standby(), 110);
    assert_eq!(case.answers(), [&Answer::Accept(standby())]);
    assert_eq!((case.live(), case.machine.status()), (vec!["r1"], DriverStatus::Reserved));
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved], "the other ride looks on");
    assert_eq!(case.machine.view().standby_ride, Some(RideId::new("r1").unwrap()));
    case.offered("r3", 200);
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved]);
    case.accept("r1", 2, 300);
    assert_eq!(case.answers(), [&Answer::Accept(standby())]);
}

#[test]
fn when_the_ride_needs_him_he_is_ready_and_then_serves_it() {
    let mut case = Case::standing_by(heard());
    case.called(20_000);
    assert!(case.is_ready());
    case.decline("r1", 20_010);
    assert_eq!(case.live(), ["r1"], "his word is given");
    case.called(22_000);
    assert!(case.is_ready(), "a call that comes again is answered again");
    case.wins("r1", 22_100);
    assert_eq!((case.live().len(), case.machine.status()), (0, DriverStatus::EnRoute));
    assert!(matches!(case.frames()[..], [PhoneFrame::Assigned { .. }]));
}

#[test]
fn a_released_standby_is_told_and_free_at_once() {
    let mut case = Case::standing_by(heard());
    let (offer, reason) = (offer_id("r1"), WithdrawReason::StandbyReleased);
    case.tell(DriverCommand::Withdraw { offer: offer.clone(), reason }, 20_000);
    let [PhoneFrame::OfferWithdrawn { offer: told, reason: why, .. }] = case.frames()[..] else {
        panic!("{:?}", case.frames())
    };
    assert_eq!((told, *why), (&offer, reason));
    assert_eq!(case.machine.status(), DriverStatus::Available);
    assert!(!case.supply().unwrap().cooling_down);
}

#[test]
fn he_may_leave_at_any_time_and_nothing_is_held_against_him() {
    let mut case = Case::standing_by(DispatchPolicy { ratio_history_min: 1, ..heard() });
    case.decline("r1", 20_000);
    assert_eq!((case.live().len(), case.machine.status()), (0, DriverStatus::Available));
    let supply = case.supply().unwrap();
    assert_eq!((supply.standing.acceptance_permille, supply.cooling_down), (1_000, false));
    let mut case = Case::standing_by(heard());
    case.set_online(false, 20_000);
    assert_eq!(case.refused_to_ride(), [Exclusion::Offline]);
    assert_eq!(case.machine.status(), DriverStatus::Offline);
}

#[test]
fn a_no_or_silence_to_standing_by_counts_nowhere() {
    let strict = DispatchPolicy { ratio_history_min: 1, ..heard() };
    for kind in [OfferKind::Standby, OfferKind::Ride] {
        let counts = kind == OfferKind::Ride;
        for silent in [true, false] {
            let mut case = Case::with(strict.clone());
            let offer = Box::new(Offer { kind: kind.clone(), ..offer("r1") });
            case.tell(DriverCommand::Offer { offer, redelivered: false }, 0);
            if silent {
                case.wake(TTL_MS);
            } else {
                case.decline("r1", 100);
            }
            let acceptance = case.supply().unwrap().standing.acceptance_permille;
            assert_eq!(acceptance, if counts { 0 } else { 1_000 }, "{kind:?} {silent}");
        }
    }
}

#[test]
fn one_who_is_out_of_reach_is_not_ready() {
    let silent = DispatchPolicy { stale_after_ms: 5_000, lost_after_ms: 10_000, ..heard() };
    let mut case = Case::standing_by(silent);
    case.called(20_000);
    assert!(!case.is_ready());
    assert_eq!(case.refused_to_ride(), [Exclusion::StalePosition]);
    assert_eq!((case.live().len(), case.machine.status()), (0, DriverStatus::Available));
}

#[test]
fn a_rebuilt_machine_stands_by_again_or_says_why_not() {
    let mut case = Case::with(heard());
    case.tell(DriverCommand::Offer { offer: held_offer("r1"), redelivered: true }, 0);
    assert_eq!(case.machine.standby_ride().map(RideId::as_str), Some("r1"));
    case.tell(DriverCommand::Offer { offer: held_offer("r2"), redelivered: true }, 10);
    assert_eq!(case.refused_to_ride(), [Exclusion::Reserved], "for one ride at a time");
    let mut busy = Case::with(heard());
    busy.offered("r0", 0);
    busy.accept("r0", 1, 10);
    busy.wins("r0", 20);
    busy.tell(DriverCommand::Offer { offer: held_offer("r1"), redelivered: true }, 30);
    assert_eq!(busy.refused_to_ride(), [Exclusion::OnRide]);
    let mut called = Case::with(heard());
    called.called(0);
    assert!(called.is_ready(), "a call finds a machine that has forgotten him");
}

#[test]
fn at_the_end_of_his_time_he_asks_what_became_of_it() {
    let mut case = Case::standing_by(heard());
    case.wake(UNTIL_MS);
    let asks =
        |effect: &Effect| matches!(effect, Effect::ToRide(_, RideCommand::OfferAccepted { .. }));
    assert!(case.effects.iter().any(asks));
    assert_eq!(case.live(), ["r1"], "the ride decides when it is over");
}
