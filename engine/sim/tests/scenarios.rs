//! The scenarios that Namma Yatri's allocator was tested with, as days of a small calm city.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use muster_engine::driver::DriverMachine;
use muster_engine::grid::DriverStatus;
use muster_engine::policy::{DispatchMode, DispatchPolicy};
use muster_engine::ride::{CancelledBy, RideRecord, RideStatus, attribute};
use muster_engine::zone::{LeaveReason, QueueRules, ZoneEventKind};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World, ZonePlan};

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Sequential,
        search_radius_m_min: 1_000,
        search_radius_m_step: 1_000,
        search_radius_m_max: 3_000,
        wave_size: 1,
        offer_ttl_ms: 10_000,
        search_limit_ms: 60_000,
        accept_cooldown_ms: 0,
        ..DispatchPolicy::default()
    }
}

fn driver(east: f64, habit: Habit) -> DriverPlan {
    DriverPlan { market: 0, home: (east, 2_500.0), habit, taste: Taste::default() }
}

fn ride(at_ms: u64) -> RidePlan {
    RidePlan {
        market: 0,
        pickup: (2_500.0, 2_500.0),
        at_ms,
        pickup_at_ms: None,
        wishes: Wishes::default(),
    }
}

/// A calm city with a pickup zone in the middle of the market.
fn city_with_zone(
    policy: DispatchPolicy,
    zone: ZonePlan,
    drivers: Vec<DriverPlan>,
    rides: Vec<RidePlan>,
) -> World {
    let options = Options {
        seed: 1,
        faults: Faults::default(),
        policy,
        drivers,
        rides,
        zone: Some(zone),
        faulty_ms: 600_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    };
    World::new(options)
}

fn pickup_zone() -> ZonePlan {
    ZonePlan {
        corner: (1_500.0, 1_500.0),
        side_m: 2_000.0,
        open_market: true,
        otp: true,
        rules: QueueRules { skips_max: 0, ..QueueRules::default() },
        called: None,
    }
}

fn queueing() -> DispatchPolicy {
    DispatchPolicy { mode: DispatchMode::Queue, ..policy() }
}

/// A calm city where riders ask after ten seconds, when every driver has come online.
fn city(policy: DispatchPolicy, drivers: Vec<DriverPlan>, rides: Vec<RidePlan>) -> World {
    World::new(Options {
        seed: 1,
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

fn status(world: &World, ride: usize) -> RideStatus {
    record(world, ride).status
}

fn driver_status(world: &World, driver: usize) -> DriverStatus {
    world.driver(driver).unwrap().status()
}

fn driver_of(world: &World, ride: usize) -> String {
    record(world, ride).assignment.as_ref().unwrap().driver.id.to_string()
}

fn live_offers(machine: Option<&DriverMachine>) -> usize {
    machine.unwrap().live_offers().count()
}

#[test]
fn allocation_time_finished_a_search_that_nobody_answers_ends_unfulfilled_at_its_limit() {
    let drivers = vec![driver(2_400.0, Habit::ABSENT), driver(2_300.0, Habit::ABSENT)];
    let mut world = city(policy(), drivers, vec![ride(10_000)]);
    run_until(&mut world, 69_000);
    assert_eq!(status(&world, 0), RideStatus::Searching);
    run_until(&mut world, 72_000);
    assert_eq!(status(&world, 0), RideStatus::Unfulfilled);
    assert_eq!(record(&world, 0).reason.as_deref(), Some("search_limit"));
    assert_eq!(record(&world, 0).offer_counts.expired, 2);
}

#[test]
fn cancellation_a_ride_cancelled_while_offered_frees_the_driver_at_once() {
    let mut world = city(policy(), vec![driver(2_400.0, Habit::ABSENT)], vec![ride(10_000)]);
    run_until(&mut world, 12_000);
    assert_eq!(live_offers(world.driver(0)), 1);
    world.cancel(0);
    run_until(&mut world, 12_500);
    assert_eq!(status(&world, 0), RideStatus::Cancelled);
    assert_eq!(record(&world, 0).cancelled_by, Some(CancelledBy::Rider));
    assert_eq!(live_offers(world.driver(0)), 0);
    assert_eq!(driver_status(&world, 0), DriverStatus::Available);
}

#[test]
fn cancellation_a_ride_cancelled_after_assignment_frees_its_driver() {
    let mut world = city(policy(), vec![driver(2_400.0, Habit::WILLING)], vec![ride(10_000)]);
    run_until(&mut world, 12_000);
    assert_eq!(driver_status(&world, 0), DriverStatus::EnRoute);
    world.cancel(0);
    run_until(&mut world, 12_500);
    assert_eq!(status(&world, 0), RideStatus::Cancelled);
    assert_eq!(driver_status(&world, 0), DriverStatus::Available);
}

#[test]
fn notification_status_an_offer_is_notified_then_rejected_then_the_next_driver_ignores_his() {
    let drivers = vec![driver(2_400.0, Habit::UNWILLING), driver(2_200.0, Habit::ABSENT)];
    let mut world = city(policy(), drivers, vec![ride(10_000)]);
    run_until(&mut world, 13_000);
    let counts = record(&world, 0).offer_counts;
    assert_eq!((counts.sent, counts.declined, counts.expired), (2, 1, 0));
    assert_eq!((live_offers(world.driver(0)), live_offers(world.driver(1))), (0, 1));
    run_until(&mut world, 24_000);
    let counts = record(&world, 0).offer_counts;
    assert_eq!((counts.sent, counts.declined, counts.expired), (2, 1, 1));
    assert_eq!(live_offers(world.driver(1)), 0);
}

#[test]
fn one_pool_two_ride_two_rides_share_two_drivers_and_each_gets_one() {
    let drivers = vec![driver(2_400.0, Habit::WILLING), driver(2_200.0, Habit::WILLING)];
    let mut world = city(policy(), drivers, vec![ride(10_000), ride(10_000)]);
    run_until(&mut world, 25_000);
    let both = [driver_of(&world, 0), driver_of(&world, 1)];
    assert_ne!(both[0], both[1]);
    assert!(record(&world, 0).assignment.is_some() && record(&world, 1).assignment.is_some());
}

#[test]
fn radius_step_a_driver_beyond_the_first_radius_is_found_when_the_search_widens() {
    let mut world = city(policy(), vec![driver(200.0, Habit::WILLING)], vec![ride(10_000)]);
    run_until(&mut world, 14_000);
    assert!(status(&world, 0).has_driver());
    assert_eq!(record(&world, 0).search_radius_m, 3_000);
    let near = DispatchPolicy { search_radius_m_max: 1_000, ..policy() };
    let mut world = city(near, vec![driver(200.0, Habit::WILLING)], vec![ride(10_000)]);
    run_until(&mut world, 14_000);
    assert_eq!(status(&world, 0), RideStatus::Searching);
}

#[test]
fn reassignment_a_ride_given_back_goes_to_another_driver_and_never_back() {
    let drivers = vec![driver(2_450.0, Habit::FICKLE), driver(1_900.0, Habit::WILLING)];
    let mut world = city(policy(), drivers, vec![ride(10_000)]);
    run_until(&mut world, 12_000);
    assert_eq!(driver_of(&world, 0), "d00");
    run_until(&mut world, 32_000);
    assert_eq!((record(&world, 0).attempt, record(&world, 0).reallocations), (2, 1));
    assert_eq!(driver_of(&world, 0), "d01");
    assert_eq!(driver_status(&world, 0), DriverStatus::Available);
    let offered_back = world.history(0).iter().any(|record| {
        record.attempt == 2 && record.offers.values().any(|live| live.driver.as_str() == "d00")
    });
    assert!(!offered_back);
}

#[test]
fn reassignment_beyond_the_limit_ends_the_ride() {
    let none = DispatchPolicy { reallocations_max: 0, ..policy() };
    let mut world = city(none, vec![driver(2_450.0, Habit::FICKLE)], vec![ride(10_000)]);
    run_until(&mut world, 40_000);
    assert_eq!(status(&world, 0), RideStatus::Cancelled);
    assert_eq!(record(&world, 0).cancelled_by, Some(CancelledBy::Driver));
}

#[test]
fn scheduled_ride_tries_again_although_the_process_dies_in_between() {
    let policy = DispatchPolicy {
        scheduled_try_ms: vec![60_000, 20_000],
        search_limit_ms: 15_000,
        ..policy()
    };
    let plan = RidePlan { pickup_at_ms: Some(120_000), ..ride(5_000) };
    let mut world = World::new(Options {
        seed: 1,
        faults: Faults { crash: 0.1, ..Faults::default() },
        policy,
        drivers: Vec::new(),
        rides: vec![plan],
        zone: None,
        faulty_ms: 600_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    });
    run_until(&mut world, 90_000);
    assert_eq!((status(&world, 0), record(&world, 0).attempt), (RideStatus::Scheduled, 2));
    run_until(&mut world, 140_000);
    assert_eq!((status(&world, 0), record(&world, 0).attempt), (RideStatus::Unfulfilled, 2));
}

#[test]
fn two_allocations_a_driver_takes_a_second_ride_after_he_completed_the_first() {
    let rides = vec![ride(10_000), ride(90_000)];
    let mut world = city(policy(), vec![driver(2_400.0, Habit::WILLING)], rides);
    run_until(&mut world, 88_000);
    assert_eq!(status(&world, 0), RideStatus::Completed);
    assert_eq!(driver_status(&world, 0), DriverStatus::Available);
    run_until(&mut world, 95_000);
    assert_eq!((driver_of(&world, 0), driver_of(&world, 1)), ("d00".into(), "d00".into()));
}

#[test]
fn two_allocations_at_once_leave_one_ride_searching_until_the_driver_is_free() {
    let rides = vec![ride(10_000), ride(12_000)];
    let long = DispatchPolicy { search_limit_ms: 200_000, ..policy() };
    let mut world = city(long, vec![driver(2_400.0, Habit::WILLING)], rides);
    run_until(&mut world, 14_000);
    assert!(status(&world, 0).has_driver());
    assert_eq!(status(&world, 1), RideStatus::Searching);
    run_until(&mut world, 120_000);
    assert_eq!(status(&world, 0), RideStatus::Completed);
    assert_eq!(driver_of(&world, 1), "d00");
}

#[test]
fn special_zone_queue_the_first_driver_in_the_queue_has_the_ride_not_the_nearest() {
    let drivers = vec![driver(2_000.0, Habit::WILLING), driver(100.0, Habit::WILLING)];
    let mut world = city_with_zone(queueing(), pickup_zone(), drivers, vec![ride(30_000)]);
    run_until(&mut world, 15_000);
    assert_eq!(world.queue(), [0]);
    world.move_driver(1, (2_480.0, 2_500.0));
    run_until(&mut world, 29_000);
    assert_eq!(world.queue(), [0, 1], "the one who came later is nearer to the rider");
    run_until(&mut world, 34_000);
    assert_eq!(driver_of(&world, 0), "d00");
    assert_eq!(world.queue(), [1], "who is served leaves the queue");
}

#[test]
fn special_zone_queue_two_rides_at_once_go_to_the_first_two_drivers() {
    let drivers = [2_000.0, 2_200.0, 2_400.0].map(|east| driver(east, Habit::WILLING));
    let rides = vec![ride(30_000), ride(30_000)];
    let mut world = city_with_zone(queueing(), pickup_zone(), drivers.to_vec(), rides);
    run_until(&mut world, 29_000);
    let line = world.queue();
    run_until(&mut world, 36_000);
    let mut served = [driver_of(&world, 0), driver_of(&world, 1)];
    served.sort();
    let mut first: Vec<String> = line[..2].iter().map(|driver| format!("d{driver:02}")).collect();
    first.sort();
    assert_eq!(served.to_vec(), first);
    assert_eq!(world.queue(), [line[2]]);
}

#[test]
fn special_zone_queue_a_driver_who_declines_too_often_loses_his_place() {
    let drivers = vec![driver(2_000.0, Habit::UNWILLING), driver(2_400.0, Habit::WILLING)];
    let mut world = city_with_zone(queueing(), pickup_zone(), drivers, vec![ride(30_000)]);
    run_until(&mut world, 60_000);
    assert_eq!(driver_of(&world, 0), "d01");
    let history = world.queue_history();
    let lost = ZoneEventKind::Left(LeaveReason::SkipThresholdReached);
    let declined_first = history.contains(&(0, lost));
    let came_second = history.first().is_some_and(|(driver, _)| *driver == 1);
    assert!(declined_first || came_second, "{history:?}");
}

#[test]
fn special_zone_queue_an_exhausted_queue_falls_back_to_drivers_around_only_by_policy() {
    let drivers = || vec![driver(1_000.0, Habit::WILLING)];
    let mut world = city_with_zone(queueing(), pickup_zone(), drivers(), vec![ride(10_000)]);
    run_until(&mut world, 16_000);
    assert_eq!(driver_of(&world, 0), "d00");
    let strict = DispatchPolicy { queue_fallback: false, ..queueing() };
    let mut world = city_with_zone(strict, pickup_zone(), drivers(), vec![ride(10_000)]);
    run_until(&mut world, 40_000);
    assert_eq!(status(&world, 0), RideStatus::Searching);
}

#[test]
fn special_zone_queue_a_crash_keeps_the_order() {
    let drivers = [2_000.0, 2_200.0, 2_400.0, 2_600.0].map(|east| driver(east, Habit::WILLING));
    let mut world = city_with_zone(queueing(), pickup_zone(), drivers.to_vec(), Vec::new());
    run_until(&mut world, 30_000);
    let line = world.queue();
    assert_eq!(line.len(), 4);
    world.kill();
    run_until(&mut world, 60_000);
    assert_eq!(world.queue(), line);
    let left = world.queue_history().into_iter();
    assert_eq!(left.filter(|(_, kind)| matches!(kind, ZoneEventKind::Left(_))).count(), 0);
}

#[test]
fn special_zone_queue_queued_drivers_come_first_in_other_modes_by_policy() {
    let drivers = || vec![driver(1_600.0, Habit::WILLING), driver(3_700.0, Habit::WILLING)];
    let near_edge = || {
        let mut near = ride(30_000);
        near.pickup = (3_450.0, 2_500.0);
        vec![near]
    };
    let mut world = city_with_zone(policy(), pickup_zone(), drivers(), near_edge());
    run_until(&mut world, 36_000);
    assert_eq!(driver_of(&world, 0), "d01", "nearest first");
    let queue_first = DispatchPolicy { zone_queue_first: true, ..policy() };
    let mut world = city_with_zone(queue_first, pickup_zone(), drivers(), near_edge());
    run_until(&mut world, 29_000);
    assert_eq!(world.queue(), [0]);
    run_until(&mut world, 36_000);
    assert_eq!(driver_of(&world, 0), "d00");
}

#[test]
fn special_zone_queue_a_driver_in_a_closed_zone_is_not_offered_rides_elsewhere() {
    let drivers = || vec![driver(2_500.0, Habit::WILLING)];
    let elsewhere = || {
        let mut far = ride(30_000);
        far.pickup = (2_500.0, 4_200.0);
        vec![far]
    };
    let mut world = city_with_zone(policy(), pickup_zone(), drivers(), elsewhere());
    run_until(&mut world, 40_000);
    assert_eq!(driver_of(&world, 0), "d00");
    let closed = ZonePlan { open_market: false, ..pickup_zone() };
    let mut world = city_with_zone(policy(), closed, drivers(), elsewhere());
    run_until(&mut world, 40_000);
    assert_eq!(status(&world, 0), RideStatus::Searching);
    assert_eq!(record(&world, 0).offer_counts.sent, 0);
}

#[test]
fn otp_ride_a_driver_at_the_gate_enters_the_password_and_the_ride_is_under_way() {
    let mut otp = ride(10_000);
    otp.wishes.attributes.insert(attribute::OTP_RIDE.to_owned(), "true".to_owned());
    let drivers = vec![driver(2_400.0, Habit::WILLING)];
    let mut world = city_with_zone(policy(), pickup_zone(), drivers, vec![otp]);
    run_until(&mut world, 40_000);
    let states: Vec<RideStatus> = world.history(0).iter().map(|record| record.status).collect();
    assert_eq!(states[..2], [RideStatus::Searching, RideStatus::InProgress]);
    assert_eq!(record(&world, 0).offer_counts.sent, 0, "nobody was searched");
    assert_eq!(driver_of(&world, 0), "d00");
}

#[test]
fn otp_ride_without_a_driver_expires() {
    let mut otp = ride(10_000);
    otp.wishes.attributes.insert(attribute::OTP_RIDE.to_owned(), "true".to_owned());
    let brief = DispatchPolicy { otp_limit_ms: 20_000, ..policy() };
    let drivers = vec![driver(100.0, Habit::WILLING)];
    let mut world = city_with_zone(brief, pickup_zone(), drivers, vec![otp]);
    run_until(&mut world, 29_000);
    assert_eq!(status(&world, 0), RideStatus::Searching);
    run_until(&mut world, 32_000);
    assert_eq!(record(&world, 0).reason.as_deref(), Some("otp_expired"));
}
