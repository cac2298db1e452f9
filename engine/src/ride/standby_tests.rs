//! The search for a better driver, and who stands by: what each key changes, and every way it ends.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect};
use crate::event::EventKind;
use crate::geo::Position;
use crate::grid::Reading;
use crate::machine::Machine;
use crate::offer::{Exclusion, OfferKind, StandbyOutcome, WithdrawReason};
use crate::policy::{AttemptKind, DispatchMode, DispatchPolicy};
use crate::ride::{
    CancelledBy, ReallocationCause, RideCommand, RideEventKind, RideMachine, RideProgress,
    RideStatus,
};
use crate::time::DeadlineReason;
use crate::units::Money;

const CHECK_MS: u64 = 10_000;

/// The first look comes so long after the start.
const LOOK_MS: u64 = 1_000 + CHECK_MS;

fn searching_better() -> DispatchPolicy {
    DispatchPolicy {
        standby_check_ms: CHECK_MS,
        standby_abort_radius_m: 1_000,
        standby_gain_s: 120,
        standby_hold_ms: 60_000,
        // One metre takes one second.
        detour_factor: 1.0,
        pickup_speed_mps: 1.0,
        offer_ttl_ms: 15_000,
        ..policy()
    }
}

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

impl Case {
    /// A ride that `far` won, who is 2 km away, with these drivers nearer to the pickup.
    fn far_away(policy: DispatchPolicy, better: &[&str]) -> Self {
        let mut case = Self::assigned(policy, &["far"]);
        case.nearby = better.iter().map(|name| driver(name)).collect();
        case.seen = Some(reading(2_000.0, 0));
        case.radii.clear();
        case
    }

    /// The same after the first look, with `b` standing by since [`LOOK_MS`] and a bit.
    fn with_standby(policy: DispatchPolicy) -> Self {
        let mut case = Self::far_away(policy, &["b", "c"]);
        case.wake(LOOK_MS);
        case.accept("b", LOOK_MS + 500);
        assert_eq!(case.standby(), Some("b"));
        case
    }

    fn standby(&self) -> Option<&str> {
        self.machine.record().standby().map(|(_, live)| live.driver.as_str())
    }

    fn assigned_to(&self) -> Option<&str> {
        let assignment = self.machine.record().assignment.as_ref();
        assignment.map(|assignment| assignment.driver.id.as_str())
    }

    fn transitions(&self) -> Vec<RideEventKind> {
        let kinds = self.effects.iter().filter_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            Some(commit.kind)
        });
        kinds.collect()
    }

    fn outcomes(&self) -> Vec<StandbyOutcome> {
        let outcomes = self.effects.iter().filter_map(|effect| {
            let Effect::Publish(event) = effect else { return None };
            let EventKind::Standby { outcome } = event.kind else { return None };
            Some(outcome)
        });
        outcomes.collect()
    }

    /// Why the offer of this driver was taken back in this turn.
    fn withdrawn(&self, name: &str) -> Option<WithdrawReason> {
        self.told(name).into_iter().find_map(|command| {
            let DriverCommand::Withdraw { reason, .. } = command else { return None };
            Some(*reason)
        })
    }

    fn is_called(&self, name: &str) -> bool {
        matches!(self.told(name)[..], [.., DriverCommand::CallStandby { .. }])
    }

    fn gives_back(&mut self, name: &str, ms: u64) {
        self.progress(name, RideProgress::Cancel { reason: None }, ms);
    }

    fn ready(&mut self, name: &str, ms: u64) {
        let (offer, driver) = (self.offer_to(name), driver(name));
        self.tell(RideCommand::StandbyReady { offer, driver }, ms);
    }
}

#[test]
fn by_default_nobody_looks_for_a_better_driver() {
    let case = Case::far_away(policy(), &["b"]);
    assert_eq!(case.machine.next_deadline(), None);
}

#[test]
fn a_far_driver_s_ride_asks_those_who_would_be_there_much_sooner() {
    let mut case = Case::far_away(searching_better(), &["b", "c", "d"]);
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(LOOK_MS), DeadlineReason::StandbyCheck));
    case.wake(LOOK_MS);
    assert_eq!(case.radii, [1_880.0], "two minutes sooner than 2,000 s, at a metre per second");
    let record = case.machine.record();
    assert_eq!(
        case.transitions(),
        [RideEventKind::BetterDriverSearchStarted, RideEventKind::WaveSent]
    );
    assert_eq!((record.status, record.attempt, record.wave), (RideStatus::Assigned, 2, 1));
    assert_eq!(record.policy.attempt, AttemptKind::BetterDriverSearch);
    assert_eq!((case.live(), case.assigned_to()), (vec!["b", "c"], Some("far")));
    assert!(case.machine.record().offers.values().all(|live| live.kind == OfferKind::Standby));
}

#[test]
fn each_key_moves_what_it_is_named_after() {
    let later = DispatchPolicy { standby_check_ms: 30_000, ..searching_better() };
    assert_eq!(Case::far_away(later, &["b"]).machine.next_deadline().unwrap().at, at(31_000));
    let eager = DispatchPolicy { standby_gain_s: 600, ..searching_better() };
    let mut case = Case::far_away(eager, &["b"]);
    case.wake(LOOK_MS);
    assert_eq!(case.radii, [1_400.0]);
    let wide = DispatchPolicy { standby_abort_radius_m: 2_100, ..searching_better() };
    let mut case = Case::far_away(wide, &["b"]);
    case.wake(LOOK_MS);
    assert_eq!((case.radii.len(), case.machine.next_deadline()), (0, None));
    for hold_ms in [30_000, 60_000] {
        let held = DispatchPolicy { standby_hold_ms: hold_ms, ..searching_better() };
        let mut case = Case::with_standby(held);
        let (_, live) = case.machine.record().standby().unwrap();
        assert_eq!(live.expires_at, at(LOOK_MS + 500 + hold_ms));
        let [DriverCommand::AcceptAnswered { answer, .. }] = case.told("b")[..] else { panic!() };
        let expires_at = at(LOOK_MS + 500 + hold_ms);
        assert_eq!(*answer, AcceptAnswer::Standby { expires_at });
        case.wake(LOOK_MS + 500 + hold_ms);
        assert_eq!((case.standby(), case.outcomes()), (None, vec![StandbyOutcome::Expired]));
        assert_eq!(case.withdrawn("b"), Some(WithdrawReason::Expired));
    }
}

#[test]
fn the_first_yes_stands_by_and_the_others_are_let_go() {
    let case = Case::with_standby(searching_better());
    assert_eq!((case.live(), case.assigned_to()), (vec!["b"], Some("far")));
    assert_eq!(case.transitions(), [RideEventKind::StandbyHeld]);
    assert_eq!(case.outcomes(), [StandbyOutcome::Held]);
    assert_eq!(case.withdrawn("c"), Some(WithdrawReason::Taken));
    assert_eq!(case.status(), RideStatus::Assigned);
}

#[test]
fn while_one_stands_by_nobody_else_is_asked() {
    let mut case = Case::with_standby(searching_better());
    case.radii.clear();
    case.wake(LOOK_MS + CHECK_MS);
    assert_eq!((case.radii.len(), case.persists()), (0, 0));
    assert_eq!(case.standby(), Some("b"));
}

#[test]
fn a_repeated_yes_is_answered_as_the_first() {
    let mut case = Case::with_standby(searching_better());
    let (first, version) = (case.effects.clone(), case.version());
    case.accept("b", LOOK_MS + 900);
    let answer = |effects: &[Effect]| {
        effects.iter().find(|effect| matches!(effect, Effect::ToDriver(..))).cloned()
    };
    assert_eq!(answer(&case.effects), answer(&first));
    assert_eq!(case.version(), version);
}

#[test]
fn when_the_driver_cancels_the_standby_is_called_and_has_the_ride_without_a_search() {
    let mut case = Case::with_standby(searching_better());
    let first_otp = case.machine.record().otp.clone();
    case.radii.clear();
    case.gives_back("far", 20_000);
    assert_eq!(
        (case.status(), case.transitions()),
        (RideStatus::Searching, vec![RideEventKind::RideReallocated])
    );
    assert!(case.is_called("b"), "{:?}", case.told("b"));
    let call = case.offer_to("b");
    case.ready("b", 20_050);
    assert_eq!((case.status(), case.assigned_to()), (RideStatus::Assigned, Some("b")));
    assert_eq!(case.transitions(), [RideEventKind::DriverAssigned]);
    assert_eq!(case.outcomes(), [StandbyOutcome::Promoted]);
    assert_eq!(case.radii.len(), 0, "nobody was searched");
    let record = case.machine.record();
    assert_eq!((record.attempt, record.reallocations), (3, 1));
    assert_eq!(record.policy.attempt, AttemptKind::Reallocation);
    assert_ne!(record.otp, first_otp);
    assert_eq!(record.assignment.as_ref().unwrap().offer, call);
    assert!(record.offers.is_empty());
}

#[test]
fn a_stalled_driver_s_ride_goes_to_the_standby() {
    let stalling = DispatchPolicy {
        pickup_check_ms: 4_000,
        pickup_stall_reallocate_checks: 6,
        ..searching_better()
    };
    let mut case = Case::with_standby(stalling);
    let mut ms = LOOK_MS + 500;
    while case.status() == RideStatus::Assigned {
        let due = case.machine.next_deadline().unwrap().at;
        ms = due.millis_since(START);
        case.seen = Some(reading(2_000.0, ms));
        case.wake(ms);
    }
    assert!(case.is_called("b"));
    case.ready("b", ms + 50);
    assert_eq!(case.assigned_to(), Some("b"));
    let cause = case.machine.record().attempts.reallocated[0].cause;
    assert_eq!(cause, ReallocationCause::DriverStalled);
}

#[test]
fn a_standby_who_cannot_come_leaves_the_ride_to_an_ordinary_search() {
    let mut case = Case::with_standby(searching_better());
    case.gives_back("far", 20_000);
    let offer = case.offer_to("b");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::StalePosition }, 20_100);
    assert_eq!(case.transitions(), [RideEventKind::StandbyEnded, RideEventKind::WaveSent]);
    assert_eq!((case.status(), case.live()), (RideStatus::Searching, vec!["c"]));
    assert!(case.machine.record().offers.values().all(|live| live.kind == OfferKind::Ride));
}

#[test]
fn a_standby_who_does_not_answer_is_called_again_and_given_up_at_the_end_of_his_time() {
    let mut case = Case::with_standby(searching_better());
    case.gives_back("far", 20_000);
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(22_000), DeadlineReason::StandbyCall));
    case.wake(22_000);
    assert!(case.is_called("b"));
    case.wake(LOOK_MS + 500 + 60_000);
    assert_eq!(case.outcomes(), [StandbyOutcome::Expired]);
    assert_eq!(case.withdrawn("b"), Some(WithdrawReason::Expired));
    assert_eq!(case.live(), ["c"], "the search goes on");
}

#[test]
fn a_standby_who_leaves_costs_nobody_anything() {
    let mut case = Case::with_standby(searching_better());
    case.decline("b", 15_000);
    assert_eq!((case.standby(), case.outcomes()), (None, vec![StandbyOutcome::Withdrawn]));
    assert_eq!((case.status(), case.assigned_to()), (RideStatus::Assigned, Some("far")));
    case.nearby.push(driver("d"));
    case.wake(LOOK_MS + CHECK_MS);
    assert_eq!(case.live(), ["d"], "the next look asks who was not asked yet");
}

#[test]
fn a_driver_who_comes_near_or_arrives_releases_the_standby() {
    let mut near = Case::with_standby(searching_better());
    near.seen = Some(reading(990.0, LOOK_MS));
    near.wake(LOOK_MS + CHECK_MS);
    assert_eq!(near.machine.next_deadline(), None, "it does not look any more");
    let mut arrived = Case::with_standby(searching_better());
    arrived.progress("far", RideProgress::Arrived, 15_000);
    for case in [near, arrived] {
        assert_eq!((case.standby(), case.outcomes()), (None, vec![StandbyOutcome::Released]));
        assert_eq!(case.withdrawn("b"), Some(WithdrawReason::StandbyReleased));
        assert_eq!(case.assigned_to(), Some("far"));
    }
}

#[test]
fn offers_that_nobody_answered_end_with_the_need_for_them() {
    let mut case = Case::far_away(searching_better(), &["b", "c"]);
    case.wake(LOOK_MS);
    let late = case.offer_to("b");
    case.seen = Some(reading(900.0, LOOK_MS));
    case.wake(LOOK_MS + CHECK_MS);
    assert_eq!(case.withdrawn("b"), Some(WithdrawReason::StandbyReleased));
    assert_eq!(case.outcomes(), [], "nobody stood by");
    case.accept_offer(&late, "b", LOOK_MS + CHECK_MS + 10);
    let [DriverCommand::AcceptAnswered { answer, .. }] = case.told("b")[..] else { panic!() };
    assert_eq!(*answer, AcceptAnswer::Lost(WithdrawReason::Taken));
    let mut lost = Case::far_away(searching_better(), &["b", "c"]);
    lost.wake(LOOK_MS);
    lost.gives_back("far", LOOK_MS + 100);
    assert_eq!(lost.transitions(), [RideEventKind::RideReallocated, RideEventKind::WaveSent]);
    assert!(lost.machine.record().offers.values().all(|live| live.kind == OfferKind::Ride));
}

#[test]
fn a_ride_that_is_cancelled_lets_its_standby_go() {
    let mut case = Case::with_standby(searching_better());
    case.cancel(CancelledBy::Rider, 15_000);
    assert_eq!(case.withdrawn("b"), Some(WithdrawReason::Cancelled));
    assert_eq!(case.outcomes(), [StandbyOutcome::Released]);
    let beyond = DispatchPolicy { reallocations_max: 0, ..searching_better() };
    let mut case = Case::with_standby(beyond);
    case.gives_back("far", 15_000);
    assert_eq!((case.status(), case.live().len()), (RideStatus::Cancelled, 0));
    assert_eq!(case.outcomes(), [StandbyOutcome::Released], "the limits hold for him as well");
}

#[test]
fn a_search_for_a_better_driver_ends_at_its_limits() {
    let brief = DispatchPolicy { search_limit_ms: 25_000, ..searching_better() };
    let mut case = Case::far_away(brief, &[]);
    case.wake(LOOK_MS);
    assert_eq!(
        case.transitions(),
        [RideEventKind::BetterDriverSearchStarted, RideEventKind::NoCandidates]
    );
    case.wake(LOOK_MS + CHECK_MS);
    assert_eq!((case.persists(), case.radii.len()), (0, 2), "another empty look is no history");
    case.wake(LOOK_MS + 2 * CHECK_MS);
    case.wake(LOOK_MS + 3 * CHECK_MS);
    assert_eq!((case.radii.len(), case.machine.next_deadline()), (3, None));
    let once = DispatchPolicy { wave_count_max: 1, ..searching_better() };
    let mut case = Case::far_away(once, &["b", "c", "d"]);
    case.wake(LOOK_MS);
    case.wake(LOOK_MS + 15_000);
    assert_eq!(case.live().len(), 0, "the offers ran out");
    case.wake(LOOK_MS + 2 * CHECK_MS);
    assert_eq!((case.live().len(), case.machine.next_deadline()), (0, None));
}

#[test]
fn a_rider_who_chose_a_driver_keeps_him() {
    let quotes = DispatchPolicy { mode: DispatchMode::Quotes, ..searching_better() };
    let quotes = DispatchPolicy { quotes_auto_assign: true, ..quotes };
    let mut case = Case::searching(quotes, &["far"]);
    let fare = Some(Money { amount: 900, currency: "USD".to_owned() });
    let offer = case.offer_to("far");
    case.quote_offer(&offer, "far", fare, 1_000);
    assert_eq!((case.status(), case.machine.next_deadline()), (RideStatus::Assigned, None));
}

#[test]
fn a_restart_keeps_the_standby_and_calls_him_again_if_the_driver_was_lost() {
    let mut case = Case::with_standby(searching_better());
    let restored = |case: &Case| {
        let policy = crate::policy::PolicyBook::of(searching_better());
        RideMachine::restore(case.machine.record().clone(), market(), policy.into())
    };
    case.machine = restored(&case);
    case.tell(RideCommand::Resume, 15_000);
    let [DriverCommand::Offer { offer, redelivered: true }] = case.told("b")[..] else { panic!() };
    assert!(offer.standby);
    assert_eq!(case.machine.next_deadline().unwrap().at, at(15_000 + CHECK_MS));
    case.gives_back("far", 20_000);
    case.machine = restored(&case);
    case.tell(RideCommand::Resume, 25_000);
    assert!(case.is_called("b"), "{:?}", case.told("b"));
    case.ready("b", 25_100);
    assert_eq!(case.assigned_to(), Some("b"));
}

#[test]
fn a_drop_off_that_changes_asks_the_standby_anew() {
    let mut case = Case::with_standby(searching_better());
    let dropoff = Position::from_degrees(0.6, 0.6).unwrap();
    case.tell(RideCommand::ChangeDropoff { dropoff, reply: None }, 15_000);
    assert_eq!((case.standby(), case.live()), (None, vec!["b"]));
    case.accept("b", 15_500);
    assert_eq!(case.standby(), Some("b"));
    case.gives_back("far", 20_000);
    let dropoff = Position::from_degrees(0.7, 0.7).unwrap();
    case.tell(RideCommand::ChangeDropoff { dropoff, reply: None }, 20_010);
    assert_eq!((case.standby(), case.live()), (None, vec!["b"]));
    case.accept("b", 20_500);
    assert_eq!((case.status(), case.assigned_to()), (RideStatus::Assigned, Some("b")));
}
