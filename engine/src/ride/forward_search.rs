//! Drivers who are about to finish a ride: who of them may be asked for the next one, and the search
//! for a wave's places.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::DriverFacts;
use crate::forward::{ForwardLink, ForwardWay};
use crate::geo::Position;
use crate::grid::{ForwardNearbyQuery, Grid, Reading, Supply};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::policy::DispatchPolicy;
use crate::ride::command::{CandidateQuery, Candidates, ForwardCandidate, ForwardPlaces};
use crate::ride::decision::WaveExclusion;
use crate::ride::eligibility::{admits, first_of, has_tier, suits};
use crate::ride::needs::RideNeeds;
use crate::ride::pickup_times::Times;
use crate::ride::ranking::{Candidate, Merits, RankedCandidate, rank};
use crate::time::Timestamp;
use crate::units::Meters;

/// Whether his present ride leaves a driver near enough to its end.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub(super) fn ends_soon(policy: &DispatchPolicy, remaining: Meters) -> Result<(), Exclusion> {
    let far = remaining.get() > f64::from(policy.forward_remaining_m_max);
    let long = policy.pickup_eta(remaining).get() > policy.forward_remaining_s_max;
    first_of([(far, Exclusion::ForwardRemainingDistance), (long, Exclusion::ForwardRemainingTime)])
}

/// Whether a driver with these facts, who is at `from` on a trip, suits a ride with these needs as
/// the one after it: he comes from his drop-off, when he has been there.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub fn suits_forward(
    needs: &RideNeeds,
    facts: &DriverFacts,
    link: &ForwardLink,
    from: Position,
    now: Timestamp,
) -> Result<(), Exclusion> {
    let policy = &needs.policy;
    let ForwardWay { remaining, distance } = needs.forward_way(link, from);
    ends_soon(policy, remaining)?;
    let there = now.plus_millis(u64::from(policy.pickup_eta(remaining).get()) * 1_000);
    suits(needs, facts, link.dropoff, there)?;
    let most_s = policy.pickup_eta_s_max;
    let too_late = most_s > 0 && policy.pickup_eta(distance).get() > most_s;
    first_of([(too_late, Exclusion::PickupEta)])
}

/// Adds the drivers on a trip who are to be asked, and why others are not.
///
/// `on_trip` are those whom the search for idle drivers passed as being on a ride: who is judged
/// here is not left out there.
pub(super) fn add_forward(
    grid: &Grid,
    query: &CandidateQuery,
    places: &ForwardPlaces,
    times: Times<'_>,
    on_trip: &BTreeSet<DriverId>,
    candidates: &mut Candidates,
) {
    let asked = if candidates.found.is_empty() { places.alone } else { places.beside_idle };
    if !asked || places.limit == 0 {
        return;
    }
    let policy = &query.needs.policy;
    let nearby = ForwardNearbyQuery {
        pickup: query.pickup,
        radius: Meters::new(f64::from(policy.forward_radius_m)),
        limit: query.ranking.pool_size(places.limit),
        excluded_max: query.explained_max,
    };
    let mut judged = BTreeSet::new();
    let result = grid.nearest_by_dropoff(&nearby, |driver, supply, reading, _| {
        judged.insert(driver.clone());
        let link = classify_forward(query, driver, supply, reading)?;
        Ok((link.clone(), Merits::from(supply)))
    });
    let mut links = BTreeMap::new();
    let mut pool = Vec::new();
    for found in result.found {
        let (at, (link, merits)) = (found.reading.position, found.kept);
        links.insert(found.driver.clone(), link);
        pool.push(Candidate::new(found.driver, at, found.distance, merits));
    }
    times.time_forward(query, &mut pool, &links);
    let mut ranked = rank(pool, &query.ranking, query.now);
    candidates.passed_over.extend(ranked.split_off(places.limit.min(ranked.len())));
    let linked = |ranked: RankedCandidate| {
        let link = links.remove(&ranked.candidate.driver)?;
        Some(ForwardCandidate { ranked, link })
    };
    candidates.forward = ranked.into_iter().filter_map(linked).collect();
    judged.retain(|driver| on_trip.contains(driver));
    no_longer_left_out(candidates, &judged);
    if query.explains {
        let excluded = result.excluded.into_iter().map(|excluded| WaveExclusion {
            driver: excluded.driver,
            distance: excluded.distance,
            reason: excluded.reason,
        });
        candidates.excluded.extend(excluded);
        candidates.excluded.sort_by(|a, b| {
            let by_distance = a.distance.get().total_cmp(&b.distance.get());
            by_distance.then_with(|| a.driver.cmp(&b.driver))
        });
        candidates.excluded.truncate(query.explained_max);
        for (reason, count) in result.excluded_counts {
            *candidates.excluded_counts.entry(reason).or_insert(0) += count;
        }
    }
}

/// As [`classify`](super::classify) for a driver on a trip; what he would follow.
fn classify_forward<'s>(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &'s Supply,
    reading: &Reading,
) -> Result<&'s ForwardLink, Exclusion> {
    let link = supply.forward.link().ok_or(Exclusion::OnRide)?;
    let free = supply.slots_taken(query.now) < query.needs.policy.forward_live_offers_max;
    admits(query, driver, supply, reading, free)?;
    has_tier(query, supply, query.tiers)?;
    suits_forward(&query.needs, &supply.facts, link, reading.position, query.now)?;
    Ok(link)
}

fn no_longer_left_out(candidates: &mut Candidates, judged: &BTreeSet<DriverId>) {
    let judged_now = |one: &WaveExclusion| judged.contains(&one.driver);
    candidates.excluded.retain(|one| !judged_now(one) || one.reason != Exclusion::OnRide);
    if let Some(count) = candidates.excluded_counts.get_mut(&Exclusion::OnRide) {
        *count = count.saturating_sub(u32::try_from(judged.len()).unwrap_or(u32::MAX));
    }
    candidates.excluded_counts.retain(|_, count| *count > 0);
}
