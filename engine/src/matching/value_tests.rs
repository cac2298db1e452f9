//! What a table of values says, how it is read, and what it changes in a window.

use super::case_tests::*;

use crate::geo::{Cell, CellResolution, Position};
use crate::grid::Grid;
use crate::matching::{ValueTable, WindowQuery, WindowRequest, match_window};
use crate::policy::DispatchPolicy;

const SETTINGS: &str =
    "muster-values,resolution=8,bucket_s=3600,discount_permille=1000,utc_offset_min=0";

fn cell(place: Position) -> Cell {
    Cell::at(place, CellResolution::new(8).unwrap())
}

fn text(settings: &str, rows: &[(f64, &str, f64)]) -> String {
    let rows = rows
        .iter()
        .map(|(east_m, time, value)| format!("{},{time},{value:.1}\n", cell(place(*east_m))));
    format!("{settings}\ncell,time,value_s\n{}", rows.collect::<String>())
}

/// It is 13:46:40 in these tests.
fn table(rows: &[(f64, &str, f64)]) -> ValueTable {
    ValueTable::parse(&text(SETTINGS, rows)).unwrap()
}

fn error_of(text: &str) -> String {
    ValueTable::parse(text).unwrap_err().to_string()
}

#[test]
fn a_value_holds_for_its_cell_and_its_time_of_day_and_nowhere_else() {
    let table = table(&[(0.0, "13:00", 600.0), (0.0, "14:00", 90.0), (0.0, "23:00", 7.0)]);
    let value = |east_m, ms, after_s| table.value_s(place(east_m), at(ms), after_s);
    assert_eq!((value(0.0, 0, 0.0), value(0.0, 0, 900.0)), (600.0, 90.0));
    assert_eq!(value(5_000.0, 0, 0.0), 0.0);
    assert_eq!(value(0.0, 0, 9.5 * 3_600.0), 7.0);
    assert_eq!(value(0.0, 0, 11.0 * 3_600.0), 0.0, "the day is over");
    assert_eq!(value(0.0, 86_400_000, 0.0), 600.0, "the next day is a day as well");
}

#[test]
fn times_of_day_are_those_of_the_markets_clocks() {
    let west = SETTINGS.replace("offset_min=0", "offset_min=-300");
    let table = ValueTable::parse(&text(&west, &[(0.0, "08:00", 5.0)])).unwrap();
    assert_eq!(table.value_s(place(0.0), START, 0.0), 5.0);
}

#[test]
fn an_advantage_is_the_ride_and_the_new_place_less_the_old_one() {
    let (home, hub) = (0.0, 4_000.0);
    let table = table(&[(home, "13:00", 600.0), (hub, "13:00", 100.0), (hub, "14:00", 900.0)]);
    let advantage =
        |trip_s| table.advantage_s(START, (place(home), 0.0), 100.0, (place(hub), trip_s));
    assert_eq!(advantage(1_000.0), 1_000.0 + 900.0 - 600.0);
    assert_eq!(advantage(500.0), 500.0 + 100.0 - 600.0);
}

#[test]
fn what_is_ahead_is_worth_less() {
    let half = SETTINGS.replace("permille=1000", "permille=500");
    let table = ValueTable::parse(&text(&half, &[(4_000.0, "15:00", 800.0)])).unwrap();
    let advantage = |pickup_s, trip_s| {
        table.advantage_s(START, (place(0.0), 0.0), pickup_s, (place(4_000.0), trip_s))
    };
    // An hour's ride at half per hour is worth half an hour over ln 2; its end lies an hour ahead.
    let ride_s = 1_800.0 / std::f64::consts::LN_2;
    assert!((advantage(3_600.0, 3_600.0) - ride_s / 2.0 - 200.0).abs() < 1e-6);
    assert!(
        (advantage(1_200.0, 3_600.0)
            - (0.5_f64.powf(1.0 / 3.0) * ride_s)
            - 0.5_f64.powf(4.0 / 3.0) * 800.0)
            .abs()
            < 1e-6
    );
}

#[test]
fn a_table_reads_back_as_it_was_written() {
    let written = table(&[(0.0, "00:00", 0.1), (0.0, "23:00", 600.5), (9_000.0, "13:00", 12.0)]);
    assert_eq!(ValueTable::parse(&written.to_string()), Ok(written.clone()));
    assert_eq!((written.places(), written.highest_s()), (2, 600.5));
}

#[test]
fn what_is_wrong_with_a_table_is_named_with_its_line_and_field() {
    let with =
        |old: &str, new: &str| error_of(&text(SETTINGS, &[(0.0, "13:00", 1.0)]).replace(old, new));
    assert_eq!(error_of(""), "line 1: format is \"\", allowed is muster-values");
    assert_eq!(
        with("bucket_s=3600", "bucket_s=7000"),
        "line 1: bucket_s is \"7000\", allowed is whole minutes that divide a day"
    );
    assert!(with("resolution=8", "resolution=16").starts_with("line 1: resolution is \"16\""));
    assert!(with("permille=1000", "permille=0").starts_with("line 1: discount_permille is \"0\""));
    assert!(with("min=0", "min=9999").starts_with("line 1: utc_offset_min is \"9999\""));
    assert!(with("cell,time", "place,time").starts_with("line 2: columns is"));
    assert!(with("13:00", "13:30").starts_with("line 3: time is \"13:30\""));
    assert!(with(",1.0", ",-1.0").starts_with("line 3: value_s is \"-1.0\""));
    assert!(with(",1.0", ",NaN").starts_with("line 3: value_s is \"NaN\""));
    let coarse = Cell::at(place(0.0), CellResolution::new(7).unwrap()).to_string();
    assert!(with(&cell(place(0.0)).to_string(), &coarse).starts_with("line 3: cell is"));
    let twice = text(SETTINGS, &[(0.0, "13:00", 1.0), (0.0, "13:00", 2.0)]);
    assert!(error_of(&twice).ends_with("allowed is one row per cell and time"));
}

fn matched(policy: &DispatchPolicy, values: &ValueTable, to_m: Option<f64>) -> (String, i64) {
    let grid: Grid = grid();
    put(&grid, "near", -100.0);
    put(&grid, "far", 3_000.0);
    let request: WindowRequest = join_with(policy, "a", 0.0, 0, |request| {
        request.dropoff = to_m.map(place);
    });
    let query = WindowQuery { number: 1, closed_at: at(1_000), requests: vec![request] };
    let mut outcome = match_window(&grid, Some(values), query);
    let candidates = outcome.matches.remove(0).candidates;
    let driver = candidates.found[0].candidate.driver.to_string();
    (driver, candidates.window.unwrap().pair.unwrap().value_ms)
}

#[test]
fn match_value_permille_leaves_drivers_where_they_are_worth_more() {
    // Whoever is nearer stands where riders are expected; 2,900 s of way are worth 4,000 s there.
    let values = table(&[(-100.0, "13:00", 4_000.0)]);
    let with = |match_value_permille, to_m| {
        matched(&DispatchPolicy { match_value_permille, ..policy() }, &values, to_m)
    };
    assert_eq!(with(0, Some(800.0)), ("near".to_owned(), 0));
    assert_eq!(with(700, Some(800.0)).0, "near");
    let (driver, value_ms) = with(800, Some(800.0));
    assert_eq!(driver, "far");
    // The ride itself: 800 s.
    assert!((-640_100..=-639_900).contains(&value_ms), "{value_ms}");
    assert_eq!(with(1_000, None), ("near".to_owned(), 0), "a ride that tells no drop-off");
}
