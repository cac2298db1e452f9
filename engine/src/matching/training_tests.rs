//! Values of small histories, computed by hand.

use crate::geo::{CellResolution, Position};
use crate::matching::{
    DrivenRide, Trained, Transition, ValueSpec, ValueTable, train, transitions_of,
};
use crate::time::Timestamp;

const A: f64 = 0.0;
const B: f64 = 0.1;
const C: f64 = 0.2;

fn place(lng: f64) -> Position {
    Position::from_degrees(0.0, lng).unwrap()
}

/// So many minutes after midnight.
fn minute(hour: u64, minute: u64) -> Timestamp {
    Timestamp::from_millis((hour * 60 + minute) * 60_000)
}

fn resolution() -> CellResolution {
    CellResolution::new(8).unwrap()
}

fn spec(discount_permille: u16) -> ValueSpec {
    ValueSpec { resolution: resolution(), bucket_s: 3_600, discount_permille, utc_offset_min: 0 }
}

/// A ride from its assignment, without a way to its pickup.
fn ride(driver: Option<&str>, from: f64, at: Timestamp, to: f64, until: Timestamp) -> DrivenRide {
    DrivenRide {
        driver: driver.map(str::to_owned),
        assigned_at: at,
        pickup: place(from),
        boarded_at: at,
        dropoff: place(to),
        completed_at: until,
    }
}

fn trained(discount_permille: u16, rides: &[DrivenRide]) -> Trained {
    train(spec(discount_permille), transitions_of(rides.to_vec(), resolution()))
}

fn value(table: &ValueTable, lng: f64, hour: u64) -> f64 {
    table.value_s(place(lng), minute(hour, 0), 0.0)
}

#[test]
fn one_ride_is_worth_its_time_and_a_driver_may_wait_for_it() {
    let one = ride(Some("d"), A, minute(22, 10), B, minute(22, 30));
    let trained = trained(1_000, &[one]);
    let of_a = [23, 22, 21, 0].map(|hour| value(&trained.table, A, hour));
    assert_eq!(of_a, [0.0, 1_200.0, 1_200.0, 1_200.0]);
    assert_eq!(value(&trained.table, B, 22), 0.0);
    assert_eq!((trained.rides, trained.waits, trained.states), (1, 0, 1));
}

#[test]
fn a_ride_is_worth_more_where_the_next_one_begins() {
    // 30 minutes to B, a wait until the next hour, and 30 minutes from there.
    let rides = [
        ride(Some("d"), A, minute(20, 0), B, minute(20, 30)),
        ride(Some("d"), B, minute(21, 10), A, minute(21, 40)),
    ];
    let trained = trained(1_000, &rides);
    assert_eq!((trained.rides, trained.waits, trained.states), (2, 1, 3));
    assert_eq!(value(&trained.table, B, 21), 1_800.0);
    assert_eq!(value(&trained.table, B, 20), 1_800.0);
    assert_eq!(value(&trained.table, A, 20), 3_600.0);
    // Another ride from A in the same hour leads nowhere: the mean of the two.
    let more = [&rides[..], &[ride(Some("e"), A, minute(20, 40), C, minute(20, 50))]].concat();
    assert_eq!(value(&trained_table(1_000, &more), A, 20), (3_600.0 + 600.0) / 2.0);
}

fn trained_table(discount_permille: u16, rides: &[DrivenRide]) -> ValueTable {
    trained(discount_permille, rides).table
}

#[test]
fn what_is_an_hour_ahead_is_worth_discount_permille_of_it() {
    let late = ride(Some("d"), B, minute(21, 0), C, minute(22, 0));
    let table = trained_table(500, &[late]);
    let hour_s = 1_800.0 / std::f64::consts::LN_2;
    let close = |value: f64, to: f64| (value - to).abs() < 0.01;
    assert!(close(value(&table, B, 21), hour_s) && close(value(&table, B, 19), hour_s / 4.0));
}

#[test]
fn the_way_to_the_pickup_earns_nothing() {
    let mut far = ride(Some("d"), A, minute(20, 0), B, minute(21, 30));
    far.boarded_at = minute(20, 50);
    assert_eq!(value(&trained_table(1_000, &[far]), A, 20), 2_400.0);
}

#[test]
fn what_begins_after_midnight_counts_for_no_evening() {
    let rides = [
        ride(Some("d"), A, minute(23, 50), B, minute(24, 20)),
        ride(Some("d"), B, minute(24, 30), C, minute(25, 0)),
    ];
    let table = trained_table(1_000, &rides);
    assert_eq!((value(&table, A, 23), value(&table, B, 23)), (1_800.0, 0.0));
    assert_eq!(value(&table, B, 0), 1_800.0);
}

#[test]
fn a_driver_who_is_away_for_hours_has_not_waited() {
    let rides = [
        ride(Some("d"), A, minute(8, 0), B, minute(8, 30)),
        ride(Some("d"), B, minute(17, 0), A, minute(17, 30)),
    ];
    let transitions = transitions_of(rides.to_vec(), resolution());
    assert!(transitions.iter().all(|transition| transition.boarded_at.is_some()));
}

#[test]
fn nobody_knows_the_drivers_and_the_next_rider_of_a_cell_has_the_one_who_waits_there_longest() {
    let rides = [
        ride(None, A, minute(20, 0), B, minute(20, 30)),
        ride(None, A, minute(20, 0), C, minute(20, 40)),
        ride(None, A, minute(20, 5), B, minute(20, 50)),
        ride(None, B, minute(21, 10), A, minute(21, 40)),
    ];
    let transitions = transitions_of(rides.to_vec(), resolution());
    let mut waits: Vec<&Transition> =
        transitions.iter().filter(|transition| transition.boarded_at.is_none()).collect();
    waits.sort_by_key(|wait| wait.began_at);
    let told = waits.iter().map(|wait| (wait.from, wait.began_at, wait.to, wait.ended_at));
    let expected = [
        (place(B), minute(20, 30), place(B), minute(21, 10)),
        (place(C), minute(20, 40), place(C), minute(21, 10)),
        (place(B), minute(20, 50), place(B), minute(21, 10)),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
}
