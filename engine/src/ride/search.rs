//! The search of the supply index for a wave.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::grid::{Grid, NearbyQuery};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::ride::command::{Candidate, CandidateQuery, Candidates};
use crate::ride::eligibility::classify;
use crate::ride::record::WaveExclusion;

/// A wave that is not durable after this long has failed: what it counted on is free again.
const HOLD_MS: u64 = 3_000;

/// Finds the nearest eligible drivers, exactly, with a reason for every nearer one left out, and
/// holds a slot of each for the offer that is on its way.
///
/// Drivers below the soft cap of live offers come first, wherever within the radius they are; those
/// between the caps only take the places that would stay empty.
pub fn find_candidates(grid: &Grid, query: &CandidateQuery) -> Candidates {
    let nearby = NearbyQuery {
        at: query.pickup,
        radius: query.radius,
        limit: query.limit,
        excluded_max: query.explained_max,
        offerable_under: (!query.explains).then_some((query.live_offers_max, query.now)),
    };
    // A search that finds too few has seen its whole radius, so these are all there are.
    let mut busy = BTreeMap::new();
    let result = grid.nearest(&nearby, |driver, supply, reading| {
        let verdict = classify(query, driver, supply, reading);
        if verdict == Err(Exclusion::OfferSlotsBusy) {
            let distance = query.pickup.distance(reading.position);
            let driver = driver.clone();
            let candidate = Candidate { driver: driver.clone(), distance, tiers: supply.tiers };
            busy.insert(driver, candidate);
        }
        verdict
    });
    let found = result.found.into_iter().map(|found| Candidate {
        driver: found.driver,
        distance: found.distance,
        tiers: found.supply.tiers,
    });
    let excluded = result.excluded.into_iter().map(|excluded| WaveExclusion {
        driver: excluded.slot.driver().clone(),
        distance: excluded.distance,
        reason: excluded.reason,
    });
    let mut candidates = Candidates {
        attempt: query.attempt,
        excluded: excluded.collect(),
        found: found.collect(),
        excluded_counts: result.excluded_counts,
    };
    fill_up(&mut candidates, busy, query.limit);
    for found in &candidates.found {
        grid.hold(&found.driver, query.now, query.now.plus_millis(HOLD_MS));
    }
    candidates
}

/// Gives the places that are left to the nearest drivers between the caps.
fn fill_up(candidates: &mut Candidates, busy: BTreeMap<DriverId, Candidate>, limit: usize) {
    let places = limit.saturating_sub(candidates.found.len());
    let mut busy: Vec<Candidate> = busy.into_values().collect();
    busy.retain(|one| candidates.found.iter().all(|found| found.driver != one.driver));
    busy.sort_by(nearer);
    busy.truncate(places);
    if let Some(count) = candidates.excluded_counts.get_mut(&Exclusion::OfferSlotsBusy) {
        *count = count.saturating_sub(u32::try_from(busy.len()).unwrap_or(u32::MAX));
    }
    candidates.excluded_counts.retain(|_, count| *count > 0);
    candidates.excluded.retain(|one| busy.iter().all(|taken| taken.driver != one.driver));
    candidates.found.extend(busy);
    candidates.found.sort_by(nearer);
}

fn nearer(a: &Candidate, b: &Candidate) -> Ordering {
    let by_distance = a.distance.get().total_cmp(&b.distance.get());
    by_distance.then_with(|| a.driver.cmp(&b.driver))
}
