//! One actor per driver.

use std::sync::Arc;

use actix::WeakAddr;
use actix::prelude::*;
use muster_engine::driver::{
    DriverCommand, DriverMachine, DriverProfile, DriverRecord, DriverStats, RiderBlocks,
};
use muster_engine::effect::{CloseReason, Effect, SessionId};
use muster_engine::event::{Event, EventKind};
use muster_engine::id::DriverId;
use muster_engine::machine::Machine;
use muster_engine::market::Market;
use muster_engine::ride::CandidateQuery;
use muster_engine::time::Timestamp;
use tokio::sync::mpsc;

use crate::ports::Durable;
use crate::registry::{DriverBoard, DriverHandle};
use crate::runtime::{MarketRuntime, Runtime};
use crate::session::SessionFrame;
use crate::shell::{Host, MachineActor, Refreshed, RestingContext};
use crate::timers::Sleeper;

/// The actor of one driver.
pub(crate) type DriverActor = MachineActor<DriverHost>;

/// What a driver's machine needs besides the generic shell.
pub(crate) struct DriverHost {
    board: Arc<DriverBoard>,
    /// The phone that is connected, and for a moment the one it supersedes.
    phones: Vec<(SessionId, mpsc::Sender<SessionFrame>)>,
}

/// Connects a phone.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Attach {
    pub(crate) session: SessionId,
    pub(crate) frames: mpsc::Sender<SessionFrame>,
    pub(crate) last_seq: Option<u64>,
}

impl DriverHost {
    /// Hands a frame to the phone. A phone that does not read is let go: its frames are kept by the
    /// machine and replayed when it comes back.
    fn send(&mut self, session: SessionId, frame: SessionFrame) {
        let phone = self.phones.iter().position(|(own, _)| *own == session);
        let Some(phone) = phone else { return };
        if self.phones[phone].1.try_send(frame).is_err() {
            self.phones.swap_remove(phone);
        }
    }

    /// Says a last word to a phone and lets it go.
    fn close(&mut self, session: SessionId, goodbye: SessionFrame) {
        self.send(session, goodbye);
        self.phones.retain(|(own, _)| *own != session);
    }
}

impl Host for DriverHost {
    type Machine = DriverMachine;
    const NAME: &'static str = "driver";

    fn sleeper(own: WeakAddr<DriverActor>) -> Sleeper {
        Sleeper::Driver(own)
    }

    fn search(&mut self, _: &CandidateQuery, _: &Runtime) -> Option<DriverCommand> {
        None
    }

    fn perform(&mut self, effect: Effect, runtime: &Runtime) {
        let grid = &self.board.market.grid;
        match effect {
            Effect::SendFrame(session, frame) => {
                self.send(session, SessionFrame::Phone(Box::new(frame)));
            }
            Effect::CloseSession(session, CloseReason::Superseded) => {
                self.close(session, SessionFrame::Superseded);
            }
            Effect::PlaceSupply(supply) => {
                grid.place(&self.board.slot, supply);
            }
            Effect::RemoveSupply => {
                grid.remove(self.board.driver());
            }
            Effect::ToZone(zone, command) => self.board.market.to_zone(&zone, command),
            Effect::IndexOffer(offer) => runtime.index_offer(offer, self.board.driver()),
            Effect::ForgetOffer(offer) => runtime.registry.forget_offer(&offer),
            Effect::PersistRide(_)
            | Effect::PersistDriver(_)
            | Effect::PersistZone(_)
            | Effect::PublishQueue(..)
            | Effect::ToMarket(_)
            | Effect::MatchWindow(_)
            | Effect::DecideShadow(_)
            | Effect::ToDriver(..)
            | Effect::ToRide(..)
            | Effect::Answer(..)
            | Effect::LocateDriver(_)
            | Effect::FindCandidates(_)
            | Effect::Publish(_)
            | Effect::Retire => {}
        }
    }

    fn committed(&mut self, item: &Durable, _: &Runtime) {
        if let Durable::Driver(record) = item {
            self.board.set_durable(Arc::clone(record));
        }
    }

    fn refresh(&self, runtime: Arc<Runtime>) -> Refreshed {
        let board = Arc::clone(&self.board);
        Box::pin(async move {
            if let Some(record) = runtime.store.load_driver(board.driver()).await? {
                board.set_durable(Arc::new(record));
            }
            Ok(())
        })
    }

    /// The rebuilt machine has forgotten its offers, its ride and its phone: the rides tell it
    /// again, the phone reconnects.
    fn rebuild(&mut self, now: Timestamp, runtime: &Runtime) -> Option<DriverMachine> {
        while let Some((session, _)) = self.phones.first() {
            self.close(*session, SessionFrame::Restarted);
        }
        self.board.market.grid.remove(self.board.driver());
        let record = self.board.durable()?;
        if record.profile.departure.is_done() {
            return None;
        }
        runtime.redrive_driver(self.board.driver());
        self.board.market.redrive_in_zones(self.board.driver());
        Some(machine(&self.board, record, now))
    }

    fn resume(&self) -> Option<DriverCommand> {
        // His rides have told him by now what they hold about him.
        let leaving = self.board.is_leaving();
        Some(if leaving {
            DriverCommand::Remove { reply: None }
        } else {
            DriverCommand::PositionChanged
        })
    }

    fn before_turn(&self, machine: &mut DriverMachine) {
        machine.use_policy(self.board.market.book().base());
    }

    fn after_turn(&mut self, machine: &DriverMachine, runtime: &Runtime) {
        self.board.count(machine.status(), machine.contact());
        if let Err(invariant) = machine.check() {
            tracing::error!(driver_id = %self.board.driver(), %invariant, "an invariant is broken");
            let kind = EventKind::InvariantViolated(invariant);
            runtime.publish(&Event { market: self.board.market.market.id().clone(), kind });
        }
    }

    fn retire(&mut self, runtime: &Runtime) {
        self.board.market.grid.remove(self.board.driver());
        runtime.registry.remove_driver(self.board.driver());
    }
}

fn machine(board: &DriverBoard, record: Arc<DriverRecord>, now: Timestamp) -> DriverMachine {
    let market = &board.market;
    let (policy, slot) = (Arc::clone(market.book().base()), Arc::clone(&board.slot));
    DriverMachine::new(record, slot, Arc::clone(&market.market), policy, now)
}

/// The driver's actor; a driver nobody knows yet gets one with this profile, offline, that is not
/// durable before its first command is.
pub(crate) fn get_or_begin(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    driver: &DriverId,
    profile: &DriverProfile,
) -> Arc<DriverHandle> {
    let record = DriverRecord {
        driver: driver.clone(),
        profile: profile.clone(),
        online: false,
        stats: DriverStats::default(),
        rider_blocks: RiderBlocks::default(),
    };
    start(runtime, market, record, false)
}

/// Has a profile name its market and tiers by the market's own ids, which all drivers then share.
pub(crate) fn share_ids(profile: &mut DriverProfile, market: &Market) {
    if profile.market == *market.id() {
        profile.market = market.id().clone();
    }
    for tier in &mut profile.service_tiers {
        if let Some(own) = market.tiers().iter().find(|own| *own == tier) {
            *tier = own.clone();
        }
    }
}

/// Starts the actor of a driver that was loaded from the store.
pub(crate) fn restore(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    mut record: DriverRecord,
) -> Arc<DriverHandle> {
    share_ids(&mut record.profile, &market.market);
    start(runtime, market, record, true)
}

fn start(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    record: DriverRecord,
    durable: bool,
) -> Arc<DriverHandle> {
    let id = record.driver.clone();
    let make = || {
        let record = Arc::new(record);
        let known = durable.then(|| Arc::clone(&record));
        let board = Arc::new(DriverBoard::new(id.clone(), Arc::clone(market), known));
        let machine = machine(&board, record, runtime.clock.now());
        let host = DriverHost { board: Arc::clone(&board), phones: Vec::new() };
        let arbiter = runtime.arbiter_of(id.as_str());
        let addr = DriverActor::begin(arbiter, machine, host, runtime);
        DriverHandle { addr, board }
    };
    runtime.registry.driver_or_insert(&id, make).0
}

impl Handler<Attach> for DriverActor {
    type Result = ();

    fn handle(&mut self, attach: Attach, ctx: &mut RestingContext<Self>) {
        let Attach { session, frames, last_seq } = attach;
        self.host_mut().phones.push((session, frames));
        let connect = DriverCommand::Connect { session, last_seq };
        self.turn(ctx, None, |machine, now, out| machine.handle(connect, now, out));
    }
}
