//! Quotes, and rides that drivers take without being asked, as days of a small calm city.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use muster_engine::grid::DriverStatus;
use muster_engine::id::OfferId;
use muster_engine::offer::{OfferKind, QuoteEnd};
use muster_engine::policy::{DispatchMode, DispatchPolicy};
use muster_engine::ride::{RideRecord, RideStatus};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World};

/// When riders ask, and every driver is online.
const ASKED_MS: u64 = 10_000;

/// By then every willing driver has answered.
const QUOTED_MS: u64 = 13_000;

fn quotes() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Quotes,
        search_radius_m_min: 1_000,
        search_radius_m_max: 3_000,
        wave_size: 3,
        offer_ttl_ms: 10_000,
        quote_ttl_ms: 20_000,
        search_limit_ms: 60_000,
        ..DispatchPolicy::default()
    }
}

fn instant() -> DispatchPolicy {
    DispatchPolicy { mode: DispatchMode::Instant, ..quotes() }
}

fn driver(east: f64, habit: Habit) -> DriverPlan {
    DriverPlan { market: 0, home: (east, 2_500.0), habit, taste: Taste::default() }
}

fn opted_in(east: f64, habit: Habit) -> DriverPlan {
    let taste = Taste { instant: true, ..Taste::default() };
    DriverPlan { taste, ..driver(east, habit) }
}

fn ride(at_ms: u64) -> RidePlan {
    RidePlan {
        market: 0,
        pickup: (2_500.0, 2_500.0),
        at_ms,
        pickup_at_ms: None,
        wishes: Wishes { fare: Some(1_000), ..Wishes::default() },
    }
}

fn city(policy: DispatchPolicy, drivers: Vec<DriverPlan>, rides: Vec<RidePlan>) -> World {
    World::new(options(policy, drivers, rides))
}

fn options(policy: DispatchPolicy, drivers: Vec<DriverPlan>, rides: Vec<RidePlan>) -> Options {
    Options {
        zone: None,
        seed: 3,
        faults: Faults::default(),
        policy,
        drivers,
        rides,
        faulty_ms: 600_000,
        sabotage: None,
        streets: false,
        whole_trace: false,
    }
}

fn run_until(world: &mut World, ms: u64) {
    world.run_until(ms);
    assert_eq!(world.violation(), None);
}

fn record(world: &World, ride: usize) -> &RideRecord {
    world.ride(ride).unwrap()
}

/// The quotes of a ride, with their drivers.
fn quoted(world: &World, ride: usize) -> Vec<(OfferId, String)> {
    let offers = record(world, ride).offers.iter().filter(|(_, live)| live.quote.is_some());
    offers.map(|(id, live)| (id.clone(), live.driver.to_string())).collect()
}

fn ended(world: &World, ride: usize, quote: &OfferId) -> Option<QuoteEnd> {
    let ended = &record(world, ride).ended_quotes;
    ended.iter().find(|(id, _)| id == quote).map(|(_, end)| *end)
}

fn driver_status(world: &World, driver: usize) -> DriverStatus {
    world.driver(driver).unwrap().status()
}

fn assigned(world: &World, ride: usize) -> Option<String> {
    let record = record(world, ride);
    let assignment = record.assignment.as_ref().filter(|_| record.status.has_driver());
    assignment.map(|assignment| assignment.driver.id.to_string())
}

/// A city where two drivers have quoted the one ride.
fn two_quotes() -> (World, Vec<(OfferId, String)>) {
    let drivers = vec![driver(2_400.0, Habit::WILLING), driver(2_200.0, Habit::WILLING)];
    let mut world = city(quotes(), drivers, vec![ride(ASKED_MS)]);
    run_until(&mut world, QUOTED_MS);
    let quotes = quoted(&world, 0);
    assert_eq!(quotes.len(), 2);
    (world, quotes)
}

#[test]
fn of_two_quotes_the_chosen_one_is_assigned_and_the_other_driver_is_free() {
    let (mut world, quotes) = two_quotes();
    let reserved = [0, 1].map(|driver| driver_status(&world, driver));
    assert_eq!(reserved, [DriverStatus::Reserved; 2]);
    let (chosen, name) = &quotes[1];
    let fare = record(&world, 0).offers[chosen].quote.as_ref().unwrap().fare.clone();
    world.select(0, chosen);
    run_until(&mut world, QUOTED_MS + 500);
    assert_eq!(assigned(&world, 0).as_ref(), Some(name));
    assert_eq!(record(&world, 0).assignment.as_ref().unwrap().fare, Some(fare));
    let free = usize::from(name == "d00");
    assert_eq!(driver_status(&world, free), DriverStatus::Available);
    assert_eq!(ended(&world, 0, &quotes[0].0), Some(QuoteEnd::Withdrawn));
}

#[test]
fn two_riders_taps_on_different_quotes_assign_one_of_them() {
    let (mut world, quotes) = two_quotes();
    world.select(0, &quotes[0].0);
    world.select(0, &quotes[1].0);
    run_until(&mut world, QUOTED_MS + 500);
    assert!(assigned(&world, 0).is_some());
    let selected = record(&world, 0).ended_quotes.iter();
    assert_eq!(selected.filter(|(_, end)| *end == QuoteEnd::Selected).count(), 1);
}

#[test]
fn a_choice_after_the_quotes_expiry_fails_and_its_driver_is_free_by_then() {
    let (mut world, quotes) = two_quotes();
    let (quote, name) = &quotes[0];
    let expires_at = record(&world, 0).offers[quote].expires_at;
    let left_ms = expires_at.millis_since(world.now());
    run_until(&mut world, QUOTED_MS + left_ms + 100);
    let driver = usize::from(name == "d01");
    assert_eq!(ended(&world, 0, quote), Some(QuoteEnd::Expired));
    assert_eq!(driver_status(&world, driver), DriverStatus::Available);
    world.select(0, quote);
    run_until(&mut world, QUOTED_MS + left_ms + 600);
    assert_eq!(world.times("choices of a quote that failed"), 1);
    assert_eq!(record(&world, 0).status, RideStatus::Searching);
}

#[test]
fn a_driver_who_took_another_ride_meanwhile_cannot_be_chosen() {
    let one = vec![driver(2_400.0, Habit::WILLING)];
    let mut world = city(quotes(), one, vec![ride(ASKED_MS), ride(ASKED_MS + 4_000)]);
    run_until(&mut world, QUOTED_MS);
    let (first, _) = quoted(&world, 0)[0].clone();
    run_until(&mut world, ASKED_MS + 6_000);
    assert!(quoted(&world, 1).is_empty(), "one quote at a time");
    world.decline(0, &first);
    run_until(&mut world, ASKED_MS + 16_000);
    let (second, _) = quoted(&world, 1)[0].clone();
    world.select(1, &second);
    world.select(0, &first);
    run_until(&mut world, ASKED_MS + 17_000);
    assert_eq!((assigned(&world, 0), assigned(&world, 1)), (None, Some("d00".to_owned())));
    assert_eq!(world.times("choices of a quote that failed"), 1);
}

#[test]
fn a_ride_that_is_cancelled_while_quoted_frees_every_driver() {
    let (mut world, quotes) = two_quotes();
    world.select(0, &quotes[0].0);
    world.cancel(0);
    run_until(&mut world, QUOTED_MS + 1_000);
    assert_eq!(record(&world, 0).status, RideStatus::Cancelled);
    let statuses = [0, 1].map(|driver| driver_status(&world, driver));
    assert_eq!(statuses, [DriverStatus::Available; 2]);
}

#[test]
fn a_retry_takes_the_old_quotes_back_and_the_drivers_are_asked_anew() {
    let (mut world, quotes) = two_quotes();
    world.retry(0);
    run_until(&mut world, QUOTED_MS + 200);
    assert_eq!(record(&world, 0).attempt, 2);
    assert_eq!(ended(&world, 0, &quotes[0].0), Some(QuoteEnd::Withdrawn));
    run_until(&mut world, QUOTED_MS + 8_000);
    let again = quoted(&world, 0);
    assert!(
        !again.is_empty() && again.iter().all(|(id, _)| !quotes.iter().any(|old| old.0 == *id))
    );
}

#[test]
fn when_enough_have_quoted_the_others_are_let_go() {
    let two = DispatchPolicy { quotes_max: 2, ..quotes() };
    let drivers = vec![
        driver(2_400.0, Habit::WILLING),
        driver(2_300.0, Habit::WILLING),
        driver(2_200.0, Habit::ABSENT),
    ];
    let mut world = city(two, drivers, vec![ride(ASKED_MS)]);
    run_until(&mut world, QUOTED_MS);
    assert_eq!(quoted(&world, 0).len(), 2);
    assert_eq!(record(&world, 0).offers.len(), 2);
    assert_eq!(driver_status(&world, 2), DriverStatus::Available);
    assert_eq!(world.driver(2).unwrap().live_offers().count(), 0);
}

#[test]
fn the_first_quote_is_assigned_at_once_where_policy_says_so() {
    let auto = DispatchPolicy { quotes_auto_assign: true, ..quotes() };
    let drivers = vec![driver(2_400.0, Habit::WILLING), driver(2_200.0, Habit::ABSENT)];
    let mut world = city(auto, drivers, vec![ride(ASKED_MS)]);
    run_until(&mut world, QUOTED_MS);
    assert_eq!(assigned(&world, 0), Some("d00".to_owned()));
    assert!(record(&world, 0).assignment.as_ref().unwrap().fare.is_some());
}

#[test]
fn a_crash_between_quote_and_choice_loses_neither() {
    let (mut world, quotes) = two_quotes();
    world.kill();
    run_until(&mut world, QUOTED_MS + 8_000);
    assert_eq!(quoted(&world, 0), quotes);
    let reserved = [0, 1].map(|driver| driver_status(&world, driver));
    assert_eq!(reserved, [DriverStatus::Reserved; 2]);
    let (chosen, name) = &quotes[0];
    world.select(0, chosen);
    run_until(&mut world, QUOTED_MS + 8_500);
    assert_eq!(assigned(&world, 0).as_ref(), Some(name));
}

#[test]
fn a_driver_who_opted_in_has_the_ride_without_an_offer_on_his_screen() {
    let drivers = vec![driver(2_450.0, Habit::ABSENT), opted_in(2_200.0, Habit::ABSENT)];
    let mut world = city(instant(), drivers, vec![ride(ASKED_MS)]);
    run_until(&mut world, ASKED_MS + 500);
    assert_eq!(assigned(&world, 0), Some("d01".to_owned()));
    assert_eq!(world.times("offers shown"), 0);
}

#[test]
fn nobody_opted_in_goes_on_as_broadcast_in_the_same_attempt() {
    let drivers = vec![driver(2_450.0, Habit::WILLING), driver(2_200.0, Habit::ABSENT)];
    let mut world = city(instant(), drivers, vec![ride(ASKED_MS)]);
    run_until(&mut world, QUOTED_MS);
    assert_eq!(assigned(&world, 0), Some("d00".to_owned()));
    assert_eq!((record(&world, 0).attempt, record(&world, 0).wave), (1, 1));
    assert_eq!(record(&world, 0).offer_counts.sent, 2);
}

#[test]
fn a_phone_that_is_gone_when_the_offer_arrives_is_passed_over_for_the_next() {
    // Messages between machines take their time, so that the phone can be gone in between.
    let faults = Faults { link_stall: 1.0, ..Faults::default() };
    let drivers = vec![opted_in(2_450.0, Habit::ABSENT), opted_in(2_200.0, Habit::ABSENT)];
    let plan = options(instant(), drivers, vec![ride(40_000)]);
    let mut world = World::new(Options { faults, ..plan });
    let tried = |world: &World| {
        let offers = &world.ride(0)?.offers;
        offers.values().next().map(|live| (live.driver.to_string(), live.kind.clone()))
    };
    let mut ms = 40_000;
    let (first, kind) = loop {
        if let Some(tried) = tried(&world) {
            break tried;
        }
        ms += 1;
        assert!(ms < 60_000, "nobody is tried");
        run_until(&mut world, ms);
    };
    let (first, other) = if first == "d00" { (0, "d01") } else { (1, "d00") };
    assert_eq!((kind, driver_status(&world, first)), (OfferKind::Instant, DriverStatus::Available));
    world.hang_up(first, 20_000);
    run_until(&mut world, ms + 15_000);
    assert_eq!(assigned(&world, 0).as_deref(), Some(other));
    assert_eq!(record(&world, 0).offer_counts.withdrawn, 1);
}
