//! A dispatch window, as explanations tell of it.

use muster_engine::matching::{PairTerms, WindowFacts};
use serde::Serialize;
use utoipa::ToSchema;

/// The dispatch window that a decision comes from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct WindowView {
    /// Its number; grows within the market.
    pub number: u64,
    /// Requests that were matched together.
    pub requests: u32,
    /// Drivers who were candidates of any of them.
    pub drivers: u32,
    /// Pairs of a request and a driver that could have been matched.
    pub pairs: u32,
    /// Requests that got a driver.
    pub served: u32,
    /// Whether it is proven that no matching of these pairs costs less.
    pub optimal: bool,
    /// By how much the matching can be beaten at most, in all, in milliseconds to the pickup.
    pub gap_ms: i64,
    /// The longest time to the pickup in seconds while drivers were as scarce as in this window; absent
    /// where it does not depend on that.
    pub pickup_eta_cap_s: Option<u32>,
    /// What this ride and its driver cost together; absent when it got nobody.
    pub cost: Option<PairCostView>,
}

/// The cost of a ride and a driver, in milliseconds to the pickup.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct PairCostView {
    /// All terms together.
    pub total_ms: i64,
    /// The way to the pickup.
    pub pickup_eta_ms: i64,
    /// Tiers below the driver's best one.
    pub downgrade_ms: i64,
    /// What a refusal costs, as likely as it is.
    pub refusal_ms: i64,
    /// What his time without a ride takes off.
    pub idle_ms: i64,
    /// What the market's values take off; above 0 where waiting is worth more than the ride.
    pub value_ms: i64,
}

impl From<WindowFacts> for WindowView {
    fn from(facts: WindowFacts) -> Self {
        Self {
            number: facts.number,
            requests: facts.requests,
            drivers: facts.drivers,
            pairs: facts.pairs,
            served: facts.served,
            optimal: facts.optimal,
            gap_ms: facts.gap_ms,
            pickup_eta_cap_s: facts.pickup_eta_cap_s,
            cost: facts.pair.map(PairCostView::from),
        }
    }
}

impl From<PairTerms> for PairCostView {
    fn from(terms: PairTerms) -> Self {
        let total_ms = terms.total_ms();
        let PairTerms { pickup_eta_ms, downgrade_ms, refusal_ms, idle_ms, value_ms } = terms;
        Self { total_ms, pickup_eta_ms, downgrade_ms, refusal_ms, idle_ms, value_ms }
    }
}
