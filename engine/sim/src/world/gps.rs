//! Drivers on the move, and the fixes their phones make of it.

use muster_engine::driver::DriverCommand;
use muster_engine::grid::{Fix, PositionSnapshot};

use crate::city::{self, SIDE_M};
use crate::link::{Actor, Payload};
use crate::sabotage::Sabotage;
use crate::world::{Errand, World};

/// Driving speed in metres per second.
const SPEED_MPS: f64 = 9.0;

impl World {
    pub(super) fn gps_tick(&mut self, driver: usize) {
        let phone = &mut self.phones[driver];
        let pause_ms = phone.dice.between(1_000, 3_000);
        self.agenda.add(self.now.plus_millis(pause_ms), Errand::GpsTick(driver));
        phone.heading += (phone.dice.unit() - 0.5) * 0.8;
        let metres = SPEED_MPS * pause_ms as f64 / 1_000.0;
        let step = |at: f64, by: f64| (at + by * metres).clamp(50.0, SIDE_M - 50.0);
        phone.at = (step(phone.at.0, phone.heading.cos()), step(phone.at.1, phone.heading.sin()));
        if phone.at.0 <= 50.0 || phone.at.0 >= SIDE_M - 50.0 {
            phone.heading += 2.0;
        }
        if phone.silent_until > self.now {
            return;
        }
        if self.fate.chance(self.faults.gps_silence * 2.0) {
            self.count("fault: gps silent");
            let until = self.now.plus_millis(self.fate.between(3_000, 120_000));
            self.phones[driver].silent_until = until;
            return;
        }
        self.take_fix(driver);
    }

    /// A fix with a receiver's noise, and sometimes much more.
    fn take_fix(&mut self, driver: usize) {
        let phone = &mut self.phones[driver];
        let mut noise = || (phone.dice.unit() - 0.5) * 20.0;
        let mut seen = (phone.at.0 + noise(), phone.at.1 + noise());
        let mut at = self.now;
        if self.fate.chance(self.faults.gps_jump) {
            self.count("fault: gps jumped");
            seen = (seen.0 + self.fate.unit() * 6_000.0 - 3_000.0, seen.1);
            at = at.plus_millis(self.fate.between(0, 20_000));
        }
        let mut delay = self.fate.between(1, 150);
        if self.fate.chance(self.faults.gps_reorder) {
            self.count("fault: fix overtaken");
            delay = self.fate.between(150, 6_000);
        }
        let position = city::place(self.phones[driver].market, seen);
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        self.agenda.add(self.now.plus_millis(delay), Errand::FixArrives(driver, fix));
        if self.fate.chance(self.faults.gps_stale) {
            self.count("fault: fix stale or repeated");
            let age = self.fate.between(0, 20_000);
            let old = Fix { at: at.minus_millis(age), ..fix };
            self.agenda.add(self.now.plus_millis(delay + 300), Errand::FixArrives(driver, old));
        }
    }

    /// A fix arrives: into the slot, and to the machine only when a decision may change by it.
    pub(super) fn on_fix(&mut self, driver: usize, fix: &Fix) {
        if !self.up || self.settling || self.drivers[driver].shell.is_none() {
            return;
        }
        let site = &self.drivers[driver];
        let market = &self.markets[site.market];
        let applied = site.slot.apply(fix, self.now, &market.limits, &market.market);
        let tells = applied.as_ref().is_ok_and(|applied| applied.matters());
        match &applied {
            Ok(_) => self.count("fixes applied"),
            Err(_) => self.count("fixes refused"),
        }
        self.check_fix(driver, fix, applied.is_ok());
        if applied.is_ok() && self.options.sabotage == Some(Sabotage::EvictOnNoise) {
            self.evict_if_outside(driver, fix);
        }
        if tells {
            let moved = Payload::Driver(DriverCommand::PositionChanged);
            self.send(Actor::Gps(driver), Actor::Driver(driver), moved);
        }
    }

    /// Positions as they would be found after a restart.
    pub(super) fn save_positions(&mut self) {
        for (driver, site) in self.drivers.iter().enumerate() {
            let Some(reading) = site.slot.read() else { continue };
            let fix = Fix {
                position: reading.position,
                at: reading.recorded_at,
                accuracy_m: None,
                speed_mps: None,
                bearing_deg: None,
            };
            let snapshot = PositionSnapshot { fix, received_at: reading.received_at };
            self.snapshots.insert(driver, snapshot);
        }
    }
}
