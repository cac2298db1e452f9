//! Races that broke other dispatchers, as days of a small calm city; `docs/races.md` lists them all with
//! the tests that stand for them, here and elsewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};

use muster_engine::grid::DriverStatus;
use muster_engine::id::RideId;
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::{RideRecord, RideStatus};
use muster_sim::{DriverPlan, Faults, Habit, Options, RidePlan, Taste, Wishes, World};

/// When riders ask, and every driver is online.
const ASKED_MS: u64 = 10_000;

fn policy() -> DispatchPolicy {
    DispatchPolicy {
        search_radius_m_min: 3_000,
        wave_size: 3,
        offer_ttl_ms: 10_000,
        search_limit_ms: 60_000,
        ..DispatchPolicy::default()
    }
}

/// Drivers 100, 200, … metres from the pickup.
fn city(policy: DispatchPolicy, habits: &[Habit], rides: usize) -> World {
    let driver = |(at, habit): (usize, &Habit)| DriverPlan {
        market: 0,
        home: (2_400.0 - 100.0 * at as f64, 2_500.0),
        habit: *habit,
        taste: Taste::default(),
    };
    let ride = |_| RidePlan {
        market: 0,
        pickup: (2_500.0, 2_500.0),
        at_ms: ASKED_MS,
        pickup_at_ms: None,
        wishes: Wishes::default(),
    };
    World::new(Options {
        seed: 2,
        faults: Faults::default(),
        policy,
        drivers: habits.iter().enumerate().map(driver).collect(),
        rides: (0..rides).map(ride).collect(),
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

fn driver_of(world: &World, ride: usize) -> Option<&str> {
    let record = record(world, ride);
    let assignment = record.assignment.as_ref().filter(|_| record.status.has_driver());
    assignment.map(|assignment| assignment.driver.id.as_str())
}

fn statuses(world: &World, drivers: usize) -> Vec<DriverStatus> {
    (0..drivers).map(|at| world.driver(at).unwrap().status()).collect()
}

#[test]
fn one_request_accepted_by_three_drivers_goes_to_one_and_the_others_are_free_at_once() {
    let at_once = Habit { think_ms_max: 10, ..Habit::WILLING };
    let mut world = city(policy(), &[at_once; 3], 1);
    run_until(&mut world, ASKED_MS + 3_000);
    assert!(driver_of(&world, 0).is_some());
    let free = statuses(&world, 3).into_iter().filter(|status| *status == DriverStatus::Available);
    assert_eq!((free.count(), record(&world, 0).offer_counts.accepted), (2, 1));
    assert_eq!(world.times("accepts answered: won"), 1);
}

#[test]
fn one_driver_who_accepts_two_requests_has_one_of_them() {
    let greedy = Habit { accept: 0.0, accept_all: 1.0, ..Habit::WILLING };
    let both = DispatchPolicy { live_offers_max: 2, live_offers_soft_max: 2, ..policy() };
    let mut world = city(both, &[greedy], 2);
    run_until(&mut world, ASKED_MS + 4_000);
    let his = [driver_of(&world, 0), driver_of(&world, 1)].into_iter().flatten().count();
    assert_eq!(his, 1, "{:?} {:?}", record(&world, 0).status, record(&world, 1).status);
    assert_eq!(world.driver(0).unwrap().live_offers().count(), 0);
}

#[test]
fn a_driver_on_a_ride_stays_on_it_whatever_happens_to_his_machine_or_the_process() {
    let long = Habit { pickup_ms: 300_000, ..Habit::WILLING };
    let mut world = city(policy(), &[long], 2);
    run_until(&mut world, ASKED_MS + 4_000);
    let ride = RideId::new(if driver_of(&world, 0).is_some() { "r00" } else { "r01" }).unwrap();
    let on_it = |world: &World| {
        let driver = world.driver(0).unwrap();
        assert_eq!((driver.serving(), driver.status()), (Some(&ride), DriverStatus::EnRoute));
        assert_eq!(driver.live_offers().count(), 0, "the other ride does not reach him");
    };
    on_it(&world);
    world.panic_driver(0);
    run_until(&mut world, ASKED_MS + 8_000);
    on_it(&world);
    world.kill();
    run_until(&mut world, ASKED_MS + 20_000);
    on_it(&world);
}

#[test]
fn a_decline_takes_nobody_else_s_offer_off_the_screen() {
    let habits = [Habit::UNWILLING, Habit::ABSENT, Habit::UNWILLING, Habit::UNWILLING];
    let mut world = city(policy(), &habits, 1);
    run_until(&mut world, ASKED_MS + 4_000);
    assert_eq!(record(&world, 0).offer_counts.declined, 2);
    let kept = world.driver(1).unwrap().live_offers().count();
    assert_eq!((kept, record(&world, 0).offer_counts.withdrawn), (1, 0));
    world.set_habit(1, Habit::WILLING);
    run_until(&mut world, ASKED_MS + 12_000);
    assert_eq!(record(&world, 0).offer_counts.expired, 1, "he has his whole time to decide");
}

#[test]
fn a_retry_ends_the_old_offers_and_a_late_accept_of_one_wins_nothing() {
    let slow = Habit { think_ms_max: 3_000, ..Habit::WILLING };
    let mut world = city(policy(), &[slow], 1);
    while world.ride(0).is_none_or(|ride| ride.offers.is_empty()) {
        let next = world.elapsed_ms() + 10;
        run_until(&mut world, next);
    }
    let old = record(&world, 0).offers.keys().next().unwrap().clone();
    world.retry(0);
    run_until(&mut world, ASKED_MS + 20_000);
    let history = world.history(0);
    let of_second = history.iter().filter(|ride| ride.attempt == 2);
    assert!(
        of_second.clone().count() > 0 && of_second.clone().all(|r| !r.offers.contains_key(&old))
    );
    let record = record(&world, 0);
    assert_eq!((record.attempt, driver_of(&world, 0)), (2, Some("d00")));
    assert_ne!(record.assignment.as_ref().unwrap().offer, old);
}

#[test]
fn a_ride_cancelled_while_it_is_accepted_leaves_nobody_bound() {
    for delay_ms in 0..40 {
        let at_once = Habit { think_ms_max: 10, ..Habit::WILLING };
        let mut world = city(policy(), &[at_once; 2], 1);
        run_until(&mut world, ASKED_MS + delay_ms * 25);
        world.cancel(0);
        run_until(&mut world, ASKED_MS + 4_000);
        if world.ride(0).is_some_and(|ride| ride.status == RideStatus::Cancelled) {
            assert_eq!(statuses(&world, 2), [DriverStatus::Available; 2], "after {delay_ms}");
        }
    }
}

/// All Rust files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_test_that_the_list_of_races_names_exists_where_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let list = std::fs::read_to_string(root.join("docs/races.md")).unwrap();
    let mut files = Vec::new();
    ["engine", "api"].iter().for_each(|part| sources(&root.join(part), &mut files));
    let mut named = 0;
    for line in list.lines().filter(|line| line.contains("`: `")) {
        for entry in line.split("<br>") {
            let marks: Vec<&str> = entry.split('`').skip(1).step_by(2).collect();
            let [.., file, test] = marks[..] else { panic!("{entry}") };
            let path = files.iter().find(|path| path.ends_with(file));
            let text = std::fs::read_to_string(path.unwrap_or_else(|| panic!("{file}"))).unwrap();
            assert!(text.contains(&format!("fn {test}(")), "{file} has no {test}");
            named += 1;
        }
    }
    assert!(named > 20, "{named}");
}
