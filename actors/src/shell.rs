//! The generic shell: call the machine, perform its effects, arm one timer. Nothing else.

mod alarm;
mod context;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::WeakAddr;
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
use crate::timers::{Sleeper, TimerKey};

pub(crate) use context::RestingContext;

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

    /// The actor as its timer knows it.
    fn sleeper(own: WeakAddr<MachineActor<Self>>) -> Sleeper {
        Sleeper::Other(own.recipient())
    }

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

/// What waits for commits of one incarnation of a machine.
#[derive(Default)]
struct Pending {
    /// By commit, the oldest first.
    held: VecDeque<Held>,
    /// Set when one of them failed.
    poisoned: Arc<AtomicBool>,
}

/// One machine as an actix actor.
pub(crate) struct MachineActor<H: Host> {
    machine: H::Machine,
    host: H,
    runtime: Arc<Runtime>,
    /// While commits are under way.
    pending: Option<Box<Pending>>,
    armed: Option<TimerKey>,
    resting: bool,
    retired: bool,
}

impl<H: Host> MachineActor<H> {
    fn new(machine: H::Machine, host: H, runtime: Arc<Runtime>) -> Self {
        Self { machine, host, runtime, pending: None, armed: None, resting: false, retired: false }
    }

    /// Starts the actor of a machine on an Arbiter.
    pub(crate) fn begin(
        arbiter: &ArbiterHandle,
        machine: H::Machine,
        host: H,
        runtime: &Arc<Runtime>,
    ) -> Addr<Self>
    where
        H: Send,
        H::Machine: Send,
    {
        let (capacity, shared) = (runtime.limits.mailbox_capacity, Arc::clone(runtime));
        context::start(arbiter, capacity, move || Self::new(machine, host, shared))
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
        ctx: &mut RestingContext<Self>,
        origin: Option<Arc<Origin>>,
        call: impl FnOnce(&mut H::Machine, Timestamp, &mut Outbox),
    ) {
        self.guarded(ctx, |actor, ctx, outbox| {
            let now = actor.runtime.clock.now();
            let step = actor.step("turn", origin);
            actor.host.before_turn(&mut actor.machine);
            call(&mut actor.machine, now, outbox);
            let effects = actor.searched(now, outbox);
            actor.release(Turn { effects, origin: step.origin }, ctx);
            actor.host.after_turn(&actor.machine, &actor.runtime);
        });
    }

    /// Runs `work`. A panic in it costs this machine its memory, nothing else: it is rebuilt from
    /// its newest durable state, and its mailbox is kept.
    fn guarded(
        &mut self,
        ctx: &mut RestingContext<Self>,
        work: impl FnOnce(&mut Self, &mut RestingContext<Self>, &mut Outbox),
    ) {
        let mut outbox = Outbox::default();
        match catch_unwind(AssertUnwindSafe(|| work(self, ctx, &mut outbox))) {
            Ok(()) => self.arm(ctx),
            Err(_) => {
                tracing::error!(actor = H::NAME, "a machine panicked and is rebuilt");
                self.rebuild(ctx, outbox);
            }
        }
    }

    /// Runs the searches and readings the machine asked for, within the same turn.
    fn searched(&mut self, now: Timestamp, outbox: &mut Outbox) -> Vec<Effect> {
        let mut effects = Vec::new();
        while !outbox.is_empty() {
            let drained: Vec<Effect> = outbox.drain().collect();
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
                    self.machine.handle(command, now, outbox);
                }
            }
        }
        effects
    }

    /// Performs effects now, or once what they rest on is durable (M13).
    fn release(&mut self, turn: Turn, ctx: &mut RestingContext<Self>) {
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
            let pending = self.pending.get_or_insert_default();
            pending.held.push_back(vec![rest]);
            let poisoned = Arc::clone(&pending.poisoned);
            let done = ctx.address().recipient();
            self.runtime.submit(Submit { items, poisoned, done, span });
        } else if let Some(newest) = self.pending.as_mut().and_then(|own| own.held.back_mut()) {
            newest.push(rest);
        } else {
            self.perform(rest, ctx);
        }
    }

    fn step(&self, step: &'static str, origin: Option<Arc<Origin>>) -> Step {
        Step::begin(self.runtime.tracer.as_ref(), H::NAME, step, origin)
    }

    fn perform(&mut self, turn: Turn, ctx: &mut RestingContext<Self>) {
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
    fn rebuild(&mut self, ctx: &mut RestingContext<Self>, mut unsent: Outbox) {
        self.runtime.meter.actor_restarted(H::NAME);
        let lost = StoreError::Unavailable("the change could not be stored".to_owned());
        self.fail_held(&lost);
        let unsent: Vec<Effect> = unsent.drain().collect();
        self.runtime.fail_answers(&unsent, &lost);
        if let Some(pending) = self.pending.take() {
            pending.poisoned.store(true, Ordering::Relaxed);
        }
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
    fn rebuild_from_store(&mut self, ctx: &mut RestingContext<Self>, must: bool) {
        let refresh = self.host.refresh(Arc::clone(&self.runtime));
        ctx.wait(refresh.into_actor(self).map(move |read, actor, ctx| {
            if read.is_ok() || !must {
                return actor.rebuild(ctx, Outbox::default());
            }
            let rest = std::time::Duration::from_millis(REST_AFTER_REBUILD_MS);
            let rested = actix::clock::sleep(rest).into_actor(actor);
            ctx.wait(rested.map(move |(), actor, ctx| actor.rebuild_from_store(ctx, must)));
        }));
    }

    /// Callers whose change waited for a commit learn that it failed.
    fn fail_held(&mut self, error: &StoreError) {
        let held = self.pending.as_mut().map(|own| std::mem::take(&mut own.held));
        for turn in held.into_iter().flatten().flatten() {
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
    type Context = RestingContext<Self>;

    fn started(&mut self, ctx: &mut RestingContext<Self>) {
        self.arm(ctx);
    }

    fn stopped(&mut self, _: &mut RestingContext<Self>) {
        self.disarm();
    }
}

impl<H: Host> Handler<Deliver<<H::Machine as Machine>::Command>> for MachineActor<H> {
    type Result = ();

    fn handle(
        &mut self,
        Deliver { command, caller, origin }: Deliver<<H::Machine as Machine>::Command>,
        ctx: &mut RestingContext<Self>,
    ) {
        if let Some(caller) = caller {
            caller.was_heard();
        }
        self.turn(ctx, origin, |machine, now, out| machine.handle(command, now, out));
    }
}

impl<H: Host> Handler<Committed> for MachineActor<H> {
    type Result = ();

    fn handle(&mut self, committed: Committed, ctx: &mut RestingContext<Self>) {
        let own = self.pending.as_ref();
        if !own.is_some_and(|own| Arc::ptr_eq(&committed.poisoned, &own.poisoned)) {
            // Its effects were dropped with the incarnation that failed. What had reached the store
            // before is durable all the same: the present machine began behind it.
            if committed.result.is_ok() {
                for item in &committed.items {
                    self.host.committed(item, &self.runtime);
                }
                self.rebuild(ctx, Outbox::default());
            }
            return;
        }
        match committed.result {
            Ok(()) => self.guarded(ctx, |actor, ctx, _| {
                for item in &committed.items {
                    actor.host.committed(item, &actor.runtime);
                }
                let held = actor.pending.as_mut().and_then(|own| own.held.pop_front());
                actor.pending.take_if(|own| own.held.is_empty());
                for turn in held.into_iter().flatten() {
                    actor.perform(turn, ctx);
                }
            }),
            Err(error) => {
                self.report(&error);
                self.fail_held(&error);
                match error {
                    StoreError::Unavailable(_) => self.rebuild(ctx, Outbox::default()),
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

    fn handle(&mut self, Barrier: Barrier, _: &mut RestingContext<Self>) {}
}
