//! Markets: what they sell, where they are, the rules in force, supply and demand.

use std::collections::BTreeMap;

use muster_engine::geo::{Cell, CellResolution, Position};
use muster_engine::grid::StatusCounts;
use muster_engine::market::{BoundingBox, Market};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

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
    /// Pickup zones with rules of their own.
    #[schema(value_type = Vec<Object>)]
    pub zones: Vec<Value>,
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
            zones: Vec::new(),
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
        drivers: BTreeMap<Cell, StatusCounts>,
        pickups: &[Position],
    ) -> Self {
        let mut cells: BTreeMap<Cell, (StatusCounts, u32)> =
            drivers.into_iter().map(|(cell, counts)| (cell, (counts, 0))).collect();
        for pickup in pickups {
            cells.entry(Cell::at(*pickup, resolution)).or_default().1 += 1;
        }
        let view = |(cell, (counts, open_rides)): (Cell, (StatusCounts, u32))| CellSupplyView {
            cell: cell.to_string(),
            drivers: counts.into(),
            open_rides,
        };
        Self {
            market: market.id().to_string(),
            resolution: resolution.number(),
            cells: cells.into_iter().map(view).collect(),
        }
    }
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
