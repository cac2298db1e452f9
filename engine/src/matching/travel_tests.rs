//! Waves and windows where the market knows better than the straight line.

use super::case_tests::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::forward::{ForwardLink, ForwardSupply};
use crate::geo::Position;
use crate::grid::{DriverStatus, Grid};
use crate::matching::{WindowOutcome, WindowQuery, WindowRequest, match_window};
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;
use crate::ride::find_candidates;
use crate::time::Timestamp;
use crate::travel::{Approach, EtaSource, Travel, TravelTime, TravelTimes};

/// 10 m/s, and ten minutes more to the other side of a river in the middle; beyond 4 km the map ends.
#[derive(Debug, Default)]
struct River {
    asked: AtomicUsize,
}

fn east_m(place: Position) -> f64 {
    (place.lng() - 0.5) * DEGREE_M
}

impl TravelTime for River {
    fn approaches(&self, approaches: &[Approach], _: Timestamp) -> Vec<Vec<Option<Travel>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let way = |from: Position, to: Position| {
            let crosses = (east_m(from) < 0.0) != (east_m(to) < 0.0);
            let bridge_ms = if crosses { 600_000.0 } else { 0.0 };
            let distance = from.distance(to);
            let time_ms = (distance.get() * 100.0 + bridge_ms).round() as u32;
            let known = east_m(from).abs() <= 4_000.0;
            known.then_some(Travel { time_ms, distance, source: EtaSource::Roads })
        };
        let ways = |approach: &Approach| {
            approach.froms.iter().map(|from| way(*from, approach.to)).collect()
        };
        approaches.iter().map(ways).collect()
    }
}

/// A river with a driver 150 m away across it, and one 300 m away on the rider's side.
fn at_a_river() -> (Grid, Arc<River>) {
    let grid = grid();
    let river = by_a_river(&grid);
    put(&grid, "across", -50.0);
    put(&grid, "here", 400.0);
    (grid, river)
}

fn by_a_river(grid: &Grid) -> Arc<River> {
    let river = Arc::new(River::default());
    let times = Arc::clone(&river) as Arc<dyn TravelTime>;
    let windows = Arc::clone(&times);
    grid.set_travel_times(Some(TravelTimes { at_once: Some(times), windows }));
    river
}

fn matched(grid: &Grid, requests: Vec<WindowRequest>) -> WindowOutcome {
    match_window(grid, None, WindowQuery { number: 7, closed_at: at(1_000), requests })
}

#[test]
fn a_wave_asks_who_is_soonest_at_the_pickup_not_who_is_nearest() {
    let (grid, _) = at_a_river();
    let query = join(&policy(), "a", 100.0, 0).query;
    let candidates = find_candidates(&grid, &query);
    let first = &candidates.found[0].candidate;
    assert_eq!((candidates.found.len(), first.driver.as_str()), (1, "here"));
    assert_eq!(first.pickup_eta(&policy()).get(), 30);
    assert_eq!(first.eta_source(), EtaSource::Roads);
    let passed = &candidates.passed_over[0].candidate;
    assert_eq!((passed.driver.as_str(), passed.pickup_eta(&policy()).get()), ("across", 615));
    grid.set_travel_times(None);
    let candidates = find_candidates(&grid, &query);
    let first = &candidates.found[0].candidate;
    assert_eq!(first.driver.as_str(), "across", "nearest, where there is only the straight line");
    assert_eq!((first.travel, first.eta_source()), (None, EtaSource::GreatCircle));
}

#[test]
fn pickup_eta_s_max_is_judged_by_the_streets_and_looks_past_all_who_come_too_late() {
    let grid = grid();
    by_a_river(&grid);
    for at in 0..25 {
        put(&grid, &format!("across{at}"), -1.0 - f64::from(at));
    }
    put(&grid, "here", 1_000.0);
    let policy = DispatchPolicy { pickup_eta_s_max: 120, ..policy() };
    // By the straight line, at 1 m/s, he would need 900 s.
    let window = matched(&grid, vec![join(&policy, "a", 100.0, 0)]);
    assert_eq!(window.matches[0].candidates.found[0].candidate.driver, driver("here"));
    let query = join(&policy, "a", 100.0, 0).query;
    let candidates = find_candidates(&grid, &query);
    assert_eq!(candidates.found.len(), 1);
    assert_eq!(candidates.found[0].candidate.driver, driver("here"));
    assert_eq!(candidates.excluded_counts.get(&Exclusion::PickupEta), Some(&25));
}

#[test]
fn where_the_streets_do_not_know_the_straight_line_does_and_says_so() {
    let grid = grid();
    by_a_river(&grid);
    put(&grid, "off_the_map", 4_500.0);
    let query = join(&policy(), "a", 100.0, 0).query;
    let candidates = find_candidates(&grid, &query);
    let found = &candidates.found[0].candidate;
    assert_eq!(found.eta_source(), EtaSource::Fallback);
    assert!((4_399..=4_401).contains(&found.pickup_eta(&policy()).get()));
}

#[test]
fn a_window_is_matched_by_the_streets_and_asks_for_all_its_pickups_at_once() {
    let (grid, river) = at_a_river();
    put(&grid, "yonder", -900.0);
    let requests = vec![join(&policy(), "a", 100.0, 0), join(&policy(), "b", -60.0, 0)];
    let outcome = matched(&grid, requests);
    let of = outcome.matches.iter().map(|m| &m.candidates);
    let drivers: Vec<&str> = of.map(|c| c.found[0].candidate.driver.as_str()).collect();
    assert_eq!(drivers, ["here", "across"]);
    let pair = outcome.matches[0].candidates.window.unwrap().pair.unwrap();
    assert!((29_990..=30_010).contains(&pair.pickup_eta_ms), "{pair:?}");
    assert_eq!(river.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn the_trip_is_timed_with_the_search_of_a_wave_and_of_a_window() {
    let (grid, river) = at_a_river();
    let to = place(2_100.0);
    let request = || join_with(&policy(), "a", 100.0, 0, |request| request.dropoff = Some(to));
    let seconds = |trip: Option<(Position, Travel)>| trip.map(|(to, way)| (to, way.seconds()));
    let wave = find_candidates(&grid, &request().query);
    assert_eq!(seconds(wave.trip), Some((to, 200)));
    river.asked.store(0, Ordering::Relaxed);
    let window = matched(&grid, vec![request()]);
    assert_eq!(seconds(window.matches[0].candidates.trip), Some((to, 200)));
    assert_eq!(river.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_driver_on_a_trip_is_timed_by_way_of_its_end() {
    let grid = grid();
    by_a_river(&grid);
    let forward = DispatchPolicy { forward_wave_size: 1, forward_remaining_s_max: 900, ..policy() };
    // 310 m on to his drop-off across the river, and 110 m back over it.
    put_with(&grid, "d", 300.0, |supply| {
        let link = ForwardLink { after: ride("before"), dropoff: place(-10.0) };
        (supply.status, supply.forward) = (DriverStatus::OnTrip, ForwardSupply::After(link.into()));
    });
    let outcome = matched(&grid, vec![join(&forward, "a", 100.0, 0)]);
    let candidates = &outcome.matches[0].candidates;
    let found = &candidates.forward[0].ranked.candidate;
    assert_eq!((found.pickup_eta(&policy()).get(), found.eta_source()), (1_242, EtaSource::Roads));
}
