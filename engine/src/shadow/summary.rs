//! What came of all rides that were compared, in bounded memory.

use std::collections::BTreeMap;

use crate::shadow::comparison::{Comparison, RideEnd, Side};
use crate::time::Timestamp;

/// Parts that each power of two is divided into: quantiles are right to about three per cent.
const PARTS: u64 = 32;

/// How often which value was met: at most 1,920 buckets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// Counts by the least value of their bucket.
    buckets: BTreeMap<u64, u64>,
    count: u64,
    sum: u64,
}

impl Distribution {
    pub(super) fn add(&mut self, value: u64) {
        *self.buckets.entry(floor_of(value)).or_insert(0) += 1;
        self.count += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// The mean; nothing of no values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum as f64 / self.count as f64)
    }

    /// The value that `permille` thousandths are not above, to about three per cent; nothing of no
    /// values.
    pub fn quantile(&self, permille: u16) -> Option<u64> {
        let rank = (self.count * u64::from(permille)).div_ceil(1_000).max(1);
        let mut seen = 0;
        self.buckets.iter().find_map(|(value, count)| {
            seen += count;
            (seen >= rank).then_some(*value)
        })
    }
}

/// The least value of the bucket of `value`.
fn floor_of(value: u64) -> u64 {
    let width = (value / PARTS).checked_ilog2().map_or(1, |power| 1_u64 << power);
    value / width * width
}

/// Of one policy, over the rides that both found a driver for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SideTotals {
    /// Rides it found a driver for, those included that the other did not.
    pub served: u64,
    /// Estimated seconds to the pickup.
    pub pickup_eta_s: Distribution,
    /// Milliseconds until a driver was decided on.
    pub decided_ms: Distribution,
    /// Milliseconds until a driver had accepted; empty for a shadow.
    pub assigned_ms: Distribution,
}

impl SideTotals {
    fn add(&mut self, side: &Side) {
        if let Some(eta) = side.pickup_eta {
            self.pickup_eta_s.add(u64::from(eta.get()));
        }
        side.decided_after_ms.into_iter().for_each(|ms| self.decided_ms.add(ms));
        side.assigned_after_ms.into_iter().for_each(|ms| self.assigned_ms.add(ms));
    }
}

/// Two policies over the same rides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShadowSummary {
    /// Since when.
    pub since: Timestamp,
    /// Rides that came to their end by both.
    pub rides: u64,
    /// Of these, rides that both found the same driver for.
    pub same_driver: u64,
    /// Of these, rides that both found a driver for.
    pub served_by_both: u64,
    /// Rides that were not followed, for as many were as may be.
    pub skipped: u64,
    /// Rides whose end was not heard of in time.
    pub lost: u64,
    /// For real.
    pub real: SideTotals,
    /// By the shadow.
    pub shadow: SideTotals,
}

impl ShadowSummary {
    pub(super) fn add(&mut self, comparison: &Comparison) {
        self.rides += 1;
        self.same_driver += u64::from(comparison.same_driver());
        self.real.served += u64::from(comparison.real.end == RideEnd::Served);
        self.shadow.served += u64::from(comparison.shadow.end == RideEnd::Served);
        if comparison.served_by_both() {
            self.served_by_both += 1;
            self.real.add(&comparison.real);
            self.shadow.add(&comparison.shadow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_three_per_cent_and_the_mean_is_exact() {
        let mut values = Distribution::default();
        assert_eq!((values.mean(), values.quantile(500)), (None, None));
        (1..=100_000).for_each(|value| values.add(value));
        assert_eq!(values.mean(), Some(50_000.5));
        for (permille, exact) in [(1, 100.0), (500, 50_000.0), (900, 90_000.0), (1_000, 100_000.0)]
        {
            let quantile = values.quantile(permille).unwrap() as f64;
            assert!(quantile <= exact && quantile > exact * 0.96, "{permille}: {quantile}");
        }
        assert!(values.buckets.len() < 450, "{} buckets", values.buckets.len());
    }
}
