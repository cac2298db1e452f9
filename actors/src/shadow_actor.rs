//! One actor per market: its shadow. It hears of rides when they are durable, tells nobody, and what
//! does not fit into its mailbox it never hears.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use actix::prelude::*;
use muster_engine::effect::Effect;
use muster_engine::id::RideId;
use muster_engine::policy::{PolicyBook, PolicyPatch};
use muster_engine::ride::{CandidateQuery, RideRecord};
use muster_engine::shadow::{
    Comparison, ShadowCommand, ShadowMachine, ShadowQuery, ShadowSummary, decide,
};
use muster_engine::time::Timestamp;

use crate::ports::{Durable, Meter};
use crate::runtime::{MarketRuntime, Runtime};
use crate::shell::{Deliver, Host, MachineActor, Refreshed, RestingContext};

/// The actor of one market's shadow.
pub(crate) type ShadowActor = MachineActor<ShadowHost>;

/// What a market's shadow needs besides the generic shell.
pub(crate) struct ShadowHost {
    market: Arc<MarketRuntime>,
}

/// Where a market's shadow is told things, and what it decides by.
#[derive(Default)]
pub(crate) struct ShadowPost {
    addr: OnceLock<Addr<ShadowActor>>,
    patch: Mutex<Option<PolicyPatch>>,
    /// Whether it decides at all: rides ask before they tell.
    decides: AtomicBool,
    unheard: AtomicU64,
}

/// How a shadow stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowReport {
    /// The keys in which its policy differs from the market's.
    pub patch: PolicyPatch,
    /// The policies it decides by.
    pub book: Arc<PolicyBook>,
    /// What came of all rides so far.
    pub summary: ShadowSummary,
    /// Rides that it follows at present.
    pub followed: usize,
    /// Messages about rides that did not fit into its mailbox.
    pub unheard: u64,
}

/// Asks for the report; nothing of a shadow that decides nothing.
#[derive(Message)]
#[rtype(result = "Option<(Arc<PolicyBook>, ShadowSummary, usize)>")]
struct ReadSummary;

/// Asks what came of a ride.
#[derive(Message)]
#[rtype(result = "Option<Comparison>")]
struct ReadComparison(RideId);

impl MarketRuntime {
    /// Has the shadow decide by the market's policies with other keys, or no more.
    pub(crate) fn shadow_by(&self, patch: Option<PolicyPatch>) {
        *self.shadow.patch.lock().unwrap_or_else(PoisonError::into_inner) = patch;
        self.renew_shadow();
    }

    /// Has the shadow follow the market's policies in force.
    pub(crate) fn renew_shadow(&self) {
        let book = self.shadow_book();
        self.shadow.decides.store(book.is_some(), Ordering::Relaxed);
        if let Some(addr) = self.shadow.addr.get() {
            addr.do_send(Deliver::new(ShadowCommand::Use(book)));
        }
    }

    fn shadow_book(&self) -> Option<Arc<PolicyBook>> {
        let shadowed = self.book().shadowed(&self.shadow.patch()?);
        let refused = |error| {
            let market = self.market.id();
            tracing::warn!(%market, %error, "the shadow policy does not fit the policies in force");
        };
        shadowed.map_err(refused).ok().map(Arc::new)
    }

    /// Tells the shadow of a ride's newest durable state; never waits.
    pub(crate) fn tell_shadow(&self, record: &Arc<RideRecord>, meter: &dyn Meter) {
        let shadow = &self.shadow;
        if !shadow.decides.load(Ordering::Relaxed) {
            return;
        }
        let Some(addr) = shadow.addr.get() else { return };
        let told = addr.try_send(Deliver::new(ShadowCommand::Ride(Arc::clone(record))));
        if told.is_err() {
            shadow.unheard.fetch_add(1, Ordering::Relaxed);
            meter.mailbox_full(ShadowHost::NAME);
        }
    }

    /// How the shadow stands; nothing when it decides nothing.
    pub(crate) async fn shadow_report(&self) -> Result<Option<ShadowReport>, MailboxError> {
        let Some((patch, addr)) = self.shadow.patch().zip(self.shadow.addr.get()) else {
            return Ok(None);
        };
        let Some((book, summary, followed)) = addr.send(ReadSummary).await? else {
            return Ok(None);
        };
        let unheard = self.shadow.unheard.load(Ordering::Relaxed);
        Ok(Some(ShadowReport { patch, book, summary, followed, unheard }))
    }

    /// What came of a ride by the shadow, if that is still known.
    pub(crate) async fn shadow_of(
        &self,
        ride: &RideId,
    ) -> Result<Option<Comparison>, MailboxError> {
        match self.shadow.addr.get().filter(|_| self.shadow.decides.load(Ordering::Relaxed)) {
            Some(addr) => addr.send(ReadComparison(ride.clone())).await,
            None => Ok(None),
        }
    }
}

impl ShadowPost {
    fn patch(&self) -> Option<PolicyPatch> {
        self.patch.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ShadowHost {
    /// Decides on a thread that nobody waits for.
    fn decide(&self, query: ShadowQuery) {
        let market = Arc::clone(&self.market);
        actix::spawn(async move {
            let (number, decides) = (query.number, Arc::clone(&market));
            let work = move || decide(&decides.grid, &decides.market, query);
            let command = match tokio::task::spawn_blocking(work).await {
                Ok(outcome) => ShadowCommand::Decided(Box::new(outcome)),
                Err(error) => {
                    tracing::error!(query = number, %error, "a shadow did not decide");
                    ShadowCommand::Failed { number }
                }
            };
            if let Some(addr) = market.shadow.addr.get() {
                addr.do_send(Deliver::new(command));
            }
        });
    }
}

impl Host for ShadowHost {
    type Machine = ShadowMachine;
    const NAME: &'static str = "shadow";

    fn search(&mut self, _: &CandidateQuery, _: &Runtime) -> Option<ShadowCommand> {
        None
    }

    fn perform(&mut self, effect: Effect, _: &Runtime) {
        if let Effect::DecideShadow(query) = effect {
            self.decide(*query);
        }
    }

    fn committed(&mut self, _: &Durable, _: &Runtime) {}

    fn refresh(&self, _: Arc<Runtime>) -> Refreshed {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Nothing of it is durable: rides that begin are followed again.
    fn rebuild(&mut self, now: Timestamp, _: &Runtime) -> Option<ShadowMachine> {
        Some(ShadowMachine::new(Arc::clone(&self.market.market), now))
    }

    fn resume(&self) -> Option<ShadowCommand> {
        Some(ShadowCommand::Use(self.market.shadow_book()))
    }

    fn before_turn(&self, _: &mut ShadowMachine) {}

    fn after_turn(&mut self, _: &ShadowMachine, _: &Runtime) {}

    fn retire(&mut self, _: &Runtime) {}
}

impl Handler<ReadSummary> for ShadowActor {
    type Result = MessageResult<ReadSummary>;

    fn handle(&mut self, _: ReadSummary, _: &mut RestingContext<Self>) -> Self::Result {
        let machine = self.machine();
        let book = machine.book().map(Arc::clone);
        MessageResult(book.map(|book| (book, machine.summary().clone(), machine.followed())))
    }
}

impl Handler<ReadComparison> for ShadowActor {
    type Result = MessageResult<ReadComparison>;

    fn handle(
        &mut self,
        ReadComparison(ride): ReadComparison,
        _: &mut RestingContext<Self>,
    ) -> Self::Result {
        MessageResult(self.machine().comparison(&ride).cloned())
    }
}

/// Starts the actor of a market's shadow, which decides nothing until it is told by what.
pub(crate) fn start(runtime: &Arc<Runtime>, market: &Arc<MarketRuntime>) {
    let machine = ShadowMachine::new(Arc::clone(&market.market), runtime.clock.now());
    let host = ShadowHost { market: Arc::clone(market) };
    let arbiter = runtime.arbiter_of(market.market.id().as_str());
    let addr = ShadowActor::begin(arbiter, machine, host, runtime);
    // Set once, here.
    let _already = market.shadow.addr.set(addr);
}
