//! What a match is worth beyond its pickup: the advantage of a pair by the market's values.

use crate::matching::cost::PairTerms;
use crate::matching::value::ValueTable;
use crate::ride::{Candidate, CandidateQuery};
use crate::units::Meters;

/// What the values take off the cost of a pair, by `match_value_permille`: less than 0 where the ride
/// is worth more than waiting. A ride that tells no drop-off is worth neither more nor less.
pub(super) fn value_ms(
    values: Option<&ValueTable>,
    query: &CandidateQuery,
    candidate: &Candidate,
    terms: &PairTerms,
) -> i64 {
    let policy = &query.ranking.policy;
    let weight = f64::from(policy.match_value_permille);
    let Some((values, dropoff)) = values.zip(query.ranking.dropoff).filter(|_| weight > 0.0) else {
        return 0;
    };
    let drives_s = |metres: f64| metres * policy.detour_factor / policy.pickup_speed_mps;
    let pickup_s = terms.pickup_eta_ms as f64 / 1_000.0;
    let trip_s = drives_s(query.pickup.distance(dropoff).get());
    // Who is on a trip is free at its end.
    let remaining = candidate.distance.get() - candidate.from.distance(query.pickup).get();
    let free_s = drives_s(Meters::new(remaining.max(0.0)).get());
    let from = (candidate.from, free_s);
    let advantage_s = values.advantage_s(query.now, from, pickup_s, (dropoff, trip_s));
    // Thousandths of a second per second are milliseconds.
    -(weight * advantage_s).round() as i64
}
