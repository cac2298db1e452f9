//! Dispatch windows as days of a small calm city.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use muster_engine::policy::{DispatchMode, DispatchPolicy};
use muster_engine::ride::{RideRecord, RideStatus};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World};

/// When riders ask, and every driver is online.
const ASKED_MS: u64 = 10_000;

/// How long a window is.
const WINDOW_MS: u64 = 4_000;

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Batched,
        batch_window_ms: WINDOW_MS,
        batch_window_ms_min: WINDOW_MS,
        search_radius_m_min: 500,
        search_radius_m_max: 1_000,
        offer_ttl_ms: 10_000,
        search_limit_ms: 60_000,
        accept_cooldown_ms: 0,
        ..DispatchPolicy::default()
    }
}

fn driver(east: f64, habit: Habit) -> DriverPlan {
    DriverPlan { market: 0, home: (east, 2_500.0), habit, taste: Taste::default() }
}

fn ride(east: f64, at_ms: u64) -> RidePlan {
    RidePlan {
        market: 0,
        pickup: (east, 2_500.0),
        at_ms,
        pickup_at_ms: None,
        wishes: Wishes::default(),
    }
}

fn city(policy: DispatchPolicy, drivers: Vec<DriverPlan>, rides: Vec<RidePlan>) -> World {
    World::new(Options {
        seed: 5,
        faults: Faults::default(),
        policy,
        drivers,
        rides,
        zone: None,
        faulty_ms: 600_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    })
}

fn run_until(world: &mut World, ms: u64) {
    world.run_until(ms);
    assert_eq!(world.violation(), None);
}

fn record(world: &World, ride: usize) -> &RideRecord {
    world.ride(ride).unwrap()
}

fn assigned(world: &World, ride: usize) -> Option<String> {
    let record = record(world, ride);
    let assignment = record.assignment.as_ref().filter(|_| record.status.has_driver());
    assignment.map(|assignment| assignment.driver.id.to_string())
}

/// A driver between two riders, and one whom only the first of them can have.
fn contested() -> (Vec<DriverPlan>, Vec<RidePlan>) {
    let drivers = vec![driver(2_500.0, Habit::WILLING), driver(3_400.0, Habit::WILLING)];
    (drivers, vec![ride(2_800.0, ASKED_MS), ride(2_100.0, ASKED_MS + 200)])
}

#[test]
fn a_window_serves_both_riders_where_one_after_the_other_leaves_one_with_nobody() {
    let (drivers, rides) = contested();
    let mut world = city(policy(), drivers, rides);
    run_until(&mut world, ASKED_MS + WINDOW_MS + 2_500);
    let both = [0, 1].map(|ride| assigned(&world, ride));
    assert_eq!(both, [Some("d01".to_owned()), Some("d00".to_owned())]);

    let (drivers, rides) = contested();
    let sequential = DispatchPolicy { mode: DispatchMode::Sequential, ..policy() };
    let mut world = city(sequential, drivers, rides);
    run_until(&mut world, ASKED_MS + WINDOW_MS + 2_500);
    let both = [0, 1].map(|ride| assigned(&world, ride));
    assert_eq!(both, [Some("d00".to_owned()), None]);
}

#[test]
fn nobody_is_asked_before_the_window_closes() {
    let mut world =
        city(policy(), vec![driver(2_500.0, Habit::ABSENT)], vec![ride(2_500.0, ASKED_MS)]);
    run_until(&mut world, ASKED_MS + WINDOW_MS - 500);
    assert_eq!(record(&world, 0).offer_counts.sent, 0);
    run_until(&mut world, ASKED_MS + WINDOW_MS + 2_000);
    assert_eq!(record(&world, 0).offer_counts.sent, 1);
}

#[test]
fn a_refused_ride_is_in_the_next_window_without_the_driver_who_refused() {
    let drivers = vec![driver(2_500.0, Habit::UNWILLING), driver(3_000.0, Habit::WILLING)];
    let mut world = city(policy(), drivers, vec![ride(2_500.0, ASKED_MS)]);
    run_until(&mut world, ASKED_MS + 2 * WINDOW_MS + 6_000);
    let record = record(&world, 0);
    assert_eq!((record.wave, record.offer_counts.declined), (2, 1));
    assert_eq!(assigned(&world, 0).as_deref(), Some("d01"));
}

#[test]
fn a_crash_forgets_the_window_and_the_rides_come_back() {
    let (drivers, rides) = contested();
    let mut world = city(policy(), drivers, rides);
    run_until(&mut world, ASKED_MS + 1_000);
    world.kill();
    run_until(&mut world, ASKED_MS + 40_000);
    let statuses = [0, 1].map(|ride| record(&world, ride).status);
    assert!(statuses.iter().all(|status| *status != RideStatus::Searching), "{statuses:?}");
    assert!(world.times("windows matched") > 0);
}
