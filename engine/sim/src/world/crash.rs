//! Machines that die and are rebuilt, and the process that dies and starts again.

use std::sync::Arc;

use muster_engine::driver::{DriverCommand, DriverMachine};
use muster_engine::effect::Effect;
use muster_engine::grid::{DriverSlot, Grid};
use muster_engine::ride::{RideCommand, RideMachine, RideRecord};
use muster_engine::zone::ZoneCommand;

use crate::city;
use crate::link::{Actor, Payload};
use crate::sabotage::Sabotage;
use crate::shell::Shell;
use crate::world::turns::Turn;
use crate::world::{Errand, World, Writer};

/// A rebuilt machine rests so long before it takes up its own work.
const REST_MS: u64 = 500;

impl World {
    /// Back to the newest durable state: what was not durable was not told either.
    pub(super) fn rebuild(&mut self, actor: Actor) {
        self.count("machines rebuilt");
        self.trace.line(format!("{:>9} {actor:?} rebuilt", self.elapsed_ms()));
        if let Some((held, _)) = self.held_of(actor) {
            let held = std::mem::take(held);
            held.iter().for_each(|effects| self.fail_answers(effects));
        }
        self.forget_callers_of(actor);
        match actor {
            Actor::Driver(driver) => self.rebuild_driver(driver),
            Actor::Ride(ride) => self.rebuild_ride(ride),
            Actor::Zone(market) => self.rebuild_zone(market),
            Actor::Market(market) => self.rebuild_matcher(market),
            Actor::Edge | Actor::Gps(_) | Actor::Store | Actor::Session(..) => {}
        }
    }

    fn fail_answers(&mut self, effects: &[Effect]) {
        for effect in effects {
            if let Effect::Answer(reply, _) = effect {
                self.replies.remove(&reply.0);
            }
        }
    }

    fn rebuild_driver(&mut self, driver: usize) {
        for session in std::mem::take(&mut self.drivers[driver].attached) {
            let route = (Actor::Driver(driver), Actor::Session(driver, session));
            self.links.send(route, self.now.plus_millis(5), Payload::Goodbye);
        }
        self.oracle.forget_reserved(driver);
        let site = &self.drivers[driver];
        self.markets[site.market].grid.remove(&site.id);
        let Some(record) = site.durable.as_ref().map(|record| (**record).clone()) else {
            // It never was durable: nobody knows this driver.
            self.forget_driver(driver);
            return self.clear_mailbox(Actor::Driver(driver));
        };
        self.redrive(driver);
        self.redrive_in_zone(driver);
        let machine = self.driver_machine(driver, record);
        let incarnation = self.number();
        let mut shell = Shell::new(machine, incarnation);
        shell.resting = true;
        self.drivers[driver].shell = Some(shell);
        self.rest(Actor::Driver(driver), incarnation);
    }

    fn clear_mailbox(&mut self, of: Actor) {
        self.links.clear_mailbox(of);
        self.replies.retain(|_, caller| caller.machine != of);
    }

    fn forget_driver(&mut self, driver: usize) {
        let site = &mut self.drivers[driver];
        site.shell = None;
        site.durable = None;
        site.slot = Arc::new(DriverSlot::new(site.id.clone()));
        self.oracle.forget_fixes(driver);
    }

    pub(super) fn driver_machine(
        &self,
        driver: usize,
        record: muster_engine::driver::DriverRecord,
    ) -> DriverMachine {
        let site = &self.drivers[driver];
        let market = &self.markets[site.market];
        let (rules, policy) = (Arc::clone(&market.market), Arc::clone(&market.policy));
        DriverMachine::new(record, Arc::clone(&site.slot), rules, policy, self.now)
    }

    /// Every ride that concerns a driver is asked to tell him again.
    fn redrive(&mut self, driver: usize) {
        if self.options.sabotage == Some(Sabotage::SkipRedrive) {
            return;
        }
        let id = city::driver_id(driver);
        let concerns = |record: &RideRecord| {
            let assigned = record.assignment.as_ref().is_some_and(|a| a.driver.id == id);
            assigned || record.offers.values().any(|live| live.driver == id)
        };
        let rides: Vec<usize> = self
            .rides
            .iter()
            .filter(|(_, site)| site.told.as_ref().is_some_and(|told| concerns(told)))
            .map(|(ride, _)| *ride)
            .collect();
        for ride in rides {
            let command = RideCommand::DriverRebuilt { driver: id.clone() };
            self.send(Actor::Driver(driver), Actor::Ride(ride), Payload::Ride(command));
        }
    }

    fn rebuild_ride(&mut self, ride: usize) {
        self.oracle.forget_collected(ride);
        let Some(site) = self.rides.get_mut(&ride) else { return };
        let Some(told) = site.told.clone() else {
            self.rides.remove(&ride);
            return self.clear_mailbox(Actor::Ride(ride));
        };
        let market = &self.markets[site.market];
        let (rules, book) = (Arc::clone(&market.market), Arc::clone(&market.book));
        self.numbers += 1;
        let incarnation = self.numbers;
        site.shell = Shell::new(RideMachine::restore((*told).clone(), rules, book), incarnation);
        site.shell.resting = true;
        self.rest(Actor::Ride(ride), incarnation);
    }

    pub(super) fn rest(&mut self, actor: Actor, incarnation: u64) {
        let errand = Errand::Rested(actor, incarnation);
        self.agenda.add(self.now.plus_millis(REST_MS), errand);
    }

    pub(super) fn on_rested(&mut self, actor: Actor, incarnation: u64) {
        if self.held_of(actor).is_none_or(|(_, own)| own != incarnation) {
            return;
        }
        match actor {
            Actor::Driver(driver) => {
                if let Some(shell) = self.drivers[driver].shell.as_mut() {
                    shell.resting = false;
                }
                self.driver_turn(driver, Turn::Command(DriverCommand::PositionChanged));
            }
            Actor::Ride(ride) => {
                if let Some(site) = self.rides.get_mut(&ride) {
                    site.shell.resting = false;
                }
                self.ride_turn(ride, Turn::Command(RideCommand::Resume));
            }
            Actor::Zone(market) => {
                if let Some(site) = self.zones.get_mut(&market) {
                    site.shell.resting = false;
                }
                self.zone_turn(market, Turn::Command(ZoneCommand::Resume));
            }
            Actor::Market(market) => {
                if let Some(shell) = self.matchers.get_mut(&market) {
                    shell.resting = false;
                }
            }
            Actor::Edge | Actor::Gps(_) | Actor::Store | Actor::Session(..) => {}
        }
    }

    /// The process dies: its memory and its connections are gone.
    pub(super) fn crash(&mut self) {
        if !self.up {
            return;
        }
        self.count("process crashes");
        self.trace.line(format!("{:>9} the process dies", self.elapsed_ms()));
        self.up = false;
        self.settling = false;
        self.links.clear_machines();
        self.rides.clear();
        self.zones.clear();
        self.matchers.clear();
        self.replies.clear();
        for driver in 0..self.drivers.len() {
            let site = &mut self.drivers[driver];
            site.attached.clear();
            self.forget_driver(driver);
            self.oracle.forget_reserved(driver);
            self.phones[driver].lose_session();
        }
        for market in &mut self.markets {
            // The streets are read again with the configuration.
            let streets = market.grid.travel_times();
            market.grid = Grid::of(&market.market);
            market.grid.set_travel_times(streets.as_deref().cloned());
        }
        self.start_shadows();
        let dead = std::mem::take(&mut self.writer);
        self.writer.batches = dead.batches;
        if let Some(batch) = dead.in_flight
            && self.fate.chance(self.faults.zombie_commit)
        {
            let after = self.fate.between(1, 20_000);
            self.agenda.add(self.now.plus_millis(after), Errand::Zombie(batch));
        }
        let down = self.fate.between(50, 5_000);
        self.agenda.add(self.now.plus_millis(down), Errand::Restart);
    }

    /// Drivers first, then open rides; they tell each other where they stand.
    pub(super) fn restart(&mut self) {
        self.up = true;
        self.settling = true;
        self.store.epoch += 1;
        self.writer = Writer { batches: self.writer.batches, ..Writer::default() };
        self.trace.line(format!("{:>9} the process starts", self.elapsed_ms()));
        let known: Vec<_> =
            self.drivers.iter().map(|site| self.store.driver(&site.id).cloned()).collect();
        for (driver, record) in known.into_iter().enumerate() {
            let Some(record) = record else { continue };
            let machine = self.driver_machine(driver, (*record).clone());
            let incarnation = self.number();
            self.drivers[driver].shell = Some(Shell::new(machine, incarnation));
            self.drivers[driver].durable = Some(record);
            self.restore_position(driver);
        }
        self.start_zones();
        self.start_matchers();
        let open: Vec<Arc<RideRecord>> =
            self.store.newest_rides().filter(|r| !r.status.is_terminal()).cloned().collect();
        for record in open {
            let ride = city::ordinal(record.request.ride.as_str());
            self.restore_ride(ride, &record);
            self.send(Actor::Edge, Actor::Ride(ride), Payload::Ride(RideCommand::Resume));
        }
        if self.links.machines_have_nothing_coming() {
            self.settling = false;
        }
    }

    fn restore_position(&mut self, driver: usize) {
        let Some(snapshot) = self.snapshots.get(&driver) else { return };
        let site = &self.drivers[driver];
        site.slot.restore(snapshot, &self.markets[site.market].market);
        self.oracle.restored(driver, snapshot);
        let command = Payload::Driver(DriverCommand::PositionChanged);
        self.send(Actor::Gps(driver), Actor::Driver(driver), command);
    }

    /// One machine panics. Its commits under way are none of its own: a machine with one waits.
    pub(super) fn panic_one(&mut self) {
        let drivers = self.drivers.iter().enumerate().filter_map(|(at, site)| {
            let shell = site.shell.as_ref()?;
            (shell.held.is_empty() && !shell.resting).then_some(Actor::Driver(at))
        });
        let rides = self.rides.iter().filter_map(|(at, site)| {
            (site.shell.held.is_empty() && !site.shell.resting).then_some(Actor::Ride(*at))
        });
        let zones = self.zones.iter().filter_map(|(at, site)| {
            (site.shell.held.is_empty() && !site.shell.resting).then_some(Actor::Zone(*at))
        });
        let markets = self
            .matchers
            .iter()
            .filter_map(|(at, shell)| (!shell.resting).then_some(Actor::Market(*at)));
        let machines: Vec<Actor> = drivers.chain(rides).chain(zones).chain(markets).collect();
        if !machines.is_empty() {
            self.count("fault: machine panicked");
            let chosen = self.fate.index(machines.len());
            self.rebuild(machines[chosen]);
        }
    }
}
