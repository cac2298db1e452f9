//! Dispatch windows as sentences: who is in which, and when it closes.

use super::case_tests::*;

use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::grid::Grid;
use crate::id::MarketId;
use crate::machine::Machine;
use crate::matching::{MarketCommand, MarketMachine, WindowQuery, match_window};
use crate::policy::DispatchPolicy;
use crate::ride::RideCommand;

struct Case {
    machine: MarketMachine,
    effects: Vec<Effect>,
}

fn fixed() -> DispatchPolicy {
    DispatchPolicy { batch_window_ms: 5_000, batch_window_ms_min: 5_000, ..policy() }
}

impl Case {
    fn new() -> Self {
        let machine = MarketMachine::new(MarketId::new("m").unwrap(), START);
        Self { machine, effects: Vec::new() }
    }

    fn tell(&mut self, command: MarketCommand, ms: u64) {
        let mut out = Outbox::default();
        self.machine.handle(command, at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    fn join(&mut self, name: &str, ms: u64) {
        let request = join(&fixed(), name, 0.0, ms);
        self.tell(MarketCommand::Join(Box::new(request)), ms);
    }

    fn wake(&mut self, ms: u64) {
        let mut out = Outbox::default();
        self.machine.on_deadline(at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    fn due_ms(&self) -> Option<u64> {
        self.machine.next_deadline().map(|deadline| deadline.at.millis_since(START))
    }

    /// The window that was handed out in this turn.
    fn window(&self) -> Option<WindowQuery> {
        self.effects.iter().find_map(|effect| {
            let Effect::MatchWindow(query) = effect else { return None };
            Some((**query).clone())
        })
    }

    fn rides(&self) -> Vec<String> {
        let window = self.window().unwrap();
        window.requests.iter().map(|request| request.ride.to_string()).collect()
    }

    /// Who is told something in this turn, and whether to look for itself.
    fn told(&self) -> Vec<(String, bool)> {
        let told = self.effects.iter().filter_map(|effect| {
            let Effect::ToRide(ride, command) = effect else { return None };
            let alone = matches!(command, RideCommand::WindowUnavailable { .. });
            assert!(alone || matches!(command, RideCommand::Matched(_)));
            Some((ride.to_string(), alone))
        });
        told.collect()
    }

    fn bypassed(&self) -> Option<(u32, &'static str)> {
        self.effects.iter().find_map(|effect| {
            let Effect::Publish(event) = effect else { return None };
            let EventKind::WindowBypassed { rides, reason } = event.kind else { return None };
            Some((rides, reason))
        })
    }

    fn matched(&mut self, window: WindowQuery, ms: u64) {
        let outcome = match_window(&grid(), None, window);
        self.tell(MarketCommand::Matched(Box::new(outcome)), ms);
    }
}

#[test]
fn a_window_closes_so_long_after_its_first_request_with_all_that_came() {
    let mut case = Case::new();
    assert_eq!(case.due_ms(), None);
    case.join("a", 1_000);
    case.join("b", 4_000);
    assert_eq!(case.due_ms(), Some(6_000));
    case.wake(5_999);
    assert_eq!(case.window(), None);
    case.wake(6_000);
    assert_eq!(
        (case.rides(), case.window().unwrap().closed_at),
        (vec!["a".into(), "b".into()], at(6_000))
    );
    assert_eq!((case.due_ms(), case.machine.waiting()), (None, 0));
}

#[test]
fn requests_that_come_while_a_window_is_matched_wait_for_the_next() {
    let mut case = Case::new();
    case.join("a", 0);
    case.wake(5_000);
    let window = case.window().unwrap();
    case.join("b", 5_001);
    assert_eq!((case.machine.waiting(), case.due_ms()), (1, None));
    case.wake(11_000);
    assert_eq!(case.window(), None, "one window is matched at a time");
    case.matched(window.clone(), 11_000);
    assert_eq!(case.told(), [("a".to_owned(), false)]);
    assert_eq!(case.due_ms(), Some(10_001));
    case.wake(11_000);
    assert_eq!(case.rides(), ["b"]);
    assert!(case.window().unwrap().number > window.number);
}

#[test]
fn who_leaves_is_in_no_window_and_hears_of_none() {
    let mut case = Case::new();
    for name in ["a", "b", "c"] {
        case.join(name, 0);
    }
    case.tell(MarketCommand::Leave { ride: ride("a"), join: at(0).as_millis() }, 100);
    case.tell(MarketCommand::Leave { ride: ride("b"), join: at(0).as_millis() - 1 }, 100);
    case.wake(5_000);
    assert_eq!(case.rides(), ["b", "c"], "the leave of an older registration is void");
    let window = case.window().unwrap();
    case.tell(MarketCommand::Leave { ride: ride("c"), join: at(0).as_millis() }, 5_001);
    case.matched(window, 5_002);
    assert_eq!(case.told(), [("b".to_owned(), false)]);
}

#[test]
fn who_registers_again_keeps_his_window_and_is_not_in_two() {
    let mut case = Case::new();
    let request = join(&fixed(), "a", 0.0, 0);
    case.tell(MarketCommand::Join(Box::new(request.clone())), 0);
    case.tell(MarketCommand::Join(Box::new(request.clone())), 3_000);
    assert_eq!(case.due_ms(), Some(5_000));
    case.wake(5_000);
    case.tell(MarketCommand::Join(Box::new(request)), 5_001);
    assert_eq!(case.machine.waiting(), 0);
}

#[test]
fn a_full_window_sends_rides_to_look_for_themselves_and_counts_them() {
    let mut case = Case::new();
    case.machine = MarketMachine::new(MarketId::new("m").unwrap(), START).with_room_for(2);
    for name in ["a", "b"] {
        case.join(name, 0);
    }
    case.join("b", 1);
    assert_eq!(case.told(), []);
    case.join("c", 2);
    assert_eq!((case.told(), case.bypassed()), (vec![("c".to_owned(), true)], Some((1, "full"))));
    assert_eq!(case.machine.waiting(), 2);
}

#[test]
fn a_window_that_is_not_matched_sends_all_of_its_rides_to_look_for_themselves() {
    let mut case = Case::new();
    for name in ["a", "b"] {
        case.join(name, 0);
    }
    case.wake(5_000);
    let number = case.window().unwrap().number;
    case.tell(MarketCommand::Failed { number: number + 1 }, 5_001);
    assert_eq!(case.told(), []);
    case.tell(MarketCommand::Failed { number }, 5_002);
    assert_eq!(case.told(), [("a".to_owned(), true), ("b".to_owned(), true)]);
    assert_eq!(case.bypassed(), Some((2, "failed")));
}

#[test]
fn the_outcome_of_a_window_of_another_life_is_void() {
    let mut case = Case::new();
    case.join("a", 0);
    case.wake(5_000);
    let window = case.window().unwrap();
    case.machine = MarketMachine::new(MarketId::new("m").unwrap(), at(6_000));
    case.matched(window.clone(), 6_001);
    assert_eq!(case.told(), []);
    case.join("a", 6_002);
    case.wake(11_002);
    assert!(case.window().unwrap().number > window.number);
}

#[test]
fn windows_are_longer_after_riders_got_nobody_and_shorter_again_after_drivers_were_near() {
    let adaptive =
        DispatchPolicy { batch_window_ms: 8_000, batch_window_ms_min: 1_000, ..policy() };
    let (mut case, supply, mut now_ms) = (Case::new(), grid(), 0);
    let mut window_of = |case: &mut Case, supply: &Grid, rides: usize| {
        let began_ms = now_ms;
        for n in 0..rides {
            let request = join(&adaptive, &format!("{now_ms}-{n}"), 0.0, now_ms);
            case.tell(MarketCommand::Join(Box::new(request)), now_ms);
        }
        now_ms = case.due_ms().unwrap();
        case.wake(now_ms);
        let outcome = match_window(supply, None, case.window().unwrap());
        case.tell(MarketCommand::Matched(Box::new(outcome)), now_ms);
        now_ms - began_ms
    };
    assert_eq!(window_of(&mut case, &supply, 1), 1_000);
    assert_eq!(window_of(&mut case, &supply, 1), 8_000, "the only rider so far got nobody");
    let supply_at = |east_m: f64| {
        let supply = grid();
        (0..100).for_each(|n| put(&supply, &format!("d-{n}"), east_m));
        supply
    };
    assert_eq!(window_of(&mut case, &supply_at(10.0), 40), 8_000);
    assert_eq!(window_of(&mut case, &supply_at(95.0), 80), 1_000, "drivers were 10 s away");
    let between_ms = window_of(&mut case, &supply_at(10.0), 80);
    assert!((2_000..6_000).contains(&between_ms), "most were 95 s away: {between_ms}");
    assert_eq!(window_of(&mut case, &supply, 1), 1_000);
}
