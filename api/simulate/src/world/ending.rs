//! The end of rides and of the day, and what must hold then.

use muster_engine::grid::DriverStatus;
use muster_engine::ride::RideRecord;

use super::{EPOCH, World};
use crate::ledger::{Ended, Ledger};

impl World<'_> {
    /// A ride leaves memory.
    pub(super) fn retire(&mut self, ride: usize) {
        let Some(machine) = self.rides[ride].machine.take() else { return };
        self.open_rides -= 1;
        self.note_end(ride, machine.record());
    }

    fn note_end(&mut self, ride: usize, record: &RideRecord) {
        if !record.status.is_terminal() {
            self.ledger.violated("ride_not_ended");
        }
        let counts = &record.offer_counts;
        let ends = counts.accepted + counts.declined + counts.expired + counts.withdrawn;
        if !record.offers.is_empty() || counts.sent < ends {
            self.ledger.violated("offer_not_closed");
        }
        let by = record.cancelled_by.map(|by| by.name());
        let reason = record.reason.clone().or_else(|| by.map(str::to_owned));
        let reason = reason.unwrap_or_else(|| record.status.name().to_owned());
        let refused = counts.declined + counts.expired;
        let reallocations = record.reallocations;
        let at_ms = record.ended_at.unwrap_or(self.now).millis_since(EPOCH);
        let ended = Ended { at_ms, reason, offers: counts.sent, refused, reallocations };
        self.ledger.ended(ride, ended);
    }

    /// The day is over: everything must be, too.
    pub(super) fn settle(mut self) -> Ledger {
        self.close_legs();
        for ride in 0..self.rides.len() {
            if let Some(machine) = self.rides[ride].machine.take() {
                self.note_end(ride, machine.record());
            }
        }
        for site in &self.drivers {
            if let Err(invariant) = site.machine.check() {
                self.ledger.violated(&format!("{invariant:?}"));
            }
            if site.machine.live_offers().count() > 0 {
                self.ledger.violated("offer_not_closed");
            }
            let busy = site.machine.serving().is_some() || site.car_is_busy();
            if busy || site.machine.status() == DriverStatus::Reserved {
                self.ledger.violated("driver_not_free");
            }
        }
        if !self.grid.misplaced().is_empty() {
            self.ledger.violated("driver_misplaced");
        }
        self.ledger
    }
}

impl super::DriverSite {
    const fn car_is_busy(&self) -> bool {
        self.car.doing.ride().is_some()
    }
}
