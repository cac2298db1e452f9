//! The search of the supply index for a wave.

use std::collections::{BTreeMap, BTreeSet};

use crate::grid::{Grid, NearbyQuery};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::ride::command::{CandidateQuery, Candidates};
use crate::ride::decision::WaveExclusion;
use crate::ride::forward_search::add_forward;
use crate::ride::pickup_times::{Late, Times};
use crate::ride::queue_search::find_queued;
use crate::ride::ranking::{Candidate, Merits, RankedCandidate, rank};

/// A wave that is not durable after this long has failed: what it counted on is free again. Shorter
/// than a slow commit it would end in a storm: rides choose the same drivers, are refused, and make
/// commits slower by choosing again.
const HOLD_MS: u64 = 15_000;

/// How often a search looks farther because drivers need too long.
const LATE_POOLS_MAX: u32 = 2;

/// How many times as many drivers it then looks at.
const LATE_POOL_FACTOR: usize = 4;

/// Finds the nearest eligible drivers, exactly, with a reason for every nearer one left out, ranks
/// them, and holds a slot of each that is chosen for the offer that is on its way.
///
/// Drivers below the soft cap of live offers come first, wherever within the radius they are; those
/// between the caps only take the places that would stay empty.
///
/// Where a zone's queue serves the pickup, its drivers come first, in its order.
pub fn find_candidates(grid: &Grid, query: &CandidateQuery) -> Candidates {
    match &query.queue {
        Some(queue) => find_queued(grid, query, queue),
        None => find_nearest(grid, query),
    }
}

/// As [`find_candidates`], whoever may wait in a queue.
pub(super) fn find_nearest(grid: &Grid, query: &CandidateQuery) -> Candidates {
    let travel = grid.travel_times();
    let candidates = search_nearest(grid, query, Times::at_once(travel.as_deref()));
    let forward = candidates.forward.iter().map(|forward| &forward.ranked);
    hold(grid, query, candidates.found.iter().chain(forward));
    candidates
}

/// As [`find_candidates`], whoever may wait in a queue, and without holding a slot of anyone.
///
/// Where all who are nearest by distance come too late by time, it looks farther, a few times.
pub(crate) fn search_nearest(grid: &Grid, query: &CandidateQuery, times: Times<'_>) -> Candidates {
    let mut pool_max = if query.limit == 0 { 0 } else { times.pool_size(query) };
    for _ in 0..LATE_POOLS_MAX {
        let pool = search_pool(grid, query, times, pool_max);
        if pool.late == 0 || !pool.full || pool.candidates.found.len() >= query.limit {
            return pool.candidates;
        }
        pool_max *= LATE_POOL_FACTOR;
    }
    search_pool(grid, query, times, pool_max).candidates
}

/// What came of one look.
struct Pool {
    candidates: Candidates,
    /// How many need too long.
    late: usize,
    /// Whether there may be others farther away.
    full: bool,
}

fn search_pool(grid: &Grid, query: &CandidateQuery, times: Times<'_>, pool_max: usize) -> Pool {
    let nearby = NearbyQuery {
        at: query.pickup,
        radius: query.radius,
        limit: pool_max,
        excluded_max: query.explained_max,
        live_offers_max: query.live_offers_max,
        now: query.now,
        explains: query.explains,
    };
    // A search that finds too few has seen its whole radius, so these are all there are.
    let mut busy = BTreeMap::new();
    let mut on_trip = BTreeMap::new();
    let result = grid.nearest(&nearby, Exclusion::from, |driver, supply, reading| {
        let verdict = times.classify(query, driver, supply, reading);
        if verdict == Err(Exclusion::OfferSlotsBusy) {
            let distance = query.pickup.distance(reading.position);
            let at = reading.position;
            let one = Candidate::new(driver.clone(), at, distance, Merits::from(supply));
            busy.insert(driver.clone(), one);
        }
        if query.forward.is_some() && supply.forward.link().is_some() {
            on_trip.insert(driver.clone(), query.pickup.distance(reading.position));
        }
        verdict.map(|()| Merits::from(supply))
    });
    let full = result.found.len() >= nearby.limit && nearby.limit > 0;
    let seen = result.found.last().filter(|_| full).map_or(query.radius, |last| last.distance);
    on_trip.retain(|_, distance| *distance <= seen);
    let on_trip: BTreeSet<DriverId> = on_trip.into_keys().collect();
    let pool = result.found.into_iter().map(|found| {
        Candidate::new(found.driver, found.reading.position, found.distance, found.kept)
    });
    let mut late = Late::default();
    let pool = times.sort_out_late(query, pool.collect(), &mut late);
    let places = query.limit.saturating_sub(pool.len());
    let mut found = rank(pool, &query.ranking, query.now);
    let passed_over = found.split_off(query.limit.min(found.len()));
    let excluded = result.excluded.into_iter().map(|excluded| WaveExclusion {
        driver: excluded.driver,
        distance: excluded.distance.to_decimetre(),
        reason: excluded.reason,
    });
    let mut candidates = Candidates {
        attempt: query.attempt,
        excluded: excluded.collect(),
        found,
        forward: Vec::new(),
        passed_over,
        excluded_counts: result.excluded_counts,
        window: None,
        trip: times.trip(query),
        costs_ms: BTreeMap::new(),
    };
    let filling = take_busy(&mut candidates, busy, places);
    let filling = times.sort_out_late(query, filling, &mut late);
    candidates.found.extend(rank(filling, &query.ranking, query.now));
    if let Some(places) = &query.forward {
        add_forward(grid, query, places, times, &on_trip, &mut candidates);
    }
    let late = late.add_to(query, &mut candidates);
    Pool { candidates, late, full }
}

/// Holds a slot of each chosen driver for the offer that is on its way.
pub(crate) fn hold<'c>(
    grid: &Grid,
    query: &CandidateQuery,
    chosen: impl Iterator<Item = &'c RankedCandidate>,
) {
    for one in chosen {
        grid.hold(&one.candidate.driver, query.now, query.now.plus_millis(HOLD_MS));
    }
}

/// The nearest drivers between the caps, for the places that are left; they are excluded no more.
fn take_busy(
    candidates: &mut Candidates,
    busy: BTreeMap<DriverId, Candidate>,
    places: usize,
) -> Vec<Candidate> {
    let mut busy: Vec<Candidate> = busy.into_values().collect();
    let found = &candidates.found;
    busy.retain(|one| found.iter().all(|found| found.candidate.driver != one.driver));
    busy.sort_by(Candidate::nearer);
    busy.truncate(places);
    if let Some(count) = candidates.excluded_counts.get_mut(&Exclusion::OfferSlotsBusy) {
        *count = count.saturating_sub(u32::try_from(busy.len()).unwrap_or(u32::MAX));
    }
    candidates.excluded_counts.retain(|_, count| *count > 0);
    candidates.excluded.retain(|one| busy.iter().all(|taken| taken.driver != one.driver));
    busy
}
