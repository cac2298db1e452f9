//! Markets: what they sell, where they are, the rules in force, supply and demand.

use std::collections::BTreeMap;

use muster_actors::OpenSearch;
use muster_engine::geo::{Cell, CellResolution};
use muster_engine::grid::{CellCounts, StatusCounts};
use muster_engine::market::{BoundingBox, Market};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::wire::zone::{ZoneList, ZoneView};

/// The markets of this deployment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MarketList {
    /// The markets, in the order that decides where they overlap.
    pub markets: Vec<MarketSummary>,
}

/// A market in short.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MarketSummary {
    /// The market.
    #[schema(example = "nyc")]
    pub market: String,
    /// The name people see.
    pub name: String,
    /// The tiers on sale.
    pub service_tiers: Vec<String>,
    /// The tier of a request that names none.
    pub default_service_tier: Option<String>,
    /// The least rectangle around the market.
    pub bounding_box: BoundingBoxView,
}

/// A market.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MarketView {
    /// The market in short.
    #[serde(flatten)]
    pub summary: MarketSummary,
    /// The resolution of the market's H3 grid.
    pub grid_resolution: u8,
    /// The area as a GeoJSON `MultiPolygon`.
    #[schema(value_type = Object)]
    pub boundary: Value,
    /// The policy in force where no rule says otherwise; `config.toml` explains each key.
    #[schema(value_type = Object)]
    pub policy: DispatchPolicy,
    /// Places with rules of their own, most specific first.
    pub zones: Vec<ZoneView>,
}

/// A rectangle of latitudes and longitudes in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct BoundingBoxView {
    /// Least latitude.
    pub south: f64,
    /// Least longitude.
    pub west: f64,
    /// Greatest latitude.
    pub north: f64,
    /// Greatest longitude.
    pub east: f64,
}

/// Drivers and open rides per cell.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SupplyView {
    /// The market.
    pub market: String,
    /// The H3 resolution of the cells; at most that of the market's grid.
    pub resolution: u8,
    /// The cells that hold anything.
    pub cells: Vec<CellSupplyView>,
}

/// Drivers and open rides of one cell.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CellSupplyView {
    /// The H3 index in hexadecimal.
    #[schema(example = "882a100d25fffff")]
    pub cell: String,
    /// Drivers by status.
    pub drivers: StatusCountsView,
    /// Rides whose search is open and whose pickup is here.
    pub open_rides: u32,
    /// Available drivers per searching ride; nothing when nobody searches here.
    pub ratio: Option<f64>,
    /// Every tier of the market.
    pub service_tiers: BTreeMap<String, TierSupplyView>,
}

/// Supply and demand of one tier in one cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct TierSupplyView {
    /// Available drivers who serve the tier; one counts for each tier he serves.
    pub available: u32,
    /// Searching rides that the tier will do for; one counts for each tier it names.
    pub searching: u32,
    /// Available drivers per searching ride; nothing when nobody searches here.
    pub ratio: Option<f64>,
}

/// Drivers by status; drivers who are offline are nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[expect(missing_docs, reason = "the statuses of a driver")]
pub struct StatusCountsView {
    pub available: u32,
    pub reserved: u32,
    pub en_route: u32,
    pub at_pickup: u32,
    pub on_trip: u32,
}

impl From<&Market> for MarketSummary {
    fn from(market: &Market) -> Self {
        let default = market.tiers().get(usize::from(market.default_tier()));
        Self {
            market: market.id().to_string(),
            name: market.name().to_owned(),
            service_tiers: market.tiers().iter().map(ToString::to_string).collect(),
            default_service_tier: default.map(ToString::to_string),
            bounding_box: market.bounding_box().into(),
        }
    }
}

impl MarketView {
    /// The market with the policy in force.
    pub fn new(market: &Market, policies: &PolicyBook) -> Self {
        let polygons: Vec<_> = market.boundary().polygons().collect();
        Self {
            summary: market.into(),
            grid_resolution: market.resolution().number(),
            boundary: json!({"type": "MultiPolygon", "coordinates": polygons}),
            policy: DispatchPolicy::clone(policies.base()),
            zones: ZoneList::from(market).zones,
        }
    }
}

impl From<BoundingBox> for BoundingBoxView {
    fn from(outer: BoundingBox) -> Self {
        Self { south: outer.south, west: outer.west, north: outer.north, east: outer.east }
    }
}

impl SupplyView {
    /// Supply and demand of a market in cells of `resolution`.
    pub fn new(
        market: &Market,
        resolution: CellResolution,
        drivers: BTreeMap<Cell, CellCounts>,
        searches: &[OpenSearch],
    ) -> Self {
        let mut cells: BTreeMap<Cell, (CellCounts, Vec<&OpenSearch>)> =
            drivers.into_iter().map(|(cell, counts)| (cell, (counts, Vec::new()))).collect();
        for search in searches {
            let cell = Cell::at(search.pickup, resolution);
            cells.entry(cell).or_default().1.push(search);
        }
        let view = |(cell, (counts, searches)): (Cell, (CellCounts, Vec<&OpenSearch>))| {
            CellSupplyView::new(market, cell, &counts, &searches)
        };
        Self {
            market: market.id().to_string(),
            resolution: resolution.number(),
            cells: cells.into_iter().map(view).collect(),
        }
    }
}

impl CellSupplyView {
    fn new(market: &Market, cell: Cell, counts: &CellCounts, searches: &[&OpenSearch]) -> Self {
        let open_rides = searches.len() as u32;
        let tiers = market.tiers().iter().zip(counts.available_by_tier);
        let tiers = tiers.map(|(tier, available)| {
            let wants = |search: &&&OpenSearch| search.service_tiers.contains(tier);
            let searching = searches.iter().filter(wants).count() as u32;
            let ratio = per_ride(available, searching);
            (tier.to_string(), TierSupplyView { available, searching, ratio })
        });
        Self {
            cell: cell.to_string(),
            drivers: counts.drivers.into(),
            open_rides,
            ratio: per_ride(counts.drivers.available, open_rides),
            service_tiers: tiers.collect(),
        }
    }
}

fn per_ride(available: u32, searching: u32) -> Option<f64> {
    (searching > 0).then(|| f64::from(available) / f64::from(searching))
}

impl From<StatusCounts> for StatusCountsView {
    fn from(counts: StatusCounts) -> Self {
        Self {
            available: counts.available,
            reserved: counts.reserved,
            en_route: counts.en_route,
            at_pickup: counts.at_pickup,
            on_trip: counts.on_trip,
        }
    }
}
