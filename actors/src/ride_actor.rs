//! One actor per ride request.

use std::sync::Arc;
use std::time::Instant;

use muster_engine::effect::{Effect, Refusal};
use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::{
    CandidateQuery, RideCommand, RideMachine, RideRecord, RideRequest, find_candidates,
};
use muster_engine::time::Timestamp;

use crate::error::CallError;
use crate::ports::{Durable, StoreError};
use crate::registry::{RideBoard, RideHandle};
use crate::runtime::{MarketRuntime, Runtime};
use crate::shell::{Host, MachineActor, Refreshed};

/// The actor of one ride request.
pub(crate) type RideActor = MachineActor<RideHost>;

/// What a ride's machine needs besides the generic shell.
pub(crate) struct RideHost {
    board: Arc<RideBoard>,
    /// When the request came in, until its first offer has left.
    requested: Option<Instant>,
}

impl Host for RideHost {
    type Machine = RideMachine;
    const NAME: &'static str = "ride";

    fn search(&mut self, query: &CandidateQuery, runtime: &Runtime) -> Option<RideCommand> {
        let began = Instant::now();
        let found = find_candidates(&self.board.market.grid, query);
        let mode = query.ranking.policy.mode.name();
        runtime.meter.match_duration(mode, began.elapsed().as_secs_f64());
        Some(RideCommand::Candidates(Box::new(found)))
    }

    fn locate(&self, driver: &DriverId, runtime: &Runtime) -> Option<RideCommand> {
        let handle = runtime.registry.driver(driver);
        let reading = handle.and_then(|handle| handle.board.slot.read());
        Some(RideCommand::DriverLocated { driver: driver.clone(), reading })
    }

    fn perform(&mut self, effect: Effect, _: &Runtime) {
        if let Effect::ToZone(zone, command) = effect {
            self.board.market.to_zone(&zone, command);
        } else if let Effect::ToMarket(command) = effect {
            self.board.market.to_matcher(command);
        }
    }

    fn committed(&mut self, item: &Durable, runtime: &Runtime) {
        if let Durable::Ride(commit) = item {
            self.board.tell(Arc::clone(&commit.record));
            self.board.market.tell_shadow(&commit.record, runtime.meter.as_ref());
            if commit.record.offer_counts.sent > 0
                && let Some(requested) = self.requested.take()
            {
                runtime.meter.first_offer(requested.elapsed().as_secs_f64());
            }
        }
    }

    fn refresh(&self, runtime: Arc<Runtime>) -> Refreshed {
        let board = Arc::clone(&self.board);
        Box::pin(async move {
            // The id may be that of a ride elsewhere, which is none of this actor's business.
            if let Some(record) = runtime.store.load_ride(&board.ride).await?
                && record.request.market == *board.market.market.id()
            {
                board.tell(Arc::new(record));
            }
            Ok(())
        })
    }

    fn rebuild(&mut self, _: Timestamp, _: &Runtime) -> Option<RideMachine> {
        let record = RideRecord::clone(&*self.board.told()?);
        let market = &self.board.market;
        let (book, market) = (market.book(), Arc::clone(&market.market));
        Some(RideMachine::restore(record, market, book))
    }

    fn resume(&self) -> Option<RideCommand> {
        Some(RideCommand::Resume)
    }

    fn before_turn(&self, machine: &mut RideMachine) {
        machine.use_policies(&self.board.market.book());
    }

    fn after_turn(&mut self, _: &RideMachine, _: &Runtime) {}

    fn retire(&mut self, runtime: &Runtime) {
        runtime.registry.remove_ride(&self.board.ride);
    }
}

/// Starts the actor of a ride that does not exist yet; refuses an id that is taken.
pub(crate) fn begin(
    runtime: &Arc<Runtime>,
    market: &Arc<MarketRuntime>,
    request: RideRequest,
) -> Result<Arc<RideHandle>, CallError> {
    let ride = request.ride.clone();
    let machine = RideMachine::new(request, Arc::clone(&market.market), market.book());
    let (handle, made) = start(runtime, &ride, market, machine, None, Some(Instant::now()));
    if made { Ok(handle) } else { Err(CallError::Refused(Refusal::RideAlreadyExists)) }
}

/// Starts the actor of a ride that was loaded from the store.
pub(crate) fn restore(runtime: &Arc<Runtime>, record: RideRecord) -> Option<Arc<RideHandle>> {
    let market = Arc::clone(runtime.market(&record.request.market)?);
    let ride = record.request.ride.clone();
    let mut machine =
        RideMachine::restore(record.clone(), Arc::clone(&market.market), market.book());
    machine.expect_call(runtime.clock.now());
    Some(start(runtime, &ride, &market, machine, Some(record), None).0)
}

/// The actor of a ride that may have left memory.
pub(crate) async fn load(
    runtime: &Arc<Runtime>,
    ride: &RideId,
) -> Result<Arc<RideHandle>, CallError> {
    if let Some(handle) = runtime.registry.ride(ride) {
        return Ok(handle);
    }
    let record = runtime.store.load_ride(ride).await.map_err(CallError::Store)?;
    let record = record.ok_or(CallError::Refused(Refusal::UnknownRide))?;
    let gone = || StoreError::Corrupt(format!("ride {ride} is in a market that is not configured"));
    restore(runtime, record).ok_or_else(|| CallError::Store(gone()))
}

fn start(
    runtime: &Arc<Runtime>,
    ride: &RideId,
    market: &Arc<MarketRuntime>,
    machine: RideMachine,
    told: Option<RideRecord>,
    requested: Option<Instant>,
) -> (Arc<RideHandle>, bool) {
    runtime.registry.ride_or_insert(ride, || {
        let board = Arc::new(RideBoard::new(ride.clone(), Arc::clone(market), told));
        let host = RideHost { board: Arc::clone(&board), requested };
        let arbiter = runtime.arbiter_of(ride.as_str());
        let addr = RideActor::begin(arbiter, machine, host, runtime);
        RideHandle { addr, board }
    })
}
