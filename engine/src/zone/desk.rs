//! What people at the operator do to a queue.

use crate::effect::{Outbox, Refusal, ReplyTo};
use crate::id::{DriverId, ServiceTierId};
use crate::time::Timestamp;
use crate::zone::machine::QueueMachine;
use crate::zone::record::{LeaveReason, QueueEntry, ZoneEventKind};

impl QueueMachine {
    /// Places a driver at `position` of a tier's queue, or at its end. One who has a place moves.
    /// His place follows from that of whoever is behind him now, so the list stays in order.
    pub(super) fn on_add(
        &mut self,
        entry: QueueEntry,
        service_tier: &ServiceTierId,
        position: Option<usize>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let driver = entry.driver.clone();
        let moved = self.place_of(&driver).map(|place| self.record.entries.remove(place));
        let mut entry = match moved {
            Some(known) => QueueEntry { tiers: entry.tiers, ranked_at: now, ..known },
            None => entry,
        };
        let mut of_tier = self.record.entries.iter().enumerate();
        let nth = position.and_then(|position| {
            let queued = of_tier.by_ref().filter(|(_, other)| other.tiers.contains(service_tier));
            queued.map(|(index, _)| index).nth(position.saturating_sub(1))
        });
        let index = match nth {
            Some(index) => {
                entry.ranked_at = self.record.entries[index].ranked_at;
                index
            }
            None => self.index_behind(now),
        };
        self.record.barred.remove(&driver);
        self.record.entries.insert(index, entry);
        self.commit(ZoneEventKind::Placed, &driver, None, now, out);
        self.on_driver_rebuilt(&driver, out);
    }

    pub(super) fn on_remove(
        &mut self,
        driver: &DriverId,
        note: Option<String>,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if self.place_of(driver).is_none() {
            return Self::refuse(reply, Refusal::NotQueued, out);
        }
        self.evict(driver, LeaveReason::Manual, note, now, out);
        self.answer(reply, out);
    }
}
