//! Dispatch in this process: Muster's actors over a store that keeps nothing, in a market around the
//! city of the load generator.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use muster_actors::{
    Dispatch, DispatchConfig, DispatchLimits, Durable, EventSink, Meter, PortFuture, Ports,
    PositionSnapshot, Recovered, Store, StoreError,
};
use muster_engine::driver::{
    Departure, DriverProfile, DriverRecord, DriverStats, RidePreferences, RiderBlocks,
    VehicleCapacity,
};
use muster_engine::event::Event;
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{Fix, FixLimits};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId, ZoneId};
use muster_engine::market::{Boundary, Market, MarketConfig, Markets};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{RideRecord, RideRequest};
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;

use crate::city::{Place, Route};

const MARKET: &str = "nyc";
const TIER: &str = "standard";
/// Longer than any measurement, in milliseconds.
const SILENT_MS_MAX: u64 = 3_600_000;
/// Around everything that the city's drivers visit.
const AREA: &str = r#"{"type":"Polygon","coordinates":[[[-74.2,40.5],[-73.7,40.5],[-73.7,41.1],
    [-74.2,41.1],[-74.2,40.5]]]}"#;

/// A store that takes everything and keeps nothing: what is measured is what is before it.
#[derive(Debug, Default)]
pub struct Nowhere {
    recovered: Mutex<Recovered>,
}

impl Nowhere {
    /// A store that a process finds these things in, once.
    pub const fn with(recovered: Recovered) -> Self {
        Self { recovered: Mutex::new(recovered) }
    }
}

impl Store for Nowhere {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        Box::pin(std::future::ready(batch.iter().map(|_| Ok(())).collect()))
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(std::future::ready(Ok(1)))
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        let mut recovered = self.recovered.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(std::future::ready(Ok(std::mem::take(&mut *recovered))))
    }

    fn load_ride<'a>(
        &'a self,
        _: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn load_driver<'a>(
        &'a self,
        _: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn load_queue<'a>(
        &'a self,
        _: &'a MarketId,
        _: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn save_positions<'a>(
        &'a self,
        _: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl EventSink for Quiet {
    fn publish(&self, _: &Event) {}
}

impl Meter for Quiet {
    fn first_offer(&self, _: f64) {}
    fn match_duration(&self, _: &'static str, _: f64) {}
    fn store_commit(&self, _: usize, _: f64) {}
    fn store_refused(&self, _: &'static str) {}
    fn mailbox_full(&self, _: &'static str) {}
    fn actor_restarted(&self, _: &'static str) {}
}

/// Dispatch over `store`, its actors on so many Arbiters. Must be called inside an actix system.
///
/// # Errors
/// When it does not start.
pub async fn dispatch(store: Arc<dyn Store>, arbiters: usize) -> anyhow::Result<Dispatch> {
    let tier = ServiceTierId::new(TIER)?;
    let market = Market::new(MarketConfig {
        id: MarketId::new(MARKET)?,
        name: "New York".to_owned(),
        boundary: Boundary::from_geojson(AREA)?,
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9)?,
    })?;
    // Drivers tell once where they are, and are to stay in touch for as long as anybody measures; one
    // who has driven is asked again at once.
    let policy = DispatchPolicy {
        stale_after_ms: SILENT_MS_MAX,
        lost_after_ms: 2 * SILENT_MS_MAX,
        accept_cooldown_ms: 0,
        ..DispatchPolicy::default()
    };
    let policy = Arc::new(PolicyBook::of(policy.validated()?));
    let config = DispatchConfig {
        markets: Markets::new([market])?,
        policies: BTreeMap::from([(MarketId::new(MARKET)?, policy)]),
        travel: BTreeMap::new(),
        fix_limits: FixLimits::default(),
        limits: DispatchLimits {
            mailbox_capacity: 64,
            store_backlog_max: usize::MAX,
            open_rides_max: usize::MAX,
            answer_within: Duration::from_secs(30),
            position_snapshot_every: Duration::ZERO,
        },
        arbiters,
        clock_speed: 1.0,
    };
    let ports = Ports { store, events: Arc::new(Quiet), meter: Arc::new(Quiet), tracer: None };
    Ok(Dispatch::start(config, ports).await?)
}

/// The id of a driver, as the load generator names him.
///
/// # Errors
/// Never, for any number.
pub fn driver_id(number: usize) -> anyhow::Result<DriverId> {
    Ok(DriverId::new(&format!("driver-{number}"))?)
}

/// The profile of a driver, as the load generator puts it.
///
/// # Errors
/// Never, for any number.
pub fn profile(number: usize) -> anyhow::Result<DriverProfile> {
    Ok(DriverProfile {
        market: MarketId::new(MARKET)?,
        service_tiers: vec![ServiceTierId::new(TIER)?],
        vehicle: Arc::from(format!(r#"{{"plate":"T{number:06}C","model":"Camry"}}"#)),
        tags: Vec::new(),
        rating: Some(4.8),
        blocked_until: None,
        preferences: RidePreferences::default().into(),
        capacity: VehicleCapacity::default(),
        wallet: None,
        departure: Departure::None,
        scheduled_pickup_at: None,
        home: None,
    })
}

/// Where a driver is at an instant.
///
/// # Errors
/// Never: no driver leaves the city.
pub fn position(number: usize, at: Timestamp) -> anyhow::Result<Position> {
    let Place { lat, lng } = Route::new(number as u64).at(at.as_millis());
    Position::from_degrees(lat, lng).context("a place in the city")
}

/// A fix of a driver at an instant.
///
/// # Errors
/// Never: no driver leaves the city.
pub fn fix(number: usize, at: Timestamp) -> anyhow::Result<Fix> {
    let position = position(number, at)?;
    Ok(Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None })
}

/// What a process that ran with so many drivers leaves in its store.
///
/// # Errors
/// Never, for any number.
pub fn recovered(drivers: usize, at: Timestamp) -> anyhow::Result<Recovered> {
    let mut recovered = Recovered { newest_at: at, ..Recovered::default() };
    for number in 0..drivers {
        let driver = driver_id(number)?;
        recovered.drivers.push(DriverRecord {
            driver: driver.clone(),
            profile: profile(number)?,
            online: true,
            stats: DriverStats::default(),
            rider_blocks: RiderBlocks::default(),
        });
        let position = position(number, at)?;
        recovered.positions.push(PositionSnapshot {
            driver,
            position,
            recorded_at: at,
            received_at: at,
        });
    }
    Ok(recovered)
}

/// Registers a driver, puts him online, and tells where he is.
///
/// # Errors
/// When dispatch refuses any of it.
pub async fn start_driver(dispatch: &Dispatch, number: usize) -> anyhow::Result<()> {
    let id = driver_id(number)?;
    dispatch.put_driver(&id, profile(number)?).await?;
    dispatch.set_online(&id, true).await?;
    let fix = fix(number, dispatch.now())?;
    let refused = dispatch.apply_fixes(&id, &[fix])?.into_iter().find_map(Result::err);
    anyhow::ensure!(refused.is_none(), "the first fix of {id}: {refused:?}");
    Ok(())
}

/// A plain request for a ride from a place.
///
/// # Errors
/// When the name is no id.
pub fn request(name: &str, pickup: Position, at: Timestamp) -> anyhow::Result<RideRequest> {
    Ok(RideRequest {
        entropy: 7,
        ..RideRequest::plain(
            RideId::new(name)?,
            RiderId::new("rider")?,
            MarketId::new(MARKET)?,
            pickup,
            vec![ServiceTierId::new(TIER)?],
            at,
        )
    })
}
