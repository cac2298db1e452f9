//! A driver's part of a ride: drive to the pickup, wait, start with the code, drive, complete.

use super::hands::{Hands, Note};
use crate::behaviour::RidePlan;
use crate::geo::Point;
use crate::wire::{ClientFrame, RideStatus, RideView};

/// Times a stage frame is sent before the driver leaves the ride.
const STAGE_TRIES_MAX: u32 = 6;
/// Pause before the driver asks for the code again.
const OTP_PAUSE_MS: i64 = 2_000;
/// Times the driver asks for the code.
const OTP_TRIES_MAX: u32 = 30;
/// How long a ride without a drop-off lasts.
const UNDIRECTED_RIDE_MS: i64 = 300_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Arrived,
    Start,
    Complete,
    Cancel,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Start => "start",
            Self::Complete => "complete",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Step {
    ToPickup { arrive_at_ms: i64 },
    Boarding { start_at_ms: i64 },
    ToDropoff { arrive_at_ms: i64 },
}

/// A stage that the server has not confirmed yet.
#[derive(Debug, Clone, Copy)]
struct Pending {
    stage: Stage,
    sent_at_ms: i64,
    tries: u32,
}

/// The ride a driver is on. Methods that return `bool` say whether the ride is over.
#[derive(Debug)]
pub(super) struct OnRide {
    pub(super) ride_id: String,
    dropoff: Option<Point>,
    plan: RidePlan,
    cancel_at_ms: Option<i64>,
    step: Step,
    pending: Option<Pending>,
    otp_tries: u32,
}

impl OnRide {
    pub(super) fn new(
        ride_id: String,
        dropoff: Option<Point>,
        plan: RidePlan,
        now_ms: i64,
        arrive_at_ms: i64,
    ) -> Self {
        Self {
            ride_id,
            dropoff,
            plan,
            cancel_at_ms: plan.cancel_after_ms.map(|after_ms| now_ms + after_ms),
            step: Step::ToPickup { arrive_at_ms },
            pending: None,
            otp_tries: 0,
        }
    }

    /// The rider is on board already.
    pub(super) fn begin_at_stand(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if matches!(self.step, Step::ToPickup { .. }) && self.pending.is_none() {
            hands.note(Note::Arrived { ride_id: self.ride_id.clone(), at_ms: now_ms });
            self.go_to_dropoff(now_ms, hands);
        }
    }

    fn go_to_dropoff(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        let arrive_at_ms = match self.dropoff {
            Some(dropoff) => hands.vehicle.drive_to(now_ms, dropoff).arrive_at_ms,
            None => now_ms + UNDIRECTED_RIDE_MS,
        };
        self.step = Step::ToDropoff { arrive_at_ms };
    }

    pub(super) fn next_wake(&self, confirm_after_ms: i64) -> i64 {
        if let Some(pending) = self.pending {
            return pending.sent_at_ms + confirm_after_ms;
        }
        match self.step {
            Step::ToPickup { arrive_at_ms } => self
                .cancel_at_ms
                .map_or(arrive_at_ms, |cancel_at_ms| cancel_at_ms.min(arrive_at_ms)),
            Step::Boarding { start_at_ms } => start_at_ms,
            Step::ToDropoff { arrive_at_ms } => arrive_at_ms,
        }
    }

    pub(super) fn on_wake(
        &mut self,
        now_ms: i64,
        confirm_after_ms: i64,
        hands: &mut Hands<'_>,
    ) -> bool {
        if now_ms < self.next_wake(confirm_after_ms) {
            return false;
        }
        if let Some(pending) = self.pending {
            if pending.tries >= STAGE_TRIES_MAX {
                return self.abandon(pending.stage, hands);
            }
            self.repeat(now_ms, hands);
            return false;
        }
        match self.step {
            Step::ToPickup { .. } if self.cancel_at_ms.is_some_and(|at_ms| at_ms <= now_ms) => {
                hands.note(Note::GaveUp { ride_id: self.ride_id.clone() });
                self.send(Stage::Cancel, now_ms, 1, hands);
            }
            Step::ToPickup { .. } => {
                hands.note(Note::Arrived { ride_id: self.ride_id.clone(), at_ms: now_ms });
                self.send(Stage::Arrived, now_ms, 1, hands);
            }
            Step::Boarding { .. } => self.start(now_ms, hands),
            Step::ToDropoff { .. } => {
                hands.note(Note::Completed { ride_id: self.ride_id.clone() });
                self.send(Stage::Complete, now_ms, 1, hands);
            }
        }
        false
    }

    /// Sends the unconfirmed stage once more.
    pub(super) fn repeat(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if let Some(pending) = self.pending {
            self.send(pending.stage, now_ms, pending.tries + 1, hands);
        }
    }

    pub(super) fn on_update(
        &mut self,
        view: &RideView,
        driver_id: &str,
        now_ms: i64,
        hands: &mut Hands<'_>,
    ) -> bool {
        if view.ride_id != self.ride_id {
            return false;
        }
        if view.driver.as_ref().is_some_and(|driver| driver.driver_id != driver_id) {
            return true;
        }
        match view.status {
            RideStatus::Arrived => self.confirm(Stage::Arrived, now_ms, hands),
            RideStatus::InProgress => self.confirm(Stage::Start, now_ms, hands),
            RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled
            | RideStatus::Searching => true,
            RideStatus::Scheduled | RideStatus::Assigned | RideStatus::Other => false,
        }
    }

    /// The server refused the pending stage.
    pub(super) fn on_refusal(&mut self, code: &str, now_ms: i64, hands: &mut Hands<'_>) -> bool {
        let Some(pending) = self.pending else { return false };
        let already = |stage: &str| code.contains("already") && code.contains(stage);
        match pending.stage {
            Stage::Arrived if already("arrived") => self.confirm(Stage::Arrived, now_ms, hands),
            Stage::Start if already("start") || already("in_progress") => {
                self.confirm(Stage::Start, now_ms, hands)
            }
            Stage::Complete if already("completed") => true,
            Stage::Cancel => true,
            // The rider may just have read out an old code: ask again at the confirm deadline.
            Stage::Start if code.contains("otp") && pending.tries < STAGE_TRIES_MAX => false,
            Stage::Arrived | Stage::Start | Stage::Complete => self.abandon(pending.stage, hands),
        }
    }

    fn confirm(&mut self, stage: Stage, now_ms: i64, hands: &mut Hands<'_>) -> bool {
        if self.pending.is_none_or(|pending| pending.stage != stage) {
            return false;
        }
        self.pending = None;
        match stage {
            Stage::Arrived => {
                self.step = Step::Boarding { start_at_ms: now_ms + self.plan.dwell_ms };
            }
            Stage::Start => self.go_to_dropoff(now_ms, hands),
            Stage::Complete | Stage::Cancel => return true,
        }
        false
    }

    fn start(&mut self, now_ms: i64, hands: &mut Hands<'_>) {
        if (hands.otp)(&self.ride_id).is_none() && self.otp_tries < OTP_TRIES_MAX {
            self.otp_tries += 1;
            self.step = Step::Boarding { start_at_ms: now_ms + OTP_PAUSE_MS };
            return;
        }
        self.send(Stage::Start, now_ms, 1, hands);
    }

    fn send(&mut self, stage: Stage, now_ms: i64, tries: u32, hands: &mut Hands<'_>) {
        let ride_id = self.ride_id.clone();
        let frame = match stage {
            Stage::Arrived => ClientFrame::Arrived { ride_id },
            Stage::Start => {
                let otp = (hands.otp)(&ride_id);
                if otp.is_none() {
                    hands.note(Note::OtpMissing { ride_id: ride_id.clone() });
                }
                ClientFrame::Start { ride_id, otp: otp.unwrap_or_default() }
            }
            Stage::Complete => ClientFrame::Complete { ride_id },
            Stage::Cancel => ClientFrame::Cancel { ride_id, reason: "driver_changed_mind" },
        };
        hands.send(frame);
        self.pending = Some(Pending { stage, sent_at_ms: now_ms, tries });
    }

    fn abandon(&self, stage: Stage, hands: &mut Hands<'_>) -> bool {
        let ride_id = self.ride_id.clone();
        hands.note(Note::Abandoned { ride_id, stage: stage.name() });
        true
    }
}
