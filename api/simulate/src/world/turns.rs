//! Turns of machines, and what becomes of their effects.

use std::sync::Arc;

use muster_engine::driver::DriverCommand;
use muster_engine::effect::{Effect, Outbox};
use muster_engine::event::EventKind;
use muster_engine::grid::Grid;
use muster_engine::machine::Machine;
use muster_engine::matching::{MarketCommand, match_window};
use muster_engine::ride::{RideCommand, RideMachine, find_candidates};
use muster_engine::time::{DeadlineReason, Timestamp};

use super::{DriverSite, Errand, Message, World};
use crate::city;

/// What a machine is called for.
enum Turn<C> {
    Command(C),
    Deadline,
}

fn call<M: Machine>(machine: &mut M, turn: Turn<M::Command>, now: Timestamp, out: &mut Outbox) {
    match turn {
        Turn::Command(command) => machine.handle(command, now, out),
        Turn::Deadline => machine.on_deadline(now, out),
    }
}

/// Whether a machine must be woken earlier than it will be; then at this instant. What was armed
/// before is void then: it must not arm again, or wake-ups multiply.
fn rearm(machine: &impl Machine, armed: &mut Option<Timestamp>) -> Option<Timestamp> {
    let next = machine.next_deadline()?.at;
    let sooner = armed.is_none_or(|at| next < at);
    sooner.then(|| *armed.insert(next))
}

/// As [`rearm`] for a driver. That his phone goes silent arms nothing as long as his car takes fixes:
/// the next of them asks again, before it could be true.
fn rearm_driver(site: &mut DriverSite) -> Option<Timestamp> {
    let next = site.machine.next_deadline()?;
    let fixes_go_on = !site.off_duty || site.car.is_under_way();
    site.heard = next.reason == DeadlineReason::ContactStale && fixes_go_on;
    if site.heard {
        // What was armed stays: it is later than nothing, or asks again for nothing.
        return None;
    }
    let sooner = site.armed.is_none_or(|at| next.at < at);
    sooner.then(|| *site.armed.insert(next.at))
}

/// The answer to a search of the supply, for an effect that is one.
fn searched(effect: &Effect, grid: &Grid, drivers: &[DriverSite]) -> Option<RideCommand> {
    if let Effect::FindCandidates(query) = effect {
        return Some(RideCommand::Candidates(Box::new(find_candidates(grid, query))));
    }
    if let Effect::LocateDriver(driver) = effect {
        let site = drivers.get(city::ordinal(driver.as_str()));
        let reading = site.and_then(|site| site.slot.read());
        return Some(RideCommand::DriverLocated { driver: driver.clone(), reading });
    }
    None
}

impl World<'_> {
    pub(super) fn deliver(&mut self, message: Message) {
        match message {
            Message::Driver(driver, command) => self.driver_turn(driver, Turn::Command(command)),
            Message::Ride(ride, command) => self.ride_turn(ride, Turn::Command(command)),
            Message::Market(command) => self.market_turn(Turn::Command(command)),
        }
    }

    pub(super) fn wake_driver(&mut self, driver: usize) {
        let site = &mut self.drivers[driver];
        if site.armed.take_if(|at| *at == self.now).is_none() {
            return;
        }
        let due = site.machine.next_deadline().map(|deadline| deadline.at);
        if due.is_some_and(|at| at <= self.now) {
            self.driver_turn(driver, Turn::Deadline);
        } else {
            self.arm_driver(driver);
        }
    }

    /// A driver's machine is woken at its next deadline.
    fn arm_driver(&mut self, driver: usize) {
        if let Some(at) = rearm_driver(&mut self.drivers[driver]) {
            self.at(at, Errand::WakeDriver(driver));
        }
    }

    /// A round of fixes has passed this driver, in which he took one unless he is away.
    pub(super) fn was_heard(&mut self, driver: usize) {
        if self.drivers[driver].heard {
            self.arm_driver(driver);
        }
    }

    pub(super) fn wake_ride(&mut self, ride: usize) {
        let site = &mut self.rides[ride];
        if site.armed.take_if(|at| *at == self.now).is_none() {
            return;
        }
        let Some(machine) = site.machine.as_deref() else { return };
        let due = machine.next_deadline().map(|deadline| deadline.at);
        if due.is_some_and(|at| at <= self.now) {
            self.ride_turn(ride, Turn::Deadline);
        } else if let Some(at) = rearm(machine, &mut site.armed) {
            self.at(at, Errand::WakeRide(ride));
        }
    }

    pub(super) fn wake_market(&mut self) {
        if self.matcher_armed.take_if(|at| *at == self.now).is_none() {
            return;
        }
        let due = self.matcher.next_deadline().map(|deadline| deadline.at);
        if due.is_some_and(|at| at <= self.now) {
            self.market_turn(Turn::Deadline);
        } else if let Some(at) = rearm(&self.matcher, &mut self.matcher_armed) {
            self.at(at, Errand::WakeMarket);
        }
    }

    fn driver_turn(&mut self, driver: usize, turn: Turn<DriverCommand>) {
        let Some(site) = self.drivers.get_mut(driver) else { return };
        let mut out = Outbox::default();
        call(&mut site.machine, turn, self.now, &mut out);
        self.arm_driver(driver);
        for effect in out.drain() {
            self.driver_effect(driver, effect);
        }
    }

    fn driver_effect(&mut self, driver: usize, effect: Effect) {
        if let Effect::SendFrame(session, frame) = effect {
            if self.drivers[driver].session == session {
                self.on_frame(driver, frame);
            }
        } else if let Effect::PlaceSupply(supply) = effect {
            self.grid.place(&self.drivers[driver].slot, supply);
        } else if matches!(effect, Effect::RemoveSupply) {
            self.grid.remove(self.drivers[driver].slot.driver());
        } else {
            self.pass_on(effect);
        }
    }

    /// A ride that left memory is loaded as it was told last.
    fn ride_turn(&mut self, ride: usize, turn: Turn<RideCommand>) {
        let Some(site) = self.rides.get_mut(ride) else { return };
        if site.machine.is_none()
            && let Some(told) = &site.told
        {
            let market = Arc::clone(&self.plan.city.market);
            let machine = RideMachine::restore((**told).clone(), market, Arc::clone(&self.book));
            site.machine = Some(Box::new(machine));
            self.open_rides += 1;
        }
        let Some(machine) = site.machine.as_deref_mut() else { return };
        let (mut out, mut effects) = (Outbox::default(), Vec::new());
        call(machine, turn, self.now, &mut out);
        while !out.is_empty() {
            let drained: Vec<Effect> = out.drain().collect();
            for effect in drained {
                let found = searched(&effect, &self.grid, &self.drivers);
                match found {
                    Some(command) => machine.handle(command, self.now, &mut out),
                    None => effects.push(effect),
                }
            }
        }
        let wake = rearm(machine, &mut site.armed);
        if let Some(at) = wake {
            self.at(at, Errand::WakeRide(ride));
        }
        for effect in effects {
            self.ride_effect(ride, effect);
        }
    }

    fn ride_effect(&mut self, ride: usize, effect: Effect) {
        if let Effect::PersistRide(commit) = effect {
            self.rides[ride].told = Some(commit.record);
        } else if matches!(effect, Effect::Retire) {
            self.retire(ride);
        } else {
            self.pass_on(effect);
        }
    }

    fn market_turn(&mut self, turn: Turn<MarketCommand>) {
        let mut out = Outbox::default();
        call(&mut self.matcher, turn, self.now, &mut out);
        let wake = rearm(&self.matcher, &mut self.matcher_armed);
        if let Some(at) = wake {
            self.at(at, Errand::WakeMarket);
        }
        for effect in out.drain() {
            self.pass_on(effect);
        }
    }

    /// What any machine may ask for. Records are durable at once, and nobody waits for an answer.
    fn pass_on(&mut self, effect: Effect) {
        match effect {
            Effect::ToDriver(driver, command) => {
                let driver = city::ordinal(driver.as_str());
                self.post.push_back(Message::Driver(driver, command));
            }
            Effect::ToRide(ride, command) => {
                self.post.push_back(Message::Ride(city::ordinal(ride.as_str()), command));
            }
            Effect::ToMarket(command) => self.post.push_back(Message::Market(command)),
            Effect::MatchWindow(query) => {
                let outcome =
                    Box::new(match_window(&self.grid, self.plan.city.market.values(), *query));
                self.ledger.window_matched(outcome.facts);
                self.post.push_back(Message::Market(MarketCommand::Matched(outcome)));
            }
            Effect::Publish(event) => {
                if let EventKind::InvariantViolated(invariant) = event.kind {
                    self.ledger.violated(&format!("{invariant:?}"));
                }
            }
            Effect::PersistRide(_)
            | Effect::PersistDriver(_)
            | Effect::PersistZone(_)
            | Effect::ToZone(..)
            | Effect::DecideShadow(_)
            | Effect::PublishQueue(..)
            | Effect::SendFrame(..)
            | Effect::CloseSession(..)
            | Effect::Answer(..)
            | Effect::FindCandidates(_)
            | Effect::LocateDriver(_)
            | Effect::PlaceSupply(_)
            | Effect::RemoveSupply
            | Effect::IndexOffer(_)
            | Effect::ForgetOffer(_)
            | Effect::Retire => {}
        }
    }
}
