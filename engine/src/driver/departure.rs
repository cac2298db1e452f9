//! A driver whom the platform removes.
//!
//! ```text
//! none → pending → done     he serves a ride, or waits for an answer, until that has ended
//!   ↑_______|               a new profile takes the removal back
//! ```
//!
//! A machine that was rebuilt while a removal is pending is told again, once his rides have told it
//! what binds him: until then it looks as if nothing did.
//!
//! When nothing binds him, the word that he is gone is made durable, and with the commit his machine
//! leaves memory. A profile that comes in between is not answered: its sender repeats it, and finds
//! that there is no such driver.

use std::sync::Arc;

use crate::driver::forward::Forward;
use crate::driver::machine::{DriverMachine, Duty};
use crate::driver::record::Departure;
use crate::effect::{Effect, Outbox, ReplyTo};
use crate::offer::Exclusion;
use crate::time::Timestamp;

impl DriverMachine {
    /// Whether nothing of him is kept any more.
    pub(super) fn is_gone(&self) -> bool {
        self.record.profile.departure.is_done()
    }

    /// Takes him off work at once, as going offline does, and out of memory and store once he is
    /// bound to nothing.
    pub(super) fn on_remove(&mut self, reply: Option<ReplyTo>, now: Timestamp, out: &mut Outbox) {
        let pending = !self.record.profile.departure.is_none();
        self.told_to_go = true;
        if !pending {
            let record = Arc::make_mut(&mut self.record);
            record.profile.departure = Departure::Pending;
            record.online = false;
            self.free_of_waiting();
            self.release_offers(Exclusion::Offline, out);
            self.settle_zone(now, out);
        }
        self.depart(out);
        if !pending {
            self.persist(out);
        }
        // After the word that he is gone: who hears the answer finds him gone.
        self.answer(reply, out);
    }

    /// Goes, if that is due and nothing binds him.
    pub(super) fn depart(&mut self, out: &mut Outbox) {
        let due = self.told_to_go && self.record.profile.departure == Departure::Pending;
        if !due || self.is_bound() {
            return;
        }
        Arc::make_mut(&mut self.record).profile.departure = Departure::Done;
        out.push(Effect::PersistDriver(Arc::clone(&self.record)));
        out.push(Effect::Retire);
    }

    fn is_bound(&self) -> bool {
        let free = matches!(self.duty, Duty::Free) && matches!(self.forward, Forward::None);
        let queued = self.asks_a_queue() || self.queued_at().is_some();
        !free || queued || self.live_offers().next().is_some()
    }
}
