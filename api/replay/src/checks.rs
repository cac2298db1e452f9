//! Wire checks: what the server told its clients must not contradict itself.
//!
//! Frames of different sockets are handled in no fixed order, so a contradiction between two
//! drivers is only suspected when it is seen, and becomes a violation unless the missing
//! cancellation turns up before the end of the replay.

use std::collections::{BTreeMap, HashMap};

use crate::wire::{RideStatus, RideView};

/// Violations described in words in the summary.
const EXAMPLES_MAX: usize = 20;

/// How a driver was freed of a ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Release {
    Cancelled,
    Completed,
}

#[derive(Debug, Default)]
struct RideTruth {
    holder: Option<String>,
    version: u64,
    attempt: u32,
    status: Option<RideStatus>,
}

#[derive(Debug)]
struct Suspect {
    ride_id: String,
    old_driver: String,
    new_driver: String,
}

/// Everything told so far, as far as it can be contradicted.
#[derive(Debug, Default)]
pub(crate) struct WireChecks {
    rides: HashMap<String, RideTruth>,
    /// The ride each driver has been told to be on.
    driver_ride: HashMap<String, String>,
    last_completed: HashMap<String, String>,
    /// Expiry and time of sending of each accept under way.
    accepts: HashMap<String, (i64, i64)>,
    suspects: Vec<Suspect>,
    violations: BTreeMap<&'static str, u64>,
    examples: Vec<String>,
}

impl WireChecks {
    /// A driver was told to have a ride.
    pub(crate) fn told_assigned(&mut self, driver: &str, ride_id: &str) {
        let current = self.driver_ride.get(driver);
        if current.is_some_and(|current| current == ride_id)
            || self.last_completed.get(driver).is_some_and(|last| last == ride_id)
        {
            return;
        }
        if let Some(current) = current {
            let what = format!("driver {driver} got {ride_id} while on {current}");
            self.violated("driver_with_two_rides", what);
        }
        self.driver_ride.insert(driver.to_owned(), ride_id.to_owned());
        let ride = self.rides.entry(ride_id.to_owned()).or_default();
        if let Some(old_driver) = ride.holder.replace(driver.to_owned())
            && old_driver != driver
        {
            let new_driver = driver.to_owned();
            self.suspects.push(Suspect { ride_id: ride_id.to_owned(), old_driver, new_driver });
        }
    }

    /// A driver was freed of a ride, or freed itself.
    pub(crate) fn released(&mut self, driver: &str, ride_id: &str, how: Release) {
        if self.driver_ride.get(driver).is_some_and(|current| current == ride_id) {
            self.driver_ride.remove(driver);
        }
        if let Some(ride) = self.rides.get_mut(ride_id)
            && ride.holder.as_deref() == Some(driver)
        {
            ride.holder = None;
        }
        match how {
            Release::Cancelled => {
                self.suspects.retain(|one| !(one.ride_id == ride_id && one.old_driver == driver))
            }
            Release::Completed => {
                self.last_completed.insert(driver.to_owned(), ride_id.to_owned());
            }
        }
    }

    /// A driver accepted an offer.
    pub(crate) fn accepted(&mut self, offer_id: &str, sent_at_ms: i64, expires_at_ms: Option<i64>) {
        if let Some(expires_at_ms) = expires_at_ms {
            self.accepts.insert(offer_id.to_owned(), (sent_at_ms, expires_at_ms));
        }
    }

    /// An accept was answered. `tolerance_ms` covers the difference between the two clocks.
    pub(crate) fn accept_result(&mut self, offer_id: &str, won: bool, tolerance_ms: i64) {
        if let Some((sent_at_ms, expires_at_ms)) = self.accepts.remove(offer_id)
            && won
            && sent_at_ms > expires_at_ms + tolerance_ms
        {
            let late_ms = sent_at_ms - expires_at_ms;
            let what = format!("offer {offer_id} was accepted {late_ms} ms after its end and won");
            self.violated("won_after_expiry", what);
        }
    }

    /// A ride was shown to anyone.
    pub(crate) fn shown(&mut self, view: &RideView) {
        let ride = self.rides.entry(view.ride_id.clone()).or_default();
        // Views of different connections overtake each other: only newer ones are compared.
        if view.version < ride.version || (view.version == 0 && ride.version > 0) {
            return;
        }
        let before = ride.status.replace(view.status);
        let same_attempt = view.attempt <= ride.attempt;
        let same_version = view.version == ride.version && view.version > 0;
        ride.version = view.version;
        ride.attempt = view.attempt.max(ride.attempt);
        let Some(before) = before else { return };
        if same_version && before != view.status {
            let what = format!(
                "ride {} version {} was {before:?} and {:?}",
                view.ride_id, view.version, view.status
            );
            self.violated("one_version_two_statuses", what);
        } else if !may_follow(before, view.status, same_attempt) {
            let what = format!("ride {} went from {before:?} to {:?}", view.ride_id, view.status);
            self.violated("status_backwards", what);
        }
    }

    /// Turns what is still suspected into violations; the end of the replay.
    pub(crate) fn settle(&mut self) {
        for Suspect { ride_id, old_driver, new_driver } in std::mem::take(&mut self.suspects) {
            let what =
                format!("ride {ride_id} was given to {new_driver} while {old_driver} had it");
            self.violated("ride_with_two_drivers", what);
        }
    }

    /// Violations by kind.
    pub(crate) fn violations(&self) -> &BTreeMap<&'static str, u64> {
        &self.violations
    }

    /// The first violations in words.
    pub(crate) fn examples(&self) -> &[String] {
        &self.examples
    }

    fn violated(&mut self, kind: &'static str, what: String) {
        *self.violations.entry(kind).or_insert(0) += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(format!("{kind}: {what}"));
        }
    }
}

/// Whether a later view may show `after` once an earlier one has shown `before`.
fn may_follow(before: RideStatus, after: RideStatus, same_attempt: bool) -> bool {
    use RideStatus::{
        Arrived, Assigned, Cancelled, Completed, InProgress, Other, Scheduled, Searching,
        Unfulfilled,
    };
    match (before, after) {
        (Other, _) | (_, Other) => true,
        (before, after) if before == after => true,
        (Completed | Cancelled, _) => false,
        // A retry is a new attempt.
        (Unfulfilled, Searching | Scheduled | Assigned) => !same_attempt,
        (Unfulfilled, _) => false,
        // The driver side gave the ride back: it is searched for anew.
        (Assigned | Arrived, Searching) => true,
        (Arrived, Assigned) | (InProgress, Searching) => !same_attempt,
        (before, after) => after > before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &str, version: u64, attempt: u32) -> RideView {
        serde_json::from_str(&format!(
            r#"{{"ride_id":"r","status":"{status}","version":{version},"attempt":{attempt}}}"#
        ))
        .unwrap()
    }

    fn found(checks: &mut WireChecks) -> Vec<(&'static str, u64)> {
        checks.settle();
        checks.violations().iter().map(|(&kind, &count)| (kind, count)).collect()
    }

    #[test]
    fn a_clean_ride_with_a_reallocation_is_clean() {
        let mut checks = WireChecks::default();
        for (version, status) in ["searching", "assigned", "searching"].iter().enumerate() {
            checks.shown(&view(status, version as u64 + 1, 1));
        }
        checks.accepted("o", 900, Some(1_000));
        checks.accept_result("o", true, 0);
        checks.told_assigned("a", "r");
        checks.told_assigned("a", "r");
        checks.released("a", "r", Release::Cancelled);
        checks.told_assigned("b", "r");
        for (version, status) in ["assigned", "arrived", "in_progress"].iter().enumerate() {
            checks.shown(&view(status, version as u64 + 4, 2));
        }
        checks.shown(&view("searching", 3, 1));
        checks.shown(&view("completed", 7, 2));
        checks.released("b", "r", Release::Completed);
        checks.told_assigned("b", "r");
        checks.told_assigned("b", "s");
        assert_eq!(found(&mut checks), []);
    }

    #[test]
    fn a_driver_with_two_rides_is_found() {
        let mut checks = WireChecks::default();
        checks.told_assigned("a", "r");
        checks.told_assigned("a", "s");
        assert_eq!(found(&mut checks), [("driver_with_two_rides", 1)]);
        assert!(checks.examples()[0].contains("got s while on r"));
    }

    #[test]
    fn a_ride_with_two_drivers_is_found_unless_the_cancellation_was_only_late() {
        let mut checks = WireChecks::default();
        checks.told_assigned("a", "r");
        checks.told_assigned("b", "r");
        checks.released("a", "r", Release::Cancelled);
        assert_eq!(found(&mut checks), []);
        checks.told_assigned("c", "r");
        checks.released("b", "r", Release::Completed);
        assert_eq!(found(&mut checks), [("ride_with_two_drivers", 1)]);
    }

    #[test]
    fn a_win_after_expiry_is_found() {
        let mut checks = WireChecks::default();
        for (offer, sent_at_ms, won) in
            [("x", 1_500, true), ("y", 5_000, false), ("z", 3_001, true)]
        {
            checks.accepted(offer, sent_at_ms, Some(1_000));
            checks.accept_result(offer, won, 2_000);
        }
        assert_eq!(found(&mut checks), [("won_after_expiry", 1)]);
    }

    #[test]
    fn a_status_that_goes_backwards_is_found() {
        for (before, after) in [
            ("completed", "in_progress"),
            ("cancelled", "assigned"),
            ("in_progress", "arrived"),
            ("arrived", "assigned"),
            ("unfulfilled", "searching"),
            ("searching", "scheduled"),
        ] {
            let mut checks = WireChecks::default();
            checks.shown(&view(before, 3, 1));
            checks.shown(&view(after, 4, 1));
            assert_eq!(found(&mut checks), [("status_backwards", 1)], "{before} to {after}");
        }
        let mut checks = WireChecks::default();
        checks.shown(&view("unfulfilled", 3, 1));
        checks.shown(&view("searching", 4, 2));
        checks.shown(&view("assigned", 4, 2));
        assert_eq!(found(&mut checks), [("one_version_two_statuses", 1)]);
    }
}
