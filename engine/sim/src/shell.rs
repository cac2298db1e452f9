//! What surrounds one machine: effects that wait for a commit, the armed deadline, its life.

use std::collections::VecDeque;

use muster_engine::effect::{Effect, Outbox};
use muster_engine::machine::Machine;
use muster_engine::time::{Deadline, Timestamp};

/// One machine with the state its shell keeps.
#[derive(Debug)]
pub(crate) struct Shell<M> {
    pub(crate) machine: M,
    /// One entry per turn that waits for its commit; effects of later turns queue behind.
    pub(crate) held: VecDeque<Vec<Effect>>,
    /// Unique to the machine's present life.
    pub(crate) incarnation: u64,
    pub(crate) armed: Option<Deadline>,
    /// A rebuilt machine does not take up its own work before this instant.
    pub(crate) resting: bool,
}

impl<M: Machine> Shell<M> {
    pub(crate) fn new(machine: M, incarnation: u64) -> Self {
        let armed = machine.next_deadline();
        Self { machine, held: VecDeque::new(), incarnation, armed, resting: false }
    }

    /// When the machine must be woken.
    pub(crate) fn due(&self) -> Option<Timestamp> {
        if self.resting { None } else { self.armed.map(|deadline| deadline.at) }
    }

    /// One turn: the call, and the searches it asks for.
    pub(crate) fn turn(
        &mut self,
        now: Timestamp,
        call: impl FnOnce(&mut M, &mut Outbox),
        mut search: impl FnMut(&Effect) -> Option<M::Command>,
    ) -> Vec<Effect> {
        let mut out = Outbox::default();
        call(&mut self.machine, &mut out);
        let mut effects = Vec::new();
        while !out.is_empty() {
            let drained: Vec<Effect> = out.drain().collect();
            for effect in drained {
                if matches!(effect, Effect::FindCandidates(_) | Effect::LocateDriver(_)) {
                    if let Some(command) = search(&effect) {
                        self.machine.handle(command, now, &mut out);
                    }
                } else {
                    effects.push(effect);
                }
            }
        }
        self.armed = self.machine.next_deadline();
        effects
    }
}
