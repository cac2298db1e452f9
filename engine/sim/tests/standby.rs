//! Better-driver standby as days of a small calm city: a driver far from the pickup, one much nearer
//! who comes along later, and what becomes of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use muster_engine::grid::DriverStatus;
use muster_engine::id::RideId;
use muster_engine::policy::{AttemptKind, DispatchMode, DispatchPolicy};
use muster_engine::ride::{RideRecord, RideStatus};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World};

/// When the rider asks, and every driver is online.
const ASKED_MS: u64 = 10_000;

/// The far driver needs at least so long to the pickup.
const PICKUP_MS: u64 = 60_000;

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Sequential,
        search_radius_m_min: 4_000,
        search_radius_m_max: 4_000,
        offer_ttl_ms: 10_000,
        search_limit_ms: 200_000,
        accept_cooldown_ms: 0,
        standby_check_ms: 2_000,
        standby_abort_radius_m: 300,
        standby_hold_ms: 120_000,
        ..DispatchPolicy::default()
    }
}

fn driver(east: f64, habit: Habit) -> DriverPlan {
    DriverPlan { market: 0, home: (east, 2_500.0), habit, taste: Taste::default() }
}

/// One ride, which driver 0 won from far away; driver 1 was even farther, and is near now.
fn far_away(policy: DispatchPolicy) -> World {
    let slow = Habit { pickup_ms: PICKUP_MS, ..Habit::WILLING };
    let mut world = World::new(Options {
        seed: 5,
        faults: Faults::default(),
        policy,
        drivers: vec![driver(500.0, slow), driver(4_900.0, Habit::WILLING)],
        rides: vec![RidePlan {
            market: 0,
            pickup: (2_500.0, 2_500.0),
            at_ms: ASKED_MS,
            pickup_at_ms: None,
            wishes: Wishes::default(),
        }],
        zone: None,
        faulty_ms: 600_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    });
    run_while_not(&mut world, 20_000, |world| driver_of(world).as_deref() == Some("d00"));
    world.move_driver(1, (2_600.0, 2_500.0));
    world
}

/// The same, with driver 1 standing by.
fn standing_by(policy: DispatchPolicy) -> World {
    let mut world = far_away(policy);
    run_while_not(&mut world, 40_000, |world| standby_of(world).as_deref() == Some("d01"));
    let soon = world.elapsed_ms() + 300;
    run_until(&mut world, soon);
    assert_eq!(stands_by_for(&world).as_deref(), Some("r00"));
    assert_eq!(status_of(&world, 1), DriverStatus::Reserved);
    assert_eq!(driver_of(&world).as_deref(), Some("d00"));
    world
}

fn run_until(world: &mut World, ms: u64) {
    world.run_until(ms);
    assert_eq!(world.violation(), None);
}

/// Runs until `holds`, at most to `ms`.
fn run_while_not(world: &mut World, ms: u64, holds: impl Fn(&World) -> bool) {
    while !holds(world) && world.elapsed_ms() < ms {
        let next = world.elapsed_ms() + 50;
        run_until(world, next);
    }
    assert!(holds(world), "not within {ms} ms");
}

fn record(world: &World) -> Option<&RideRecord> {
    world.ride(0).map(|record| &**record)
}

fn driver_of(world: &World) -> Option<String> {
    let record = record(world)?;
    let assignment = record.assignment.as_ref().filter(|_| record.status.has_driver());
    assignment.map(|assignment| assignment.driver.id.to_string())
}

fn standby_of(world: &World) -> Option<String> {
    record(world)?.standby().map(|(_, live)| live.driver.to_string())
}

fn stands_by_for(world: &World) -> Option<String> {
    world.driver(1).unwrap().standby_ride().map(RideId::to_string)
}

fn status_of(world: &World, driver: usize) -> DriverStatus {
    world.driver(driver).unwrap().status()
}

/// The far driver is reported lost, and the standby has the ride without anybody being searched.
fn assert_promoted(world: &mut World) {
    let sent = record(world).unwrap().offer_counts.sent;
    world.lose_driver(0);
    let soon = world.elapsed_ms() + 5_000;
    run_while_not(world, soon, |world| driver_of(world).as_deref() == Some("d01"));
    let record = record(world).unwrap();
    assert_eq!(record.policy.attempt, AttemptKind::Reallocation);
    assert_eq!((record.offer_counts.sent, record.reallocations), (sent, 1));
    assert_eq!(record.offers.len(), 0);
    let end = world.elapsed_ms() + 200_000;
    run_while_not(world, end, |world| {
        world.ride(0).is_some_and(|record| record.status == RideStatus::Completed)
    });
}

#[test]
fn a_standby_has_the_ride_when_its_driver_is_lost() {
    assert_promoted(&mut standing_by(policy()));
}

#[test]
fn nobody_stands_by_unless_the_policy_says_so() {
    let mut world = far_away(DispatchPolicy { standby_check_ms: 0, ..policy() });
    run_until(&mut world, ASKED_MS + 40_000);
    assert_eq!((standby_of(&world), world.times("standbys held")), (None, 0));
}

#[test]
fn a_driver_who_comes_near_releases_his_standby_who_is_told_and_free() {
    let mut world = standing_by(policy());
    world.move_driver(0, (2_510.0, 2_500.0));
    let soon = world.elapsed_ms() + 12_000;
    run_while_not(&mut world, soon, |world| status_of(world, 1) == DriverStatus::Available);
    assert_eq!((standby_of(&world), world.times("standbys released")), (None, 1));
    assert_eq!(driver_of(&world).as_deref(), Some("d00"));
}

#[test]
fn nobody_stands_by_longer_than_the_policy_allows() {
    let mut world = standing_by(DispatchPolicy { standby_hold_ms: 10_000, ..policy() });
    let later = world.elapsed_ms() + 10_500;
    run_until(&mut world, later);
    assert_eq!((standby_of(&world), world.times("standbys expired")), (None, 1));
    assert_eq!(status_of(&world, 1), DriverStatus::Available);
}

#[test]
fn a_ride_that_is_cancelled_frees_driver_and_standby() {
    let mut world = standing_by(policy());
    world.cancel(0);
    let soon = world.elapsed_ms() + 500;
    run_until(&mut world, soon);
    assert_eq!([0, 1].map(|at| status_of(&world, at)), [DriverStatus::Available; 2]);
}

#[test]
fn a_standby_whose_machine_panics_stands_by_again() {
    let mut world = standing_by(policy());
    world.panic_driver(1);
    let soon = world.elapsed_ms() + 3_000;
    run_until(&mut world, soon);
    assert_eq!(stands_by_for(&world).as_deref(), Some("r00"));
    assert_promoted(&mut world);
}

#[test]
fn a_process_that_dies_keeps_the_standby() {
    let mut world = standing_by(policy());
    world.kill();
    let later = world.elapsed_ms() + 9_000;
    run_until(&mut world, later);
    assert_eq!(stands_by_for(&world).as_deref(), Some("r00"));
    assert_promoted(&mut world);
}

#[test]
fn a_process_that_dies_before_the_standby_answered_calls_him_once_it_is_back() {
    let mut world = standing_by(policy());
    world.lose_driver(0);
    while driver_of(&world).is_some() {
        let next = world.elapsed_ms() + 1;
        run_until(&mut world, next);
    }
    assert_eq!(standby_of(&world).as_deref(), Some("d01"), "he is not promoted yet");
    world.kill();
    let later = world.elapsed_ms() + 15_000;
    run_while_not(&mut world, later, |world| driver_of(world).as_deref() == Some("d01"));
}
