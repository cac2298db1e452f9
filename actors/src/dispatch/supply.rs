//! What the edges may see of supply and demand, without asking any actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::geo::{Cell, CellResolution, Position};
use muster_engine::grid::{
    Contact, DriverStatus, Found, NearbyQuery, Reading, StatusCounts, TierSet,
};
use muster_engine::id::{DriverId, MarketId, ServiceTierId};
use muster_engine::ride::RideStatus;
use muster_engine::units::{EtaSeconds, Meters};

use super::Dispatch;
use crate::error::CallError;
use crate::registry::DriverHandle;

/// An available driver near a place.
#[derive(Debug, Clone, PartialEq)]
pub struct NearbyDriver {
    /// The driver.
    pub driver: DriverId,
    /// Straight-line distance.
    pub distance: Meters,
    /// Estimated time to drive there.
    pub pickup_eta: EtaSeconds,
    /// Where he is.
    pub reading: Reading,
    /// Tiers he serves.
    pub tiers: TierSet,
}

/// One driver for the gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverGauge {
    /// His market.
    pub market: MarketId,
    /// What he does.
    pub status: DriverStatus,
    /// Whether he is heard.
    pub contact: Contact,
}

/// One ride in memory for the gauges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RideGauge {
    /// Its market.
    pub market: MarketId,
    /// Where it stands.
    pub status: RideStatus,
}

impl Dispatch {
    /// Available drivers, nearest first.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`] when the place is in no market.
    pub fn nearby(
        &self,
        at: Position,
        radius: Meters,
        limit: usize,
        service_tier: Option<&ServiceTierId>,
    ) -> Result<Vec<NearbyDriver>, CallError> {
        let market = self.runtime.markets.find(at).ok_or(CallError::UnknownMarket)?;
        let market = self.runtime.market(market.id()).ok_or(CallError::UnknownMarket)?;
        let wanted = service_tier.map(|tier| market.market.tier_set(std::slice::from_ref(tier)));
        let wanted = wanted.transpose().map_err(|_| CallError::UnknownMarket)?;
        let query = NearbyQuery { at, radius, limit, offerable_under: None };
        let fresh_after = self.now().minus_millis(market.policy.stale_after_ms);
        let result = market.grid.nearest(&query, |_, supply, reading| {
            let serves = wanted.is_none_or(|wanted| supply.tiers.intersects(wanted));
            let available = supply.status == DriverStatus::Available && !supply.blocked;
            if serves && available && reading.received_at >= fresh_after { Ok(()) } else { Err(()) }
        });
        let near = |found: Found| NearbyDriver {
            pickup_eta: market.policy.pickup_eta(found.distance),
            driver: found.driver,
            distance: found.distance,
            reading: found.reading,
            tiers: found.supply.tiers,
        };
        Ok(result.found.into_iter().map(near).collect())
    }

    /// Drivers by status per cell.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`].
    pub fn supply(
        &self,
        market: &MarketId,
        resolution: CellResolution,
    ) -> Result<BTreeMap<Cell, StatusCounts>, CallError> {
        let market = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        Ok(market.grid.counts_by_cell(resolution))
    }

    /// Every driver, for the gauges.
    pub fn driver_gauges(&self) -> Vec<DriverGauge> {
        let gauge = |handle: Arc<DriverHandle>| DriverGauge {
            market: handle.board.market.market.id().clone(),
            status: handle.board.status(),
            contact: handle.board.contact(),
        };
        self.runtime.registry.drivers().into_iter().map(gauge).collect()
    }

    /// Every ride in memory that is not over, for the gauges.
    pub fn ride_gauges(&self) -> Vec<RideGauge> {
        let rides = self.runtime.registry.rides().into_iter();
        rides
            .filter_map(|handle| handle.board.told())
            .filter(|record| !record.status.is_terminal())
            .map(|record| RideGauge {
                market: record.request.market.clone(),
                status: record.status,
            })
            .collect()
    }

    /// Open rides of a market with their pickups, for supply and demand.
    pub fn open_pickups(&self, market: &MarketId) -> Vec<Position> {
        let rides = self.runtime.registry.rides().into_iter();
        rides
            .filter(|handle| handle.board.market.market.id() == market)
            .filter_map(|handle| handle.board.told())
            .filter(|record| record.status == RideStatus::Searching)
            .map(|record| record.request.pickup)
            .collect()
    }
}
