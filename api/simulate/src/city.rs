//! The market of a simulation: what the machines need to know of it, made from its trips.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_city::geo::Point;
use muster_city::trips::{Trip, fare_cents};
use muster_engine::driver::{
    Departure, DriverProfile, DriverRecord, RidePreferences, VehicleCapacity,
};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::ride::RideRequest;
use muster_engine::time::Timestamp;
use muster_engine::units::Money;

use crate::error::SimulateError;

/// Degrees that the market reaches beyond its trips.
const MARGIN_DEG: f64 = 0.02;

/// The grid's resolution, as in the shipped configuration.
const GRID_RESOLUTION: u8 = 9;

/// Riders from which on a large vehicle will do as well.
const LARGE_PARTY: u8 = 4;

/// The market around some trips.
#[derive(Debug, Clone)]
pub(crate) struct City {
    pub(crate) market: Arc<Market>,
    standard: ServiceTierId,
    xl: ServiceTierId,
}

/// The rectangle around all of these places, with a margin.
pub(crate) fn boundary_around(
    places: impl IntoIterator<Item = Point>,
) -> Result<Boundary, SimulateError> {
    let places: Vec<Point> = places.into_iter().collect();
    let least = |of: fn(&Point) -> f64| places.iter().map(of).fold(f64::INFINITY, f64::min);
    let most = |of: fn(&Point) -> f64| places.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
    let (south, north) = (least(|p| p.lat) - MARGIN_DEG, most(|p| p.lat) + MARGIN_DEG);
    let (west, east) = (least(|p| p.lng) - MARGIN_DEG, most(|p| p.lng) + MARGIN_DEG);
    let ring = [[west, south], [east, south], [east, north], [west, north], [west, south]];
    let area = serde_json::json!({"type": "Polygon", "coordinates": [ring]});
    Boundary::from_geojson(&area.to_string()).map_err(|e| SimulateError::Market(e.to_string()))
}

impl City {
    pub(crate) fn of(trips: &[Trip]) -> Result<Self, SimulateError> {
        let fault = |error: &dyn std::fmt::Display| SimulateError::Market(error.to_string());
        let places = trips.iter().flat_map(|trip| [trip.pickup, trip.dropoff]);
        let standard = ServiceTierId::new("standard").map_err(|e| fault(&e))?;
        let xl = ServiceTierId::new("xl").map_err(|e| fault(&e))?;
        let config = MarketConfig {
            id: MarketId::new("simulated").map_err(|e| fault(&e))?,
            name: "Simulated".to_owned(),
            boundary: boundary_around(places)?,
            tiers: vec![standard.clone(), xl.clone()],
            default_tier: standard.clone(),
            resolution: CellResolution::new(GRID_RESOLUTION).map_err(|e| fault(&e))?,
        };
        let market = Arc::new(Market::new(config).map_err(|e| fault(&e))?);
        Ok(Self { market, standard, xl })
    }

    /// A market that is known already.
    pub(crate) fn in_market(market: Arc<Market>) -> Result<Self, SimulateError> {
        let tier =
            |name| ServiceTierId::new(name).map_err(|e| SimulateError::Market(e.to_string()));
        Ok(Self { market, standard: tier("standard")?, xl: tier("xl")? })
    }

    pub(crate) fn driver_record(&self, driver: DriverId, xl: bool, instant: bool) -> DriverRecord {
        let mut service_tiers = vec![self.standard.clone()];
        if xl {
            service_tiers.push(self.xl.clone());
        }
        let instant_tiers: BTreeSet<ServiceTierId> =
            service_tiers.iter().filter(|_| instant).cloned().collect();
        let profile = DriverProfile {
            market: self.market.id().clone(),
            service_tiers,
            vehicle: Arc::from("{}"),
            tags: Vec::new(),
            rating: None,
            blocked_until: None,
            home: None,
            preferences: RidePreferences { instant_tiers, ..RidePreferences::default() }.into(),
            capacity: VehicleCapacity::default(),
            wallet: None,
            departure: Departure::None,
            scheduled_pickup_at: None,
        };
        DriverRecord {
            driver,
            profile,
            online: false,
            rider_blocks: Default::default(),
            stats: Default::default(),
        }
    }

    pub(crate) fn request(
        &self,
        ride: usize,
        trip: &Trip,
        way_m: f64,
        now: Timestamp,
    ) -> RideRequest {
        let mut service_tiers = vec![self.standard.clone()];
        if trip.passengers >= LARGE_PARTY {
            service_tiers.push(self.xl.clone());
        }
        RideRequest {
            dropoff: Some(position(trip.dropoff)),
            fare: Some(Money { amount: fare_cents(way_m), currency: "USD".to_owned() }),
            entropy: (ride as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            ..RideRequest::plain(
                ride_id(ride),
                named(RiderId::new(&format!("rider-{ride:07}"))),
                self.market.id().clone(),
                position(trip.pickup),
                service_tiers,
                now,
            )
        }
    }
}

pub(crate) fn position(point: Point) -> Position {
    named(Position::from_degrees(point.lat, point.lng))
}

/// The `ordinal`-th driver's id.
pub(crate) fn driver_id(ordinal: usize) -> DriverId {
    named(DriverId::new(&format!("cab-{ordinal:07}")))
}

/// The `ordinal`-th ride's id.
pub(crate) fn ride_id(ordinal: usize) -> RideId {
    named(RideId::new(&format!("ride-{ordinal:07}")))
}

/// The number in an id made here.
pub(crate) fn ordinal(id: &str) -> usize {
    let digits = id.rsplit('-').next().unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// Ids made here are valid, and places were checked when they were read.
#[expect(clippy::panic, reason = "a name of the simulated city is wrong: the simulation is broken")]
fn named<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    match made {
        Ok(made) => made,
        Err(error) => panic!("{error:?}"),
    }
}
