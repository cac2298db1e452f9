//! The one timer of an actor.

use actix::prelude::*;
use muster_engine::machine::Machine;

use super::{Host, MachineActor, RestingContext};
use crate::timers::{Timers, Wake};

impl<H: Host> MachineActor<H> {
    pub(super) fn disarm(&mut self) {
        if let Some(armed) = self.armed.take() {
            Timers::of_arbiter(self.runtime.clock).disarm(armed);
        }
    }

    /// Re-arms the one timer if the deadline is nearer than it. One that moves away, as it does with every
    /// sign of life, leaves the timer alone: it is armed anew when it fires.
    pub(super) fn arm(&mut self, ctx: &mut RestingContext<Self>) {
        if self.resting || self.retired {
            return;
        }
        let Some(due) = self.machine.next_deadline().map(|deadline| deadline.at) else {
            return self.disarm();
        };
        if self.armed.is_some_and(|(at, _)| at <= due) {
            return;
        }
        self.disarm();
        let timers = Timers::of_arbiter(self.runtime.clock);
        self.armed = Some(timers.arm(due, H::sleeper(ctx.weak())));
    }
}

impl<H: Host> Handler<Wake> for MachineActor<H> {
    type Result = ();

    fn handle(&mut self, Wake: Wake, ctx: &mut RestingContext<Self>) {
        self.armed = None;
        let now = self.runtime.clock.now();
        if self.machine.next_deadline().is_none_or(|deadline| deadline.at > now) {
            self.arm(ctx);
        } else if !self.resting {
            self.turn(ctx, None, Machine::on_deadline);
        }
    }
}
