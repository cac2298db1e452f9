//! The search of the supply index for a wave.

use std::collections::{BTreeMap, BTreeSet};

use crate::geo::Position;
use crate::grid::{Found, Grid, NearbyQuery, Supply};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::ride::command::{CandidateQuery, Candidates};
use crate::ride::decision::WaveExclusion;
use crate::ride::eligibility::classify;
use crate::ride::forward_search::add_forward;
use crate::ride::queue_search::find_queued;
use crate::ride::ranking::{Candidate, RankedCandidate, rank};
use crate::units::Meters;

/// A wave that is not durable after this long has failed: what it counted on is free again. Shorter
/// than a slow commit it would end in a storm: rides choose the same drivers, are refused, and make
/// commits slower by choosing again.
const HOLD_MS: u64 = 15_000;

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
    let candidates = search_nearest(grid, query);
    let forward = candidates.forward.iter().map(|forward| &forward.ranked);
    hold(grid, query, candidates.found.iter().chain(forward));
    candidates
}

/// As [`find_candidates`], whoever may wait in a queue, and without holding a slot of anyone.
pub(crate) fn search_nearest(grid: &Grid, query: &CandidateQuery) -> Candidates {
    let nearby = NearbyQuery {
        at: query.pickup,
        radius: query.radius,
        limit: if query.limit == 0 { 0 } else { query.ranking.pool_size(query.limit) },
        excluded_max: query.explained_max,
        live_offers_max: query.live_offers_max,
        now: query.now,
        explains: query.explains,
    };
    // A search that finds too few has seen its whole radius, so these are all there are.
    let mut busy = BTreeMap::new();
    let mut on_trip = BTreeMap::new();
    let result = grid.nearest(&nearby, Exclusion::from, |driver, supply, reading| {
        let verdict = classify(query, driver, supply, reading);
        if verdict == Err(Exclusion::OfferSlotsBusy) {
            let distance = query.pickup.distance(reading.position);
            let busy_one = candidate(driver.clone(), reading.position, distance, supply);
            busy.insert(driver.clone(), busy_one);
        }
        if query.forward.is_some() && supply.forward.link().is_some() {
            on_trip.insert(driver.clone(), query.pickup.distance(reading.position));
        }
        verdict
    });
    let full = result.found.len() >= nearby.limit && nearby.limit > 0;
    let seen = result.found.last().filter(|_| full).map_or(query.radius, |last| last.distance);
    on_trip.retain(|_, distance| *distance <= seen);
    let on_trip: BTreeSet<DriverId> = on_trip.into_keys().collect();
    let of_found = |found: Found| {
        candidate(found.driver, found.reading.position, found.distance, &found.supply)
    };
    let pool: Vec<Candidate> = result.found.into_iter().map(of_found).collect();
    let places = query.limit.saturating_sub(pool.len());
    let mut found = rank(pool, &query.ranking, query.now);
    let passed_over = found.split_off(query.limit.min(found.len()));
    let excluded = result.excluded.into_iter().map(|excluded| WaveExclusion {
        driver: excluded.slot.driver().clone(),
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
        costs_ms: BTreeMap::new(),
    };
    let filling = take_busy(&mut candidates, busy, places);
    candidates.found.extend(rank(filling, &query.ranking, query.now));
    if let Some(places) = &query.forward {
        add_forward(grid, query, places, &on_trip, &mut candidates);
    }
    candidates
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

pub(super) fn candidate(
    driver: DriverId,
    from: Position,
    distance: Meters,
    supply: &Supply,
) -> Candidate {
    let (tiers, tags, standing) = (supply.tiers, supply.tags, supply.standing);
    let instant_tiers = supply.instant_tiers;
    Candidate { driver, from, distance, tiers, instant_tiers, tags, standing }
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
