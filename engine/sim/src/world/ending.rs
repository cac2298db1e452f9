//! How a day ends: the faults stop, and then all must come to an end.

use muster_engine::invariant::Invariant;
use muster_engine::time::Timestamp;

use crate::swarm::Faults;
use crate::world::phone::Phone;
use crate::world::{EPOCH, World};

/// Milliseconds after the faults stopped, on top of the search limit, in which all must be over.
pub(super) const SETTLE_MS: u64 = 420_000;

impl World {
    pub(super) fn begin_calm(&mut self) {
        self.calm_at = Some(self.now);
        self.faults = Faults::default();
        for phone in &mut self.phones {
            phone.calm();
        }
        self.trace.line(format!("{:>9} faults stop", self.elapsed_ms()));
    }

    /// All rides are over, nobody waits, nothing is on its way.
    pub(super) fn is_over(&self) -> bool {
        let rides = self.options.rides.len();
        let ended = self.store.newest_rides().filter(|ride| ride.status.is_terminal()).count();
        ended == rides && self.is_at_rest() && self.people_are_done()
    }

    fn people_are_done(&self) -> bool {
        let idle = |phone: &Phone| phone.ride.is_none() && phone.online;
        self.replies.is_empty() && self.phones.iter().all(idle)
    }

    pub(super) fn broken_all_over(&mut self, limit: Timestamp) {
        let open = self.store.newest_rides().filter(|ride| !ride.status.is_terminal());
        let mut open: Vec<String> =
            open.map(|ride| format!("{} {}", ride.request.ride, ride.status.name())).collect();
        let kept = self.store.rides.len();
        if kept < self.options.rides.len() {
            open.push(format!("{} rides never durable", self.options.rides.len() - kept));
        }
        let waiting = &self.replies;
        let busy: Vec<usize> =
            (0..self.phones.len()).filter(|d| self.phones[*d].ride.is_some()).collect();
        let detail = format!(
            "not over {} ms after the faults: open {open:?}, callers waiting {waiting:?}, busy {busy:?}",
            limit.millis_since(self.calm_at.unwrap_or(EPOCH))
        );
        self.broken(Invariant::M14, detail);
    }
}
