//! The longest way to the pickup where drivers are scarce: who needs longer is no candidate of the
//! window.

use std::collections::BTreeSet;

use crate::id::DriverId;
use crate::matching::problem::Row;
use crate::offer::Exclusion;
use crate::ride::{RankedCandidate, WaveExclusion};

/// Leaves out who needs longer than each request's policy allows a window with so many requests and
/// so many drivers around them. All drivers count whom the fixed limits let through: one that this
/// limit leaves out must not make the next look scarcer. Returns the tightest limit, in seconds.
pub(super) fn cap_pickups(rows: &mut [Row<'_>]) -> Option<u32> {
    let capped = |row: &Row<'_>| row.query().ranking.policy.pickup_eta_s_min > 0;
    if !rows.iter().any(capped) {
        return None;
    }
    let drivers: BTreeSet<&DriverId> = rows.iter().flat_map(Row::candidates).collect();
    let (requests, drivers) = (rows.len(), drivers.len());
    for row in rows.iter_mut() {
        row.cap_s = row.query().ranking.policy.pickup_eta_cap_s(requests, drivers);
        row.leave_out_beyond_cap();
    }
    rows.iter().filter_map(|row| row.cap_s).min()
}

impl Row<'_> {
    /// Leaves out who needs longer to the pickup than the limit in force.
    pub(super) fn leave_out_beyond_cap(&mut self) {
        let Some(cap_s) = self.cap_s else { return };
        let most_ms = i64::from(cap_s) * 1_000;
        let terms = &self.terms;
        let in_time = |ranked: &RankedCandidate| {
            terms.get(&ranked.candidate.driver).is_none_or(|terms| terms.pickup_eta_ms <= most_ms)
        };
        let (found, mut late): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.found.found).into_iter().partition(in_time);
        let (forward, late_forward): (Vec<_>, Vec<_>) = std::mem::take(&mut self.found.forward)
            .into_iter()
            .partition(|forward| in_time(&forward.ranked));
        (self.found.found, self.found.forward) = (found, forward);
        self.terms.retain(|_, terms| terms.pickup_eta_ms <= most_ms);
        late.extend(late_forward.into_iter().map(|forward| forward.ranked));
        if late.is_empty() || !self.query().explains {
            return;
        }
        let reason = Exclusion::PickupEtaAdaptive;
        let count = u32::try_from(late.len()).unwrap_or(u32::MAX);
        *self.found.excluded_counts.entry(reason).or_insert(0) += count;
        let left_out = |ranked: RankedCandidate| {
            let (driver, distance) = (ranked.candidate.driver, ranked.candidate.distance);
            WaveExclusion { driver, distance: distance.to_decimetre(), reason }
        };
        let explained_max = self.query().explained_max;
        let excluded = &mut self.found.excluded;
        excluded.extend(late.into_iter().map(left_out));
        excluded.sort_by(|a, b| {
            let by_distance = a.distance.get().total_cmp(&b.distance.get());
            by_distance.then_with(|| a.driver.cmp(&b.driver))
        });
        excluded.truncate(explained_max);
    }
}
