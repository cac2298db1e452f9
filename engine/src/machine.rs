//! The one seam that the actix shell, the simulator and the tests drive.

use crate::effect::Outbox;
use crate::time::{Deadline, Timestamp};

/// A synchronous state machine: commands and instants in, effects out.
pub trait Machine {
    /// Everything that can be said to this machine.
    type Command;

    /// Settles overdue deadlines, then applies one command at `now`. Never blocks, never reads a
    /// clock; an impossible command is answered or ignored, never a panic.
    fn handle(&mut self, command: Self::Command, now: Timestamp, out: &mut Outbox);

    /// The earliest instant at which [`on_deadline`](Machine::on_deadline) must run, and why.
    fn next_deadline(&self) -> Option<Deadline>;

    /// Runs every rule whose instant has come.
    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox);
}
