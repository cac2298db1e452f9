//! Rides taken by a one-time password, as sentences.

use std::sync::Arc;

use super::case_tests::*;
use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Outbox};
use crate::id::ServiceTierId;
use crate::machine::Machine;
use crate::market::Market;
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook};
use crate::ride::{OtpEntry, RideCommand, RideMachine, RideStatus};
use crate::time::DeadlineReason;
use crate::units::Meters;
use crate::zone::{StandingOffer, ZoneCommand, Zones};

fn zoned() -> Arc<Market> {
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "geometry":{"type":"Polygon","coordinates":
            [[[0.49,0.49],[0.51,0.49],[0.51,0.51],[0.49,0.51],[0.49,0.49]]]},
        "properties":{"id":"z","name":"Z","otp":true}}]}"#;
    let market = Market::clone(&market());
    Arc::new(market.with_zones(Zones::from_geojson(text).unwrap()).unwrap())
}

struct Waiting {
    machine: RideMachine,
    effects: Vec<Effect>,
}

impl Waiting {
    fn new() -> Self {
        let policy = DispatchPolicy {
            mode: DispatchMode::Otp,
            otp_limit_ms: 60_000,
            ..DispatchPolicy::default()
        };
        let book = Arc::new(PolicyBook::of(policy));
        let machine = RideMachine::new(request(None), zoned(), book);
        let mut waiting = Self { machine, effects: Vec::new() };
        waiting.tell(RideCommand::Request { reply: None }, 0);
        waiting
    }

    fn tell(&mut self, command: RideCommand, ms: u64) {
        let mut out = Outbox::default();
        self.machine.handle(command, at(ms), &mut out);
        self.effects = out.drain().collect();
    }

    fn standing(&self) -> Option<Arc<StandingOffer>> {
        self.effects.iter().find_map(|effect| {
            let Effect::ToZone(_, ZoneCommand::Waits { ride }) = effect else { return None };
            ride.standing.clone()
        })
    }

    fn enter(&mut self, name: &str, standing: &StandingOffer, otp: &str, ms: u64) {
        let entry = OtpEntry {
            offer: standing.offer.clone(),
            driver: driver(name),
            vehicle: Arc::from("{}"),
            service_tier: ServiceTierId::new("economy").unwrap(),
            distance: Meters::new(50.0),
            otp: otp.to_owned(),
        };
        self.tell(RideCommand::OtpEntered(entry), ms);
    }

    fn commits(&self) -> usize {
        let persists = |effect: &&Effect| matches!(effect, Effect::PersistRide(_));
        self.effects.iter().filter(persists).count()
    }

    fn won(&self) -> Option<bool> {
        self.effects.iter().find_map(|effect| {
            let Effect::ToDriver(_, DriverCommand::AcceptAnswered { answer, .. }) = effect else {
                return None;
            };
            Some(matches!(answer, AcceptAnswer::Won(_)))
        })
    }
}

#[test]
fn nobody_is_searched_and_the_zone_is_told() {
    let waiting = Waiting::new();
    let searches = |effect: &Effect| matches!(effect, Effect::FindCandidates(_));
    assert!(!waiting.effects.iter().any(searches));
    let standing = waiting.standing().unwrap();
    assert_eq!(Some(&standing.otp), waiting.machine.record().otp.as_ref());
    let due = waiting.machine.next_deadline().unwrap();
    assert_eq!((due.at, due.reason), (at(15_000), DeadlineReason::ZoneRetell));
}

#[test]
fn the_driver_who_enters_it_is_assigned_and_under_way_in_one_transition() {
    let mut waiting = Waiting::new();
    let standing = waiting.standing().unwrap();
    waiting.enter("d", &standing, &standing.otp, 5_000);
    let record = waiting.machine.record();
    assert_eq!((record.status, waiting.commits()), (RideStatus::InProgress, 1));
    assert_eq!((record.arrived_at, record.started_at), (Some(at(5_000)), Some(at(5_000))));
    assert_eq!(waiting.won(), Some(true));
    let gone =
        |effect: &Effect| matches!(effect, Effect::ToZone(_, ZoneCommand::WaitsNoMore { .. }));
    assert!(waiting.effects.iter().any(gone));
}

#[test]
fn entered_twice_it_has_one_effect_and_a_second_driver_loses() {
    let mut waiting = Waiting::new();
    let standing = waiting.standing().unwrap();
    waiting.enter("d", &standing, &standing.otp, 5_000);
    waiting.enter("d", &standing, &standing.otp, 5_100);
    assert_eq!((waiting.commits(), waiting.won()), (0, Some(true)));
    waiting.enter("e", &standing, &standing.otp, 5_200);
    assert_eq!((waiting.commits(), waiting.won()), (0, Some(false)));
}

#[test]
fn a_wrong_password_or_one_from_before_wins_nothing() {
    let mut waiting = Waiting::new();
    let old = waiting.standing().unwrap();
    waiting.enter("d", &old, "nothing", 1_000);
    assert_eq!(waiting.won(), Some(false));
    waiting.tell(RideCommand::Retry { tip: None, service_tiers: None, reply: None }, 2_000);
    assert_ne!(waiting.standing().unwrap().otp, old.otp);
    waiting.enter("d", &old, &old.otp, 3_000);
    assert_eq!(
        (waiting.won(), waiting.machine.record().status),
        (Some(false), RideStatus::Searching)
    );
}

#[test]
fn a_password_that_another_ride_at_the_zone_has_is_drawn_anew() {
    let mut waiting = Waiting::new();
    let first = waiting.standing().unwrap();
    waiting.tell(RideCommand::OtpTaken { otp: first.otp.clone() }, 100);
    let second = waiting.standing().unwrap();
    assert_ne!(second.otp, first.otp);
    waiting.tell(RideCommand::OtpTaken { otp: first.otp.clone() }, 200);
    assert_eq!(
        waiting.machine.record().otp.as_ref(),
        Some(&second.otp),
        "an old word changes nothing"
    );
}

#[test]
fn it_expires() {
    let mut waiting = Waiting::new();
    let mut out = Outbox::default();
    waiting.machine.on_deadline(at(60_000), &mut out);
    let record = waiting.machine.record();
    assert_eq!(record.status, RideStatus::Unfulfilled);
    assert_eq!(record.reason.as_deref(), Some("otp_expired"));
}
