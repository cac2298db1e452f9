//! The search of the supply index for a wave: who is eligible, and why the others are not.

use crate::grid::{Contact, DriverStatus, Grid, NearbyQuery, Reading, Supply};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::ride::command::{CandidateQuery, Candidates};
use crate::ride::ranking::{Candidate, rank};
use crate::ride::record::WaveExclusion;

/// Decides from the supply index whether a driver may be offered the ride.
///
/// The index may lag behind the driver by a message: his own machine checks again when offered.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub fn classify(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &Supply,
    reading: &Reading,
) -> Result<(), Exclusion> {
    match supply.status {
        DriverStatus::Offline => return Err(Exclusion::Offline),
        DriverStatus::Reserved => return Err(Exclusion::Reserved),
        DriverStatus::EnRoute | DriverStatus::AtPickup | DriverStatus::OnTrip => {
            return Err(Exclusion::OnRide);
        }
        DriverStatus::Available => {}
    }
    let stale = reading.received_at < query.fix_received_after;
    let checks = [
        (supply.contact != Contact::Live || stale, Exclusion::StalePosition),
        (supply.blocked, Exclusion::Blocked),
        (!supply.tiers.intersects(query.tiers), Exclusion::ServiceTier),
        (!supply.tags.covers(query.tags), Exclusion::MissingTag),
        (supply.slots_taken(query.now) >= query.live_offers_max, Exclusion::OfferSlotsFull),
        (supply.cooling_down, Exclusion::CoolingDown),
        (query.blocked.contains(driver), Exclusion::BlockedForRide),
        (query.asked.contains(driver), Exclusion::AlreadyAsked),
    ];
    match checks.into_iter().find(|(holds, _)| *holds) {
        Some((_, reason)) => Err(reason),
        None => Ok(()),
    }
}

/// A wave that is not durable after this long has failed: what it counted on is free again. Shorter
/// than a slow commit it would end in a storm: rides choose the same drivers, are refused, and make
/// commits slower by choosing again.
const HOLD_MS: u64 = 15_000;

/// Finds the nearest eligible drivers, exactly, with a reason for every nearer one left out, ranks
/// them, and holds a slot of each that is chosen for the offer that is on its way.
pub fn find_candidates(grid: &Grid, query: &CandidateQuery) -> Candidates {
    let nearby = NearbyQuery {
        at: query.pickup,
        radius: query.radius,
        limit: query.ranking.pool_size(query.limit),
        excluded_max: query.explained_max,
        offerable_under: (!query.explains).then_some((query.live_offers_max, query.now)),
    };
    let result =
        grid.nearest(&nearby, |driver, supply, reading| classify(query, driver, supply, reading));
    let pool = result.found.into_iter().map(|found| Candidate {
        driver: found.driver,
        distance: found.distance,
        tiers: found.supply.tiers,
        tags: found.supply.tags,
        standing: found.supply.standing,
    });
    let mut found = rank(pool.collect(), &query.ranking, query.now);
    let passed_over = found.split_off(query.limit.min(found.len()));
    for chosen in &found {
        grid.hold(&chosen.candidate.driver, query.now, query.now.plus_millis(HOLD_MS));
    }
    let excluded = result.excluded.into_iter().map(|excluded| WaveExclusion {
        driver: excluded.slot.driver().clone(),
        distance: excluded.distance,
        reason: excluded.reason,
    });
    Candidates {
        attempt: query.attempt,
        excluded: excluded.collect(),
        found,
        passed_over,
        excluded_counts: result.excluded_counts,
    }
}
