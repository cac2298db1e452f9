//! Judges the living machines after every step, and their agreement whenever all is quiet.

use std::collections::BTreeSet;

use muster_engine::grid::{DriverStatus, Fix};
use muster_engine::id::OfferId;
use muster_engine::invariant::Invariant;
use muster_engine::ride::RideStatus;

use crate::city;
use crate::link::Actor;
use crate::world::World;

/// Steps between two readings of the whole grid.
const GRID_READ_EVERY: u64 = 64;

/// Milliseconds a search may run past its deadline once the faults have stopped.
const SEARCH_SLACK_MS: u64 = 10_000;

impl World {
    /// Everything that must hold between any two steps.
    pub(crate) fn check_step(&mut self) {
        for driver in 0..self.drivers.len() {
            self.m2_m5_slots(driver);
            self.m6_cell(driver);
        }
        if self.steps.is_multiple_of(GRID_READ_EVERY) {
            self.m6_whole_grid();
        }
        self.m14_searches_end();
        if self.is_at_rest() {
            self.m8_rides_are_durable();
            self.m8_queue();
            for driver in 0..self.drivers.len() {
                self.m8_agreement(driver);
            }
        }
    }

    /// Nothing is on its way to a machine, nothing waits for the store, no machine rests.
    pub(crate) fn is_at_rest(&self) -> bool {
        let quiet = |held: bool, resting: bool| !held && !resting;
        self.up
            && !self.settling
            && self.links.machines_have_nothing_coming()
            && self.writer.in_flight.is_none()
            && self.rides.values().all(|s| quiet(!s.shell.held.is_empty(), s.shell.resting))
            && self.drivers.iter().all(|site| {
                let shell = site.shell.as_ref();
                shell.is_none_or(|shell| quiet(!shell.held.is_empty(), shell.resting))
            })
            && self.zones.values().all(|s| quiet(!s.shell.held.is_empty(), s.shell.resting))
            && self.matchers.values().all(|shell| !shell.resting)
    }

    fn m2_m5_slots(&mut self, driver: usize) {
        let Some(shell) = self.drivers[driver].shell.as_ref() else { return };
        let machine = &shell.machine;
        if let Err(invariant) = machine.check() {
            return self.broken(invariant, format!("d{driver:02} finds it in himself"));
        }
        let (live, (slots, forward)) = (machine.live_offers().count(), machine.slots_held());
        let policy = &self.options.policy;
        if slots > usize::from(policy.live_offers_max)
            || forward > usize::from(policy.forward_live_offers_max)
        {
            let detail = format!("d{driver:02} holds {slots} slots, {forward} forward");
            return self.broken(Invariant::M2, detail);
        }
        let site = &self.drivers[driver];
        let supply = self.markets[site.market].grid.supply_of(&site.id);
        let counted = supply.map(|supply| usize::from(supply.live_offers));
        if shell.held.is_empty() && counted.is_some_and(|counted| counted != live) {
            let detail = format!("d{driver:02} holds {live} offers, supply says {counted:?}");
            self.broken(Invariant::M5, detail);
        }
    }

    /// The cell of the newest position, unless the driver has not heard of it yet.
    fn m6_cell(&mut self, driver: usize) {
        let site = &self.drivers[driver];
        let Some(shell) = site.shell.as_ref() else { return };
        let told = !self.links.carries(Actor::Gps(driver), Actor::Driver(driver));
        if !told || !shell.held.is_empty() || shell.resting {
            return;
        }
        let cell = site.slot.cell();
        let works = shell.machine.status() != DriverStatus::Offline;
        let expected = cell.filter(|_| works);
        let actual = self.markets[site.market].grid.cell_of(&site.id);
        if expected != actual {
            let detail = format!("d{driver:02} is in {expected:?}, the grid has {actual:?}");
            self.broken(Invariant::M6, detail);
        }
    }

    /// Entries of the whole grid, not of one driver: none twice, none left behind.
    fn m6_whole_grid(&mut self) {
        for market in 0..self.markets.len() {
            for id in self.markets[market].grid.misplaced() {
                let driver = city::ordinal(id.as_str());
                let site = &self.drivers[driver];
                let told = !self.links.carries(Actor::Gps(driver), Actor::Driver(driver));
                let quiet = site.shell.as_ref().is_none_or(|shell| shell.held.is_empty());
                if told && quiet {
                    self.broken(Invariant::M6, format!("{id} is misplaced in the grid"));
                }
            }
        }
    }

    /// M7: the slot holds the newest fix that was applied, and takes no older one.
    pub(crate) fn check_fix(&mut self, driver: usize, fix: &Fix, applied: bool) {
        let newest = self.oracle.fixes.get(&driver).copied();
        let held = self.drivers[driver].slot.read().map(|reading| reading.recorded_at);
        let older = applied && newest.is_some_and(|newest| fix.at <= newest);
        let expected = if applied { Some(fix.at) } else { newest };
        if older || held != expected {
            let detail =
                format!("d{driver:02}: newest {newest:?}, fix {:?}, slot {held:?}", fix.at);
            return self.broken(Invariant::M7, detail);
        }
        if applied {
            self.oracle.fixes.insert(driver, fix.at);
            self.note_fix_for_zone(driver, fix);
        }
    }

    /// At rest a ride in memory is what is durable.
    fn m8_rides_are_durable(&mut self) {
        let differs = |(ride, site): (&usize, &crate::world::RideSite)| {
            let durable = self.store.ride(&city::ride_id(*ride))?;
            let same = site.shell.machine.record().version == durable.version;
            (!same).then_some(*ride)
        };
        if let Some(ride) = self.rides.iter().find_map(differs) {
            self.broken(Invariant::M8, format!("r{ride:02} in memory is not the durable one"));
        }
        let open = self.store.newest_rides().find(|ride| {
            let ordinal = city::ordinal(ride.request.ride.as_str());
            !ride.status.is_terminal() && !self.rides.contains_key(&ordinal)
        });
        if let Some(ride) = open.map(|open| open.request.ride.clone()) {
            self.broken(Invariant::M14, format!("{ride} is open and has no machine"));
        }
    }

    /// At rest a driver serves a ride exactly when its durable record says so, and holds exactly
    /// the offers that rides hold for him.
    fn m8_agreement(&mut self, driver: usize) {
        let Some(machine) = self.driver(driver) else { return };
        let id = city::driver_id(driver);
        let serves = machine.serving().cloned();
        let has_him = |ride: &&std::sync::Arc<muster_engine::ride::RideRecord>| {
            ride.status.has_driver() && ride.assignment.as_ref().is_some_and(|a| a.driver.id == id)
        };
        let next = machine.forward_ride().cloned();
        let bound = |waits: bool| {
            let mut his = self.store.newest_rides().filter(has_him);
            let found = his.find(|ride| ride.forward().is_some() == waits);
            found.map(|ride| ride.request.ride.clone())
        };
        let (bound, waiting) = (bound(false), bound(true));
        if serves != bound || next != waiting {
            let detail = format!(
                "{id} believes to serve {serves:?} then {next:?}, rides say {bound:?} then {waiting:?}"
            );
            return self.broken(Invariant::M8, detail);
        }
        let alive = |at: muster_engine::time::Timestamp| at > self.now;
        let held: BTreeSet<OfferId> = machine
            .live_offers()
            .filter(|offer| alive(offer.expires_at))
            .map(|offer| offer.id.clone())
            .collect();
        let made: BTreeSet<OfferId> = self
            .store
            .newest_rides()
            .flat_map(|ride| ride.offers.iter())
            .filter(|(_, live)| live.driver == id && alive(live.expires_at))
            .map(|(offer, _)| offer.clone())
            .collect();
        self.m8_quotes(driver);
        self.m8_standby(driver);
        if held != made {
            let extra: Vec<_> = held.difference(&made).collect();
            let missing: Vec<_> = made.difference(&held).collect();
            let detail = format!("{id} holds {extra:?} that no ride made, lacks {missing:?}");
            self.broken(Invariant::M5, detail);
        }
    }

    /// M14: once faults have stopped no search outlives its deadline.
    fn m14_searches_end(&mut self) {
        let Some(calm_at) = self.calm_at else { return };
        let overdue = self.store.newest_rides().find(|ride| {
            let limit = ride.search_deadline.max(calm_at).plus_millis(SEARCH_SLACK_MS);
            ride.status == RideStatus::Searching && self.now > limit
        });
        if let Some(ride) = overdue {
            let detail = format!("{} still searches", ride.request.ride);
            self.broken(Invariant::M14, detail);
        }
    }
}
