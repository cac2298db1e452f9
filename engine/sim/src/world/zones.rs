//! The queue of the city's zone: its machine, what people do to it, what drivers answer it.

use std::sync::Arc;

use muster_engine::effect::Effect;
use muster_engine::grid::Fix;
use muster_engine::machine::Machine;
use muster_engine::ride::RideStatus;
use muster_engine::zone::{LeaveReason, QueueMachine, QueueRecord, ZoneCommand};

use crate::city;
use crate::link::{Actor, Payload};
use crate::shell::Shell;
use crate::trace;
use crate::world::calls::Call;
use crate::world::turns::Turn;
use crate::world::{World, ZoneSite};

impl World {
    /// Starts the machine of each zone where the store says it was.
    pub(super) fn start_zones(&mut self) {
        for market in 0..self.markets.len() {
            let rules = Arc::clone(&self.markets[market].market);
            let Some(zone) = rules.zones().iter().find(|zone| zone.is_watched()) else { continue };
            let empty = || Arc::new(QueueRecord::new(rules.id().clone(), zone.id.clone()));
            let record = self.store.queue(&zone.id).cloned().unwrap_or_else(empty);
            let machine = QueueMachine::restore((*record).clone(), Arc::clone(zone));
            let shell = Shell::new(machine, self.number());
            self.zones.insert(market, ZoneSite { shell, durable: record });
            let resume = Payload::Zone(ZoneCommand::Resume);
            self.send(Actor::Edge, Actor::Zone(market), resume);
        }
    }

    pub(super) fn zone_turn(&mut self, market: usize, turn: Turn<ZoneCommand>) {
        let now = self.now;
        if let Turn::Command(command) = &turn {
            self.mark_taken(reply_of_zone(command));
        }
        let Some(site) = self.zones.get_mut(&market) else { return };
        let before = site.shell.machine.record().version;
        let woken = matches!(turn, Turn::Deadline);
        let mut what = String::new();
        let call = |machine: &mut QueueMachine, out: &mut _| match turn {
            Turn::Command(command) => {
                what = trace::zone_command(&command);
                machine.handle(command, now, out);
            }
            Turn::Deadline => {
                what = super::turns::deadline_name(machine);
                machine.on_deadline(now, out);
            }
        };
        let effects = site.shell.turn(now, call, |_| None);
        let record = site.shell.machine.record();
        let queue: Vec<&str> = record.entries.iter().map(|entry| entry.driver.as_str()).collect();
        let (version, queue) = (record.version, queue.join(" "));
        let stuck = woken && site.shell.due().is_some_and(|due| due <= now);
        let from = format!("v{before}");
        self.note("zone", &what, &from, &format!("v{version} [{queue}]"), 0);
        if stuck {
            let detail = format!("the zone is due again at once after {what}");
            self.broken(muster_engine::invariant::Invariant::M14, detail);
        }
        self.release(Actor::Zone(market), effects);
    }

    pub(super) fn rebuild_zone(&mut self, market: usize) {
        let rules = Arc::clone(&self.markets[market].market);
        let incarnation = self.number();
        let Some(site) = self.zones.get_mut(&market) else { return };
        let Some(zone) = rules.zones().get(&site.durable.zone) else { return };
        let machine = QueueMachine::restore((*site.durable).clone(), Arc::clone(zone));
        site.shell = Shell::new(machine, incarnation);
        site.shell.resting = true;
        self.rest(Actor::Zone(market), incarnation);
    }

    /// Every zone tells a rebuilt driver what its queue holds about him.
    pub(super) fn redrive_in_zone(&mut self, driver: usize) {
        let market = self.drivers[driver].market;
        if self.zones.contains_key(&market) {
            let command = ZoneCommand::DriverRebuilt { driver: city::driver_id(driver) };
            self.send(Actor::Driver(driver), Actor::Zone(market), Payload::Zone(command));
        }
    }

    pub(super) fn pass_to_zone(&mut self, actor: Actor, market: usize, command: ZoneCommand) {
        if self.zones.contains_key(&market) {
            self.send(actor, Actor::Zone(market), Payload::Zone(command));
        }
    }

    pub(super) fn publish_queue(&mut self, effect: &Effect, market: usize) {
        if let Effect::PublishQueue(zone, order) = effect {
            self.markets[market].grid.publish_queue(zone, Arc::clone(order));
        }
    }

    /// A planted bug: whoever seems to be outside his zone leaves its queue.
    pub(super) fn evict_if_outside(&mut self, driver: usize, fix: &Fix) {
        let market = self.drivers[driver].market;
        let inside = self.markets[market].market.zones().watched_at(fix.position).is_some();
        let queued = self.driver(driver).is_some_and(|machine| machine.queued_at().is_some());
        if queued && !inside {
            let (reason, asked_at) = (LeaveReason::LeftZone, self.now);
            let command = ZoneCommand::Leave { driver: city::driver_id(driver), reason, asked_at };
            self.pass_to_zone(Actor::Driver(driver), market, command);
        }
    }

    /// A person places a driver somewhere in the queue, or takes him out.
    pub(super) fn operate_queue(&mut self) {
        let driver = self.fate.index(self.drivers.len());
        if self.fate.chance(0.6) {
            let position = self.fate.between(1, 6) as usize;
            self.call(Call::QueueAdd { driver, position: Some(position).filter(|p| *p < 5) });
        } else {
            self.call(Call::QueueRemove { driver });
        }
    }

    /// A driver at rest enters the password of a ride that waits, or a wrong one.
    pub(super) fn try_otp(&mut self, driver: usize) {
        let phone = &mut self.phones[driver];
        if phone.ride.is_some() || !phone.online || !phone.dice.chance(0.3) {
            return;
        }
        let wrong = phone.dice.chance(phone.habit.wrong_otp);
        let market = self.drivers[driver].market;
        let waits = self.store.newest_rides().find(|ride| {
            ride.otp_ride
                && ride.status == RideStatus::Searching
                && self.market_of_ride(&ride.request.ride) == Some(market)
        });
        let Some(otp) = waits.and_then(|ride| ride.otp.clone()) else { return };
        let otp = if wrong { "000000".to_owned() } else { otp };
        self.call(Call::EnterOtp { driver, otp });
    }
}

pub(super) const fn reply_of_zone(command: &ZoneCommand) -> Option<muster_engine::effect::ReplyTo> {
    match command {
        ZoneCommand::Respond { reply, .. }
        | ZoneCommand::Add { reply, .. }
        | ZoneCommand::Remove { reply, .. } => *reply,
        ZoneCommand::Resume
        | ZoneCommand::Join { .. }
        | ZoneCommand::Leave { .. }
        | ZoneCommand::AtGate { .. }
        | ZoneCommand::Skipped { .. }
        | ZoneCommand::Waits { .. }
        | ZoneCommand::WaitsNoMore { .. }
        | ZoneCommand::EnterOtp { .. }
        | ZoneCommand::DriverRebuilt { .. } => None,
    }
}
