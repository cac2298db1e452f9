//! Whether the driver of an assigned ride comes nearer to its pickup: if not, he is nudged, and then
//! the ride looks for another.

use crate::effect::{Effect, Outbox};
use crate::event::EventKind;
use crate::grid::Reading;
use crate::id::DriverId;
use crate::ride::attempts::{ReallocationCause, ReallocationStage};
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideEventKind, RideStatus};
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::units::Meters;

/// How far the driver was from the pickup when he was looked at last, and for how many looks in a
/// row he has not come nearer. A restart begins to count anew: it must not be held against him.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PickupWatch {
    check_at: Option<Timestamp>,
    distance: Option<Meters>,
    stalled_checks: u32,
    /// Whether the driver's position was asked for.
    asks: bool,
}

impl RideMachine {
    /// Begins to watch; `distance` is how far the driver is, if that is known. One who has another
    /// ride to finish first is watched from his promotion on.
    pub(super) fn watch_pickup(&mut self, distance: Option<Meters>, now: Timestamp) {
        let every_ms = self.policy.pickup_check_ms;
        let comes = self.record.forward().is_none();
        let check_at = (every_ms > 0 && comes).then(|| now.plus_millis(every_ms));
        self.pickup_watch = PickupWatch { check_at, distance, stalled_checks: 0, asks: false };
        self.watch_for_better_driver(now);
    }

    /// When the driver is looked at next.
    pub(super) fn pickup_check(&self) -> Option<Deadline> {
        let at = self.pickup_watch.check_at?;
        Some(Deadline { at, reason: DeadlineReason::PickupCheck })
    }

    /// Looks where the driver is, if it is time.
    pub(super) fn check_pickup(&mut self, now: Timestamp, out: &mut Outbox) {
        let due = self.pickup_watch.check_at.is_some_and(|at| at <= now);
        let Some(assignment) = self.record.assignment.as_ref().filter(|_| due) else { return };
        out.push(Effect::LocateDriver(assignment.driver.id.clone()));
        self.pickup_watch.asks = true;
        self.pickup_watch.check_at = Some(now.plus_millis(self.policy.pickup_check_ms));
    }

    /// Judges where the driver is. A position older than two checks says nothing.
    pub(super) fn on_driver_located(
        &mut self,
        driver: &DriverId,
        reading: Option<Reading>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let assigned = self.record.assignment.as_ref().is_some_and(|a| a.driver.id == *driver);
        let waits = self.record.forward().is_some();
        let asked = std::mem::take(&mut self.pickup_watch.asks);
        if !asked || !assigned || waits || self.record.status != RideStatus::Assigned {
            return;
        }
        let oldest = now.minus_millis(self.policy.pickup_check_ms.saturating_mul(2));
        let seen = reading.filter(|reading| reading.received_at >= oldest);
        let pickup = self.record.request.pickup;
        let distance = seen.map(|reading| reading.position.distance(pickup));
        if self.comes_along(distance) {
            self.pickup_watch.stalled_checks = 0;
        } else {
            self.pickup_watch.stalled_checks += 1;
        }
        self.pickup_watch.distance = distance.or(self.pickup_watch.distance);
        self.act_on_stall(now, out);
    }

    /// Whether a driver who is `distance` away now is near, or nearer than when looked at last.
    fn comes_along(&self, distance: Option<Meters>) -> bool {
        let Some(distance) = distance else { return false };
        let near = distance.get() <= f64::from(self.policy.arrived_radius_m);
        let progress_m = f64::from(self.policy.pickup_progress_m_min);
        let came = |before: Meters| before.get() - distance.get() >= progress_m;
        near || self.pickup_watch.distance.is_none_or(came)
    }

    fn act_on_stall(&mut self, now: Timestamp, out: &mut Outbox) {
        let stalled_checks = self.pickup_watch.stalled_checks;
        let (cause, stage) = (ReallocationCause::DriverStalled, ReallocationStage::Assigned);
        let limit = self.policy.pickup_stall_reallocate_checks;
        if limit > 0 && stalled_checks >= limit && self.may_reallocate(cause, stage) {
            self.reallocate(cause, stage, now, out);
        } else if stalled_checks == self.policy.pickup_stall_checks {
            self.nudge(now, out);
        }
    }

    /// The driver is told by his ride's record, so that a restart tells him again.
    fn nudge(&mut self, now: Timestamp, out: &mut Outbox) {
        if let Some(assignment) = self.record.assignment.as_mut() {
            assignment.nudged_at = Some(now);
        }
        self.commit(RideEventKind::DriverNudged, now, None, out);
        self.publish(EventKind::DriverNudged, out);
        self.tell_driver(out);
    }
}
