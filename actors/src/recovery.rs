//! From the store back to a living city.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use muster_engine::driver::DriverCommand;
use muster_engine::geo::Position;
use muster_engine::grid::{Fix, PositionSnapshot as SlotSnapshot};
use muster_engine::ride::RideCommand;
use tokio::task::unconstrained;

use crate::driver_actor;
use crate::market_actor;
use crate::ports::{PositionSnapshot, Recovered, StoreError};
use crate::ride_actor;
use crate::runtime::Runtime;
use crate::shadow_actor;
use crate::shell::{Barrier, Deliver};
use crate::zone_actor;

/// Why dispatch could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be read.
    #[error("recovery from the store failed: {0}")]
    Store(#[from] StoreError),
    /// The store has rows of a market that the configuration does not name.
    #[error("the store holds {what} of market {market}, which the configuration does not define")]
    UnknownMarket {
        /// A driver or a ride, with its id.
        what: String,
        /// The market.
        market: String,
    },
}

/// Rebuilds every driver, then every open ride, and waits until they agree about each other (M8).
///
/// Drivers come first: a ride that resumes tells its drivers again what it holds about them, live
/// offers and assignments alike.
pub(crate) async fn recover(
    runtime: &Arc<Runtime>,
    mut recovered: Recovered,
) -> Result<(), StartError> {
    for record in recovered.drivers {
        if record.profile.departure.is_done() {
            continue;
        }
        let market = runtime.market(&record.profile.market).ok_or_else(|| {
            unknown(format!("driver {}", record.driver), record.profile.market.as_str())
        })?;
        driver_actor::restore(runtime, &Arc::clone(market), record);
    }
    for market in runtime.market_runtimes.values() {
        let (own, others) =
            recovered.zones.into_iter().partition(|queue| queue.market == *market.market.id());
        recovered.zones = others;
        zone_actor::start_all(runtime, market, own);
        market_actor::start(runtime, market);
        shadow_actor::start(runtime, market);
    }
    for position in &recovered.positions {
        restore_position(runtime, position);
    }
    for record in recovered.open_rides {
        let (ride, market) = (record.request.ride.clone(), record.request.market.clone());
        let handle = ride_actor::restore(runtime, record)
            .ok_or_else(|| unknown(format!("ride {ride}"), market.as_str()))?;
        handle.addr.do_send(Deliver::new(RideCommand::Resume));
    }
    settle(runtime).await;
    // What binds drivers is known; those who are to go may.
    for handle in runtime.registry.drivers() {
        if handle.board.is_leaving() {
            handle.addr.do_send(Deliver::new(DriverCommand::Remove { reply: None }));
        }
    }
    Ok(())
}

fn unknown(what: String, market: &str) -> StartError {
    StartError::UnknownMarket { what, market: market.to_owned() }
}

/// The position is as old as it was: the driver counts as stale until his phone is heard.
fn restore_position(runtime: &Runtime, snapshot: &PositionSnapshot) {
    let Some(handle) = runtime.registry.driver(&snapshot.driver) else { return };
    let position: Position = snapshot.position;
    let fix = Fix {
        position,
        at: snapshot.recorded_at,
        accuracy_m: None,
        speed_mps: None,
        bearing_deg: None,
    };
    let board = &handle.board;
    let slot_snapshot = SlotSnapshot { fix, received_at: snapshot.received_at };
    board.slot.restore(&slot_snapshot, &board.market.market);
    handle.addr.do_send(Deliver::new(DriverCommand::PositionChanged));
}

/// Waits until every actor has handled what recovery sent it, and what that caused.
async fn settle(runtime: &Runtime) {
    for _round in 0..2 {
        // All at once: one after the other, a city's actors would cost a wake-up of a thread each.
        // Without a budget: once it is spent, each of a city's answers would be looked at again for
        // every few that are taken.
        let rides = runtime.registry.rides();
        unconstrained(join_all(rides.iter().map(|ride| ride.addr.send(Barrier)))).await;
        let markets = runtime.market_runtimes.values();
        let zones = markets.filter_map(|market| market.zones.get()).flat_map(BTreeMap::values);
        join_all(zones.map(|zone| zone.addr.send(Barrier))).await;
        let drivers = runtime.registry.drivers();
        // An actor that ended meanwhile has nothing left to handle.
        let barriers = join_all(drivers.iter().map(|driver| driver.addr.send(Barrier)));
        let _ended = unconstrained(barriers).await;
    }
}
