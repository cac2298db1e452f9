//! Which policy an attempt runs under: pinned when it begins.

use std::sync::Arc;

use crate::id::{ServiceTierId, ZoneId};
use crate::policy::{AttemptKind, PolicyBook, PolicyContext, Resolution};
use crate::ride::machine::RideMachine;
use crate::ride::places::RidePlaces;
use crate::ride::record::{PinnedPolicy, RideRecord};
use crate::time::Timestamp;

impl RideMachine {
    /// Takes note of the policies in force; the attempt under way keeps its own.
    pub fn use_policies(&mut self, book: &Arc<PolicyBook>) {
        if !Arc::ptr_eq(&self.book, book) {
            self.book = Arc::clone(book);
        }
    }

    /// Pins the policy of an attempt that begins at `now`.
    pub(super) fn pin_policy(&mut self, attempt: AttemptKind, now: Timestamp) {
        let resolved = self.book.resolve(&policy_context(&self.record, &self.places, attempt, now));
        let Resolution { policy, version, rules, arm } = resolved;
        self.record.policy = PinnedPolicy { mode: policy.mode, attempt, version, rules, arm };
        self.policy = policy;
    }
}

/// What policies may depend on.
pub(super) fn policy_context<'a>(
    record: &'a RideRecord,
    places: &'a RidePlaces,
    attempt: AttemptKind,
    at: Timestamp,
) -> PolicyContext<'a> {
    let request = &record.request;
    let metres = record.dropoff().map_or(0.0, |to| request.pickup.distance(to).get());
    PolicyContext {
        ride: &request.ride,
        service_tiers: record.service_tiers.iter().map(ServiceTierId::as_str).collect(),
        category: request.attributes.get("category").map(String::as_str),
        pickup_zones: places.pickup.iter().map(ZoneId::as_str).collect(),
        drop_zones: places.dropoff.iter().map(ZoneId::as_str).collect(),
        distance_m: metres as u32,
        at,
        attempt,
    }
}
