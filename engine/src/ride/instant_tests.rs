//! Instant attempts as sentences: who need not be asked comes first, everyone else after.

use super::case_tests::*;

use crate::driver::DriverCommand;
use crate::effect::Effect;
use crate::offer::{Exclusion, OfferKind};
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::{RideCommand, RideEventKind, RideMachine, RideStatus};

fn instant() -> DispatchPolicy {
    DispatchPolicy { mode: DispatchMode::Instant, ..policy() }
}

fn searching(policy: DispatchPolicy, nearby: &[&str], opted_in: &[&str]) -> Case {
    let mut case = Case::new(policy, nearby);
    case.opted_in = opted_in.iter().map(|name| driver(name)).collect();
    case.tell(RideCommand::Request { reply: None }, 0);
    case
}

impl Case {
    fn refused(&mut self, name: &str, reason: Exclusion, ms: u64) {
        let offer = self.offer_to(name);
        self.tell(RideCommand::OfferRefused { offer, reason }, ms);
    }

    fn commits(&self) -> Vec<RideEventKind> {
        let commits = self.effects.iter().filter_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            Some(commit.kind)
        });
        commits.collect()
    }

    fn only_kind(&self) -> OfferKind {
        let kinds: Vec<_> = self.machine.record().offers.values().map(|live| &live.kind).collect();
        assert!(kinds.windows(2).all(|pair| pair[0] == pair[1]));
        kinds[0].clone()
    }
}

#[test]
fn a_driver_who_opted_in_is_tried_alone_before_nearer_ones_who_did_not() {
    let mut case = searching(instant(), &["a", "b", "c"], &["b", "c"]);
    assert_eq!((case.live(), case.only_kind()), (vec!["b"], OfferKind::Instant));
    assert_eq!(case.commits(), [RideEventKind::RideRequested, RideEventKind::InstantOffered]);
    assert_eq!(case.machine.record().wave, 0);
    case.accept("b", 10);
    assert_eq!(case.machine.record().assignment.as_ref().unwrap().driver.id, driver("b"));
    assert_eq!(case.commits(), [RideEventKind::DriverAssigned]);
    assert_eq!(case.machine.record().instant, None);
}

#[test]
fn a_refusal_tries_the_next_and_when_nobody_is_left_waves_follow_at_once() {
    let mut case = searching(instant(), &["a", "b", "c"], &["b", "c"]);
    case.refused("b", Exclusion::NoSession, 10);
    assert_eq!((case.live(), case.only_kind()), (vec!["c"], OfferKind::Instant));
    case.refused("c", Exclusion::OfferPending, 20);
    assert_eq!((case.live(), case.only_kind()), (vec!["a", "b"], OfferKind::Ride));
    assert_eq!(case.commits(), [RideEventKind::InstantEnded, RideEventKind::WaveSent]);
    assert_eq!((case.machine.record().attempt, case.machine.record().wave), (1, 1));
}

#[test]
fn an_instant_offer_that_nobody_answers_gives_way_to_the_next() {
    let mut case = searching(instant(), &["a", "b"], &["a", "b"]);
    assert_eq!(case.live(), ["a"]);
    case.wake(instant().offer_ttl_ms);
    assert_eq!((case.live(), case.only_kind()), (vec!["b"], OfferKind::Instant));
}

#[test]
fn nobody_opted_in_goes_on_as_broadcast_and_says_so() {
    let case = searching(instant(), &["a", "b"], &[]);
    assert_eq!((case.live(), case.only_kind()), (vec!["a", "b"], OfferKind::Ride));
    let kinds =
        [RideEventKind::RideRequested, RideEventKind::InstantEnded, RideEventKind::WaveSent];
    assert_eq!(case.commits(), kinds);
}

#[test]
fn no_more_drivers_are_tried_than_policy_allows() {
    let two = DispatchPolicy { instant_attempts_max: 2, ..instant() };
    let mut case = searching(two, &["a", "b", "c"], &["a", "b", "c"]);
    case.refused("a", Exclusion::Reserved, 10);
    assert_eq!(case.only_kind(), OfferKind::Instant);
    case.refused("b", Exclusion::Reserved, 20);
    assert_eq!(case.only_kind(), OfferKind::Ride);
}

#[test]
fn a_restart_goes_on_where_the_attempt_was() {
    let mut case = searching(instant(), &["a", "b"], &["a", "b"]);
    case.refused("a", Exclusion::NoSession, 10);
    let book = std::sync::Arc::new(crate::policy::PolicyBook::of(instant()));
    case.machine = RideMachine::restore(case.machine.record().clone(), market(), book);
    case.tell(RideCommand::Resume, 1_000);
    assert!(matches!(case.told("b")[..], [DriverCommand::Offer { redelivered: true, .. }]));
    case.refused("b", Exclusion::NoSession, 1_010);
    assert_eq!((case.live(), case.only_kind()), (vec!["a", "b"], OfferKind::Ride));
    assert_eq!(case.status(), RideStatus::Searching);
}

#[test]
fn the_next_attempt_begins_with_those_who_opted_in_again() {
    let mut case = searching(instant(), &["a", "b"], &["b"]);
    case.accept("b", 10);
    let cancel = crate::ride::RideProgress::Cancel { reason: None };
    case.opted_in.push(driver("a"));
    case.progress("b", cancel, 1_000);
    assert_eq!((case.live(), case.only_kind()), (vec!["a"], OfferKind::Instant));
}
