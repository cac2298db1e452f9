//! Calls of the next drivers to a gate where riders wait and too few drivers are.
//!
//! Demand and supply are counted from what is known of each ride and driver, never incremented and
//! decremented: a message that comes twice, or never, leaves no trace in a count.

use crate::effect::{Outbox, Refusal, ReplyTo};
use crate::id::{CallId, DriverId, ServiceTierId, stable_hash};
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::zone::area::{Gate, GateKind, GateTier};
use crate::zone::command::QueueNews;
use crate::zone::machine::QueueMachine;
use crate::zone::record::{GateCall, QueueEntry, ZoneEventKind};

impl QueueMachine {
    /// Ends calls that nobody answered or followed in time: either counts as an offer let pass, and
    /// who said yes and did not come is the last now.
    pub(super) fn end_due_calls(&mut self, now: Timestamp, out: &mut Outbox) {
        let due = |entry: &&QueueEntry| entry.call.as_ref().is_some_and(|call| call.due() <= now);
        let due: Vec<DriverId> =
            self.record.entries.iter().filter(due).map(|entry| entry.driver.clone()).collect();
        for driver in due {
            let Some(call) = self.end_call(&driver, now) else { continue };
            let missed = call.arrive_by.is_some();
            self.tell(&driver, QueueNews::CallOver { call: call.id }, out);
            self.skip(&driver, now, out);
            if missed {
                self.send_back(&driver, now, out);
            }
        }
    }

    fn send_back(&mut self, driver: &DriverId, now: Timestamp, out: &mut Outbox) {
        let Some(place) = self.place_of(driver) else { return };
        let mut entry = self.record.entries.remove(place);
        entry.ranked_at = now;
        let index = self.index_behind(now);
        self.record.entries.insert(index, entry);
        self.commit(ZoneEventKind::SentBack, driver, None, now, out);
        self.on_driver_rebuilt(driver, out);
    }

    fn end_call(&mut self, driver: &DriverId, now: Timestamp) -> Option<GateCall> {
        let place = self.place_of(driver)?;
        let entry = &mut self.record.entries[place];
        let call = entry.call.take()?;
        entry.not_called_before = now.plus_millis(self.rules.call_cooldown_ms);
        Some(call)
    }

    /// A driver at the gate he was called to has followed the call.
    pub(super) fn end_call_on_arrival(&mut self, place: usize, now: Timestamp) -> Option<CallId> {
        let entry = &self.record.entries[place];
        let there = entry.call.as_ref().is_some_and(|call| Some(&call.gate) == entry.gate.as_ref());
        if !there {
            return None;
        }
        let driver = entry.driver.clone();
        self.end_call(&driver, now).map(|call| call.id)
    }

    pub(super) fn on_respond(
        &mut self,
        driver: &DriverId,
        id: &CallId,
        accept: bool,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let call = self.place_of(driver).and_then(|place| {
            let call = self.record.entries[place].call.as_mut();
            call.filter(|call| call.id == *id)
        });
        let Some(call) = call else { return Self::refuse(reply, Refusal::UnknownCall, out) };
        // The answer that came first stands.
        if call.arrive_by.is_none() && accept {
            call.arrive_by = Some(now.plus_millis(self.rules.arrive_ms));
            let call = call.clone();
            self.commit(ZoneEventKind::CallAccepted, driver, None, now, out);
            self.tell(driver, QueueNews::Called { call }, out);
        } else if !accept {
            self.end_call(driver, now);
            self.skip(driver, now, out);
            self.tell(driver, QueueNews::CallOver { call: id.clone() }, out);
        }
        self.answer(reply, out);
    }

    /// Calls the next drivers to every gate that is short of them.
    pub(super) fn call_drivers(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.zone.queue.is_none() {
            return;
        }
        self.waiting.retain(|_, ride| ride.until > now);
        for (gate, tier, limits) in self.called_tiers() {
            for driver in self.next_called(&gate, &tier, limits, now) {
                self.call(&driver, &gate, now, out);
            }
        }
    }

    fn call(&mut self, driver: &DriverId, gate: &Gate, now: Timestamp, out: &mut Outbox) {
        let Some(place) = self.place_of(driver) else { return };
        let number = stable_hash(driver.as_str().as_bytes(), self.record.version);
        let Ok(id) = CallId::new(&format!("call-{number:016x}")) else { return };
        let respond_by = now.plus_millis(self.rules.respond_ms);
        let call = GateCall { id, gate: gate.id.clone(), respond_by, arrive_by: None };
        self.record.entries[place].call = Some(call.clone());
        self.commit(ZoneEventKind::Called, driver, None, now, out);
        self.tell(driver, QueueNews::Called { call }, out);
    }

    /// Gates that drivers are called to, with each tier's limits.
    fn called_tiers(&self) -> Vec<(Gate, ServiceTierId, GateTier)> {
        let gates = self.zone.gates.iter().filter(|gate| gate.kind == GateKind::Pickup);
        let tiers = |gate: &Gate| {
            let gate = gate.clone();
            let tiers = gate.tiers.clone().into_iter();
            tiers.map(move |(tier, limits)| (gate.clone(), tier, limits)).collect::<Vec<_>>()
        };
        gates.flat_map(tiers).collect()
    }

    /// How many drivers a gate lacks for a tier: up to its maximum, once it is below its minimum and
    /// enough riders wait.
    fn lacks(&self, gate: &Gate, tier: &ServiceTierId, limits: GateTier) -> usize {
        let waits = self
            .waiting
            .values()
            .filter(|ride| ride.gate.as_ref() == Some(&gate.id) && ride.tiers.contains(tier));
        let demand = waits.count();
        let coming = |entry: &&QueueEntry| {
            let called = entry.call.as_ref().is_some_and(|call| call.gate == gate.id);
            entry.tiers.contains(tier) && (called || entry.gate.as_ref() == Some(&gate.id))
        };
        let supply = self.record.entries.iter().filter(coming).count();
        let short = demand >= limits.demand_min as usize && supply < limits.drivers_min as usize;
        if short { (limits.drivers_max as usize).saturating_sub(supply) } else { 0 }
    }

    /// Drivers who can be called, now or when their rest is over: not those at a gate already.
    fn callable<'a>(&'a self, tier: &'a ServiceTierId) -> impl Iterator<Item = &'a QueueEntry> {
        let free = |entry: &&QueueEntry| entry.gate.is_none() && entry.call.is_none();
        self.record.of_tier(tier).filter(free)
    }

    fn next_called(
        &self,
        gate: &Gate,
        tier: &ServiceTierId,
        limits: GateTier,
        now: Timestamp,
    ) -> Vec<DriverId> {
        let rested = self.callable(tier).filter(|entry| entry.not_called_before <= now);
        rested.take(self.lacks(gate, tier, limits)).map(|entry| entry.driver.clone()).collect()
    }

    /// When a call runs out, or a driver may be called again where drivers lack.
    pub(super) fn call_deadline(&self) -> Option<Deadline> {
        let calls = self.record.entries.iter().filter_map(|entry| entry.call.as_ref());
        let due = calls.map(|call| Deadline { at: call.due(), reason: DeadlineReason::GateCall });
        let rested = self.called_tiers().into_iter().filter_map(|(gate, tier, limits)| {
            if self.lacks(&gate, &tier, limits) == 0 {
                return None;
            }
            let at = self.callable(&tier).map(|entry| entry.not_called_before).min()?;
            Some(Deadline { at, reason: DeadlineReason::GateCallAgain })
        });
        due.chain(rested).min()
    }
}
