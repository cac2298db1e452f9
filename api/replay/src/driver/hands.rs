//! What the driver's machine works with: the vehicle, the rider's code, and its outputs.

use super::vehicle::Vehicle;
use crate::line::StandLine;
use crate::wire::ClientFrame;

/// What the machine wants done or known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    Send(ClientFrame),
    Note(Note),
}

/// Facts only the driver's side knows, for the measurements.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    Accepted {
        offer_id: String,
        sent_at_ms: i64,
        expires_at_ms: Option<i64>,
    },
    Declined {
        reason: &'static str,
    },
    LeftUnanswered,
    Began {
        ride_id: String,
        at_ms: i64,
        pickup_m: f64,
    },
    Arrived {
        ride_id: String,
        at_ms: i64,
    },
    Completed {
        ride_id: String,
    },
    GaveUp {
        ride_id: String,
    },
    /// A stage was refused or never confirmed; the driver left the ride.
    Abandoned {
        ride_id: String,
        stage: &'static str,
    },
    /// The rider never told a code.
    OtpMissing {
        ride_id: String,
    },
}

/// What the machine may use while it handles one input.
pub(crate) struct Hands<'a> {
    pub(crate) vehicle: &'a mut dyn Vehicle,
    /// The code that the rider of a ride tells the driver, once the rider knows it.
    pub(crate) otp: &'a dyn Fn(&str) -> Option<String>,
    /// Riders who wait at taxi stands.
    pub(crate) line: &'a StandLine,
    pub(crate) out: &'a mut Vec<Action>,
}

impl Hands<'_> {
    pub(super) fn send(&mut self, frame: ClientFrame) {
        self.out.push(Action::Send(frame));
    }

    pub(super) fn note(&mut self, note: Note) {
        self.out.push(Action::Note(note));
    }
}
