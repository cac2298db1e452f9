//! The queue of a zone as sentences.

use std::sync::Arc;

use super::{
    LeaveReason, PositionRange, QueueMachine, QueueNews, QueueOrder, WaitingRide, ZoneCommand,
    ZoneCommit, ZoneEventKind, Zones,
};
use crate::driver::DriverCommand;
use crate::effect::{Answer, Effect, Outbox, Refusal, ReplyTo};
use crate::id::{CallId, DriverId, GateId, MarketId, RideId, ServiceTierId};
use crate::machine::Machine;
use crate::time::{DeadlineReason, Timestamp};

const ZONE: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","geometry":{"type":"Polygon","coordinates":
        [[[0,0],[0.01,0],[0.01,0.01],[0,0.01],[0,0]]]},
     "properties":{"id":"z","name":"Z","otp":true,
        "queue":{"skips_max":1,"rejoin_after_ms":60000,"respond_ms":15000,"arrive_ms":100000,
            "call_cooldown_ms":300000},
        "gates":[{"id":"g","kind":"pickup","lat":0.005,"lng":0.005,
            "service_tiers":{"standard":{"demand_min":2,"drivers_min":1,"drivers_max":2}}}]}}]}"#;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

fn id(name: &str) -> DriverId {
    DriverId::new(name).unwrap()
}

fn tier(name: &str) -> ServiceTierId {
    ServiceTierId::new(name).unwrap()
}

struct Case {
    machine: QueueMachine,
    effects: Vec<Effect>,
}

impl Case {
    fn new() -> Self {
        let zones = Zones::from_geojson(ZONE).unwrap();
        let zone = zones.iter().next().unwrap();
        let machine = QueueMachine::new(MarketId::new("m").unwrap(), Arc::clone(zone));
        Self { machine, effects: Vec::new() }
    }

    /// A queue of drivers who came one second after the other.
    fn of(drivers: &[&str]) -> Self {
        let mut case = Self::new();
        for (n, driver) in drivers.iter().enumerate() {
            case.join(driver, n as u64 * 1_000);
        }
        case
    }

    fn tell(&mut self, command: ZoneCommand, ms: u64) {
        let mut out = Outbox::default();
        self.machine.handle(command, at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    fn wake(&mut self, ms: u64) {
        let mut out = Outbox::default();
        self.machine.on_deadline(at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    fn join_as(&mut self, driver: &str, tiers: &[&str], came_ms: u64, ms: u64) {
        let tiers = tiers.iter().map(|name| tier(name)).collect();
        let (driver, gate, asked_at) = (id(driver), None, at(ms));
        self.tell(ZoneCommand::Join { driver, tiers, at: at(came_ms), gate, asked_at }, ms);
    }

    fn join(&mut self, driver: &str, ms: u64) {
        self.join_as(driver, &["standard"], ms, ms);
    }

    fn leave(&mut self, driver: &str, reason: LeaveReason, ms: u64) {
        self.tell(ZoneCommand::Leave { driver: id(driver), reason, asked_at: at(ms) }, ms);
    }

    fn skip(&mut self, driver: &str, ms: u64) {
        self.tell(ZoneCommand::Skipped { driver: id(driver) }, ms);
    }

    fn add(&mut self, driver: &str, position: Option<usize>, ms: u64) {
        let (tiers, service_tier, reply) = (vec![tier("standard")], tier("standard"), None);
        let driver = id(driver);
        self.tell(ZoneCommand::Add { driver, tiers, service_tier, position, reply }, ms);
    }

    fn waits(&mut self, ride: &str, ms: u64) {
        let ride = Arc::new(WaitingRide {
            ride: RideId::new(ride).unwrap(),
            tiers: vec![tier("standard")],
            gate: Some(GateId::new("g").unwrap()),
            until: at(10_000_000),
            standing: None,
        });
        self.tell(ZoneCommand::Waits { ride }, ms);
    }

    fn order(&self) -> Vec<&str> {
        self.machine.record().entries.iter().map(|entry| entry.driver.as_str()).collect()
    }

    fn commits(&self) -> Vec<&ZoneCommit> {
        let effects = self.effects.iter();
        let commits = effects.filter_map(|effect| {
            let Effect::PersistZone(commit) = effect else { return None };
            Some(&**commit)
        });
        commits.collect()
    }

    fn kinds(&self) -> Vec<ZoneEventKind> {
        self.commits().into_iter().map(|commit| commit.kind).collect()
    }

    fn news(&self, driver: &str) -> Vec<&QueueNews> {
        let news = self.effects.iter().filter_map(|effect| {
            let Effect::ToDriver(to, DriverCommand::Queue { news, .. }) = effect else {
                return None;
            };
            (*to == id(driver)).then_some(news)
        });
        news.collect()
    }

    fn called(&self) -> Vec<(&str, CallId)> {
        let entries = self.machine.record().entries.iter();
        let call = |entry: &super::QueueEntry| entry.call.as_ref().map(|call| call.id.clone());
        entries.filter_map(|entry| Some((entry.driver.as_str(), call(entry)?))).collect()
    }

    fn range(&self, driver: &str, of: &str) -> Option<PositionRange> {
        let order = QueueOrder::of(Arc::new(self.machine.record().clone()));
        order.range(&id(driver), &tier(of))
    }
}

#[test]
fn first_come_is_first_served_even_when_his_message_comes_second() {
    let mut case = Case::new();
    case.join_as("late", &["standard"], 2_000, 2_000);
    case.join_as("early", &["standard"], 1_000, 2_500);
    assert_eq!(case.order(), ["early", "late"]);
    case.join_as("same", &["standard"], 1_000, 3_000);
    assert_eq!(case.order(), ["early", "same", "late"], "of two at one instant who asked first");
}

#[test]
fn a_driver_who_asks_twice_has_one_place_and_keeps_it() {
    let mut case = Case::of(&["a", "b"]);
    case.join("a", 9_000);
    assert_eq!(case.order(), ["a", "b"]);
    assert!(case.commits().is_empty(), "nothing changed");
    assert!(matches!(case.news("a")[..], [QueueNews::Placed { asked_at: Some(_), .. }]));
}

#[test]
fn each_tier_has_its_own_queue_of_the_same_drivers() {
    let mut case = Case::new();
    case.join_as("a", &["standard"], 0, 0);
    case.join_as("b", &["standard", "xl"], 1, 1);
    case.join_as("c", &["xl"], 2, 2);
    let range = |from, to, size| Some(PositionRange { from, to, size });
    assert_eq!(case.range("b", "standard"), range(1, 2, 2));
    assert_eq!(case.range("c", "xl"), range(1, 2, 2));
    assert_eq!(case.range("a", "xl"), None);
}

#[test]
fn a_position_is_told_as_a_range() {
    let names: Vec<String> = (0..10).map(|n| format!("d{n}")).collect();
    let case = Case::of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let range = |from, to| Some(PositionRange { from, to, size: 10 });
    assert_eq!(case.range("d0", "standard"), range(1, 3));
    assert_eq!(case.range("d5", "standard"), range(4, 8));
    assert_eq!(case.range("d9", "standard"), range(8, 10));
}

#[test]
fn nothing_is_told_or_shown_before_it_is_durable() {
    let mut case = Case::new();
    case.join("a", 0);
    let persisted =
        case.effects.iter().position(|effect| matches!(effect, Effect::PersistZone(_))).unwrap();
    assert_eq!(persisted, 0, "the shell holds back what comes with it");
    assert_eq!(case.commits()[0].record.version, 1);
    let restored =
        QueueMachine::restore((*case.commits()[0].record).clone(), Arc::clone(&case.machine.zone));
    assert_eq!(restored.record(), case.machine.record());
}

#[test]
fn a_queue_that_resumes_keeps_its_order_and_tells_its_drivers() {
    let mut case = Case::of(&["a", "b"]);
    let record = case.machine.record().clone();
    case.machine = QueueMachine::restore(record, Arc::clone(&case.machine.zone));
    case.tell(ZoneCommand::Resume, 5_000);
    assert_eq!(case.order(), ["a", "b"]);
    for driver in ["a", "b"] {
        assert!(matches!(case.news(driver)[..], [QueueNews::Placed { asked_at: None, .. }]));
    }
    assert!(case.effects.iter().any(|effect| matches!(effect, Effect::PublishQueue(..))));
}

#[test]
fn one_skip_too_many_costs_the_place_until_he_has_left_the_zone() {
    let mut case = Case::of(&["a", "b"]);
    case.skip("a", 3_000);
    assert_eq!((case.order(), case.kinds()), (vec!["a", "b"], vec![ZoneEventKind::Skipped]));
    case.skip("a", 4_000);
    let lost = ZoneEventKind::Left(LeaveReason::SkipThresholdReached);
    assert_eq!((case.order(), case.kinds()), (vec!["b"], vec![lost]));
    case.join("a", 5_000);
    assert_eq!(case.order(), ["b"]);
    let barred = LeaveReason::Barred;
    assert!(matches!(case.news("a")[..],
        [QueueNews::Removed { reason, barred_until: Some(_), .. }] if *reason == barred));
    case.leave("a", LeaveReason::LeftZone, 6_000);
    case.join("a", 7_000);
    assert_eq!(case.order(), ["b", "a"]);
}

#[test]
fn the_bar_ends_by_itself() {
    let mut case = Case::of(&["a"]);
    let remove = ZoneCommand::Remove { driver: id("a"), note: None, reply: None };
    case.tell(remove, 1_000);
    case.join("a", 60_999);
    assert_eq!(case.order(), Vec::<&str>::new());
    case.join("a", 61_000);
    assert_eq!(case.order(), ["a"]);
}

#[test]
fn a_person_places_a_driver_anywhere_and_moves_nobody_else() {
    let mut case = Case::of(&["a", "b", "c"]);
    case.add("d", Some(2), 9_000);
    assert_eq!(case.order(), ["a", "d", "b", "c"]);
    case.add("c", Some(1), 9_500);
    assert_eq!(case.order(), ["c", "a", "d", "b"]);
    case.add("a", None, 9_900);
    assert_eq!(case.order(), ["c", "d", "b", "a"]);
    case.join("e", 10_000);
    assert_eq!(case.order(), ["c", "d", "b", "a", "e"]);
    assert!(case.machine.record().entries.is_sorted_by_key(|entry| entry.ranked_at));
}

#[test]
fn a_driver_whom_a_person_placed_elsewhere_does_not_lose_his_place_by_not_being_there() {
    let mut case = Case::new();
    case.add("a", None, 0);
    case.leave("a", LeaveReason::LeftZone, 1_000);
    assert_eq!(case.order(), ["a"]);
    case.join("a", 2_000);
    assert_eq!(case.kinds(), [ZoneEventKind::Confirmed]);
    case.leave("a", LeaveReason::LeftZone, 3_000);
    assert!(case.order().is_empty());
}

#[test]
fn taking_out_a_driver_who_has_no_place_is_refused() {
    let mut case = Case::new();
    let reply = Some(ReplyTo(1));
    case.tell(ZoneCommand::Remove { driver: id("a"), note: None, reply }, 0);
    let refused = Effect::Answer(ReplyTo(1), Answer::Refused(Refusal::NotQueued));
    assert_eq!(case.effects, [refused]);
}

#[test]
fn demand_at_a_gate_without_drivers_calls_the_next_ones_in_order() {
    let mut case = Case::of(&["a", "b", "c"]);
    case.waits("r1", 5_000);
    assert!(case.called().is_empty(), "one waiting ride is below the threshold");
    case.waits("r1", 6_000);
    assert!(case.called().is_empty(), "the same ride counts once");
    case.waits("r2", 7_000);
    let called: Vec<&str> = case.called().into_iter().map(|(driver, _)| driver).collect();
    assert_eq!(called, ["a", "b"], "up to the gate's maximum");
    assert!(matches!(case.news("a")[..], [QueueNews::Called { .. }]));
    let due = case.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(22_000), DeadlineReason::GateCall));
}

#[test]
fn a_call_that_nobody_answers_counts_as_a_skip_and_rests() {
    let mut case = Case::of(&["a", "b", "c"]);
    case.waits("r1", 5_000);
    case.waits("r2", 5_000);
    case.wake(20_000);
    let skips: Vec<u32> = case.machine.record().entries.iter().map(|entry| entry.skips).collect();
    assert_eq!(skips, [1, 1, 0]);
    let called: Vec<&str> = case.called().into_iter().map(|(driver, _)| driver).collect();
    assert_eq!(called, ["c"], "those who rest are not called again");
    assert!(matches!(case.news("a")[..], [QueueNews::CallOver { .. }]));
}

#[test]
fn who_says_yes_and_does_not_come_in_time_is_the_last() {
    let mut case = Case::of(&["a", "b", "c"]);
    case.waits("r1", 5_000);
    case.waits("r2", 5_000);
    let (_, call) = case.called().remove(0);
    let yes = ZoneCommand::Respond { driver: id("a"), call, accept: true, reply: None };
    case.tell(yes.clone(), 6_000);
    assert_eq!(case.kinds(), [ZoneEventKind::CallAccepted]);
    case.tell(yes, 7_000);
    assert!(case.kinds().is_empty(), "the answer that came first stands");
    case.wake(20_000);
    case.wake(106_000);
    assert_eq!(case.order(), ["b", "c", "a"]);
    assert_eq!(case.machine.record().entries[2].skips, 1);
}

#[test]
fn who_reaches_the_gate_has_followed_the_call_and_counts_as_supply() {
    let mut case = Case::of(&["a", "b", "c"]);
    case.waits("r1", 5_000);
    case.waits("r2", 5_000);
    let gate = Some(GateId::new("g").unwrap());
    case.tell(ZoneCommand::AtGate { driver: id("a"), gate }, 8_000);
    assert_eq!(case.called().len(), 1, "only the other one's call is left");
    assert_eq!(case.machine.record().entries[0].skips, 0);
    case.wake(20_000);
    assert_eq!(case.called().len(), 0, "one driver at the gate is enough");
}

#[test]
fn no_more_demand_calls_nobody() {
    let mut case = Case::of(&["a"]);
    case.waits("r1", 5_000);
    case.tell(ZoneCommand::WaitsNoMore { ride: RideId::new("r1").unwrap() }, 5_500);
    case.waits("r2", 6_000);
    assert!(case.called().is_empty());
}
