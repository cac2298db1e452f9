//! A driver's life, frame by frame, in a vehicle that needs 60 s for every drive.

use super::*;
use crate::driver::hands::Action;
use crate::driver::vehicle::{Leg, Vehicle};
use crate::line::{StandCode, StandLine};
use crate::wire::{Fix, Received, RideStatus};

#[derive(Default)]
struct Cart {
    occupied: bool,
    drives: Vec<Point>,
    released: u32,
    /// The zone it stands in, and the gates it was called to.
    zone: Option<&'static str>,
    gates: Vec<String>,
}

impl Vehicle for Cart {
    fn next_fix_at(&self) -> Option<i64> {
        None
    }
    fn take_fixes(&mut self, _: i64, _: &mut Vec<Fix>) -> u64 {
        0
    }
    fn resume(&mut self, _: i64) {}
    fn drive_to(&mut self, now_ms: i64, to: Point) -> Leg {
        self.drives.push(to);
        Leg { arrive_at_ms: now_ms + 60_000, length_m: 400.0 }
    }
    fn go_to_gate(&mut self, _: i64, zone: &str, gate: &str) -> bool {
        self.gates.push(gate.to_owned());
        self.zone == Some(zone)
    }
    fn waits_at(&self, _: i64) -> Option<&str> {
        self.zone
    }
    fn release(&mut self, _: i64) {
        self.released += 1;
    }
    fn is_occupied(&self) -> bool {
        self.occupied
    }
}

struct Stage {
    machine: DriverMachine,
    cart: Cart,
    otp: Option<String>,
    line: StandLine,
    now_ms: i64,
}

const CONFIRM_MS: i64 = 100_000;

impl Stage {
    fn new() -> Self {
        let machine = DriverMachine::new("d-1".to_owned(), Behaviour::new(1), CONFIRM_MS);
        let (otp, line) = (Some("1234".to_owned()), StandLine::default());
        Self { machine, cart: Cart::default(), otp, line, now_ms: 0 }
    }

    fn with(&mut self, act: impl FnOnce(&mut DriverMachine, i64, &mut Hands<'_>)) -> Vec<Action> {
        let mut out = Vec::new();
        let otp = self.otp.clone();
        let (vehicle, line) = (&mut self.cart, &self.line);
        let mut hands = Hands { vehicle, otp: &|_| otp.clone(), line, out: &mut out };
        act(&mut self.machine, self.now_ms, &mut hands);
        out
    }

    fn frame(&mut self, text: &str) -> Vec<Action> {
        let received = Received::parse(text).unwrap();
        self.with(|machine, now_ms, hands| machine.on_frame(received.frame, now_ms, hands))
    }

    fn wake(&mut self) -> Vec<Action> {
        self.now_ms = self.machine.next_wake().expect("something is due");
        self.with(DriverMachine::on_wake)
    }

    fn update(&mut self, status: &str) -> Vec<Action> {
        self.frame(&format!(r#"{{"type":"ride_updated","ride":{}}}"#, ride("run-5", status)))
    }

    /// Wakes until the first frame is sent, and returns that frame.
    fn next_sent(&mut self) -> ClientFrame {
        loop {
            if let Some(frame) = sent(&self.wake()).into_iter().next() {
                return frame;
            }
        }
    }
}

fn ride(ride_id: &str, status: &str) -> String {
    format!(
        r#"{{"ride_id":"{ride_id}","status":"{status}","pickup":{{"lat":40.75,"lng":-73.98}},
            "dropoff":{{"lat":40.76,"lng":-73.97}},"driver":{{"driver_id":"d-1"}},"version":3}}"#
    )
}

fn offer(offer_id: &str, ride_id: &str) -> String {
    format!(
        r#"{{"type":"offer","seq":1,"offer":{{"offer_id":"{offer_id}","ride_id":"{ride_id}",
            "pickup":{{"lat":40.75,"lng":-73.98}},"pickup_eta_s":0,
            "expires_at":"1970-01-01T00:00:30Z"}}}}"#
    )
}

fn sent(actions: &[Action]) -> Vec<ClientFrame> {
    let frame = |action: &Action| match action {
        Action::Send(frame) => Some(frame.clone()),
        Action::Note(_) => None,
    };
    actions.iter().filter_map(frame).collect()
}

/// An offer id and stage at which the driver has sent an accept for ride `run-5`.
fn accepting() -> Stage {
    let mut stage = Stage::new();
    assert!(sent(&stage.frame(&offer("o-1", "run-5"))).is_empty(), "thinks first");
    let accept = sent(&stage.wake());
    assert_eq!(accept, [ClientFrame::Accept { offer_id: "o-1".into(), fare: None }]);
    assert!((800..29_001).contains(&stage.now_ms));
    stage
}

fn on_ride() -> Stage {
    let mut stage = accepting();
    let won = format!(
        r#"{{"type":"accept_result","offer_id":"o-1","result":"won","ride":{}}}"#,
        ride("run-5", "assigned")
    );
    let began = stage.frame(&won);
    assert!(matches!(&began[0], Action::Note(Note::Began { ride_id, .. }) if ride_id == "run-5"));
    let assigned = format!(r#"{{"type":"assigned","seq":2,"ride":{}}}"#, ride("run-5", "assigned"));
    assert!(stage.frame(&assigned).is_empty(), "told twice, done once");
    stage
}

#[test]
fn a_ride_goes_from_offer_to_completion() {
    let mut stage = on_ride();
    assert_eq!(stage.next_sent(), ClientFrame::Arrived { ride_id: "run-5".into() });
    stage.update("arrived");
    let arrived_ms = stage.now_ms;
    assert_eq!(
        stage.next_sent(),
        ClientFrame::Start { ride_id: "run-5".into(), otp: "1234".into() }
    );
    assert!((20_000..=60_000).contains(&(stage.now_ms - arrived_ms)), "people need time to board");
    stage.update("in_progress");
    assert_eq!(stage.next_sent(), ClientFrame::Complete { ride_id: "run-5".into() });
    stage.update("completed");
    assert_eq!(stage.machine.next_wake(), None);
    assert_eq!((stage.cart.drives.len(), stage.cart.released), (2, 1));
}

#[test]
fn a_lost_accept_frees_the_driver_for_the_next_offer() {
    let mut stage = accepting();
    assert!(stage.frame(&offer("o-2", "run-6")).is_empty(), "one offer at a time");
    stage.frame(r#"{"type":"accept_result","offer_id":"o-1","result":"lost","reason":"taken"}"#);
    assert!(stage.machine.considering.is_some());
}

#[test]
fn whoever_has_won_declines_all_else_as_busy() {
    let mut stage = accepting();
    stage.frame(&offer("o-2", "run-6"));
    let assigned = format!(r#"{{"type":"assigned","seq":2,"ride":{}}}"#, ride("run-5", "assigned"));
    let busy = |offer_id: &str| ClientFrame::Decline { offer_id: offer_id.into(), reason: "busy" };
    assert_eq!(sent(&stage.frame(&assigned)), [busy("o-2")]);
    assert_eq!(sent(&stage.frame(&offer("o-3", "run-7"))), [busy("o-3")]);
}

#[test]
fn an_occupied_cab_declines() {
    let mut stage = Stage::new();
    stage.cart.occupied = true;
    let declined = sent(&stage.frame(&offer("o-1", "run-5")));
    assert_eq!(declined, [ClientFrame::Decline { offer_id: "o-1".into(), reason: "occupied" }]);
}

#[test]
fn an_offer_is_not_answered_before_it_is_visible_nor_after_it_is_withdrawn() {
    let mut stage = Stage::new();
    let hidden = offer("o-1", "run-5")
        .replace(r#""pickup_eta_s":0"#, r#""pickup_eta_s":0,"visible_at":"1970-01-01T00:00:09Z""#);
    stage.frame(&hidden);
    assert!(stage.machine.next_wake().unwrap() >= 9_800);
    assert!(stage.frame(&hidden).is_empty(), "a replayed offer is the same offer");
    stage.frame(r#"{"type":"offer_withdrawn","seq":2,"offer_id":"o-1","reason":"taken"}"#);
    assert_eq!(stage.machine.next_wake(), None);
}

#[test]
fn a_cancelled_ride_sends_the_driver_back_to_idle_for_good() {
    let mut stage = on_ride();
    stage.frame(r#"{"type":"ride_cancelled","seq":3,"ride_id":"run-5","by":"rider","reason":"x"}"#);
    assert_eq!((stage.machine.next_wake(), stage.cart.released), (None, 1));
    let assigned = format!(r#"{{"type":"assigned","seq":2,"ride":{}}}"#, ride("run-5", "assigned"));
    stage.frame(&assigned);
    assert_eq!(stage.machine.next_wake(), None, "a late repeat does not revive it");
}

#[test]
fn an_unconfirmed_stage_is_sent_again_and_given_up_in_the_end() {
    let mut stage = on_ride();
    let arrived = ClientFrame::Arrived { ride_id: "run-5".into() };
    assert_eq!(stage.next_sent(), arrived);
    assert_eq!(sent(&stage.with(DriverMachine::on_reconnected)), std::slice::from_ref(&arrived));
    let mut repeats = 0;
    while stage.machine.next_wake().is_some() {
        repeats += sent(&stage.wake()).iter().filter(|frame| **frame == arrived).count();
    }
    assert_eq!((repeats, stage.cart.released), (4, 1));
}

#[test]
fn a_refused_stage_ends_the_ride_but_a_passing_trouble_does_not() {
    let mut stage = on_ride();
    stage.next_sent();
    stage.frame(r#"{"type":"error","code":"overloaded"}"#);
    stage.frame(r#"{"type":"error","code":"unknown_offer","detail":"a decline came too late"}"#);
    stage.frame(r#"{"type":"error","code":"ride_already_completed","ride_id":"another"}"#);
    assert!(stage.machine.ride().is_some());
    let refused = stage.frame(r#"{"type":"error","code":"ride_already_cancelled"}"#);
    assert!(matches!(&refused[0], Action::Note(Note::Abandoned { stage: "arrived", .. })));
    assert!(stage.machine.ride().is_none());
}

#[test]
fn the_driver_waits_for_the_riders_code() {
    let mut stage = on_ride();
    stage.otp = None;
    stage.next_sent();
    stage.update("arrived");
    for _ in 0..3 {
        assert!(sent(&stage.wake()).is_empty(), "asks again later");
    }
    stage.otp = Some("77".to_owned());
    assert!(matches!(stage.next_sent(), ClientFrame::Start { otp, .. } if otp == "77"));
    assert!(!RideStatus::InProgress.is_terminal());
}

#[test]
fn a_driver_asked_for_a_quote_names_a_fare_and_is_free_until_he_is_chosen() {
    let mut stage = Stage::new();
    let usd = |cents: u32| format!(r#"{{"amount":{cents},"currency":"USD"}}"#);
    let bounds = format!(
        r#""kind":"quote","fare":{},"fare_min":{},"fare_max":{},"pickup_eta_s":0"#,
        usd(1_000),
        usd(1_100),
        usd(1_150)
    );
    stage.frame(&offer("o-1", "run-5").replace(r#""pickup_eta_s":0"#, &bounds));
    let ClientFrame::Accept { fare: Some(fare), .. } = stage.next_sent() else {
        panic!("no fare was named")
    };
    assert!((1_100..=1_150).contains(&fare.amount), "{fare:?}");
    stage.frame(r#"{"type":"accept_result","offer_id":"o-1","result":"quoted"}"#);
    assert!(stage.machine.ride().is_none());
    stage.frame(&format!(r#"{{"type":"assigned","seq":2,"ride":{}}}"#, ride("run-5", "assigned")));
    assert!(stage.machine.ride().is_some());
}

#[test]
fn a_driver_without_a_ride_follows_a_call_to_a_gate_of_his_zone() {
    let call = r#"{"type":"queue_call","seq":1,"zone":"z",
        "call":{"call_id":"c","gate":"g","respond_by":"1970-01-01T00:00:15Z","arrive_by":null}}"#;
    let answer =
        |accept| ClientFrame::QueueRespond { zone: "z".into(), call_id: "c".into(), accept };
    let mut stage = Stage::new();
    stage.cart.zone = Some("z");
    assert_eq!(sent(&stage.frame(call)), [answer(true)]);
    assert_eq!(stage.cart.gates, ["g"]);
    let accepted = call.replace(r#""arrive_by":null"#, r#""arrive_by":"1970-01-01T00:10:00Z""#);
    assert!(stage.frame(&accepted).is_empty(), "he is on his way");
    assert_eq!(sent(&on_ride().frame(call)), [answer(false)]);
}

fn at_a_stand() -> Stage {
    let mut stage = Stage::new();
    stage.cart.zone = Some("z");
    stage.line.join("z", StandCode { ride_id: "run-5".into(), otp: "012345".into() });
    let entered = sent(&stage.with(DriverMachine::on_wake));
    assert_eq!(entered, [ClientFrame::EnterOtp { otp: "012345".into() }]);
    stage
}

#[test]
fn a_rider_at_a_stand_is_on_the_way_once_the_code_is_entered() {
    let mut stage = at_a_stand();
    let won = format!(
        r#"{{"type":"accept_result","offer_id":"o-1","result":"won","ride":{}}}"#,
        ride("run-5", "in_progress")
    );
    stage.frame(&won);
    assert_eq!(stage.next_sent(), ClientFrame::Complete { ride_id: "run-5".into() });
    assert_eq!(stage.line.next("z"), None);
}

#[test]
fn a_driver_who_may_not_take_a_rider_leaves_the_rider_to_the_next() {
    let mut stage = at_a_stand();
    stage.frame(r#"{"type":"error","code":"not_at_zone"}"#);
    assert!(matches!(stage.machine.phase, Phase::Free));
    assert_eq!(stage.line.next("z").unwrap().ride_id, "run-5", "the next driver takes him");
    let mut stage = at_a_stand();
    stage
        .frame(r#"{"type":"accept_result","offer_id":"o-1","result":"lost","reason":"cancelled"}"#);
    assert!(matches!(stage.machine.phase, Phase::Free));
    assert_eq!(stage.line.next("z"), None, "he has gone");
}
