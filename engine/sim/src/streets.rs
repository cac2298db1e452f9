//! The streets of a simulated market, and what its rides must make of them.

use std::sync::{Arc, LazyLock};

use muster_engine::geo::Position;
use muster_engine::ride::{Candidate, CandidateQuery, Candidates};
use muster_engine::roads::{HourProfile, RoadNetwork, RoadTravelTime, Street, Streets};
use muster_engine::travel::{EtaSource, TravelTime, TravelTimes};

use crate::city::{self, MARKETS};

/// Crossings in each direction.
const SIDE: u32 = 16;

/// Metres from one to the next: the streets end well before the market does, so that some drivers
/// are on none.
const BLOCK_M: f64 = 230.0;

/// The streets of each market, made once: all runs have the same.
static NETWORKS: LazyLock<Vec<Arc<RoadNetwork>>> =
    LazyLock::new(|| (0..MARKETS).map(|market| Arc::new(blocks(market))).collect());

/// The travel times of a market with streets.
pub(crate) fn of_market(market: usize) -> TravelTimes {
    let network = Arc::clone(&NETWORKS[market]);
    let times: Arc<dyn TravelTime> = Arc::new(RoadTravelTime::new(network, 0));
    TravelTimes { at_once: Some(Arc::clone(&times)), windows: times }
}

/// Blocks whose streets are one-way by turns; a slow night, a slower day.
fn blocks(market: usize) -> RoadNetwork {
    let at = |place: u32| (f64::from(place % SIDE) * BLOCK_M, f64::from(place / SIDE) * BLOCK_M);
    let nodes: Vec<Position> = (0..SIDE * SIDE).map(|p| city::place(market, at(p))).collect();
    let mut segments = Vec::new();
    for place in 0..SIDE * SIDE {
        let (row, column) = (place / SIDE, place % SIDE);
        let east = (row, place + 1, column + 1 < SIDE);
        let north = (column, place + SIDE, row + 1 < SIDE);
        for (line, next, exists) in [east, north] {
            if !exists {
                continue;
            }
            // The outermost streets go both ways, so that every corner can be left.
            let both = line == 0 || line == SIDE - 1;
            let speed_mps = 3.0 + f64::from(line % 4) * 2.0;
            let ways = [(place, next, both || line % 2 == 0), (next, place, both || line % 2 == 1)];
            for (from, to, open) in ways {
                let street = Street::new(from, to, BLOCK_M, speed_mps);
                segments.extend(street.ok().filter(|_| open));
            }
        }
    }
    let factors: Vec<f64> = (0..24).map(|hour| if hour < 6 { 0.9 } else { 0.6 }).collect();
    let profile = HourProfile::new(&factors).ok();
    let streets = Streets { nodes, segments, profile, ..Streets::default() };
    match RoadNetwork::build(&streets, |_, _| {}) {
        Ok(network) => network,
        Err(error) => panic!("blocks are a network: {error}"),
    }
}

/// What is wrong with the times that a search says its candidates need, if anything is.
pub(crate) fn fault(
    times: Option<&TravelTimes>,
    query: &CandidateQuery,
    candidates: &Candidates,
) -> Option<String> {
    let policy = &query.ranking.policy;
    let idle = candidates.found.iter().chain(&candidates.passed_over);
    for candidate in idle.map(|ranked| &ranked.candidate) {
        let Some(streets) = times.and_then(|times| times.at_once.as_ref()) else {
            if candidate.travel.is_some() || candidate.eta_source() != EtaSource::GreatCircle {
                return Some(format!("{} is timed by no streets", candidate.driver));
            }
            continue;
        };
        let way = streets.way(candidate.at, query.pickup, query.now);
        let straight_ms = policy.pickup_eta_ms(candidate.distance);
        let expected_ms = way.map_or(straight_ms, |way| i64::from(way.time_ms));
        let source = way.map_or(EtaSource::Fallback, |way| way.source);
        let own = (candidate.pickup_eta_ms(policy), candidate.eta_source());
        // Drivers on a trip who were passed over come by way of its end.
        let forward = query.forward.is_some() && own.0 >= expected_ms;
        if own != (expected_ms, source) && !forward {
            let driver = &candidate.driver;
            return Some(format!("{driver} needs {own:?}, not {expected_ms} ms by {source:?}"));
        }
    }
    candidates.found.iter().find_map(|ranked| late(query, &ranked.candidate))
}

fn late(query: &CandidateQuery, candidate: &Candidate) -> Option<String> {
    let policy = &query.ranking.policy;
    let (eta_s, most_s) = (candidate.pickup_eta(policy).get(), policy.pickup_eta_s_max);
    // A queue's order is by arrival, and its drivers were judged by the straight line.
    let judged = most_s > 0 && query.queue.is_none();
    let driver = &candidate.driver;
    (judged && eta_s > most_s).then(|| format!("{driver} needs {eta_s} s, {most_s} s are allowed"))
}
