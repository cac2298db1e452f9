//! The market of a log, and the policy that was in force in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::driver::{DriverProfile, DriverRecord};
use muster_engine::geo::CellResolution;
use muster_engine::id::{DriverId, MarketId};
use muster_engine::market::{Market, MarketConfig};
use muster_engine::policy::{DispatchPolicy, PolicyPatch};
use muster_engine::ride::RideRequest;
use muster_engine::time::Timestamp;
use muster_record::{Line, MarketLine};

use super::RecordedCity;
use crate::city;
use crate::city::boundary_around;
use crate::error::SimulateError;
use crate::world::EPOCH;

/// The market named, or else the one with the most requests; as the log tells of it first.
pub(super) fn of_log(lines: &[Line], named: Option<&str>) -> Result<MarketLine, SimulateError> {
    let (mut markets, mut requests) = (BTreeMap::new(), BTreeMap::<&MarketId, usize>::new());
    for line in lines {
        if let Line::Market(line) = line {
            markets.entry(&line.market).or_insert(line);
        } else if let Line::Request(line) = line {
            *requests.entry(&line.request.market).or_default() += 1;
        }
    }
    let busiest = || requests.iter().max_by_key(|(_, count)| **count).map(|(id, _)| id.to_string());
    let chosen = named.map(str::to_owned).or_else(busiest);
    let market = chosen.and_then(|id| markets.values().find(|line| line.market.as_str() == id));
    market.map(|line| (***line).clone()).ok_or_else(|| {
        let known: Vec<&str> = markets.keys().map(|id| id.as_str()).collect();
        let asked = named.map_or_else(String::new, |named| format!(", not {named}"));
        SimulateError::Log(format!(
            "the log tells of the markets [{}]{asked}, and of {} requests in them",
            known.join(", "),
            requests.values().sum::<usize>()
        ))
    })
}

impl RecordedCity {
    /// The policy that was in force; keys that an older build did not have take their defaults.
    pub(super) fn policy(&self) -> Result<DispatchPolicy, SimulateError> {
        let fault = |error: &dyn std::fmt::Display| {
            SimulateError::Log(format!("the policy of market {}: {error}", self.market.market))
        };
        let patch: PolicyPatch =
            serde_json::from_value(self.market.policy.clone()).map_err(|e| fault(&e))?;
        let mut policy = DispatchPolicy::default();
        policy.apply(&patch);
        policy.validated().map_err(|error| fault(&error))
    }

    /// The market around everything that the log tells of.
    pub(super) fn engine_market(&self) -> Result<Market, SimulateError> {
        let fault = |error: &dyn std::fmt::Display| SimulateError::Market(error.to_string());
        let pickups = self.trips.iter().map(|trip| trip.pickup);
        let places = pickups.chain(self.drivers.iter().flat_map(|driver| driver.places()));
        let line = &self.market;
        let config = MarketConfig {
            id: line.market.clone(),
            name: line.market.to_string(),
            boundary: boundary_around(places)?,
            tiers: line.service_tiers.clone(),
            default_tier: line.default_tier.clone(),
            resolution: CellResolution::new(line.grid_resolution).map_err(|e| fault(&e))?,
        };
        Market::new(config).map_err(|error| fault(&error))
    }

    /// An instant of the log as the simulation's clock shows it.
    fn shifted(&self, at: Timestamp) -> Timestamp {
        EPOCH
            .plus_millis(at.millis_since(self.began_at))
            .minus_millis(self.began_at.millis_since(at))
    }

    fn shifted_profile(&self, profile: &DriverProfile) -> DriverProfile {
        DriverProfile {
            blocked_until: profile.blocked_until.map(|at| self.shifted(at)),
            scheduled_pickup_at: profile.scheduled_pickup_at.map(|at| self.shifted(at)),
            ..profile.clone()
        }
    }

    /// A driver's profile by the simulation's clock.
    pub(crate) fn profile(&self, profile: &DriverProfile) -> Box<DriverProfile> {
        Box::new(self.shifted_profile(profile))
    }

    /// A driver as he is known first.
    pub(crate) fn driver_record(&self, driver: usize) -> DriverRecord {
        DriverRecord {
            driver: city::driver_id(driver),
            profile: self.shifted_profile(&self.drivers[driver].profile),
            online: false,
            rider_blocks: Default::default(),
            stats: Default::default(),
        }
    }

    /// A request as it was made, with the simulation's names of ride and drivers.
    pub(crate) fn request(&self, ride: usize, now: Timestamp) -> RideRequest {
        let request = &self.rides[ride].request;
        let drivers = |ids: &BTreeSet<DriverId>| -> BTreeSet<DriverId> {
            ids.iter().filter_map(|id| self.driver(id)).map(city::driver_id).collect()
        };
        RideRequest {
            ride: city::ride_id(ride),
            pickup_at: request.pickup_at.map(|at| self.shifted(at)),
            blocked_drivers: drivers(&request.blocked_drivers),
            favourite_drivers: drivers(&request.favourite_drivers),
            requested_at: now,
            entropy: (ride as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            request_key: None,
            origin: None,
            ..request.clone()
        }
    }

    pub(super) fn city(&self) -> Result<city::City, SimulateError> {
        city::City::in_market(Arc::new(self.engine_market()?))
    }
}
