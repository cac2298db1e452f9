//! A ride leaves its driver before its start: for which cause, and whether it looks for another.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox, Refusal};
use crate::event::EventKind;
use crate::id::DriverId;
use crate::policy::AttemptKind;
use crate::ride::attempts::{Reallocation, ReallocationCause, ReallocationStage};
use crate::ride::machine::RideMachine;
use crate::ride::progress::RIDER_NO_SHOW;
use crate::ride::record::{CancelledBy, RideEventKind, RideRecord, RideStatus};
use crate::time::Timestamp;

/// The reason of who acts for a driver that did not come to the pickup.
pub const DRIVER_NO_SHOW: &str = "driver_no_show";

/// The reason of who acts for a driver that nobody hears of any more.
pub const DRIVER_LOST: &str = "driver_lost";

/// The reason of an operator who takes the ride from a driver.
pub const OPERATOR_REASSIGNED: &str = "operator_reassigned";

/// Why a ride ends unfulfilled that lost its driver too often.
const REALLOCATION_LIMIT: &str = "reallocation_limit";

/// Drivers remembered who lost one ride, more than any limit of the policy; then the oldest go.
const REALLOCATED_MAX: usize = 128;

impl RideRecord {
    /// Whether this driver, or whoever acted for him, gave the ride back.
    pub fn was_given_back_by(&self, driver: &DriverId) -> bool {
        let known = self.attempts.reallocated_from(driver).map(|lost| lost.cause.is_cancellation());
        known.unwrap_or_else(|| self.gave_back.contains(driver))
    }
}

/// The cause that a report of `reason` names. Only who acts for the driver can name another one than
/// the driver himself: his own word is a cancellation.
fn cause_of(driver: Option<&DriverId>, reason: Option<&str>) -> ReallocationCause {
    match (driver, reason) {
        (None, Some(DRIVER_NO_SHOW | DRIVER_LOST)) => ReallocationCause::DriverLost,
        (None, Some(OPERATOR_REASSIGNED)) => ReallocationCause::Operator,
        (Some(_) | None, _) => ReallocationCause::Driver,
    }
}

impl RideMachine {
    /// Before the start the ride looks for another driver, as often as policy allows; a driver who
    /// lost it is never asked again. `driver` is who says so, unless somebody acts for him.
    pub(super) fn give_back(
        &mut self,
        driver: Option<&DriverId>,
        reason: Option<String>,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let cause = cause_of(driver, reason.as_deref());
        let stage = match self.record.status {
            RideStatus::Assigned => Some(ReallocationStage::Assigned),
            RideStatus::Arrived => Some(ReallocationStage::Arrived),
            RideStatus::InProgress => None,
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => return Err(self.over_because()),
        };
        let no_show = reason.as_deref() == Some(RIDER_NO_SHOW);
        match stage.filter(|_| !no_show) {
            Some(stage) if self.may_reallocate(cause, stage) => {
                self.reallocate(cause, stage, now, out);
            }
            Some(stage) if cause != ReallocationCause::Driver => {
                self.end_without_driver(cause, stage, now, out);
            }
            Some(_) | None => {
                self.publish(EventKind::RideGivenBack { retried: false }, out);
                self.end_cancelled(CancelledBy::Driver, reason, now, out);
            }
        }
        Ok(())
    }

    /// Whether every limit leaves room for one more reallocation.
    pub(super) fn may_reallocate(
        &self,
        cause: ReallocationCause,
        stage: ReallocationStage,
    ) -> bool {
        let (policy, record) = (&self.policy, &self.record);
        let of_cause = match cause {
            ReallocationCause::Driver => policy.reallocations_driver_max,
            ReallocationCause::Operator => policy.reallocations_operator_max,
            ReallocationCause::DriverLost => policy.reallocations_lost_max,
            ReallocationCause::DriverStalled => policy.reallocations_stalled_max,
        };
        let of_stage = match stage {
            ReallocationStage::Assigned => policy.reallocations_assigned_max,
            ReallocationStage::Arrived => policy.reallocations_arrived_max,
        };
        let scheduled = record.request.pickup_at.is_some();
        let of_ride = if scheduled { policy.reallocations_scheduled_max } else { u32::MAX };
        let before = record.attempts.reallocated.iter();
        let same_cause = before.clone().filter(|lost| lost.cause == cause).count();
        let same_stage = before.filter(|lost| lost.stage == stage).count();
        record.reallocations < policy.reallocations_max.min(of_ride)
            && same_cause < of_cause as usize
            && same_stage < of_stage as usize
    }

    /// Takes the ride from its driver and begins a new attempt.
    pub(super) fn reallocate(
        &mut self,
        cause: ReallocationCause,
        stage: ReallocationStage,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let Some(driver) = self.part_with_driver(cause, stage) else { return };
        let withdrawn = self.withdraw_all_but_standby(now, out);
        self.record.reallocations += 1;
        self.record.attempt += 1;
        self.record.gave_back.insert(driver.clone());
        self.enter_search(AttemptKind::Reallocation, now);
        self.keep_standby();
        self.commit(RideEventKind::RideReallocated, now, None, out);
        self.publish(EventKind::RideGivenBack { retried: true }, out);
        self.tell_former(driver, out);
        withdrawn.into_iter().for_each(|effect| out.push(effect));
        if self.record.standby().is_some() {
            self.call_standby(now, out);
        } else {
            self.begin_wave(now, out);
        }
    }

    /// Beyond the limits the ride ends without a driver; the rider may retry.
    fn end_without_driver(
        &mut self,
        cause: ReallocationCause,
        stage: ReallocationStage,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let Some(driver) = self.part_with_driver(cause, stage) else { return };
        self.publish(EventKind::RideGivenBack { retried: false }, out);
        self.end_unfulfilled(REALLOCATION_LIMIT, now, out);
        self.tell_former(driver, out);
    }

    fn part_with_driver(
        &mut self,
        cause: ReallocationCause,
        stage: ReallocationStage,
    ) -> Option<DriverId> {
        let driver = self.record.assignment.take()?.driver.id;
        self.record.otp = None;
        self.record.arrived_at = None;
        let reallocated = &mut self.record.attempts.reallocated;
        if reallocated.len() == REALLOCATED_MAX {
            reallocated.remove(0);
        }
        reallocated.push(Reallocation { driver: driver.clone(), cause, stage });
        Some(driver)
    }

    fn tell_former(&self, driver: DriverId, out: &mut Outbox) {
        let ride = Arc::clone(&self.told);
        out.push(Effect::ToDriver(driver, DriverCommand::RideUpdated { ride }));
    }

    /// Drivers this ride is never offered to.
    pub(super) fn blocked_drivers(&self) -> BTreeSet<DriverId> {
        let record = &self.record;
        let lost = record.attempts.reallocated.iter().map(|lost| &lost.driver);
        let never = record.request.blocked_drivers.iter().chain(&record.gave_back);
        never.chain(lost).cloned().collect()
    }
}
