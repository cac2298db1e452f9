//! A ride of batched mode as sentences: it waits for windows, and everything after is as ever.

use super::case_tests::*;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::effect::Effect;
use crate::grid::{Standing, TagFilter, TierSet};
use crate::matching::{MarketCommand, WindowFacts, WindowMatch, WindowRequest};
use crate::offer::Exclusion;
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook};
use crate::ride::{
    CancelledBy, Candidate, Candidates, PriorityGroup, RankedCandidate, RideCommand, RideEventKind,
    RideMachine, RideStatus, WaveDecision,
};
use crate::units::Meters;

pub(super) fn batched() -> DispatchPolicy {
    DispatchPolicy { mode: DispatchMode::Batched, wave_size: 2, ..policy() }
}

pub(super) fn waiting(policy: DispatchPolicy) -> (Case, WindowRequest) {
    let case = Case::searching(policy, &["near", "next"]);
    let request = case.joined().unwrap();
    (case, request)
}

impl Case {
    pub(super) fn joined(&self) -> Option<WindowRequest> {
        self.effects.iter().find_map(|effect| {
            let Effect::ToMarket(MarketCommand::Join(request)) = effect else { return None };
            Some((**request).clone())
        })
    }

    fn left(&self) -> Option<u64> {
        self.effects.iter().find_map(|effect| {
            let Effect::ToMarket(MarketCommand::Leave { join, .. }) = effect else { return None };
            Some(*join)
        })
    }

    /// The window gives the ride these drivers.
    fn matched(&mut self, request: &WindowRequest, names: &[&str], ms: u64) {
        self.matched_at_costs(request, names, &[], ms);
    }

    /// The same, to be asked at once; they cost so many milliseconds.
    pub(super) fn matched_at_costs(
        &mut self,
        request: &WindowRequest,
        names: &[&str],
        costs_ms: &[i64],
        ms: u64,
    ) {
        let candidate = |name: &&str| RankedCandidate {
            candidate: Candidate {
                driver: driver(name),
                from: request.query.pickup,
                distance: Meters::new(300.0),
                tiers: TierSet::EMPTY.with(0),
                instant_tiers: TierSet::EMPTY,
                tags: TagFilter::default(),
                standing: Standing::default(),
            },
            group: PriorityGroup::Other,
            score: None,
        };
        let candidates = Candidates {
            attempt: request.query.attempt,
            found: names.iter().map(candidate).collect(),
            excluded_counts: BTreeMap::from([(Exclusion::OnRide, 2)]),
            costs_ms: names.iter().map(|name| driver(name)).zip(costs_ms.iter().copied()).collect(),
            window: Some(WindowFacts { number: 9, requests: 4, ..WindowFacts::default() }),
            ..Candidates::default()
        };
        let (ride, join) = (request.ride.clone(), request.join);
        self.tell(RideCommand::Matched(Box::new(WindowMatch { ride, join, candidates })), ms);
    }

    fn written(&self) -> Vec<RideEventKind> {
        let commits = self.effects.iter().filter_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            Some(commit.kind)
        });
        commits.collect()
    }

    fn decision(&self) -> Option<WaveDecision> {
        self.effects.iter().find_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            commit.decision.clone()
        })
    }
}

#[test]
fn a_ride_waits_for_its_window_and_then_makes_the_usual_offer() {
    let (mut case, request) = waiting(batched());
    assert!(case.radii.is_empty() && case.live().is_empty(), "nobody is searched or asked");
    assert_eq!(case.written(), [RideEventKind::RideRequested]);
    assert_eq!(request.waiting_since, START);
    assert_eq!(request.query.radius.get(), f64::from(batched().search_radius_m_max));
    case.matched(&request, &["near"], 2_000);
    assert_eq!((case.live(), case.written()), (vec!["near"], vec![RideEventKind::WaveSent]));
    assert_eq!(case.left(), None, "the matcher has forgotten it with its answer");
    assert_eq!(case.decision().unwrap().window.unwrap().number, 9);
    assert_eq!(case.machine.record().wave, 1);
    case.accept("near", 3_000);
    assert_eq!(case.status(), RideStatus::Assigned);
}

#[test]
fn a_driver_who_declines_or_lets_it_expire_is_left_out_of_the_next_window() {
    let (mut case, request) = waiting(batched());
    case.matched(&request, &["near"], 2_000);
    case.decline("near", 3_000);
    let second = case.joined().unwrap();
    assert!(second.join > request.join && second.query.asked.contains(&driver("near")));
    assert_eq!(case.written(), [RideEventKind::OffersEnded]);
    case.matched(&second, &["next"], 4_000);
    assert_eq!(case.machine.record().wave, 2);
    case.wake(4_000 + batched().offer_ttl_ms);
    let third = case.joined().unwrap();
    assert!(third.query.asked.contains(&driver("next")));
}

#[test]
fn a_match_whose_machine_refuses_is_made_good_by_the_next_window_as_the_same_wave() {
    let (mut case, request) = waiting(batched());
    case.matched(&request, &["near"], 2_000);
    let offer = case.offer_to("near");
    case.tell(RideCommand::OfferRefused { offer, reason: Exclusion::Reserved }, 2_010);
    let second = case.joined().unwrap();
    assert!(second.query.asked.contains(&driver("near")));
    assert!(case.radii.is_empty(), "it does not look for itself");
    case.matched(&second, &["next"], 4_000);
    assert_eq!((case.live(), case.machine.record().wave), (vec!["next"], 1));
}

#[test]
fn a_ride_that_got_nobody_waits_on_and_says_why_once() {
    let (mut case, request) = waiting(batched());
    case.matched(&request, &[], 2_000);
    assert_eq!(case.written(), [RideEventKind::NoCandidates]);
    assert_eq!(case.decision().unwrap().excluded_counts.get(&Exclusion::OnRide), Some(&2));
    let second = case.joined().unwrap();
    case.matched(&second, &[], 4_000);
    assert_eq!(case.persists(), 0);
    assert!(case.joined().is_some());
    assert_eq!(case.machine.record().wave, 0);
}

#[test]
fn without_a_window_a_ride_looks_for_itself_as_in_broadcast_and_then_waits_again() {
    let (mut case, request) = waiting(batched());
    case.tell(RideCommand::WindowUnavailable { join: request.join }, 100);
    assert_eq!(case.live(), ["near", "next"]);
    case.decline("near", 200);
    assert_eq!(case.joined(), None);
    case.decline("next", 300);
    assert!(case.joined().is_some());
}

#[test]
fn an_answer_to_an_older_registration_is_void() {
    let (mut case, request) = waiting(batched());
    case.matched(&request, &[], 2_000);
    case.matched(&request, &["near"], 2_100);
    assert_eq!((case.live().len(), case.persists()), (0, 0));
    case.tell(RideCommand::WindowUnavailable { join: request.join }, 2_200);
    assert!(case.live().is_empty());
}

#[test]
fn a_ride_that_hears_nothing_registers_again_and_takes_the_first_answer() {
    let (mut case, request) = waiting(batched());
    let due = case.machine_due_ms();
    case.wake(due);
    let again = case.joined().unwrap();
    assert_eq!(again.join, request.join);
    case.matched(&again, &["near"], due + 10);
    assert_eq!((case.live(), case.left()), (vec!["near"], Some(request.join)));
}

impl Case {
    fn machine_due_ms(&self) -> u64 {
        use crate::machine::Machine;
        self.machine.next_deadline().unwrap().at.millis_since(START)
    }
}

#[test]
fn a_ride_that_is_called_off_leaves_its_window_and_takes_no_match() {
    let (mut case, request) = waiting(batched());
    case.cancel(CancelledBy::Rider, 500);
    assert_eq!(case.left(), Some(request.join));
    case.matched(&request, &["near"], 600);
    assert_eq!((case.status(), case.persists()), (RideStatus::Cancelled, 0));
}

#[test]
fn the_limits_of_a_search_hold_in_windows_too() {
    let (mut case, request) = waiting(batched());
    case.wake(batched().search_limit_ms);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    assert_eq!(case.left(), Some(request.join));

    let one = DispatchPolicy { wave_count_max: 1, ..batched() };
    let (mut case, request) = waiting(one);
    case.matched(&request, &["near"], 1_000);
    case.decline("near", 2_000);
    assert_eq!(case.status(), RideStatus::Unfulfilled);
    assert_eq!(case.machine.record().reason.as_deref(), Some("wave_limit"));
}

#[test]
fn a_retry_waits_for_a_window_of_its_own() {
    let (mut case, request) = waiting(batched());
    let retry = RideCommand::Retry { tip: None, service_tiers: None, reply: None };
    case.tell(retry, 1_000);
    let second = case.joined().unwrap();
    assert!(second.join > request.join && second.query.attempt == 2);
    case.matched(&request, &["near"], 1_100);
    assert!(case.live().is_empty(), "a match of the attempt before");
    case.matched(&second, &["near"], 1_200);
    assert_eq!(case.live(), ["near"]);
}

#[test]
fn after_a_restart_a_ride_registers_anew() {
    let (mut case, request) = waiting(batched());
    let book = Arc::new(PolicyBook::of(batched()));
    case.machine = RideMachine::restore(case.machine.record().clone(), market(), book);
    case.tell(RideCommand::Resume, 5_000);
    let due = case.machine_due_ms();
    assert!(due <= 5_000 + batched().search_retry_ms);
    case.wake(due);
    assert!(case.joined().unwrap().join > request.join);
}
