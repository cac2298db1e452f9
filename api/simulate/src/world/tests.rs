use muster_city::geo::Point;
use muster_city::trips::Trip;
use muster_engine::policy::{DispatchMode, DispatchPolicy};

use super::cars::Car;
use super::*;
use crate::outcome::RunOutcome;
use crate::people::PeopleModel;

const HOUR_MS: u64 = 3_600_000;

/// `east_m` metres east of a place in Manhattan.
fn east(east_m: f64) -> Point {
    let lat: f64 = 40.75;
    Point::new(lat, -73.98 + east_m / (111_195.0 * lat.to_radians().cos()))
}

fn trip(after_s: i64, from_m: f64, to_m: f64) -> Trip {
    Trip { after_ms: after_s * 1_000, pickup: east(from_m), dropoff: east(to_m), passengers: 1 }
}

fn reference(patience_s: f64) -> Traits {
    Traits { patience_s: Some(patience_s), ..Traits::of(PeopleModel::Reference) }
}

fn policy(mode: DispatchMode) -> DispatchPolicy {
    DispatchPolicy { mode, ..DispatchPolicy::default() }
}

struct Case {
    trips: Vec<Trip>,
    city: City,
    policy: DispatchPolicy,
    traits: Traits,
}

impl Case {
    fn new(trips: Vec<Trip>, policy: DispatchPolicy, traits: Traits) -> Self {
        Self { city: City::of(&trips).unwrap(), trips, policy, traits }
    }

    fn plan(&self, drivers: usize) -> Plan<'_> {
        Plan {
            city: &self.city,
            trips: &self.trips,
            drivers,
            policy: &self.policy,
            traits: self.traits,
            streets: None,
            travel: Travel { detour_factor: 1.3, speed_mps: 15.0 / 3.6 },
            seed: 1,
            measured_from_ms: 0,
            measured_until_ms: HOUR_MS,
            recorded: None,
        }
    }

    /// The outcome with cars that begin at these metres.
    fn run(&self, cars_m: &[f64]) -> (RunOutcome, Ledger) {
        let plan = self.plan(cars_m.len());
        let mut world = World::new(plan.clone());
        for (site, at_m) in world.drivers.iter_mut().zip(cars_m) {
            site.car = Car::parked(east(*at_m));
        }
        let ledger = world.run(&mut |_| {});
        assert_eq!(ledger.violations, BTreeMap::new());
        (RunOutcome::of("case", &plan, &ledger), ledger)
    }
}

#[test]
fn two_cars_take_two_of_five_riders_and_the_others_lose_patience() {
    let trips = (0..5).map(|n| trip(n, 0.0, 6_000.0)).collect();
    let case = Case::new(trips, policy(DispatchMode::Sequential), reference(200.0));
    let (outcome, ledger) = case.run(&[100.0, 100.0]);
    assert_eq!(outcome.figures["served"], 2.0);
    assert_eq!(outcome.unserved, [("patience".to_owned(), 3)].into());
    let way_s = 100.0 * 1.3 / (15.0 / 3.6);
    assert!((outcome.figures["pickup_eta_s_mean"] - way_s).abs() < 0.2, "{:?}", outcome.figures);
    assert!(outcome.figures["assign_s_mean"].abs() < 1e-9, "accepted at once");
    assert!((outcome.figures["total_s_mean"] - way_s).abs() < 0.2);
    assert_eq!(
        (outcome.figures["waited_120_s_pct"], outcome.figures["offers_per_ride"]),
        (60.0, 0.4)
    );
    let driver = ledger.drivers[0];
    let trip_ms = 6_000.0 * 1.3 / (15.0 / 3.6) * 1_000.0;
    assert!((driver.on_trip_ms as f64 - trip_ms).abs() < 3_000.0, "{driver:?}");
    assert_eq!(driver.at_pickup_ms, 60_000);
    let spent = driver.idle_ms + driver.to_pickup_ms + driver.at_pickup_ms + driver.on_trip_ms;
    assert_eq!(spent, HOUR_MS);
}

/// Riders who leave after a second are served when, and only when, a car within the radius is idle at
/// that instant: easy enough to count by hand.
fn served_by_hand(case: &Case, cars_m: &[f64], radius_m: f64) -> Vec<Option<usize>> {
    let travel = case.plan(cars_m.len()).travel;
    let mut cars: Vec<(Point, u64)> = cars_m.iter().map(|at_m| (east(*at_m), 0)).collect();
    let serve = |trip: &Trip| {
        let now_ms = trip.after_ms as u64;
        let away = |at: Point| at.distance_m(trip.pickup);
        let idle = (0..cars.len()).filter(|car| cars[*car].1 <= now_ms);
        let near = idle.filter(|car| away(cars[*car].0) <= radius_m);
        let nearest = near.min_by(|a, b| away(cars[*a].0).total_cmp(&away(cars[*b].0)))?;
        let busy_ms = travel.time_ms(cars[nearest].0, trip.pickup)
            + 60_000
            + travel.time_ms(trip.pickup, trip.dropoff);
        cars[nearest] = (trip.dropoff, now_ms + busy_ms);
        Some(nearest)
    };
    case.trips.iter().map(serve).collect()
}

#[test]
fn the_nearest_idle_car_serves_whom_a_replay_by_hand_says() {
    let mut random = People::new(9, reference(1.0)).stream("case", "trips");
    let trips = (0..120).map(|n| {
        let (from_m, to_m) = (random.random_range(0.0..7_000.0), random.random_range(0.0..7_000.0));
        trip(n * 25 + random.random_range(0..20), from_m, to_m)
    });
    let case = Case::new(trips.collect(), policy(DispatchMode::Sequential), reference(1.0));
    let cars_m: Vec<f64> = (0..12).map(|n| f64::from(n) * 611.0).collect();
    let by_hand = served_by_hand(&case, &cars_m, 3_000.0);
    let (outcome, ledger) = case.run(&cars_m);
    let by_machines: Vec<Option<usize>> = ledger.rides.iter().map(|ride| ride.driver).collect();
    assert_eq!(by_machines, by_hand);
    let served = by_hand.iter().flatten().count();
    assert!((40..115).contains(&served), "{served} of 120 make no case");
    assert_eq!(outcome.figures["served"], served as f64);
}

#[test]
fn a_window_serves_both_where_the_first_rider_would_take_the_only_car_of_the_second() {
    let trips = vec![trip(10, 700.0, 9_000.0), trip(11, -900.0, -9_000.0)];
    let near = |mode| DispatchPolicy { search_radius_m_max: 2_000, ..policy(mode) };
    let served = |mode| {
        let case = Case::new(trips.clone(), near(mode), reference(60.0));
        case.run(&[0.0, 1_500.0]).0.figures["served"]
    };
    assert_eq!((served(DispatchMode::Sequential), served(DispatchMode::Batched)), (1.0, 2.0));
}

#[test]
fn drivers_who_refuse_are_asked_in_turn() {
    let traits = Traits { accept_share: Some(0.0), ..reference(120.0) };
    let case = Case::new(vec![trip(5, 0.0, 2_000.0)], policy(DispatchMode::Sequential), traits);
    let (outcome, _) = case.run(&[100.0, 200.0, 300.0]);
    assert_eq!((outcome.figures["served"], outcome.figures["offers_per_ride"]), (0.0, 3.0));
    assert_eq!(outcome.figures["refused_per_ride"], 3.0);
    assert_eq!(outcome.unserved, [("patience".to_owned(), 1)].into());
}

#[test]
fn riders_without_a_driver_at_the_end_are_told_as_such() {
    let case = Case::new(
        vec![trip(3_590, 0.0, 2_000.0), trip(3_591, 0.0, 2_000.0)],
        policy(DispatchMode::Sequential),
        reference(200.0),
    );
    let (outcome, _) = case.run(&[0.0]);
    assert_eq!(outcome.unserved, [("waiting_at_end".to_owned(), 1)].into());
}
