//! The generic shell: call the machine, perform its effects, arm one timer. Nothing else.

mod alarm;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use muster_engine::effect::{Effect, Outbox};
use muster_engine::id::DriverId;
use muster_engine::machine::Machine;
use muster_engine::origin::Origin;
use muster_engine::ride::CandidateQuery;
use muster_engine::time::Timestamp;

use crate::origin::Step;
use crate::ports::{Durable, StoreError};
use crate::replies::Caller;
use crate::runtime::Runtime;
use crate::store_actor::{Committed, Submit};
use crate::timers::{TimerKey, Timers};

/// Real milliseconds that a rebuilt machine rests before it takes up its own work again, so that a
/// store that is down, or a record that makes it panic, is not hammered. It answers meanwhile.
const REST_AFTER_REBUILD_MS: u64 = 500;

/// A command on its way to a machine.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Deliver<C: Send> {
    command: C,
    caller: Option<Caller>,
    origin: Option<Arc<Origin>>,
}

impl<C: Send> Deliver<C> {
    /// A command that nobody waits for, or whose sender repeats it.
    pub(crate) const fn new(command: C) -> Self {
        Self { command, caller: None, origin: None }
    }

    /// A command whose caller is to learn at once that it was never heard.
    pub(crate) const fn of_caller(command: C, caller: Caller) -> Self {
        Self { command, caller: Some(caller), origin: None }
    }

    /// The same on behalf of a call.
    pub(crate) fn on_behalf(self, origin: Option<Arc<Origin>>) -> Self {
        Self { origin, ..self }
    }
}

/// Answered when everything that was in the mailbox before it has been handled.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Barrier;

/// The end of a [`Host::refresh`]: whether the store could be read.
pub(crate) type Refreshed = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

/// What one kind of machine needs besides the generic shell.
pub(crate) trait Host: Sized + Unpin + 'static {
    type Machine: Machine<Command: Send> + Unpin;

    /// The label in metrics.
    const NAME: &'static str;

    /// Runs a search of the supply index and makes its result a command.
    fn search(
        &mut self,
        query: &CandidateQuery,
        runtime: &Runtime,
    ) -> Option<<Self::Machine as Machine>::Command>;

    /// Reads a driver's newest position and makes it a command; only rides ask for it.
    fn locate(&self, _: &DriverId, _: &Runtime) -> Option<<Self::Machine as Machine>::Command> {
        None
    }

    /// Performs an effect of this machine.
    fn perform(&mut self, effect: Effect, runtime: &Runtime);

    /// `item` is durable: people may be told.
    fn committed(&mut self, item: &Durable, runtime: &Runtime);

    /// Reads the newest durable state from the store, after a commit that conflicted with it or that
    /// nobody knows the end of.
    fn refresh(&self, runtime: Arc<Runtime>) -> Refreshed;

    /// A machine in the newest durable state; nothing if it never was durable.
    fn rebuild(&mut self, now: Timestamp, runtime: &Runtime) -> Option<Self::Machine>;

    /// What a rebuilt machine is told first, once it may work again.
    fn resume(&self) -> Option<<Self::Machine as Machine>::Command>;

    /// A turn begins.
    fn before_turn(&self, machine: &mut Self::Machine);

    /// A turn is over.
    fn after_turn(&mut self, machine: &Self::Machine, runtime: &Runtime);

    /// The actor leaves memory.
    fn retire(&mut self, runtime: &Runtime);
}

/// Effects of one turn, with the call that it goes back to.
struct Turn {
    effects: Vec<Effect>,
    origin: Option<Arc<Origin>>,
}

/// Turns whose effects wait for the commit of the first, for none must overtake it.
type Held = Vec<Turn>;

/// One machine as an actix actor.
pub(crate) struct MachineActor<H: Host> {
    machine: H::Machine,
    host: H,
    runtime: Arc<Runtime>,
    outbox: Outbox,
    held: VecDeque<Held>,
    /// Set when a commit of this incarnation failed.
    poisoned: Arc<AtomicBool>,
    armed: Option<TimerKey>,
    timers: Option<Timers>,
    resting: bool,
    retired: bool,
}

impl<H: Host> MachineActor<H> {
    pub(crate) fn new(machine: H::Machine, host: H, runtime: Arc<Runtime>) -> Self {
        Self {
            machine,
            host,
            runtime,
            outbox: Outbox::default(),
            held: VecDeque::new(),
            poisoned: Arc::default(),
            armed: None,
            timers: None,
            resting: false,
            retired: false,
        }
    }

    pub(crate) const fn machine(&self) -> &H::Machine {
        &self.machine
    }

    pub(crate) const fn host_mut(&mut self) -> &mut H {
        &mut self.host
    }

    /// One turn of the machine, on behalf of a call if there is one.
    pub(crate) fn turn(
        &mut self,
        ctx: &mut Context<Self>,
        origin: Option<Arc<Origin>>,
        call: impl FnOnce(&mut H::Machine, Timestamp, &mut Outbox),
    ) {
        self.guarded(ctx, |actor, ctx| {
            let now = actor.runtime.clock.now();
            let step = actor.step("turn", origin);
            actor.host.before_turn(&mut actor.machine);
            call(&mut actor.machine, now, &mut actor.outbox);
            let effects = actor.searched(now);
            actor.release(Turn { effects, origin: step.origin }, ctx);
            actor.host.after_turn(&actor.machine, &actor.runtime);
            // Most actors of a city rest: what a turn needed is not kept until the next.
            actor.outbox = Outbox::default();
        });
    }

    /// Runs `work`. A panic in it costs this machine its memory, nothing else: it is rebuilt from
    /// its newest durable state, and its mailbox is kept.
    fn guarded(
        &mut self,
        ctx: &mut Context<Self>,
        work: impl FnOnce(&mut Self, &mut Context<Self>),
    ) {
        match catch_unwind(AssertUnwindSafe(|| work(self, ctx))) {
            Ok(()) => self.arm(ctx),
            Err(_) => {
                tracing::error!(actor = H::NAME, "a machine panicked and is rebuilt");
                self.rebuild(ctx);
            }
        }
    }

    /// Runs the searches and readings the machine asked for, within the same turn.
    fn searched(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        while !self.outbox.is_empty() {
            let drained: Vec<Effect> = self.outbox.drain().collect();
            for effect in drained {
                let answer = if let Effect::FindCandidates(query) = &effect {
                    self.host.search(query, &self.runtime)
                } else if let Effect::LocateDriver(driver) = &effect {
                    self.host.locate(driver, &self.runtime)
                } else {
                    effects.push(effect);
                    continue;
                };
                if let Some(command) = answer {
                    self.machine.handle(command, now, &mut self.outbox);
                }
            }
        }
        effects
    }

    /// Performs effects now, or once what they rest on is durable (M13).
    fn release(&mut self, turn: Turn, ctx: &mut Context<Self>) {
        let mut items = Vec::new();
        let mut rest = Vec::with_capacity(turn.effects.len());
        for effect in turn.effects {
            rest.extend(keep(effect, turn.origin.as_ref(), &mut items));
        }
        let rest = Turn { effects: rest, origin: turn.origin };
        if !items.is_empty() {
            let Step { origin, span } = self.step("commit", rest.origin.clone());
            if span.is_some() {
                trace_to(&mut items, origin.as_ref());
            }
            self.held.push_back(vec![rest]);
            let done = ctx.address().recipient();
            let poisoned = Arc::clone(&self.poisoned);
            self.runtime.submit(Submit { items, poisoned, done, span });
        } else if let Some(newest) = self.held.back_mut() {
            newest.push(rest);
        } else {
            self.perform(rest, ctx);
        }
    }

    fn step(&self, step: &'static str, origin: Option<Arc<Origin>>) -> Step {
        Step::begin(self.runtime.tracer.as_ref(), H::NAME, step, origin)
    }

    fn perform(&mut self, turn: Turn, ctx: &mut Context<Self>) {
        let Turn { effects, origin } = turn;
        for effect in effects {
            match effect {
                Effect::Retire => {
                    self.retired = true;
                    self.host.retire(&self.runtime);
                    ctx.stop();
                }
                Effect::Answer(reply, answer) => self.runtime.replies.resolve(reply, Ok(answer)),
                Effect::Publish(event) => self.runtime.publish(&event),
                Effect::ToDriver(driver, command) => {
                    self.runtime.to_driver(&driver, command, origin.clone());
                }
                Effect::ToRide(ride, command) => {
                    self.runtime.to_ride(&ride, command, origin.clone());
                }
                Effect::PersistRide(_)
                | Effect::PersistDriver(_)
                | Effect::PersistZone(_)
                | Effect::ToZone(..)
                | Effect::PublishQueue(..)
                | Effect::ToMarket(_)
                | Effect::MatchWindow(_)
                | Effect::DecideShadow(_)
                | Effect::FindCandidates(_)
                | Effect::LocateDriver(_)
                | Effect::SendFrame(..)
                | Effect::CloseSession(..)
                | Effect::PlaceSupply(_)
                | Effect::RemoveSupply
                | Effect::IndexOffer(_)
                | Effect::ForgetOffer(_) => self.host.perform(effect, &self.runtime),
            }
        }
    }

    /// Back to the newest durable state: what was not durable was not told either.
    fn rebuild(&mut self, ctx: &mut Context<Self>) {
        self.runtime.meter.actor_restarted(H::NAME);
        let lost = StoreError::Unavailable("the change could not be stored".to_owned());
        self.fail_held(&lost);
        let unsent: Vec<Effect> = self.outbox.drain().collect();
        self.runtime.fail_answers(&unsent, &lost);
        self.poisoned.store(true, Ordering::Relaxed);
        self.poisoned = Arc::default();
        match self.host.rebuild(self.runtime.clock.now(), &self.runtime) {
            None => {
                self.retired = true;
                self.host.retire(&self.runtime);
                ctx.stop();
            }
            Some(machine) => {
                self.machine = machine;
                self.disarm();
                self.resting = true;
                let rest = std::time::Duration::from_millis(REST_AFTER_REBUILD_MS);
                ctx.run_later(rest, |actor, ctx| {
                    actor.resting = false;
                    if let Some(command) = actor.host.resume() {
                        actor
                            .turn(ctx, None, |machine, now, out| machine.handle(command, now, out));
                    }
                });
            }
        }
    }

    /// Back to what the store holds, which may be newer than what was told. The machine hears nothing
    /// meanwhile. With `must` it waits for as long as the store cannot be read: it may have lost or
    /// won something, and must not act before it knows.
    fn rebuild_from_store(&mut self, ctx: &mut Context<Self>, must: bool) {
        let refresh = self.host.refresh(Arc::clone(&self.runtime));
        ctx.wait(refresh.into_actor(self).map(move |read, actor, ctx| {
            if read.is_ok() || !must {
                return actor.rebuild(ctx);
            }
            let rest = std::time::Duration::from_millis(REST_AFTER_REBUILD_MS);
            let rested = actix::clock::sleep(rest).into_actor(actor);
            ctx.wait(rested.map(move |(), actor, ctx| actor.rebuild_from_store(ctx, must)));
        }));
    }

    /// Callers whose change waited for a commit learn that it failed.
    fn fail_held(&mut self, error: &StoreError) {
        for turn in std::mem::take(&mut self.held).into_iter().flatten() {
            self.runtime.fail_answers(&turn.effects, error);
        }
    }
}

/// Has what is published of these transitions go back to the commit.
fn trace_to(items: &mut [Durable], commit: Option<&Arc<Origin>>) {
    for item in items {
        if let Durable::Ride(ride) = item {
            ride.origin = commit.cloned();
        }
    }
}

/// Adds the durable item that an effect of a turn asks for, or gives the effect back.
fn keep(effect: Effect, origin: Option<&Arc<Origin>>, items: &mut Vec<Durable>) -> Option<Effect> {
    match effect {
        Effect::PersistRide(mut commit) => {
            if let Some(origin) = origin {
                commit.origin = Some(Arc::clone(origin));
            }
            items.push(Durable::Ride(commit));
            None
        }
        Effect::PersistDriver(record) => {
            items.push(Durable::Driver(record));
            None
        }
        Effect::PersistZone(commit) => {
            items.push(Durable::Zone(commit));
            None
        }
        Effect::ToDriver(..)
        | Effect::ToRide(..)
        | Effect::ToZone(..)
        | Effect::PublishQueue(..)
        | Effect::ToMarket(_)
        | Effect::MatchWindow(_)
        | Effect::DecideShadow(_)
        | Effect::SendFrame(..)
        | Effect::CloseSession(..)
        | Effect::Answer(..)
        | Effect::FindCandidates(_)
        | Effect::LocateDriver(_)
        | Effect::PlaceSupply(_)
        | Effect::RemoveSupply
        | Effect::IndexOffer(_)
        | Effect::ForgetOffer(_)
        | Effect::Publish(_)
        | Effect::Retire => Some(effect),
    }
}

impl<H: Host> Actor for MachineActor<H> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(self.runtime.limits.mailbox_capacity);
        self.timers = Some(Timers::of_arbiter(self.runtime.clock));
        self.arm(ctx);
    }

    fn stopped(&mut self, _: &mut Context<Self>) {
        self.disarm();
    }
}

impl<H: Host> Handler<Deliver<<H::Machine as Machine>::Command>> for MachineActor<H> {
    type Result = ();

    fn handle(
        &mut self,
        Deliver { command, caller, origin }: Deliver<<H::Machine as Machine>::Command>,
        ctx: &mut Context<Self>,
    ) {
        if let Some(caller) = caller {
            caller.was_heard();
        }
        self.turn(ctx, origin, |machine, now, out| machine.handle(command, now, out));
    }
}

impl<H: Host> Handler<Committed> for MachineActor<H> {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut Context<Self>) {
        if !Arc::ptr_eq(&committed.poisoned, &self.poisoned) {
            // Its effects were dropped with the incarnation that failed. What had reached the store
            // before is durable all the same: the present machine began behind it.
            if committed.result.is_ok() {
                for item in &committed.items {
                    self.host.committed(item, &self.runtime);
                }
                self.rebuild(ctx);
            }
            return;
        }
        match committed.result {
            Ok(()) => self.guarded(ctx, |actor, ctx| {
                for item in &committed.items {
                    actor.host.committed(item, &actor.runtime);
                }
                for turn in actor.held.pop_front().into_iter().flatten() {
                    actor.perform(turn, ctx);
                }
                if actor.held.is_empty() {
                    actor.held = VecDeque::new();
                }
            }),
            Err(error) => {
                self.report(&error);
                self.fail_held(&error);
                match error {
                    StoreError::Unavailable(_) => self.rebuild(ctx),
                    StoreError::InDoubt(_) => self.rebuild_from_store(ctx, true),
                    StoreError::Conflict(_) | StoreError::Corrupt(_) => {
                        self.rebuild_from_store(ctx, false);
                    }
                }
            }
        }
    }
}

impl<H: Host> MachineActor<H> {
    fn report(&self, error: &StoreError) {
        match error {
            StoreError::Unavailable(detail) => {
                tracing::warn!(actor = H::NAME, detail, "a commit failed, the machine is rebuilt");
            }
            StoreError::InDoubt(detail) => {
                tracing::warn!(
                    actor = H::NAME,
                    detail,
                    "nobody knows how a commit ended, the machine waits for the store"
                );
            }
            StoreError::Conflict(detail) | StoreError::Corrupt(detail) => {
                tracing::error!(actor = H::NAME, detail, "a commit was refused");
            }
        }
    }
}

impl<H: Host> Handler<Barrier> for MachineActor<H> {
    type Result = ();

    fn handle(&mut self, Barrier: Barrier, _: &mut Context<Self>) {}
}
