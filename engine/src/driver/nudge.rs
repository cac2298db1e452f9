//! A driver who does not come nearer to his pickup is told so once per stall, until his phone has it.

use std::sync::Arc;

use crate::driver::command::PhoneFrame;
use crate::driver::machine::{DriverMachine, Duty};
use crate::effect::Outbox;
use crate::grid::DriverStatus;
use crate::id::RideId;
use crate::ride::RideRecord;
use crate::time::Timestamp;

impl DriverMachine {
    /// The newest nudge for this ride that he was told of.
    pub(super) fn nudged_at(&self, ride: &RideId) -> Option<Timestamp> {
        match &self.duty {
            Duty::Serving { ride: own, .. } if own.request.ride == *ride => nudged_at(own),
            Duty::Serving { .. } | Duty::Reserved(_) | Duty::Free => None,
        }
    }

    /// Passes on a nudge that is newer than `told`; one that has done its work is void.
    pub(super) fn pass_nudge(&mut self, told: Option<Timestamp>, out: &mut Outbox) {
        let Duty::Serving { ride, status } = &self.duty else { return };
        let ride = Arc::clone(ride);
        if *status != DriverStatus::EnRoute {
            self.frames.void_nudges(&ride.request.ride);
        } else if nudged_at(&ride) > told {
            self.frames.push(|seq| PhoneFrame::Nudge { seq, ride }, out);
        }
    }
}

fn nudged_at(ride: &RideRecord) -> Option<Timestamp> {
    ride.assignment.as_ref().and_then(|assignment| assignment.nudged_at)
}
