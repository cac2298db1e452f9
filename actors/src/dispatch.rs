//! The façade: everything the edges may ask of the engine.

mod drain;
mod positions;
mod quotes;
mod shadow;
mod supply;
mod travel;
mod zones;

use std::sync::Arc;

use actix::prelude::*;
use muster_engine::driver::{DriverCommand, DriverProfile, DriverView};
use muster_engine::effect::{AcceptAnswer, Answer, Asker, Refusal, ReplyTo};
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, OfferId, RideId, ServiceTierId};
use muster_engine::market::Markets;
use muster_engine::policy::PolicyBook;
use muster_engine::ride::{CancelledBy, RideCommand, RideProgress, RideRecord, RideRequest};
use muster_engine::time::Timestamp;
use muster_engine::units::Money;
use tokio::sync::{mpsc, watch};

pub use self::drain::HeardDriver;
pub use self::positions::FixTarget;
pub use self::supply::{DriverGauge, NearbyDriver, OpenSearch, RideGauge};

use crate::clock::Clock;
use crate::driver_actor::{self, Attach};
use crate::error::CallError;
use crate::origin::current_origin;
use crate::ports::StoreError;
use crate::recovery::{self, StartError};
use crate::registry::{DriverHandle, RideHandle};
use crate::replies::Caller;
use crate::ride_actor;
use crate::runtime::{DispatchConfig, Ports, Runtime};
use crate::session::{DriverLink, SESSION_FRAMES_MAX};
use crate::shell::Deliver;

/// How often a ride is asked whose actor leaves memory before it hears the question.
const RIDE_CALLS_MAX: u32 = 3;

/// The dispatch engine of one process. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch {
    runtime: Arc<Runtime>,
}

impl Dispatch {
    /// Recovers everything from the store and starts. Must run inside an actix system.
    ///
    /// # Errors
    /// [`StartError`] when the store cannot be read or holds rows of unknown markets.
    pub async fn start(config: DispatchConfig, ports: Ports) -> Result<Self, StartError> {
        let epoch = ports.store.begin_epoch().await?;
        let recovered = ports.store.recover().await?;
        let (drivers, rides) = (recovered.drivers.len(), recovered.open_rides.len());
        let clock = Clock::start(config.clock_speed, recovered.newest_at);
        let arbiters = (0..config.arbiters.max(1)).map(|_| Arbiter::new().handle()).collect();
        let runtime = Runtime::new(config, ports, clock, arbiters, epoch);
        recovery::recover(&runtime, recovered).await?;
        tracing::info!(epoch, drivers, rides, "dispatch recovered");
        let dispatch = Self { runtime };
        dispatch.clone().spawn_position_snapshots();
        Ok(dispatch)
    }

    /// The present instant of the engine.
    pub fn now(&self) -> Timestamp {
        self.runtime.clock.now()
    }

    /// The epoch that this process took in the store: who has the greatest owns the markets.
    pub fn epoch(&self) -> u64 {
        self.runtime.epoch
    }

    /// Engine seconds per real second.
    pub fn clock_speed(&self) -> f64 {
        self.runtime.clock.speed()
    }

    /// The markets.
    pub fn markets(&self) -> &Markets {
        &self.runtime.markets
    }

    /// The policies in force in a market.
    pub fn policies(&self, market: &MarketId) -> Option<Arc<PolicyBook>> {
        self.runtime.market(market).map(|market| market.book())
    }

    /// Puts other policies in force in a market; attempts under way keep theirs.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`].
    pub fn set_policies(&self, market: &MarketId, book: Arc<PolicyBook>) -> Result<(), CallError> {
        self.runtime.market(market).ok_or(CallError::UnknownMarket)?.set_book(book);
        Ok(())
    }

    /// Takes a ride request and begins to search. The answer comes once it is durable.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the id is taken, [`StoreError::Conflict`] when the request's key
    /// is; `Overloaded`, `Draining`, `Store` when new rides are shed.
    pub async fn request_ride(
        &self,
        mut request: RideRequest,
    ) -> Result<Arc<RideRecord>, CallError> {
        self.takes_new_work()?;
        request.origin = request.origin.or_else(current_origin);
        let market = self.runtime.market(&request.market).ok_or(CallError::UnknownMarket)?;
        let market = Arc::clone(market);
        let ride = request.ride.clone();
        let handle = ride_actor::begin(&self.runtime, &market, request)?;
        let ask = |reply| RideCommand::Request { reply: Some(reply) };
        let answer = self.ask_actor(&handle, ask).await;
        // That the id is taken by a ride which left memory shows when it is stored, not before.
        if matches!(answer, Err(CallError::Store(StoreError::Conflict(_))))
            && let Ok(Some(_)) = self.runtime.store.load_ride(&ride).await
        {
            return Err(CallError::Refused(Refusal::RideAlreadyExists));
        }
        answer
    }

    fn takes_new_work(&self) -> Result<(), CallError> {
        if *self.runtime.draining.borrow() {
            return Err(CallError::Draining);
        }
        if self.runtime.backlog.turns() > self.runtime.limits.store_backlog_max {
            return Err(CallError::Overloaded("store"));
        }
        if self.runtime.registry.ride_count() >= self.runtime.limits.open_rides_max {
            return Err(CallError::Overloaded("rides"));
        }
        Ok(())
    }

    /// The ride as anyone may be told: its newest durable state.
    ///
    /// # Errors
    /// [`CallError::Refused`] when there is no such ride, `Store` when the store cannot be read.
    pub async fn ride(&self, ride: &RideId) -> Result<Arc<RideRecord>, CallError> {
        if let Some(told) = self.runtime.registry.ride(ride).and_then(|h| h.board.told()) {
            return Ok(told);
        }
        let stored = self.runtime.store.load_ride(ride).await.map_err(CallError::Store)?;
        stored.map(Arc::new).ok_or(CallError::Refused(Refusal::UnknownRide))
    }

    /// Follows a ride that is in memory; nothing for one that left it.
    pub fn watch_ride(&self, ride: &RideId) -> Option<watch::Receiver<Option<Arc<RideRecord>>>> {
        self.runtime.registry.ride(ride).map(|handle| handle.board.watch())
    }

    /// Calls a ride off.
    ///
    /// # Errors
    /// [`CallError`] as the ride's state demands.
    pub async fn cancel_ride(
        &self,
        ride: &RideId,
        by: CancelledBy,
        reason: Option<String>,
    ) -> Result<Arc<RideRecord>, CallError> {
        let ask = |reply| {
            let reason = reason.clone();
            RideCommand::Cancel { by, reason, reply: Some(reply) }
        };
        self.ask_ride(ride, ask).await
    }

    /// Begins a new attempt.
    ///
    /// # Errors
    /// [`CallError`] as the ride's state demands, `Overloaded` or `Draining` when work is shed.
    pub async fn retry_ride(
        &self,
        ride: &RideId,
        tip: Option<Money>,
        service_tiers: Option<Vec<ServiceTierId>>,
    ) -> Result<Arc<RideRecord>, CallError> {
        self.takes_new_work()?;
        let ask = |reply| {
            let (tip, service_tiers) = (tip.clone(), service_tiers.clone());
            RideCommand::Retry { tip, service_tiers, reply: Some(reply) }
        };
        self.ask_ride(ride, ask).await
    }

    /// Changes where a ride goes.
    ///
    /// # Errors
    /// [`CallError`] as the ride's state demands.
    pub async fn change_dropoff(
        &self,
        ride: &RideId,
        dropoff: Position,
    ) -> Result<Arc<RideRecord>, CallError> {
        let ask = |reply| RideCommand::ChangeDropoff { dropoff, reply: Some(reply) };
        self.ask_ride(ride, ask).await
    }

    /// Reports a step of a ride. Without a driver the call is made for the assigned one.
    ///
    /// # Errors
    /// [`CallError`] as the ride's state demands.
    pub async fn progress(
        &self,
        ride: &RideId,
        driver: Option<DriverId>,
        step: RideProgress,
    ) -> Result<Arc<RideRecord>, CallError> {
        let ask = |reply| {
            let (driver, step) = (driver.clone(), step.clone());
            RideCommand::Progress { driver, step, reply: Some(reply) }
        };
        self.ask_ride(ride, ask).await
    }

    /// Creates a driver or replaces his profile.
    ///
    /// # Errors
    /// [`CallError::DriverInOtherMarket`] when he is registered elsewhere, and as for any call.
    pub async fn put_driver(
        &self,
        driver: &DriverId,
        mut profile: DriverProfile,
    ) -> Result<Box<DriverView>, CallError> {
        let market = self.runtime.market(&profile.market).ok_or(CallError::UnknownMarket)?;
        driver_actor::share_ids(&mut profile, &market.market);
        let handle = driver_actor::get_or_begin(&self.runtime, market, driver, &profile);
        if handle.board.market.market.id() != &profile.market {
            return Err(CallError::DriverInOtherMarket);
        }
        let profile = Box::new(profile);
        let ask = |reply| DriverCommand::PutProfile { profile, reply: Some(reply) };
        self.ask_driver(&handle, ask).await
    }

    /// How a driver stands.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`], `Overloaded`, `TimedOut`.
    pub async fn driver(&self, driver: &DriverId) -> Result<Box<DriverView>, CallError> {
        let handle = self.driver_handle(driver)?;
        self.ask_driver(&handle, |reply| DriverCommand::Get { reply }).await
    }

    /// Begins or ends a driver's work.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`], and as for any call.
    pub async fn set_online(
        &self,
        driver: &DriverId,
        online: bool,
    ) -> Result<Box<DriverView>, CallError> {
        let handle = self.driver_handle(driver)?;
        let ask = |reply| DriverCommand::SetOnline { online, reply: Some(reply) };
        self.ask_driver(&handle, ask).await
    }

    /// Removes a driver: he takes no more work, and nothing of him is kept once the rides he is bound
    /// to have ended. The answer comes when that is durable; one whom nobody knows is gone already.
    ///
    /// # Errors
    /// As for any call.
    pub async fn remove_driver(&self, driver: &DriverId) -> Result<(), CallError> {
        let Some(handle) = self.runtime.registry.driver(driver) else { return Ok(()) };
        self.ask_driver(&handle, |reply| DriverCommand::Remove { reply: Some(reply) }).await?;
        Ok(())
    }

    /// Accepts an offer, for a fare where accepts are quotes. `driver` is who says so; an operator
    /// may leave it out.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the offer is unknown, another accept is pending, or the fare is
    /// not taken.
    pub async fn accept(
        &self,
        driver: Option<&DriverId>,
        offer: &OfferId,
        fare: Option<Money>,
    ) -> Result<AcceptAnswer, CallError> {
        let handle = self.driver_of_offer(driver, offer)?;
        let ask = |reply| DriverCommand::Accept {
            offer: offer.clone(),
            fare,
            asker: Some(Asker::Caller(reply)),
        };
        match self.ask(&handle, ask).await? {
            Answer::Accept(answer) => Ok(answer),
            Answer::Refused(refusal) => Err(CallError::Refused(refusal)),
            Answer::Ride(_) | Answer::Driver(_) | Answer::Queue(_) => Err(CallError::TimedOut),
        }
    }

    /// Declines an offer.
    ///
    /// # Errors
    /// [`CallError::Refused`] when the offer is unknown.
    pub async fn decline(
        &self,
        driver: Option<&DriverId>,
        offer: &OfferId,
        reason: Option<String>,
    ) -> Result<Box<DriverView>, CallError> {
        let handle = self.driver_of_offer(driver, offer)?;
        let offer = offer.clone();
        let ask = |reply| DriverCommand::Decline { offer, reason, reply: Some(reply) };
        self.ask_driver(&handle, ask).await
    }

    /// Connects a driver's phone; an older connection is superseded.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`], `Draining`, `Overloaded`.
    pub fn connect(
        &self,
        driver: &DriverId,
        last_seq: Option<u64>,
    ) -> Result<DriverLink, CallError> {
        if *self.runtime.draining.borrow() {
            return Err(CallError::Draining);
        }
        let handle = self.driver_handle(driver)?;
        let session = self.runtime.next_session();
        let (sender, frames) = mpsc::channel(SESSION_FRAMES_MAX);
        let attach = Attach { session, frames: sender, last_seq };
        handle.addr.try_send(attach).map_err(|_| self.overloaded("driver"))?;
        Ok(DriverLink { runtime: Arc::clone(&self.runtime), handle, session, frames })
    }

    fn driver_handle(&self, driver: &DriverId) -> Result<Arc<DriverHandle>, CallError> {
        let handle = self.runtime.registry.driver(driver);
        handle.filter(|h| h.board.durable().is_some()).ok_or(CallError::UnknownDriver)
    }

    fn driver_of_offer(
        &self,
        driver: Option<&DriverId>,
        offer: &OfferId,
    ) -> Result<Arc<DriverHandle>, CallError> {
        let unknown = CallError::Refused(Refusal::UnknownOffer);
        let owner = self.runtime.registry.driver_of_offer(offer).ok_or(unknown.clone())?;
        if driver.is_some_and(|driver| *driver != owner) {
            return Err(unknown);
        }
        self.driver_handle(&owner)
    }

    fn deliver<C: Send>(&self, command: C, reply: ReplyTo) -> Deliver<C> {
        let caller = Caller::new(Arc::clone(&self.runtime), reply);
        Deliver::of_caller(command, caller).on_behalf(current_origin())
    }

    fn overloaded(&self, actor: &'static str) -> CallError {
        self.runtime.meter.mailbox_full(actor);
        CallError::Overloaded(actor)
    }

    /// Asks a ride that may have left memory, or be about to.
    async fn ask_ride(
        &self,
        ride: &RideId,
        command: impl Fn(ReplyTo) -> RideCommand,
    ) -> Result<Arc<RideRecord>, CallError> {
        let mut answer = Err(CallError::Unheard);
        for _ in 0..RIDE_CALLS_MAX {
            let handle = ride_actor::load(&self.runtime, ride).await?;
            answer = self.ask_actor(&handle, &command).await;
            if !matches!(answer, Err(CallError::Unheard)) {
                break;
            }
        }
        answer
    }

    async fn ask_actor(
        &self,
        handle: &RideHandle,
        command: impl FnOnce(ReplyTo) -> RideCommand,
    ) -> Result<Arc<RideRecord>, CallError> {
        let waiting = self.runtime.replies.wait();
        let deliver = self.deliver(command(waiting.reply), waiting.reply);
        handle.addr.try_send(deliver).map_err(|error| match error {
            SendError::Full(_) => self.overloaded("ride"),
            SendError::Closed(_) => CallError::Unheard,
        })?;
        match waiting.answer(self.runtime.limits.answer_within).await? {
            Answer::Ride(record) => Ok(record),
            Answer::Refused(refusal) => Err(CallError::Refused(refusal)),
            Answer::Driver(_) | Answer::Accept(_) | Answer::Queue(_) => Err(CallError::TimedOut),
        }
    }

    async fn ask_driver(
        &self,
        handle: &DriverHandle,
        command: impl FnOnce(ReplyTo) -> DriverCommand,
    ) -> Result<Box<DriverView>, CallError> {
        match self.ask(handle, command).await? {
            Answer::Driver(view) => Ok(view),
            Answer::Refused(refusal) => Err(CallError::Refused(refusal)),
            Answer::Ride(_) | Answer::Accept(_) | Answer::Queue(_) => Err(CallError::TimedOut),
        }
    }

    async fn ask(
        &self,
        handle: &DriverHandle,
        command: impl FnOnce(ReplyTo) -> DriverCommand,
    ) -> Result<Answer, CallError> {
        let waiting = self.runtime.replies.wait();
        let deliver = self.deliver(command(waiting.reply), waiting.reply);
        handle.addr.try_send(deliver).map_err(|_| self.overloaded("driver"))?;
        waiting.answer(self.runtime.limits.answer_within).await
    }
}
