//! The search of a zone's queue: first come, first offered.

use crate::grid::Grid;
use crate::id::ServiceTierId;
use crate::offer::Exclusion;
use crate::ride::command::{CandidateQuery, Candidates, QueueQuery};
use crate::ride::decision::WaveExclusion;
use crate::ride::eligibility::classify;
use crate::ride::pickup_times::Times;
use crate::ride::ranking::{Candidate, Merits, PriorityGroup, RankedCandidate};
use crate::ride::search::{find_nearest, hold};
use crate::units::Meters;

/// What the queue had for a ride.
#[derive(Default)]
struct Queued {
    found: Vec<RankedCandidate>,
    excluded: Vec<WaveExclusion>,
    /// Whether somebody in it will answer an offer or end it soon.
    busy: bool,
}

/// Finds the drivers at the head of the queue who may be offered the ride, in its order.
///
/// In a search of the queue alone the others around follow when nobody in it is left; a driver who
/// holds an offer is passed over, and the ride waits for him rather than fall back. Otherwise the
/// places that the queue leaves are filled from around.
pub(super) fn find_queued(grid: &Grid, query: &CandidateQuery, queue: &QueueQuery) -> Candidates {
    let places = queue.places.unwrap_or(query.limit);
    let mut queued = search_queue(grid, query, queue, places);
    let travel = grid.travel_times();
    Times::at_once(travel.as_deref()).time_ranked(query, &mut queued.found);
    let around = match queue.places {
        Some(_) => {
            let exhausted = queued.found.is_empty() && !queued.busy;
            if exhausted && queue.falls_back { query.limit } else { 0 }
        }
        None => query.limit - queued.found.len().min(query.limit),
    };
    let mut candidates = Candidates { attempt: query.attempt, ..Candidates::default() };
    if around > 0 {
        let mut rest = query.clone();
        rest.limit = around;
        rest.asked.extend(queued.found.iter().map(|one| one.candidate.driver.clone()));
        candidates = find_nearest(grid, &rest);
    } else {
        for excluded in &queued.excluded {
            *candidates.excluded_counts.entry(excluded.reason).or_insert(0) += 1;
        }
        candidates.excluded = queued.excluded;
        candidates.excluded.truncate(query.explained_max);
    }
    forget_taken(&mut candidates, &queued.found);
    hold(grid, query, queued.found.iter());
    candidates.found.splice(0..0, queued.found);
    candidates
}

fn search_queue(grid: &Grid, query: &CandidateQuery, queue: &QueueQuery, places: usize) -> Queued {
    let mut queued = Queued::default();
    let Some(order) = grid.queue(&queue.zone) else { return queued };
    let tiers: &[ServiceTierId] = query.needs.service_tiers();
    for entry in order.serving(tiers) {
        if queued.found.len() >= places {
            break;
        }
        let driver = &entry.driver;
        let Some((supply, reading)) = grid.supply_and_reading(driver) else {
            let (driver, reason) = (driver.clone(), Exclusion::Offline);
            queued.excluded.push(WaveExclusion { driver, distance: Meters::default(), reason });
            continue;
        };
        let distance = query.pickup.distance(reading.position);
        let verdict = classify(query, driver, &supply, &reading);
        let waits = supply.slots_taken(query.now) > 0;
        match verdict {
            Ok(()) if !waits => queued.found.push(RankedCandidate {
                candidate: Candidate::new(
                    driver.clone(),
                    reading.position,
                    distance,
                    Merits::from(&supply),
                ),
                group: PriorityGroup::ZoneQueue,
                score: None,
            }),
            Ok(()) => {
                queued.busy = true;
                let (driver, reason) = (driver.clone(), Exclusion::OfferSlotsBusy);
                let distance = distance.to_decimetre();
                queued.excluded.push(WaveExclusion { driver, distance, reason });
            }
            Err(reason) => {
                queued.busy |= ends_soon(reason);
                let (driver, distance) = (driver.clone(), distance.to_decimetre());
                queued.excluded.push(WaveExclusion { driver, distance, reason });
            }
        }
    }
    queued
}

/// Whether what keeps a driver from an offer ends with an answer that is on its way.
fn ends_soon(reason: Exclusion) -> bool {
    let busy = [Exclusion::OfferSlotsBusy, Exclusion::OfferSlotsFull, Exclusion::Reserved];
    busy.contains(&reason)
}

/// Who is taken from the queue was kept from the search around, and is excluded from nothing.
fn forget_taken(candidates: &mut Candidates, taken: &[RankedCandidate]) {
    let is_taken = |one: &WaveExclusion| taken.iter().any(|t| t.candidate.driver == one.driver);
    let before = candidates.excluded.len();
    candidates.excluded.retain(|one| !(one.reason == Exclusion::AlreadyAsked && is_taken(one)));
    let forgotten = u32::try_from(before - candidates.excluded.len()).unwrap_or(u32::MAX);
    if let Some(count) = candidates.excluded_counts.get_mut(&Exclusion::AlreadyAsked) {
        *count = count.saturating_sub(forgotten);
    }
    candidates.excluded_counts.retain(|_, count| *count > 0);
}
