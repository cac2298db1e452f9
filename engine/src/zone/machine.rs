//! The machine of one zone's queue: who has a place, and which.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{Answer, Effect, Outbox, Refusal, ReplyTo};
use crate::event::{Event, EventKind};
use crate::id::{DriverId, GateId, MarketId, RideId, ServiceTierId};
use crate::machine::Machine;
use crate::time::{Deadline, Timestamp};
use crate::zone::area::{QueueRules, Zone};
use crate::zone::command::{QueueNews, WaitingRide, ZoneCommand};
use crate::zone::order::QueueOrder;
use crate::zone::record::{
    BARS_MAX, LeaveReason, QUEUE_DRIVERS_MAX, QueueEntry, QueueRecord, ZoneCommit, ZoneEventKind,
};

/// How long a driver whom a full queue did not take is kept from asking again.
const FULL_AGAIN_MS: u64 = 60_000;

/// The only writer of one zone's queue.
#[derive(Debug)]
pub struct QueueMachine {
    pub(super) record: QueueRecord,
    pub(super) zone: Arc<Zone>,
    pub(super) rules: QueueRules,
    /// Rides that wait here, as they told. Not durable: rides tell again.
    pub(super) waiting: BTreeMap<RideId, Arc<WaitingRide>>,
}

impl QueueMachine {
    /// The empty queue of a zone.
    pub fn new(market: MarketId, zone: Arc<Zone>) -> Self {
        let record = QueueRecord::new(market, zone.id.clone());
        Self::restore(record, zone)
    }

    /// A machine that goes on where `record` ends; [`ZoneCommand::Resume`] takes up its work.
    pub fn restore(record: QueueRecord, zone: Arc<Zone>) -> Self {
        let rules = zone.queue.unwrap_or_default();
        Self { record, zone, rules, waiting: BTreeMap::new() }
    }

    /// The state, including changes that are not durable yet.
    pub const fn record(&self) -> &QueueRecord {
        &self.record
    }

    /// Makes the present state durable as one change, and tells searches once it is.
    pub(super) fn commit(
        &mut self,
        kind: ZoneEventKind,
        driver: &DriverId,
        note: Option<String>,
        at: Timestamp,
        out: &mut Outbox,
    ) {
        self.record.version += 1;
        let record = Arc::new(self.record.clone());
        let commit =
            ZoneCommit { record: Arc::clone(&record), kind, driver: driver.clone(), note, at };
        out.push(Effect::PersistZone(Box::new(commit)));
        self.publish_order(record, out);
        let market = self.record.market.clone();
        out.push(Effect::Publish(Event { market, kind: EventKind::QueueChanged { change: kind } }));
    }

    fn publish_order(&self, record: Arc<QueueRecord>, out: &mut Outbox) {
        let order = Arc::new(QueueOrder::of(record));
        out.push(Effect::PublishQueue(self.zone.id.clone(), order));
    }

    pub(super) fn tell(&self, driver: &DriverId, news: QueueNews, out: &mut Outbox) {
        let zone = self.zone.id.clone();
        out.push(Effect::ToDriver(driver.clone(), DriverCommand::Queue { zone, news }));
    }

    /// Answers the caller, if one waits, with the queue as it stands.
    pub(super) fn answer(&self, reply: Option<ReplyTo>, out: &mut Outbox) {
        if let Some(reply) = reply {
            let queue = Answer::Queue(Arc::new(self.record.clone()));
            out.push(Effect::Answer(reply, queue));
        }
    }

    pub(super) fn refuse(reply: Option<ReplyTo>, refusal: Refusal, out: &mut Outbox) {
        if let Some(reply) = reply {
            out.push(Effect::Answer(reply, Answer::Refused(refusal)));
        }
    }

    pub(super) fn place_of(&self, driver: &DriverId) -> Option<usize> {
        self.record.entries.iter().position(|entry| entry.driver == *driver)
    }

    /// The index behind everyone who came at `ranked_at` or before.
    pub(super) fn index_behind(&self, ranked_at: Timestamp) -> usize {
        let before = self.record.entries.iter().rposition(|entry| entry.ranked_at <= ranked_at);
        before.map_or(0, |index| index + 1)
    }

    fn placed(&self, entry: &QueueEntry, asked_at: Option<Timestamp>, out: &mut Outbox) {
        let (ranked_at, held) = (entry.ranked_at, entry.held);
        let news = QueueNews::Placed { asked_at, ranked_at, held };
        self.tell(&entry.driver, news, out);
        if let Some(call) = &entry.call {
            self.tell(&entry.driver, QueueNews::Called { call: call.clone() }, out);
        }
    }

    fn on_resume(&mut self, out: &mut Outbox) {
        self.publish_order(Arc::new(self.record.clone()), out);
        for entry in &self.record.entries {
            self.placed(entry, None, out);
        }
    }

    fn on_join(
        &mut self,
        entry: QueueEntry,
        asked_at: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let driver = entry.driver.clone();
        let asked_at = Some(asked_at);
        if let Some(place) = self.place_of(&driver) {
            self.confirm(place, entry, now, out);
            return self.placed(&self.record.entries[place], asked_at, out);
        }
        let barred_until = self.record.barred.get(&driver).copied().filter(|until| *until > now);
        let full = self.record.entries.len() >= QUEUE_DRIVERS_MAX;
        let refused = match barred_until {
            Some(_) => Some((LeaveReason::Barred, barred_until)),
            None if full => Some((LeaveReason::QueueFull, Some(now.plus_millis(FULL_AGAIN_MS)))),
            None => None,
        };
        if let Some((reason, barred_until)) = refused {
            let news = QueueNews::Removed { asked_at, reason, barred_until };
            return self.tell(&driver, news, out);
        }
        self.record.barred.remove(&driver);
        let index = self.index_behind(entry.ranked_at);
        self.record.entries.insert(index, entry);
        self.commit(ZoneEventKind::Joined, &driver, None, now, out);
        self.placed(&self.record.entries[index], asked_at, out);
    }

    /// A driver who has a place asks for one: what changed is his profile, or that he came.
    fn confirm(&mut self, place: usize, asked: QueueEntry, now: Timestamp, out: &mut Outbox) {
        let entry = &mut self.record.entries[place];
        if (entry.tiers == asked.tiers) && !entry.held && entry.gate == asked.gate {
            return;
        }
        entry.tiers = asked.tiers;
        entry.held = false;
        entry.gate = asked.gate;
        self.commit(ZoneEventKind::Confirmed, &asked.driver, None, now, out);
    }

    fn on_leave(
        &mut self,
        driver: &DriverId,
        reason: LeaveReason,
        asked_at: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let known = self.record.entry(driver).filter(|entry| entry.held);
        if let Some(held) = known.filter(|_| reason == LeaveReason::LeftZone) {
            // A person placed him wherever he is, while he took his leave.
            let news = QueueNews::Removed { asked_at: Some(asked_at), reason, barred_until: None };
            self.tell(driver, news, out);
            return self.placed(held, None, out);
        }
        if let Some(place) = self.place_of(driver) {
            self.record.entries.remove(place);
            self.record.barred.remove(driver);
            self.commit(ZoneEventKind::Left(reason), driver, None, now, out);
        } else if self.record.barred.remove(driver).is_some() {
            self.commit(ZoneEventKind::Unbarred, driver, None, now, out);
        }
        let asked_at = Some(asked_at);
        self.tell(driver, QueueNews::Removed { asked_at, reason, barred_until: None }, out);
    }

    /// Takes a driver out who would rather stay: he gets no other place for a while, or until he
    /// has left the zone.
    pub(super) fn evict(
        &mut self,
        driver: &DriverId,
        reason: LeaveReason,
        note: Option<String>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let Some(place) = self.place_of(driver) else { return };
        self.record.entries.remove(place);
        self.record.barred.retain(|_, until| *until > now);
        if self.record.barred.len() >= BARS_MAX {
            let soonest = self.record.barred.iter().min_by_key(|(_, until)| **until);
            if let Some(freed) = soonest.map(|(freed, _)| freed.clone()) {
                self.record.barred.remove(&freed);
            }
        }
        let until = now.plus_millis(self.rules.rejoin_after_ms);
        self.record.barred.insert(driver.clone(), until);
        self.commit(ZoneEventKind::Left(reason), driver, note, now, out);
        let barred_until = Some(until);
        self.tell(driver, QueueNews::Removed { asked_at: None, reason, barred_until }, out);
    }

    /// Counts an offer or call that a driver let pass; one too many costs him his place.
    pub(super) fn skip(&mut self, driver: &DriverId, now: Timestamp, out: &mut Outbox) {
        let Some(place) = self.place_of(driver) else { return };
        self.record.entries[place].skips += 1;
        if self.record.entries[place].skips > self.rules.skips_max {
            return self.evict(driver, LeaveReason::SkipThresholdReached, None, now, out);
        }
        self.commit(ZoneEventKind::Skipped, driver, None, now, out);
    }

    fn on_at_gate(
        &mut self,
        driver: &DriverId,
        gate: Option<GateId>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let Some(place) = self.place_of(driver) else { return };
        if self.record.entries[place].gate == gate {
            return;
        }
        self.record.entries[place].gate = gate;
        let arrived = self.end_call_on_arrival(place, now);
        self.commit(ZoneEventKind::GateChanged, driver, None, now, out);
        if let Some(call) = arrived {
            self.tell(driver, QueueNews::CallOver { call }, out);
        }
    }

    pub(super) fn on_driver_rebuilt(&self, driver: &DriverId, out: &mut Outbox) {
        if let Some(entry) = self.record.entry(driver) {
            self.placed(entry, None, out);
        }
    }

    fn apply(&mut self, command: ZoneCommand, now: Timestamp, out: &mut Outbox) {
        match command {
            ZoneCommand::Resume => self.on_resume(out),
            ZoneCommand::Join { driver, tiers, at, gate, asked_at } => {
                let at = at.min(now);
                let entry = QueueEntry { gate, ..new_entry(driver, tiers, at) };
                self.on_join(entry, asked_at, now, out);
            }
            ZoneCommand::Leave { driver, reason, asked_at } => {
                self.on_leave(&driver, reason, asked_at, now, out);
            }
            ZoneCommand::AtGate { driver, gate } => self.on_at_gate(&driver, gate, now, out),
            ZoneCommand::Skipped { driver } => self.skip(&driver, now, out),
            ZoneCommand::Respond { driver, call, accept, reply } => {
                self.on_respond(&driver, &call, accept, reply, now, out);
            }
            ZoneCommand::Waits { ride } => self.on_waits(ride, now, out),
            ZoneCommand::WaitsNoMore { ride } => {
                self.waiting.remove(&ride);
            }
            ZoneCommand::EnterOtp { driver, otp, asked_at } => {
                self.on_enter_otp(&driver, &otp, asked_at, now, out);
            }
            ZoneCommand::Add { driver, tiers, service_tier, position, reply } => {
                let entry = QueueEntry { held: true, ..new_entry(driver, tiers, now) };
                self.on_add(entry, &service_tier, position, now, out);
                self.answer(reply, out);
            }
            ZoneCommand::Remove { driver, note, reply } => {
                self.on_remove(&driver, note, reply, now, out);
            }
            ZoneCommand::DriverRebuilt { driver } => self.on_driver_rebuilt(&driver, out),
        }
    }
}

fn new_entry(driver: DriverId, tiers: Vec<ServiceTierId>, at: Timestamp) -> QueueEntry {
    QueueEntry {
        driver,
        tiers,
        entered_at: at,
        ranked_at: at,
        skips: 0,
        held: false,
        gate: None,
        call: None,
        not_called_before: Timestamp::default(),
    }
}

impl Machine for QueueMachine {
    type Command = ZoneCommand;

    fn handle(&mut self, command: ZoneCommand, now: Timestamp, out: &mut Outbox) {
        self.end_due_calls(now, out);
        self.apply(command, now, out);
        self.call_drivers(now, out);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.call_deadline()
    }

    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        self.end_due_calls(now, out);
        self.call_drivers(now, out);
    }
}
