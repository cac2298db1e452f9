//! A shadow, as clients see it.

use std::collections::BTreeMap;

use muster_actors::ShadowReport;
use muster_engine::id::DriverId;
use muster_engine::market::Market;
use muster_engine::policy::PolicyPatch;
use muster_engine::shadow::{Comparison, Distribution, Side, SideTotals};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::time::rfc3339;
use crate::wire::window::PairCostView;

/// What another policy would have decided on the rides of a market, beside what was decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// The market.
    pub market: String,
    /// The mode of rides for which no rule sets another.
    #[schema(example = "batched")]
    pub mode: String,
    /// The keys in which the shadow's policy differs from the market's.
    pub policy: BTreeMap<String, serde_json::Value>,
    /// The version of the market's policies that it follows.
    pub version: u64,
    /// Since when rides are compared: the start of the server, or the newest change of either policy.
    #[schema(format = DateTime)]
    pub since: String,
    /// Rides whose first search has ended by both policies.
    pub rides: u64,
    /// Of these, rides that both found a driver for.
    pub served_by_both: u64,
    /// Per cent of the rides served by both that both gave to the same driver.
    pub same_driver_percent: Option<f64>,
    /// Rides that are followed at present.
    pub rides_followed: usize,
    /// Rides that were not followed, for as many were as may be.
    pub rides_skipped: u64,
    /// Rides whose end was not heard of.
    pub rides_lost: u64,
    /// News of rides that the shadow was too busy to take.
    pub news_dropped: u64,
    /// What was decided.
    pub real: ShadowSideView,
    /// What the shadow would have decided.
    pub shadow: ShadowSideView,
}

/// One of two policies. Times are over the rides that both found a driver for; quantiles are right to
/// three per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowSideView {
    /// Rides it found a driver for.
    pub served: u64,
    /// Per cent of all rides that were compared.
    pub served_percent: Option<f64>,
    /// Estimated seconds to the pickup.
    pub pickup_eta_s: DistributionView,
    /// Milliseconds from the search's beginning until a driver was decided on: the first offer.
    pub decided_ms: DistributionView,
    /// Milliseconds from the search's beginning until a driver had accepted; nothing for a shadow, which
    /// asks nobody.
    pub assigned_ms: DistributionView,
}

/// Values met.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DistributionView {
    /// Their mean.
    pub mean: Option<f64>,
    /// Half of them are not above this.
    pub p50: Option<u64>,
    /// Nine of ten are not above this.
    pub p90: Option<u64>,
}

/// What came of a ride's first search by a shadow, beside what came of it for real.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShadowRideView {
    /// The shadow's mode.
    #[schema(example = "batched")]
    pub mode: &'static str,
    /// Whether both gave it to the same driver.
    pub same_driver: bool,
    /// What was decided.
    pub real: ShadowRideSideView,
    /// What the shadow would have decided.
    pub shadow: ShadowRideSideView,
    /// What the ride and the shadow's driver cost together, in batched mode.
    pub cost: Option<PairCostView>,
}

/// What came of a ride by one of two policies.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ShadowRideSideView {
    /// `open`, `served`, `unserved` or `cancelled`.
    #[schema(example = "served")]
    pub end: &'static str,
    /// The driver.
    pub driver_id: Option<String>,
    /// His estimated time to the pickup.
    pub pickup_eta_s: Option<u32>,
    /// From the search's beginning until a driver was decided on: the first offer.
    pub decided_after_ms: Option<u64>,
    /// From the search's beginning until a driver had accepted; absent for the shadow.
    pub assigned_after_ms: Option<u64>,
}

impl ShadowView {
    /// A shadow as it stands.
    pub fn new(market: &Market, report: &ShadowReport) -> Self {
        let summary = &report.summary;
        Self {
            market: market.id().to_string(),
            mode: report.book.base().mode.name().to_owned(),
            policy: keys_of(&report.patch),
            version: report.book.version(),
            since: rfc3339(summary.since),
            rides: summary.rides,
            served_by_both: summary.served_by_both,
            same_driver_percent: percent(summary.same_driver, summary.served_by_both),
            rides_followed: report.followed,
            rides_skipped: summary.skipped,
            rides_lost: summary.lost,
            news_dropped: report.unheard,
            real: ShadowSideView::new(&summary.real, summary.rides),
            shadow: ShadowSideView::new(&summary.shadow, summary.rides),
        }
    }
}

impl ShadowSideView {
    fn new(totals: &SideTotals, rides: u64) -> Self {
        Self {
            served: totals.served,
            served_percent: percent(totals.served, rides),
            pickup_eta_s: DistributionView::from(&totals.pickup_eta_s),
            decided_ms: DistributionView::from(&totals.decided_ms),
            assigned_ms: DistributionView::from(&totals.assigned_ms),
        }
    }
}

impl From<&Distribution> for DistributionView {
    fn from(values: &Distribution) -> Self {
        let mean = values.mean().map(to_tenth);
        Self { mean, p50: values.quantile(500), p90: values.quantile(900) }
    }
}

impl From<&Comparison> for ShadowRideView {
    fn from(comparison: &Comparison) -> Self {
        Self {
            mode: comparison.mode.name(),
            same_driver: comparison.same_driver(),
            real: ShadowRideSideView::from(&comparison.real),
            shadow: ShadowRideSideView::from(&comparison.shadow),
            cost: comparison.pair.map(PairCostView::from),
        }
    }
}

impl From<&Side> for ShadowRideSideView {
    fn from(side: &Side) -> Self {
        Self {
            end: side.end.name(),
            driver_id: side.driver.as_ref().map(DriverId::to_string),
            pickup_eta_s: side.pickup_eta.map(|eta| eta.get()),
            decided_after_ms: side.decided_after_ms,
            assigned_after_ms: side.assigned_after_ms,
        }
    }
}

fn keys_of(patch: &PolicyPatch) -> BTreeMap<String, serde_json::Value> {
    let keys = serde_json::to_value(patch).ok();
    keys.and_then(|keys| serde_json::from_value(keys).ok()).unwrap_or_default()
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| to_tenth(part as f64 * 100.0 / whole as f64))
}

fn to_tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
