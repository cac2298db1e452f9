//! Rides at a zone with a queue: who is found, in which order, and why the others are not.

use std::sync::Arc;

use super::case_tests::*;
use crate::effect::{Effect, Outbox};
use crate::geo::Position;
use crate::grid::{DriverSlot, Fix, FixLimits, Grid, Supply, TierSet};
use crate::id::{MarketId, ServiceTierId, ZoneId};
use crate::machine::Machine;
use crate::market::Market;
use crate::offer::Exclusion;
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook};
use crate::ride::{
    CandidateQuery, Candidates, PriorityGroup, RideCommand, RideMachine, find_candidates,
};
use crate::zone::{QueueEntry, QueueOrder, QueueRecord, Zones};

const ZONE: &str = r#"{"type":"FeatureCollection","features":[{"type":"Feature",
    "geometry":{"type":"Polygon","coordinates":
        [[[0.49,0.49],[0.51,0.49],[0.51,0.51],[0.49,0.51],[0.49,0.49]]]},
    "properties":{"id":"z","name":"Z","queue":true}}]}"#;

fn zoned() -> Arc<Market> {
    let market = Market::clone(&market());
    Arc::new(market.with_zones(Zones::from_geojson(ZONE).unwrap()).unwrap())
}

fn queue_mode() -> DispatchPolicy {
    DispatchPolicy { mode: DispatchMode::Queue, ..DispatchPolicy::default() }
}

/// What a new ride at the zone searches for.
fn query(policy: DispatchPolicy) -> CandidateQuery {
    let book = Arc::new(PolicyBook::of(policy));
    let mut machine = RideMachine::new(request(None), zoned(), book);
    let mut out = Outbox::default();
    machine.handle(RideCommand::Request { reply: None }, at(0), &mut out);
    let query = out.drain().find_map(|effect| {
        let Effect::FindCandidates(query) = effect else { return None };
        Some(*query)
    });
    query.unwrap()
}

/// Drivers so many metres from the pickup, and the queue of those named.
struct City {
    grid: Grid,
}

impl City {
    fn new(drivers: &[(&str, f64)], queue: &[&str]) -> Self {
        let city = Self { grid: Grid::new(zoned().resolution()) };
        drivers.iter().for_each(|(name, metres)| city.place(name, *metres, |_| {}));
        let zone = ZoneId::new("z").unwrap();
        let mut record = QueueRecord::new(MarketId::new("m").unwrap(), zone.clone());
        record.entries = queue.iter().map(|name| entry(name)).collect();
        record.version = 1;
        city.grid.publish_queue(&zone, Arc::new(QueueOrder::of(Arc::new(record))));
        city
    }

    fn place(&self, name: &str, metres: f64, change: impl FnOnce(&mut Supply)) {
        let slot = Arc::new(DriverSlot::new(driver(name)));
        let position = Position::from_degrees(0.5 + metres / 111_195.0, 0.5).unwrap();
        let fix = Fix { position, at: at(0), accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, at(0), &FixLimits::default(), &zoned()).unwrap();
        let mut supply = Supply { in_session: true, ..Supply::free(TierSet::EMPTY.with(0)) };
        change(&mut supply);
        self.grid.place(&slot, supply);
    }

    fn find(&self, policy: DispatchPolicy) -> Candidates {
        find_candidates(&self.grid, &query(policy))
    }
}

fn entry(name: &str) -> QueueEntry {
    QueueEntry {
        driver: driver(name),
        tiers: vec![ServiceTierId::new("economy").unwrap()],
        entered_at: at(0),
        ranked_at: at(0),
        skips: 0,
        held: false,
        gate: None,
        call: None,
        not_called_before: at(0),
    }
}

fn names(candidates: &Candidates) -> Vec<&str> {
    candidates.found.iter().map(|one| one.candidate.driver.as_str()).collect()
}

#[test]
fn the_head_of_the_queue_is_offered_the_ride_wherever_he_waits() {
    let city = City::new(&[("a", 900.0), ("b", 100.0), ("c", 50.0)], &["a", "b"]);
    assert_eq!(names(&city.find(queue_mode())), ["a"]);
    assert_eq!(names(&city.find(queue_mode())), ["b"], "the first has an offer on its way");
}

#[test]
fn so_many_of_the_queue_are_asked_at_once_as_the_policy_says() {
    let city = City::new(&[("a", 900.0), ("b", 100.0), ("c", 50.0)], &["a", "b", "c"]);
    let two = DispatchPolicy { queue_wave_size: 2, ..queue_mode() };
    assert_eq!(names(&city.find(two)), ["a", "b"]);
}

#[test]
fn a_queued_driver_who_cannot_take_the_ride_is_passed_over_with_a_reason() {
    let city = City::new(&[("b", 100.0)], &["a", "x", "b"]);
    city.place("a", 100.0, |supply| supply.blocked = true);
    let found = city.find(queue_mode());
    assert_eq!(names(&found), ["b"]);
    let reasons: Vec<_> = found.excluded.iter().map(|one| one.reason).collect();
    assert_eq!(reasons, [Exclusion::Blocked, Exclusion::Offline]);
}

#[test]
fn an_exhausted_queue_falls_back_and_one_with_a_busy_driver_waits_for_him() {
    let city = City::new(&[("around", 100.0)], &["a"]);
    let fallen = city.find(queue_mode());
    assert_eq!(names(&fallen), ["around"]);
    assert_eq!(fallen.found[0].group, PriorityGroup::Other);
    let strict = DispatchPolicy { queue_fallback: false, ..queue_mode() };
    assert!(city.find(strict).found.is_empty());
    let city = City::new(&[("around", 100.0)], &["a"]);
    city.place("a", 200.0, |supply| supply.live_offers = 1);
    let waiting = city.find(queue_mode());
    assert!(waiting.found.is_empty());
    assert_eq!(waiting.excluded_counts.get(&Exclusion::OfferSlotsBusy), Some(&1));
}

#[test]
fn in_other_modes_the_queue_comes_first_and_others_fill_the_wave() {
    let city = City::new(&[("a", 900.0), ("b", 100.0), ("c", 50.0)], &["a"]);
    let plain = DispatchPolicy { wave_size: 2, ..DispatchPolicy::default() };
    assert_eq!(names(&city.find(plain.clone())), ["c", "b"]);
    let city = City::new(&[("a", 900.0), ("b", 100.0), ("c", 50.0)], &["a"]);
    let first = DispatchPolicy { zone_queue_first: true, ..plain };
    let found = city.find(first);
    assert_eq!(names(&found), ["a", "c"]);
    assert_eq!(found.found[0].group, PriorityGroup::ZoneQueue);
    assert_eq!(found.excluded_counts.get(&Exclusion::AlreadyAsked), None);
}
