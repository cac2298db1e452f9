//! What the edges may see of supply and demand, without asking any actor.

use std::collections::BTreeMap;

use muster_engine::geo::{Cell, CellResolution, Position};
use muster_engine::grid::{
    CellCounts, Contact, DriverStatus, Found, NearbyQuery, Reading, TierSet,
};
use muster_engine::id::{DriverId, InlineDriverId, MarketId, ServiceTierId};
use muster_engine::offer::Exclusion;
use muster_engine::ride::RideStatus;
use muster_engine::travel::Approach;
use muster_engine::units::{EtaSeconds, Meters};

use super::Dispatch;
use crate::error::CallError;

/// An available driver near a place.
#[derive(Debug, Clone, PartialEq)]
pub struct NearbyDriver {
    /// The driver.
    pub driver: InlineDriverId,
    /// Straight-line distance.
    pub distance: Meters,
    /// Estimated time to drive there.
    pub pickup_eta: EtaSeconds,
    /// Where he is.
    pub reading: Reading,
    /// Tiers he serves.
    pub tiers: TierSet,
}

/// A ride that searches.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSearch {
    /// Where its rider waits.
    pub pickup: Position,
    /// The tiers that will do.
    pub service_tiers: Vec<ServiceTierId>,
}

/// A kind of drivers, for the gauges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverGauge {
    /// Their market.
    pub market: MarketId,
    /// What they do.
    pub status: DriverStatus,
    /// Whether they are heard.
    pub contact: Contact,
}

/// A kind of open rides, for the gauges.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RideGauge {
    /// Their market.
    pub market: MarketId,
    /// Where they stand.
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
        let now = self.now();
        let query = NearbyQuery {
            at,
            radius,
            limit,
            excluded_max: 0,
            live_offers_max: u8::MAX,
            now,
            explains: false,
        };
        let book = market.book();
        let policy = book.base();
        let fresh_after = now.minus_millis(policy.stale_after_ms);
        let result = market.grid.nearest(
            &query,
            |_| (),
            |_, supply, reading| {
                let serves = wanted.is_none_or(|wanted| supply.tiers.intersects(wanted));
                let available = supply.taken().is_none();
                if serves && available && reading.received_at >= fresh_after {
                    Ok(supply.tiers)
                } else {
                    Err(())
                }
            },
        );
        let froms: Vec<Position> = result.found.iter().map(|f| f.reading.position).collect();
        let times = market.grid.travel_times();
        let mut travels = times
            .and_then(|times| {
                times.at_once.as_ref()?.approaches(&[Approach { froms, to: at }], now).pop()
            })
            .unwrap_or_default()
            .into_iter();
        let mut pickup_eta = |distance| {
            let travel = travels.next().flatten();
            travel.map_or_else(|| policy.pickup_eta(distance), |t| EtaSeconds::new(t.seconds()))
        };
        let near = |found: Found<InlineDriverId, TierSet>| NearbyDriver {
            pickup_eta: pickup_eta(found.distance),
            driver: found.driver,
            distance: found.distance,
            reading: found.reading,
            tiers: found.kept,
        };
        Ok(result.found.into_iter().map(near).collect())
    }

    /// Why a driver is offered no ride at all at present; nothing when it depends on the ride.
    ///
    /// # Errors
    /// [`CallError::UnknownDriver`].
    pub fn why_taken(&self, driver: &DriverId) -> Result<Option<Exclusion>, CallError> {
        let market = &self.driver_handle(driver)?.board.market;
        let Some(supply) = market.grid.supply_of(driver) else {
            return Ok(Some(Exclusion::Offline));
        };
        let live_offers_max = market.book().base().live_offers_max;
        Ok(supply.taken_under(live_offers_max, self.now()).map(Exclusion::from))
    }

    /// Drivers by status and tier per cell.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`].
    pub fn supply(
        &self,
        market: &MarketId,
        resolution: CellResolution,
    ) -> Result<BTreeMap<Cell, CellCounts>, CallError> {
        let market = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        Ok(market.grid.counts_by_cell(resolution))
    }

    /// How many drivers there are of each kind.
    pub fn driver_gauges(&self) -> BTreeMap<DriverGauge, i64> {
        let markets = self.runtime.market_runtimes.iter();
        let counts = markets.flat_map(|(id, market)| {
            market.census.drivers().map(|(status, contact, count)| {
                (DriverGauge { market: id.clone(), status, contact }, count)
            })
        });
        counts.collect()
    }

    /// How many rides that are not over there are of each kind.
    pub fn ride_gauges(&self) -> BTreeMap<RideGauge, i64> {
        let markets = self.runtime.market_runtimes.iter();
        let counts = markets.flat_map(|(id, market)| {
            let kinds = market.census.open_rides();
            kinds.map(|(status, count)| (RideGauge { market: id.clone(), status }, count))
        });
        counts.collect()
    }

    /// Searching rides of a market, for supply and demand.
    pub fn open_searches(&self, market: &MarketId) -> Vec<OpenSearch> {
        let rides = self.runtime.registry.rides().into_iter();
        rides
            .filter(|handle| handle.board.market.market.id() == market)
            .filter_map(|handle| handle.board.told())
            .filter(|record| record.status == RideStatus::Searching)
            .map(|record| OpenSearch {
                pickup: record.request.pickup,
                service_tiers: record.service_tiers.clone(),
            })
            .collect()
    }
}
