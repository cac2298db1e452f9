//! Forward dispatch as days of a small calm city: one driver, a ride, and the ride after it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use muster_engine::grid::DriverStatus;
use muster_engine::id::RideId;
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::{CancelledBy, RideRecord, RideStatus};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World};

/// The driver takes at least so long from the start of a ride to its end.
const TRIP_MS: u64 = 120_000;

/// He is on his trip by then.
const ON_TRIP_MS: u64 = 60_000;

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        search_radius_m_min: 5_000,
        search_radius_m_max: 5_000,
        offer_ttl_ms: 10_000,
        search_limit_ms: 400_000,
        accept_cooldown_ms: 0,
        forward_wave_size: 1,
        forward_radius_m: 20_000,
        forward_remaining_m_max: 10_000,
        forward_remaining_s_max: 10_000,
        forward_late_s_max: 10_000,
        ..DispatchPolicy::default()
    }
}

fn ride(at_ms: u64) -> RidePlan {
    RidePlan {
        market: 0,
        pickup: (2_500.0, 2_500.0),
        at_ms,
        pickup_at_ms: None,
        wishes: Wishes { trip_m: Some(300.0), ..Wishes::default() },
    }
}

/// A driver on the trip of ride 0, and ride 1 asked for while he is.
fn city(policy: DispatchPolicy) -> World {
    let habit = Habit { trip_ms: TRIP_MS, ..Habit::WILLING };
    let home = (2_400.0, 2_500.0);
    let mut world = World::new(Options {
        seed: 1,
        faults: Faults::default(),
        policy,
        drivers: vec![DriverPlan { market: 0, home, habit, taste: Taste::default() }],
        rides: vec![ride(10_000), ride(ON_TRIP_MS)],
        zone: None,
        faulty_ms: 900_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    });
    run_until(&mut world, ON_TRIP_MS);
    assert_eq!(status(&world, 0), RideStatus::InProgress);
    world
}

/// As [`city`], with ride 1 promised to the driver.
fn holding(policy: DispatchPolicy) -> World {
    let mut world = city(policy);
    run_until(&mut world, ON_TRIP_MS + 5_000);
    assert_held(&world);
    world
}

fn assert_held(world: &World) {
    assert_eq!(status(world, 1), RideStatus::Assigned);
    assert_eq!(record(world, 1).forward().unwrap().after.as_str(), "r00");
    let driver = world.driver(0).unwrap();
    assert_eq!(driver.forward_ride().map(RideId::as_str), Some("r01"));
    assert_eq!(driver.serving().map(RideId::as_str), Some("r00"));
    assert_eq!(driver.status(), DriverStatus::OnTrip);
}

fn assert_promoted(world: &World) {
    assert!(record(world, 1).forward().is_none() && status(world, 1).has_driver());
    let driver = world.driver(0).unwrap();
    assert_eq!(driver.serving().map(RideId::as_str), Some("r01"));
    assert_eq!(driver.forward_ride(), None);
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

fn record(world: &World, ride: usize) -> &RideRecord {
    world.ride(ride).unwrap()
}

fn status(world: &World, ride: usize) -> RideStatus {
    record(world, ride).status
}

#[test]
fn a_forward_offer_is_accepted_and_promoted_when_the_ride_before_is_completed() {
    let mut world = holding(policy());
    run_while_not(&mut world, 300_000, |world| status(world, 0) == RideStatus::Completed);
    let soon = world.elapsed_ms() + 200;
    run_until(&mut world, soon);
    assert_promoted(&world);
    run_while_not(&mut world, 600_000, |world| status(world, 1) == RideStatus::Completed);
    assert_eq!(record(&world, 1).attempt, 1);
}

#[test]
fn nobody_is_asked_on_a_trip_unless_the_policy_says_so() {
    let mut world = city(DispatchPolicy { forward_wave_size: 0, ..policy() });
    run_until(&mut world, ON_TRIP_MS + 20_000);
    assert_eq!(status(&world, 1), RideStatus::Searching);
    assert_eq!(record(&world, 1).offer_counts.sent, 0);
}

#[test]
fn a_driver_who_gives_his_next_ride_back_goes_on_with_the_present_one() {
    let mut world = holding(policy());
    world.set_habit(0, Habit { trip_ms: TRIP_MS, ..Habit::FICKLE });
    run_while_not(&mut world, 100_000, |world| status(world, 1) == RideStatus::Searching);
    assert_eq!(record(&world, 1).reallocations, 1);
    let driver = world.driver(0).unwrap();
    assert_eq!(driver.serving().map(RideId::as_str), Some("r00"));
    assert_eq!(driver.forward_ride(), None);
}

#[test]
fn a_forward_ride_that_its_rider_cancels_leaves_the_driver_on_his_trip() {
    let mut world = holding(policy());
    world.cancel(1);
    run_until(&mut world, ON_TRIP_MS + 6_000);
    assert_eq!(record(&world, 1).cancelled_by, Some(CancelledBy::Rider));
    let driver = world.driver(0).unwrap();
    assert_eq!((driver.forward_ride(), driver.status()), (None, DriverStatus::OnTrip));
}

#[test]
fn a_present_ride_that_its_rider_cancels_promotes_the_next_one() {
    let mut world = holding(policy());
    world.cancel(0);
    run_until(&mut world, ON_TRIP_MS + 6_000);
    assert_eq!(status(&world, 0), RideStatus::Cancelled);
    assert_promoted(&world);
}

#[test]
fn a_drop_off_changed_between_offer_and_accept_withdraws_the_offer_and_asks_anew() {
    let mut world = city(policy());
    world.set_habit(0, Habit { trip_ms: TRIP_MS, ..Habit::ABSENT });
    run_until(&mut world, ON_TRIP_MS + 2_000);
    assert_eq!(world.driver(0).unwrap().live_offers().count(), 1);
    world.change_dropoff(0, (2_600.0, 2_600.0));
    run_until(&mut world, ON_TRIP_MS + 2_500);
    assert_eq!(record(&world, 1).offer_counts.withdrawn, 1);
    world.set_habit(0, Habit { trip_ms: TRIP_MS, ..Habit::WILLING });
    run_until(&mut world, ON_TRIP_MS + 20_000);
    assert_held(&world);
    let link = record(&world, 1).forward().unwrap();
    assert_eq!(Some(link.dropoff), record(&world, 0).dropoff(), "it counts on the new one");
}

#[test]
fn a_drop_off_that_moves_while_a_ride_waits_is_followed_or_gives_the_ride_back() {
    let near = DispatchPolicy { forward_radius_m: 3_500, ..policy() };
    let mut world = holding(near);
    world.change_dropoff(0, (2_700.0, 2_500.0));
    run_until(&mut world, ON_TRIP_MS + 6_000);
    assert_held(&world);
    assert_eq!(Some(record(&world, 1).forward().unwrap().dropoff), record(&world, 0).dropoff());
    world.change_dropoff(0, (4_900.0, 4_900.0));
    run_until(&mut world, ON_TRIP_MS + 7_000);
    let next = record(&world, 1);
    assert_eq!((next.status, next.attempt), (RideStatus::Searching, 2));
    assert_eq!((next.reallocations, next.gave_back.len()), (0, 0));
    assert_eq!(world.driver(0).unwrap().forward_ride(), None);
}

#[test]
fn a_driver_who_is_lost_is_not_waited_for() {
    let lost = DispatchPolicy { stale_after_ms: 10_000, lost_after_ms: 20_000, ..policy() };
    let mut world = holding(lost);
    world.silence(0, ON_TRIP_MS + 60_000);
    run_until(&mut world, ON_TRIP_MS + 30_000);
    let next = record(&world, 1);
    assert_eq!((next.status, next.attempt, next.reallocations), (RideStatus::Searching, 2, 0));
    assert_eq!(world.driver(0).unwrap().serving().map(RideId::as_str), Some("r00"));
}

#[test]
fn a_driver_whose_machine_panics_has_both_rides_again() {
    let mut world = holding(policy());
    world.panic_driver(0);
    run_until(&mut world, ON_TRIP_MS + 6_000);
    assert_held(&world);
    run_while_not(&mut world, 400_000, |world| status(world, 1) == RideStatus::Completed);
}

#[test]
fn a_restart_keeps_both_rides_and_the_next_one_is_promoted_after_it() {
    let mut world = holding(policy());
    world.kill();
    run_until(&mut world, ON_TRIP_MS + 12_000);
    assert_held(&world);
    run_while_not(&mut world, 400_000, |world| status(world, 1) == RideStatus::Completed);
}

#[test]
fn a_process_that_dies_between_the_end_and_the_promotion_promotes_once_it_is_back() {
    let mut world = holding(policy());
    world.cancel(0);
    while status(&world, 0) != RideStatus::Cancelled {
        let next = world.elapsed_ms() + 1;
        run_until(&mut world, next);
    }
    assert!(record(&world, 1).forward().is_some(), "it is not promoted yet");
    world.kill();
    let later = world.elapsed_ms() + 8_000;
    run_until(&mut world, later);
    assert_promoted(&world);
}
