//! What every actor of the process shares.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use actix::prelude::*;
use muster_engine::driver::DriverCommand;
use muster_engine::effect::{Effect, SessionId};
use muster_engine::event::Event;
use muster_engine::grid::{FixLimits, Grid};
use muster_engine::id::{DriverId, MarketId, OfferId, RideId, ZoneId, stable_hash};
use muster_engine::market::{Market, Markets};
use muster_engine::matching::MarketCommand;
use muster_engine::offer::Exclusion;
use muster_engine::origin::Origin;
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::RideCommand;
use muster_engine::travel::TravelTimes;
use muster_engine::zone::ZoneCommand;
use tokio::sync::watch;

use crate::census::Census;
use crate::clock::Clock;
use crate::error::CallError;
use crate::market_actor::MarketActor;
use crate::ports::{EventSink, Meter, Store, StoreError, Tracer};
use crate::registry::Registry;
use crate::replies::Replies;
use crate::ride_actor;
use crate::shadow_actor::ShadowPost;
use crate::shell::Deliver;
use crate::store_actor::{StoreActor, StoreBacklog, Submit};
use crate::zone_actor::ZoneHandle;

/// The outside that the actors talk to.
#[derive(Clone)]
pub struct Ports {
    /// Durable truth.
    pub store: Arc<dyn Store>,
    /// Where domain events go.
    pub events: Arc<dyn EventSink>,
    /// What the shell measures.
    pub meter: Arc<dyn Meter>,
    /// Where spans go; absent: nowhere.
    pub tracer: Option<Arc<dyn Tracer>>,
}

/// Bounds of the process.
#[derive(Debug, Clone, Copy)]
pub struct DispatchLimits {
    /// Messages an actor's mailbox holds before callers are told `Overloaded`.
    pub mailbox_capacity: usize,
    /// Turns the store may have before it when new rides are still taken.
    pub store_backlog_max: usize,
    /// Rides that may be open at once.
    pub open_rides_max: usize,
    /// How long a caller waits for an answer.
    pub answer_within: Duration,
    /// How often positions are written to the store; zero never.
    pub position_snapshot_every: Duration,
}

/// Everything `Dispatch` is started with.
#[derive(Debug)]
pub struct DispatchConfig {
    /// The markets with their policies.
    pub markets: Markets,
    /// Policy by market; every market has one.
    pub policies: BTreeMap<MarketId, Arc<PolicyBook>>,
    /// Travel times of the markets that know better than the straight line.
    pub travel: BTreeMap<MarketId, TravelTimes>,
    /// How fixes are judged.
    pub fix_limits: FixLimits,
    /// Bounds.
    pub limits: DispatchLimits,
    /// Arbiters that the actors are spread over.
    pub arbiters: usize,
    /// Engine seconds per real second.
    pub clock_speed: f64,
}

/// A market with what lives in it.
pub(crate) struct MarketRuntime {
    pub(crate) market: Arc<Market>,
    book: RwLock<Arc<PolicyBook>>,
    pub(crate) grid: Grid,
    pub(crate) census: Census,
    /// The actors of its watched zones, once they run.
    pub(crate) zones: OnceLock<BTreeMap<ZoneId, ZoneHandle>>,
    /// The actor of its dispatch windows, once it runs.
    pub(crate) matcher: OnceLock<Addr<MarketActor>>,
    /// Its shadow.
    pub(crate) shadow: ShadowPost,
}

impl MarketRuntime {
    /// The policies in force now.
    pub(crate) fn book(&self) -> Arc<PolicyBook> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The actor of a watched zone.
    pub(crate) fn zone(&self, zone: &ZoneId) -> Option<&ZoneHandle> {
        self.zones.get()?.get(zone)
    }

    /// Delivers to a zone's machine; one that is not watched has none and nothing to do.
    pub(crate) fn to_zone(&self, zone: &ZoneId, command: ZoneCommand) {
        if let Some(handle) = self.zone(zone) {
            handle.addr.do_send(Deliver::new(command));
        }
    }

    /// Delivers to the machine of the market's dispatch windows.
    pub(crate) fn to_matcher(&self, command: MarketCommand) {
        if let Some(matcher) = self.matcher.get() {
            matcher.do_send(Deliver::new(command));
        }
    }

    /// Has every zone tell a driver again what its queue holds about him.
    pub(crate) fn redrive_in_zones(&self, driver: &DriverId) {
        for handle in self.zones.get().into_iter().flat_map(BTreeMap::values) {
            let command = ZoneCommand::DriverRebuilt { driver: driver.clone() };
            handle.addr.do_send(Deliver::new(command));
        }
    }

    /// Puts other policies in force: for attempts that begin from here on.
    pub(crate) fn set_book(&self, book: Arc<PolicyBook>) {
        *self.book.write().unwrap_or_else(PoisonError::into_inner) = book;
        self.renew_shadow();
    }
}

/// The shared state of the process.
pub(crate) struct Runtime {
    pub(crate) epoch: u64,
    pub(crate) clock: Clock,
    pub(crate) limits: DispatchLimits,
    pub(crate) fix_limits: FixLimits,
    pub(crate) markets: Markets,
    pub(crate) market_runtimes: BTreeMap<MarketId, Arc<MarketRuntime>>,
    pub(crate) registry: Registry,
    pub(crate) replies: Replies,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) meter: Arc<dyn Meter>,
    pub(crate) tracer: Option<Arc<dyn Tracer>>,
    pub(crate) backlog: Arc<StoreBacklog>,
    pub(crate) draining: watch::Sender<bool>,
    pub(crate) stopped: AtomicBool,
    store_actor: Addr<StoreActor>,
    arbiters: Vec<ArbiterHandle>,
    sessions: AtomicU64,
    /// For work that needs to load from the store without an actor at hand.
    own: std::sync::OnceLock<std::sync::Weak<Self>>,
}

impl Runtime {
    pub(crate) fn new(
        config: DispatchConfig,
        ports: Ports,
        clock: Clock,
        arbiters: Vec<ArbiterHandle>,
        epoch: u64,
    ) -> Arc<Self> {
        let backlog = Arc::new(StoreBacklog::default());
        let (store, meter) = (Arc::clone(&ports.store), Arc::clone(&ports.meter));
        let counted = Arc::clone(&backlog);
        let own_arbiter = Arbiter::new().handle();
        let store_actor = StoreActor::start_in_arbiter(&own_arbiter, move |_| {
            StoreActor::new(store, meter, counted)
        });
        let fallback = Arc::new(PolicyBook::of(DispatchPolicy::default()));
        let market_runtimes = config
            .markets
            .iter()
            .map(|market| {
                let book = config.policies.get(market.id()).unwrap_or(&fallback);
                let grid = Grid::of(market);
                grid.set_travel_times(config.travel.get(market.id()).cloned());
                let runtime = MarketRuntime {
                    market: Arc::clone(market),
                    book: RwLock::new(Arc::clone(book)),
                    grid,
                    census: Census::default(),
                    zones: OnceLock::new(),
                    matcher: OnceLock::new(),
                    shadow: ShadowPost::default(),
                };
                (market.id().clone(), Arc::new(runtime))
            })
            .collect();
        let runtime = Arc::new(Self {
            epoch,
            clock,
            limits: config.limits,
            fix_limits: config.fix_limits,
            markets: config.markets,
            market_runtimes,
            registry: Registry::default(),
            replies: Replies::default(),
            store: ports.store,
            events: ports.events,
            meter: ports.meter,
            tracer: ports.tracer,
            backlog,
            draining: watch::Sender::new(false),
            stopped: AtomicBool::new(false),
            store_actor,
            arbiters,
            sessions: AtomicU64::new(1),
            own: std::sync::OnceLock::new(),
        });
        // Set once, here.
        let _already = runtime.own.set(Arc::downgrade(&runtime));
        runtime
    }

    /// This runtime as something a task can own; nothing once the process winds down.
    pub(crate) fn own(&self) -> Option<Arc<Self>> {
        self.own.get().and_then(std::sync::Weak::upgrade)
    }

    /// The Arbiter that an id's actor lives on.
    pub(crate) fn arbiter_of(&self, id: &str) -> &ArbiterHandle {
        let index = stable_hash(id.as_bytes(), 0) % self.arbiters.len() as u64;
        &self.arbiters[index as usize]
    }

    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn market(&self, id: &MarketId) -> Option<&Arc<MarketRuntime>> {
        self.market_runtimes.get(id)
    }

    pub(crate) fn submit(&self, submit: Submit) {
        self.backlog.grow();
        self.store_actor.do_send(submit);
    }

    pub(crate) fn publish(&self, event: &Event) {
        self.events.publish(event);
    }

    /// Delivers to a driver's machine. A driver nobody knows refuses what he is offered.
    pub(crate) fn to_driver(
        &self,
        driver: &DriverId,
        command: DriverCommand,
        origin: Option<Arc<Origin>>,
    ) {
        match self.registry.driver(driver) {
            Some(handle) => handle.addr.do_send(Deliver::new(command).on_behalf(origin)),
            None => {
                if let DriverCommand::Offer { offer, .. }
                | DriverCommand::ConfirmQuote { offer }
                | DriverCommand::CallStandby { offer } = command
                {
                    let (id, reason) = (offer.id.clone(), Exclusion::Offline);
                    let refused = RideCommand::OfferRefused { offer: id, reason };
                    self.to_ride(&offer.ride, refused, origin);
                }
            }
        }
    }

    /// Delivers to a ride's machine, which is loaded from the store if it left memory.
    pub(crate) fn to_ride(&self, ride: &RideId, command: RideCommand, origin: Option<Arc<Origin>>) {
        if let Some(handle) = self.registry.ride(ride) {
            return handle.addr.do_send(Deliver::new(command).on_behalf(origin));
        }
        let Some(runtime) = self.own() else { return };
        let ride = ride.clone();
        actix::spawn(async move {
            match ride_actor::load(&runtime, &ride).await {
                Ok(handle) => handle.addr.do_send(Deliver::new(command).on_behalf(origin)),
                Err(error) => {
                    tracing::warn!(ride_id = %ride, %error, "a message found no ride");
                    if let Some(reply) = reply_of(&command) {
                        runtime.replies.resolve(reply, Err(error));
                    }
                }
            }
        });
    }

    /// Tells callers whose answers will never come that the store failed.
    pub(crate) fn fail_answers(&self, effects: &[Effect], error: &StoreError) {
        for effect in effects {
            if let Effect::Answer(reply, _) = effect {
                self.replies.resolve(*reply, Err(CallError::Store(error.clone())));
            }
        }
    }

    /// Tells every open ride that concerns a driver to tell him again.
    pub(crate) fn redrive_driver(&self, driver: &DriverId) {
        for handle in self.registry.rides_of(driver) {
            let command = RideCommand::DriverRebuilt { driver: driver.clone() };
            handle.addr.do_send(Deliver::new(command));
        }
    }

    pub(crate) fn index_offer(&self, offer: OfferId, driver: &DriverId) {
        self.registry.index_offer(offer, driver.clone());
    }
}

fn reply_of(command: &RideCommand) -> Option<muster_engine::effect::ReplyTo> {
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
        | RideCommand::OfferRefused { .. }
        | RideCommand::OfferDeclined { .. }
        | RideCommand::OfferAccepted { .. }
        | RideCommand::OtpEntered(_)
        | RideCommand::OtpTaken { .. }
        | RideCommand::QuoteConfirmed { .. }
        | RideCommand::StandbyReady { .. }
        | RideCommand::DriverLocated { .. }
        | RideCommand::DriverRebuilt { .. }
        | RideCommand::Forward { .. }
        | RideCommand::TellDriver { .. } => None,
    }
}
