//! The ride itself, as its driver reports it: arrived, started, completed, given back.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox, Refusal, ReplyTo};
use crate::event::EventKind;
use crate::id::DriverId;
use crate::offer::WithdrawReason;
use crate::ride::command::RideProgress;
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideEventKind, RideStatus};
use crate::time::Timestamp;

/// The driver's reason that ends the ride: the rider is not there.
pub const RIDER_NO_SHOW: &str = "rider_no_show";

/// Whether a driver who is still on the ride before may do this: he may only give the ride back, and
/// cannot know that its rider is not there.
fn may_precede(step: &RideProgress) -> bool {
    match step {
        RideProgress::Arrived | RideProgress::Start { .. } | RideProgress::Complete => false,
        RideProgress::Cancel { reason } => reason.as_deref() != Some(RIDER_NO_SHOW),
    }
}

impl RideMachine {
    pub(super) fn on_progress(
        &mut self,
        driver: Option<&DriverId>,
        step: RideProgress,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if let Err(refusal) = self.check_driver(driver, &step) {
            return Self::refuse(reply, refusal, out);
        }
        if self.record.forward().is_some() && !may_precede(&step) {
            return Self::refuse(reply, Refusal::RideIsForward, out);
        }
        let done = match step {
            RideProgress::Arrived => self.arrive(now, out),
            RideProgress::Start { otp } => self.start(otp.as_deref(), now, out),
            RideProgress::Complete => self.complete(now, out),
            RideProgress::Cancel { reason } => self.give_back(driver, reason, now, out),
        };
        match done {
            Ok(()) => self.answer(reply, out),
            Err(refusal) => Self::refuse(reply, refusal, out),
        }
    }

    /// The speaker must be the ride's driver; a ride that is over says how it ended.
    fn check_driver(&self, driver: Option<&DriverId>, step: &RideProgress) -> Result<(), Refusal> {
        let assigned = self.record.assignment.as_ref().map(|a| &a.driver.id);
        let completed_again =
            self.record.status == RideStatus::Completed && *step == RideProgress::Complete;
        match (assigned, driver) {
            (Some(assigned), Some(driver)) if assigned != driver => Err(Refusal::NotAssignedDriver),
            (Some(_), _) if completed_again || self.record.status.has_driver() => Ok(()),
            (_, _) => Err(self.over_because()),
        }
    }

    /// Why a ride without a driver cannot go on.
    pub(super) const fn over_because(&self) -> Refusal {
        match self.record.status {
            RideStatus::Completed => Refusal::RideAlreadyCompleted,
            RideStatus::Cancelled => Refusal::RideAlreadyCancelled,
            RideStatus::Unfulfilled => Refusal::RideUnfulfilled,
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Assigned
            | RideStatus::Arrived
            | RideStatus::InProgress => Refusal::RideNotAssigned,
        }
    }

    fn arrive(&mut self, now: Timestamp, out: &mut Outbox) -> Result<(), Refusal> {
        match self.record.status {
            RideStatus::Assigned => {
                self.record.status = RideStatus::Arrived;
                self.record.arrived_at = Some(now);
                let released = self.withdraw_all(WithdrawReason::StandbyReleased, now, out);
                self.commit(RideEventKind::DriverArrived, now, None, out);
                self.publish(EventKind::DriverArrived, out);
                self.tell_driver(out);
                released.into_iter().for_each(|effect| out.push(effect));
                Ok(())
            }
            RideStatus::Arrived => Ok(()),
            RideStatus::InProgress => Err(Refusal::RideAlreadyStarted),
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => Err(self.over_because()),
        }
    }

    fn start(
        &mut self,
        otp: Option<&str>,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        match self.record.status {
            RideStatus::Assigned => Err(Refusal::DriverNotArrived),
            RideStatus::Arrived => {
                if self.record.otp.is_some() && self.record.otp.as_deref() != otp {
                    return Err(Refusal::OtpMismatch);
                }
                self.record.status = RideStatus::InProgress;
                self.record.started_at = Some(now);
                self.commit(RideEventKind::RideStarted, now, None, out);
                self.publish(EventKind::RideStarted, out);
                self.tell_driver(out);
                Ok(())
            }
            RideStatus::InProgress => Ok(()),
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => Err(self.over_because()),
        }
    }

    fn complete(&mut self, now: Timestamp, out: &mut Outbox) -> Result<(), Refusal> {
        match self.record.status {
            RideStatus::Assigned | RideStatus::Arrived => Err(Refusal::RideNotStarted),
            RideStatus::InProgress => {
                self.record.status = RideStatus::Completed;
                self.record.completed_at = Some(now);
                self.record.ended_at = Some(now);
                self.commit(RideEventKind::RideCompleted, now, None, out);
                self.publish(EventKind::RideCompleted, out);
                self.tell_driver(out);
                Ok(())
            }
            RideStatus::Completed => Ok(()),
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => Err(self.over_because()),
        }
    }

    /// Tells the assigned driver how the ride stands.
    pub(super) fn tell_driver(&self, out: &mut Outbox) {
        if let Some(assignment) = self.record.assignment.as_ref() {
            let ride = Arc::clone(&self.told);
            let command = DriverCommand::RideUpdated { ride };
            out.push(Effect::ToDriver(assignment.driver.id.clone(), command));
        }
    }
}
