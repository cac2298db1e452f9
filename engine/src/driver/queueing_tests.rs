//! A driver and the queues of zones, as sentences.

use std::sync::Arc;

use super::case_tests::{Case, at, market, offer, profile, ride, tier};
use crate::driver::{DriverCommand, DriverMachine, DriverRecord, DriverStats, RiderBlocks};
use crate::effect::{Answer, Asker, Effect, Outbox, Refusal, ReplyTo};
use crate::geo::Position;
use crate::grid::{DriverSlot, Fix, FixLimits};
use crate::id::{DriverId, ZoneId};
use crate::machine::Machine;
use crate::market::Market;
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::{CancelledBy, RideNeeds, RidePlaces, RideRecord, RideStatus};
use crate::time::Timestamp;
use crate::zone::{LeaveReason, QueueNews, ZoneCommand, Zones};

const INSIDE: (f64, f64) = (0.5, 0.5);
const OUTSIDE: (f64, f64) = (0.52, 0.5);

fn zoned() -> Arc<Market> {
    let text = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
        "geometry":{"type":"Polygon","coordinates":
            [[[0.49,0.49],[0.51,0.49],[0.51,0.51],[0.49,0.51],[0.49,0.49]]]},
        "properties":{"id":"z","name":"Z","otp":true,"open_market":false,
            "queue":{"entry_fixes":2,"exit_fixes":3,"silent_ms":60000}}}]}"#;
    let market = Market::clone(&market());
    Arc::new(market.with_zones(Zones::from_geojson(text).unwrap()).unwrap())
}

fn zone() -> ZoneId {
    ZoneId::new("z").unwrap()
}

struct City {
    case: Case,
    slot: Arc<DriverSlot>,
}

impl City {
    /// A driver online whose phone has yet to be heard.
    fn new() -> Self {
        let driver = DriverId::new("d").unwrap();
        let slot = Arc::new(DriverSlot::new(driver.clone()));
        let record = DriverRecord {
            driver,
            profile: profile(),
            online: true,
            rider_blocks: RiderBlocks::default(),
            stats: DriverStats::default(),
        };
        let policy = Arc::new(DispatchPolicy::default());
        let machine = DriverMachine::new(record, Arc::clone(&slot), zoned(), policy, at(0));
        let mut city = Self { case: Case { machine, effects: Vec::new() }, slot };
        city.case.connect(1, None, 0);
        city
    }

    /// A driver who has a place since three seconds after the start.
    fn queued() -> Self {
        let mut city = Self::new();
        city.seen(INSIDE, 1_000);
        city.seen(INSIDE, 2_000);
        city.answer_join(3_000);
        assert_eq!(city.case.machine.queued_at(), Some(&zone()));
        city
    }

    fn seen(&mut self, (lat, lng): (f64, f64), ms: u64) {
        let position = Position::from_degrees(lat, lng).unwrap();
        let fix =
            Fix { position, at: at(ms), accuracy_m: None, speed_mps: None, bearing_deg: None };
        let limits = FixLimits { jump_m_min: 1e9, ..FixLimits::default() };
        let applied = self.slot.apply(&fix, at(ms), &limits, &zoned()).unwrap();
        self.case.effects.clear();
        if applied.matters() {
            self.case.tell(DriverCommand::PositionChanged, ms);
        }
    }

    fn asks(&self) -> Vec<&ZoneCommand> {
        let asks = self.case.effects.iter().filter_map(|effect| {
            let Effect::ToZone(_, command) = effect else { return None };
            Some(command)
        });
        asks.collect()
    }

    fn asked_at(&self) -> Option<Timestamp> {
        self.asks().into_iter().find_map(|ask| match ask {
            ZoneCommand::Join { asked_at, .. }
            | ZoneCommand::Leave { asked_at, .. }
            | ZoneCommand::EnterOtp { asked_at, .. } => Some(*asked_at),
            ZoneCommand::Resume
            | ZoneCommand::AtGate { .. }
            | ZoneCommand::Skipped { .. }
            | ZoneCommand::Respond { .. }
            | ZoneCommand::Waits { .. }
            | ZoneCommand::WaitsNoMore { .. }
            | ZoneCommand::Add { .. }
            | ZoneCommand::Remove { .. }
            | ZoneCommand::DriverRebuilt { .. } => None,
        })
    }

    fn leaves(&self) -> Option<LeaveReason> {
        self.asks().into_iter().find_map(|ask| {
            let ZoneCommand::Leave { reason, .. } = ask else { return None };
            Some(*reason)
        })
    }

    fn joins_at(&self) -> Option<Timestamp> {
        self.asks().into_iter().find_map(|ask| {
            let ZoneCommand::Join { at, .. } = ask else { return None };
            Some(*at)
        })
    }

    fn hears(&mut self, news: QueueNews, ms: u64) {
        self.case.tell(DriverCommand::Queue { zone: zone(), news }, ms);
    }

    fn answer_join(&mut self, ms: u64) {
        let (asked_at, ranked_at) = (self.asked_at(), at(2_000));
        self.hears(QueueNews::Placed { asked_at, ranked_at, held: false }, ms);
    }

    fn answer_leave(&mut self, reason: LeaveReason, ms: u64) {
        let asked_at = self.asked_at();
        self.hears(QueueNews::Removed { asked_at, reason, barred_until: None }, ms);
    }
}

#[test]
fn enough_fixes_inside_ask_for_a_place_since_the_last_of_them() {
    let mut city = City::new();
    city.seen(INSIDE, 1_000);
    assert!(city.asks().is_empty());
    city.seen(INSIDE, 2_000);
    assert_eq!(city.joins_at(), Some(at(2_000)));
}

#[test]
fn an_ask_without_an_answer_is_repeated_under_the_same_name() {
    let mut city = City::new();
    city.seen(INSIDE, 1_000);
    city.seen(INSIDE, 2_000);
    let asked_at = city.asked_at();
    city.case.wake(2_000 + DispatchPolicy::default().accept_retry_ms);
    assert_eq!(city.asked_at(), asked_at);
    assert!(asked_at.is_some());
}

#[test]
fn a_driver_who_left_or_went_offline_gives_his_place_up() {
    let mut city = City::queued();
    city.seen(OUTSIDE, 4_000);
    city.seen(OUTSIDE, 5_000);
    assert_eq!(city.leaves(), None);
    city.seen(OUTSIDE, 6_000);
    assert_eq!(city.leaves(), Some(LeaveReason::LeftZone));
    let mut city = City::queued();
    city.case.set_online(false, 4_000);
    assert_eq!(city.leaves(), Some(LeaveReason::Offline));
}

#[test]
fn a_silent_driver_keeps_his_place_for_as_long_as_the_zone_says() {
    let mut city = City::queued();
    city.case.wake(62_999);
    assert_eq!(city.leaves(), None);
    city.case.wake(63_000);
    assert_eq!(city.leaves(), Some(LeaveReason::OutOfContact));
    city.answer_leave(LeaveReason::OutOfContact, 63_100);
    assert!(city.asks().is_empty(), "he is not heard yet");
    city.seen(INSIDE, 70_000);
    assert_eq!(city.joins_at(), Some(at(70_000)), "behind those who came meanwhile");
}

#[test]
fn a_ride_ends_his_place_and_gives_it_back_when_the_rider_calls_it_off() {
    let mut city = City::queued();
    city.case.offered("r1", 3_500);
    city.case.wins("r1", 4_000);
    assert_eq!(city.leaves(), Some(LeaveReason::Served));
    city.answer_leave(LeaveReason::Served, 4_100);
    let over = |by: CancelledBy| {
        let assigned = ride("r1", RideStatus::Cancelled, 4_000);
        Arc::new(RideRecord { cancelled_by: Some(by), ..RideRecord::clone(&assigned) })
    };
    let ride = over(CancelledBy::Rider);
    city.case.tell(DriverCommand::RideUpdated { ride }, 9_000);
    assert_eq!(city.joins_at(), Some(at(2_000)), "the place he had");
    let mut city = City::queued();
    city.case.wins("r1", 4_000);
    city.answer_leave(LeaveReason::Served, 4_100);
    let ride = over(CancelledBy::Driver);
    city.case.tell(DriverCommand::RideUpdated { ride }, 9_000);
    assert_eq!(city.joins_at(), Some(at(9_000)), "he gave it up himself");
}

#[test]
fn who_was_taken_out_asks_again_only_after_his_time_or_another_arrival() {
    let mut city = City::queued();
    let removed = QueueNews::Removed {
        asked_at: None,
        reason: LeaveReason::Manual,
        barred_until: Some(at(40_000)),
    };
    city.hears(removed, 4_000);
    assert!(city.asks().is_empty());
    city.case.wake(39_999);
    assert!(city.asks().is_empty());
    city.case.wake(40_000);
    assert!(city.joins_at().is_some());
}

#[test]
fn a_bar_that_ends_while_nothing_is_known_of_him_is_due_once() {
    let mut city = City::new();
    let placed = QueueNews::Placed { asked_at: None, ranked_at: at(0), held: false };
    city.hears(placed, 1_000);
    let removed = QueueNews::Removed {
        asked_at: None,
        reason: LeaveReason::Manual,
        barred_until: Some(at(40_000)),
    };
    city.hears(removed, 4_000);
    city.case.wake(40_000);
    let due = city.case.machine.next_deadline().map(|deadline| deadline.at);
    assert!(due.is_none_or(|due| due > at(40_000)), "{due:?}");
    city.seen(INSIDE, 41_000);
    city.seen(INSIDE, 42_000);
    assert!(city.joins_at().is_some());
}

#[test]
fn a_rebuilt_driver_learns_of_the_place_he_has() {
    let mut city = City::new();
    let placed = QueueNews::Placed { asked_at: None, ranked_at: at(0), held: false };
    city.hears(placed, 1_000);
    assert_eq!(city.case.machine.queued_at(), Some(&zone()));
    assert!(city.asks().is_empty(), "nothing is known of where he is");
}

#[test]
fn an_offer_of_the_zone_that_he_declines_or_lets_run_out_is_told_to_its_queue() {
    let at_zone = || {
        let mut offer = offer("r1");
        let queue = DispatchPolicy { mode: DispatchMode::Queue, ..DispatchPolicy::default() };
        let needs = RideNeeds::of(&super::case_tests::request("r1"), &Arc::new(queue));
        let places = RidePlaces::of(&super::case_tests::request("r1"), &zoned());
        let terms = Arc::make_mut(&mut offer.terms);
        terms.needs = Arc::new(needs.at(&Arc::new(places), &[tier()]));
        DriverCommand::Offer { offer: Box::new(offer), redelivered: false }
    };
    let skipped =
        |city: &City| city.asks().iter().any(|ask| matches!(ask, ZoneCommand::Skipped { .. }));
    let mut city = City::queued();
    city.case.tell(at_zone(), 3_500);
    city.case.decline("r1", 4_000);
    assert!(skipped(&city));
    let mut city = City::queued();
    city.case.tell(at_zone(), 3_500);
    city.case.wake(super::case_tests::TTL_MS);
    assert!(skipped(&city));
    let mut city = City::queued();
    city.case.offered("r1", 3_500);
    assert!(city.case.live().is_empty(), "a closed zone's driver takes no ride from elsewhere");
}

#[test]
fn wrong_passwords_count_for_a_while_and_only_for_that_while() {
    let mut city = City::queued();
    let policy = DispatchPolicy {
        otp_attempts_max: 1,
        otp_attempts_window_ms: 5_000,
        ..DispatchPolicy::default()
    };
    city.case.machine.use_policy(&Arc::new(policy));
    let enter = |city: &mut City, ms| {
        let asker = Some(Asker::Caller(ReplyTo(7)));
        city.case.tell(DriverCommand::EnterOtp { otp: "1".to_owned(), asker }, ms);
    };
    enter(&mut city, 4_000);
    let asked_at = city.asked_at().unwrap();
    city.hears(QueueNews::OtpUnknown { asked_at }, 4_100);
    assert_eq!(city.case.answers(), [&Answer::Refused(Refusal::OtpMismatch)]);
    enter(&mut city, 9_000);
    assert_eq!(city.case.answers(), [&Answer::Refused(Refusal::OtpAttemptsExhausted)]);
    enter(&mut city, 9_100);
    assert!(city.case.answers().is_empty() && city.asked_at().is_some());
}

#[test]
fn a_password_away_from_such_zones_is_refused() {
    let mut city = City::new();
    for ms in [1_000, 2_000, 3_000] {
        city.seen(OUTSIDE, ms);
    }
    let asker = Some(Asker::Caller(ReplyTo(7)));
    let mut out = Outbox::default();
    let enter = DriverCommand::EnterOtp { otp: "1".to_owned(), asker };
    city.case.machine.handle(enter, at(3_500), &mut out);
    let refused = Effect::Answer(ReplyTo(7), Answer::Refused(Refusal::NotAtZone));
    assert!(out.as_slice().contains(&refused));
}
