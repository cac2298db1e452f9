//! Turns of machines, and what becomes of their effects.

use std::sync::Arc;

use muster_engine::driver::DriverCommand;
use muster_engine::effect::{Asker, Effect, ReplyTo};
use muster_engine::event::EventKind;
use muster_engine::grid::DriverStatus;
use muster_engine::id::{DriverId, RideId};
use muster_engine::invariant::Invariant;
use muster_engine::machine::Machine;
use muster_engine::offer::Exclusion;
use muster_engine::ride::{RideCommand, RideMachine, find_candidates};

use crate::city;
use crate::link::{Actor, Payload, Route};
use crate::oracle::queues::queue_fault;
use crate::sabotage::Sabotage;
use crate::shell::Shell;
use crate::store::{Durable, Submission};
use crate::streets;
use crate::trace;
use crate::world::outcomes::{forward_line, standby_line};
use crate::world::{RideSite, World};

/// What a machine is called for.
#[derive(Debug)]
pub(crate) enum Turn<C> {
    Command(C),
    Deadline,
}

impl World {
    /// Hands a message over to the machine or phone at the end of its link.
    pub(super) fn deliver(&mut self, route: Route) {
        let Some(payload) = self.links.take(route) else { return };
        match (route.1, payload) {
            (Actor::Driver(driver), Payload::Driver(command)) => {
                self.driver_turn(driver, Turn::Command(command));
            }
            (Actor::Ride(ride), Payload::Ride(command)) => {
                if self.ensure_ride(ride) {
                    self.ride_turn(ride, Turn::Command(command));
                } else {
                    self.time_out(reply_of_ride(&command));
                }
            }
            (Actor::Zone(market), Payload::Zone(command)) => {
                self.zone_turn(market, Turn::Command(command));
            }
            (Actor::Market(market), Payload::Market(command)) => {
                self.market_turn(market, Turn::Command(command));
            }
            (actor, Payload::Committed(verdict)) => self.on_committed(actor, verdict),
            (Actor::Session(driver, session), Payload::Frame(frame)) => {
                self.on_frame(driver, session, frame);
            }
            (Actor::Session(driver, session), Payload::Goodbye) => {
                self.on_goodbye(driver, session);
            }
            (
                _,
                Payload::Driver(_)
                | Payload::Ride(_)
                | Payload::Zone(_)
                | Payload::Market(_)
                | Payload::Frame(_)
                | Payload::Goodbye,
            ) => {}
        }
        if self.settling && self.links.machines_have_nothing_coming() {
            self.settling = false;
        }
    }

    pub(super) fn wake(&mut self, actor: Actor) {
        match actor {
            Actor::Driver(driver) => self.driver_turn(driver, Turn::Deadline),
            Actor::Ride(ride) => self.ride_turn(ride, Turn::Deadline),
            Actor::Zone(market) => self.zone_turn(market, Turn::Deadline),
            Actor::Market(market) => self.market_turn(market, Turn::Deadline),
            Actor::Edge | Actor::Gps(_) | Actor::Store | Actor::Session(..) => {}
        }
    }

    pub(super) fn driver_turn(&mut self, driver: usize, turn: Turn<DriverCommand>) {
        let now = self.now;
        let reply = match &turn {
            Turn::Command(command) => reply_of_driver(command),
            Turn::Deadline => None,
        };
        if self.drivers[driver].shell.is_none() {
            // The machine never was durable and is gone: the caller times out.
            return self.time_out(reply);
        }
        self.mark_taken(reply);
        let losing = self.losing(driver, &turn);
        let unasked = self.unasked(driver, &turn);
        let Some(shell) = self.drivers[driver].shell.as_mut() else { return };
        let before = shell.machine.status();
        let mut what = String::new();
        let woken = matches!(turn, Turn::Deadline);
        let call = |machine: &mut muster_engine::driver::DriverMachine, out: &mut _| match turn {
            Turn::Command(command) => {
                what = trace::driver_command(&command);
                machine.handle(command, now, out);
            }
            Turn::Deadline => {
                what = deadline_name(machine);
                machine.on_deadline(now, out);
            }
        };
        let effects = shell.turn(now, call, |_| None);
        let (after, live) = (shell.machine.status(), shell.machine.live_offers().count());
        let stuck = woken && shell.due().is_some_and(|due| due <= now);
        self.note(
            &city::driver_id(driver).to_string(),
            &what,
            &format!("{before:?}"),
            &format!("{after:?}"),
            live,
        );
        if stuck {
            let detail = format!("d{driver:02} is due again at once after {what}");
            self.broken(Invariant::M14, detail);
        }
        self.check_lost(driver, losing, &effects);
        self.check_unasked(driver, unasked, &effects);
        self.note_reserved(driver, before != DriverStatus::Reserved, &effects);
        self.release(Actor::Driver(driver), effects);
    }

    pub(super) fn ride_turn(&mut self, ride: usize, turn: Turn<RideCommand>) {
        let mut now = self.now;
        if let Turn::Command(command) = &turn {
            self.mark_taken(reply_of_ride(command));
        }
        let Some(site) = self.rides.get_mut(&ride) else { return };
        let grid = &self.markets[site.market].grid;
        let drivers = &self.drivers;
        let mut unfair = None;
        let mut untimely = None;
        let jumps = self.options.sabotage == Some(Sabotage::JumpQueue);
        let search = |effect: &Effect| {
            if let Effect::LocateDriver(driver) = effect {
                let site = drivers.get(city::ordinal(driver.as_str()));
                let reading = site.and_then(|site| site.slot.read());
                return Some(RideCommand::DriverLocated { driver: driver.clone(), reading });
            }
            let Effect::FindCandidates(query) = effect else { return None };
            let mut found = find_candidates(grid, query);
            let times = grid.travel_times();
            untimely = untimely.take().or_else(|| streets::fault(times.as_deref(), query, &found));
            if jumps && query.queue.is_some() {
                found.found.reverse();
            }
            unfair = unfair.take().or_else(|| queue_fault(grid, query, &found));
            Some(RideCommand::Candidates(Box::new(found)))
        };
        if self.options.sabotage == Some(Sabotage::HoldClockAtExpiry)
            && let Turn::Command(RideCommand::OfferAccepted { offer, .. }) = &turn
            && let Some(live) = site.shell.machine.record().offers.get(offer)
        {
            now = now.min(live.expires_at.minus_millis(1));
        }
        let before = site.shell.machine.record().clone();
        self.oracle.note_accept(ride, &turn, &before, self.now);
        let mut what = String::new();
        let woken = matches!(turn, Turn::Deadline);
        let call = |machine: &mut RideMachine, out: &mut _| match turn {
            Turn::Command(command) => {
                what = trace::ride_command(&command);
                machine.handle(command, now, out);
            }
            Turn::Deadline => {
                what = deadline_name(machine);
                machine.on_deadline(now, out);
            }
        };
        let effects = site.shell.turn(now, call, search);
        let after = site.shell.machine.record();
        let (status, live, version) = (after.status, after.offers.len(), after.version);
        let stuck = woken && site.shell.due().is_some_and(|due| due <= now);
        let (from, to) = (
            format!("{} v{}", before.status.name(), before.version),
            format!("{} v{version}", status.name()),
        );
        self.note(&city::ride_id(ride).to_string(), &what, &from, &to, live);
        if stuck {
            self.broken(Invariant::M14, format!("r{ride:02} is due again at once after {what}"));
        }
        if let Some(fault) = unfair {
            self.broken(Invariant::M15, format!("r{ride:02}: {fault}"));
        }
        if let Some(fault) = untimely {
            self.broken(Invariant::M8, format!("r{ride:02}: {fault}"));
        }
        self.check_accepts(&before, &effects);
        self.check_collection(ride, &before, &effects);
        self.release(Actor::Ride(ride), effects);
    }

    pub(super) fn note(&mut self, actor: &str, what: &str, before: &str, after: &str, live: usize) {
        let at = self.elapsed_ms();
        self.trace.line(format!("{at:>9} {actor:<4} {what}: {before} -> {after} live={live}"));
    }

    /// Performs effects now, or once what they rest on is durable (M13).
    pub(super) fn release(&mut self, actor: Actor, effects: Vec<Effect>) {
        let mut items = Vec::new();
        let mut rest = Vec::new();
        for effect in effects {
            if let Effect::PersistRide(commit) = effect {
                items.push(Durable::Ride(Arc::new(*commit)));
            } else if let Effect::PersistDriver(record) = effect {
                items.push(Durable::Driver(record));
            } else if let Effect::PersistZone(commit) = effect {
                items.push(Durable::Zone(Arc::new(*commit)));
            } else {
                rest.push(effect);
            }
        }
        let eager = self.options.sabotage == Some(Sabotage::TellBeforeCommit);
        if eager {
            self.perform(actor, std::mem::take(&mut rest));
        }
        let Some((held, incarnation)) = self.held_of(actor) else { return };
        if !items.is_empty() {
            held.push_back(rest);
            self.submit(Submission { from: actor, incarnation, items });
        } else if let Some(newest) = held.back_mut() {
            newest.extend(rest);
        } else {
            self.perform(actor, rest);
        }
    }

    pub(super) fn held_of(
        &mut self,
        actor: Actor,
    ) -> Option<(&mut std::collections::VecDeque<Vec<Effect>>, u64)> {
        match actor {
            Actor::Driver(driver) => {
                let shell = self.drivers[driver].shell.as_mut()?;
                Some((&mut shell.held, shell.incarnation))
            }
            Actor::Ride(ride) => {
                let shell = &mut self.rides.get_mut(&ride)?.shell;
                Some((&mut shell.held, shell.incarnation))
            }
            Actor::Zone(market) => {
                let shell = &mut self.zones.get_mut(&market)?.shell;
                Some((&mut shell.held, shell.incarnation))
            }
            Actor::Market(market) => {
                let shell = self.matchers.get_mut(&market)?;
                Some((&mut shell.held, shell.incarnation))
            }
            Actor::Edge | Actor::Gps(_) | Actor::Store | Actor::Session(..) => None,
        }
    }

    pub(super) fn perform(&mut self, actor: Actor, effects: Vec<Effect>) {
        for effect in effects {
            self.check_told(actor, &effect);
            self.perform_one(actor, effect);
        }
    }

    fn perform_one(&mut self, actor: Actor, effect: Effect) {
        match effect {
            Effect::ToDriver(driver, command) => self.pass_to_driver(actor, &driver, command),
            Effect::ToRide(ride, command) => self.pass_to_ride(actor, &ride, command),
            Effect::ToZone(_, command) => {
                if let Some(market) = self.market_of(actor) {
                    self.pass_to_zone(actor, market, command);
                }
            }
            Effect::ToMarket(command) => {
                if let Some(market) = self.market_of(actor) {
                    self.send(actor, Actor::Market(market), Payload::Market(command));
                }
            }
            Effect::MatchWindow(query) => {
                if let Actor::Market(market) = actor {
                    self.match_window(market, *query);
                }
            }
            Effect::PublishQueue(..) => {
                if let Actor::Zone(market) = actor {
                    self.publish_queue(&effect, market);
                }
            }
            Effect::SendFrame(session, frame) => {
                if let Actor::Driver(driver) = actor
                    && self.drivers[driver].attached.contains(&session)
                {
                    self.send_frame(driver, session, Payload::Frame(frame));
                }
            }
            Effect::CloseSession(session, _) => {
                if let Actor::Driver(driver) = actor {
                    self.drivers[driver].attached.retain(|own| *own != session);
                    self.send_frame(driver, session, Payload::Goodbye);
                }
            }
            Effect::Answer(reply, answer) => self.on_answer(reply, answer),
            Effect::PlaceSupply(supply) => {
                if let Actor::Driver(driver) = actor {
                    let site = &self.drivers[driver];
                    self.markets[site.market].grid.place(&site.slot, supply);
                }
            }
            Effect::RemoveSupply => {
                if let Actor::Driver(driver) = actor {
                    let site = &self.drivers[driver];
                    self.markets[site.market].grid.remove(&site.id);
                }
            }
            Effect::Publish(event) => self.note_published(actor, &event.kind),
            Effect::Retire => self.retire(actor),
            Effect::IndexOffer(_)
            | Effect::ForgetOffer(_)
            | Effect::PersistRide(_)
            | Effect::PersistDriver(_)
            | Effect::PersistZone(_)
            | Effect::DecideShadow(_)
            | Effect::FindCandidates(_)
            | Effect::LocateDriver(_) => {}
        }
    }

    fn note_published(&mut self, actor: Actor, kind: &EventKind) {
        if let EventKind::Forward { outcome } = kind {
            self.count(forward_line(*outcome));
        }
        if let EventKind::Standby { outcome } = kind {
            self.count(standby_line(*outcome));
        }
        if let EventKind::InvariantViolated(invariant) = kind {
            self.count("machine saw a broken invariant");
            if self.options.sabotage.is_none() {
                self.broken(*invariant, format!("{actor:?} found it in itself"));
            }
        }
    }

    fn retire(&mut self, actor: Actor) {
        if let Actor::Ride(ride) = actor {
            self.rides.remove(&ride);
            self.count("rides retired");
        }
    }

    fn send_frame(
        &mut self,
        driver: usize,
        session: muster_engine::effect::SessionId,
        payload: Payload,
    ) {
        let mut delay = self.fate.between(1, 60);
        if self.fate.chance(self.faults.frame_delay) {
            self.count("fault: frame delayed");
            delay = self.fate.between(60, 2_000);
        }
        let route = (Actor::Driver(driver), Actor::Session(driver, session));
        self.links.send(route, self.now.plus_millis(delay), payload);
    }

    /// Sends from machine to machine.
    pub(super) fn send(&mut self, from: Actor, to: Actor, payload: Payload) {
        let mut delay = 0;
        if self.fate.chance(self.faults.link_stall) {
            self.count("fault: message stalled");
            delay = self.fate.between(1, 3_000);
        }
        self.links.send((from, to), self.now.plus_millis(delay), payload);
    }

    fn pass_to_driver(&mut self, actor: Actor, driver: &DriverId, command: DriverCommand) {
        let to = city::ordinal(driver.as_str());
        let keeps = self.options.sabotage == Some(Sabotage::KeepLoserSlots);
        if keeps && is_loss(&command) && self.fate.chance(0.5) {
            return;
        }
        if self.drivers.get(to).is_some_and(|site| site.shell.is_some()) {
            return self.send(actor, Actor::Driver(to), Payload::Driver(command));
        }
        if let DriverCommand::Offer { offer, .. }
        | DriverCommand::ConfirmQuote { offer }
        | DriverCommand::CallStandby { offer } = command
        {
            let reason = Exclusion::Offline;
            let refused = RideCommand::OfferRefused { offer: offer.id.clone(), reason };
            self.pass_to_ride(Actor::Driver(to), &offer.ride, refused);
        }
    }

    pub(super) fn pass_to_ride(&mut self, actor: Actor, ride: &RideId, command: RideCommand) {
        let to = Actor::Ride(city::ordinal(ride.as_str()));
        self.send(actor, to, Payload::Ride(command));
    }

    /// A ride that left memory is loaded from the store; tells whether it exists.
    pub(super) fn ensure_ride(&mut self, ride: usize) -> bool {
        if self.rides.contains_key(&ride) {
            return true;
        }
        let Some(record) = self.store.ride(&city::ride_id(ride)).map(Arc::clone) else {
            return false;
        };
        self.count("rides loaded from the store");
        self.restore_ride(ride, &record);
        true
    }

    pub(super) fn restore_ride(
        &mut self,
        ride: usize,
        record: &Arc<muster_engine::ride::RideRecord>,
    ) {
        self.oracle.forget_collected(ride);
        let market = self.options.rides[ride].market;
        let site = &self.markets[market];
        let (rules, book) = (Arc::clone(&site.market), Arc::clone(&site.book));
        let machine = RideMachine::restore((**record).clone(), rules, book);
        let shell = Shell::new(machine, self.number());
        self.rides.insert(ride, RideSite { market, shell, told: Some(Arc::clone(record)) });
    }
}

pub(super) fn deadline_name(machine: &impl Machine) -> String {
    machine.next_deadline().map_or_else(String::new, |deadline| format!("{:?}", deadline.reason))
}

const fn is_loss(command: &DriverCommand) -> bool {
    matches!(
        command,
        DriverCommand::Withdraw { .. }
            | DriverCommand::AcceptAnswered {
                answer: muster_engine::effect::AcceptAnswer::Lost(_),
                ..
            }
    )
}

const fn reply_of_driver(command: &DriverCommand) -> Option<ReplyTo> {
    match command {
        DriverCommand::PutProfile { reply, .. }
        | DriverCommand::SetOnline { reply, .. }
        | DriverCommand::Remove { reply }
        | DriverCommand::Decline { reply, .. } => *reply,
        DriverCommand::Accept { asker: Some(Asker::Caller(reply)), .. }
        | DriverCommand::EnterOtp { asker: Some(Asker::Caller(reply)), .. }
        | DriverCommand::Get { reply } => Some(*reply),
        DriverCommand::Accept { asker: Some(Asker::Phone(_)) | None, .. }
        | DriverCommand::EnterOtp { asker: Some(Asker::Phone(_)) | None, .. }
        | DriverCommand::Queue { .. }
        | DriverCommand::PositionChanged
        | DriverCommand::Offer { .. }
        | DriverCommand::ConfirmQuote { .. }
        | DriverCommand::CallStandby { .. }
        | DriverCommand::Withdraw { .. }
        | DriverCommand::AcceptAnswered { .. }
        | DriverCommand::RideUpdated { .. }
        | DriverCommand::Connect { .. }
        | DriverCommand::Disconnect { .. }
        | DriverCommand::Ack { .. } => None,
    }
}

const fn reply_of_ride(command: &RideCommand) -> Option<ReplyTo> {
    match command {
        RideCommand::Request { reply }
        | RideCommand::Progress { reply, .. }
        | RideCommand::Cancel { reply, .. }
        | RideCommand::SelectQuote { reply, .. }
        | RideCommand::Retry { reply, .. }
        | RideCommand::ChangeDropoff { reply, .. } => *reply,
        RideCommand::Get { reply } => Some(*reply),
        RideCommand::Resume
        | RideCommand::Candidates(_)
        | RideCommand::Matched(_)
        | RideCommand::WindowUnavailable { .. }
        | RideCommand::DriverLocated { .. }
        | RideCommand::OfferRefused { .. }
        | RideCommand::OfferDeclined { .. }
        | RideCommand::OfferAccepted { .. }
        | RideCommand::OtpEntered(_)
        | RideCommand::OtpTaken { .. }
        | RideCommand::QuoteConfirmed { .. }
        | RideCommand::StandbyReady { .. }
        | RideCommand::DriverRebuilt { .. }
        | RideCommand::Forward { .. }
        | RideCommand::TellDriver { .. } => None,
    }
}
