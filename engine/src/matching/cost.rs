//! What it costs that a driver serves a request: everything in milliseconds to the pickup.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::grid::TierSet;
use crate::policy::DispatchPolicy;
use crate::ride::{Candidate, IDLE_FULL_MS, tier_with_least_downgrade};
use crate::time::Timestamp;

/// What the cost of a pair consists of, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct PairTerms {
    /// The driver's way to the pickup.
    pub pickup_eta_ms: i64,
    /// Tiers below his best one, by `match_downgrade_s`.
    pub downgrade_ms: i64,
    /// What a refusal costs by `match_refusal_s`, as likely as it is.
    pub refusal_ms: i64,
    /// What his time without a ride takes off, by `match_idle_s`: 0 or less.
    pub idle_ms: i64,
    /// What the market's values take off, by `match_value_permille`: above 0 where waiting is worth
    /// more than the ride.
    #[cfg_attr(feature = "serde", serde(default))]
    pub value_ms: i64,
}

impl PairTerms {
    /// The terms of `candidate` for a ride that takes the tiers `wanted`.
    pub fn of(
        policy: &DispatchPolicy,
        candidate: &Candidate,
        wanted: TierSet,
        now: Timestamp,
    ) -> Self {
        Self {
            pickup_eta_ms: pickup_eta_ms(policy, candidate),
            downgrade_ms: downgrade_levels(policy, candidate, wanted)
                * i64::from(policy.match_downgrade_s)
                * 1_000,
            refusal_ms: i64::from(policy.match_refusal_s) * refusal_permille(policy, candidate),
            idle_ms: -idle_ms(policy, candidate, now),
            value_ms: 0,
        }
    }

    /// All of them together.
    pub const fn total_ms(&self) -> i64 {
        self.pickup_eta_ms + self.downgrade_ms + self.refusal_ms + self.idle_ms + self.value_ms
    }
}

fn pickup_eta_ms(policy: &DispatchPolicy, candidate: &Candidate) -> i64 {
    // Saturates: `as` clamps floats to the integer's range.
    (policy.pickup_s(candidate.distance) * 1_000.0).round() as i64
}

fn downgrade_levels(policy: &DispatchPolicy, candidate: &Candidate, wanted: TierSet) -> i64 {
    let levels_max = policy.downgrade_levels_max;
    let served = tier_with_least_downgrade(candidate.tiers, wanted, levels_max);
    let best = candidate.tiers.indices().last();
    best.zip(served).map_or(0, |(best, served)| i64::from(best) - i64::from(served))
}

/// How likely he refuses, in thousandths: his own answers, and as many assumed ones as the policy
/// says, so that a single refusal of a newcomer says little.
fn refusal_permille(policy: &DispatchPolicy, candidate: &Candidate) -> i64 {
    let standing = &candidate.standing;
    let assumed = u64::from(policy.match_acceptance_prior_offers);
    let accepted = u64::from(standing.offers_accepted) * 1_000
        + assumed * u64::from(policy.match_acceptance_prior_permille);
    let answered = u64::from(standing.offers_answered) + assumed;
    let acceptance = accepted.checked_div(answered).unwrap_or(0).min(1_000);
    1_000 - acceptance as i64
}

fn idle_ms(policy: &DispatchPolicy, candidate: &Candidate, now: Timestamp) -> i64 {
    let idle_ms = now.millis_since(candidate.standing.idle_since).min(IDLE_FULL_MS);
    let worth_ms = u64::from(policy.match_idle_s) * 1_000 * idle_ms / IDLE_FULL_MS;
    i64::try_from(worth_ms).unwrap_or(i64::MAX)
}
