//! Zones and the queues of drivers at them.

use muster_actors::Dispatch;
use muster_engine::id::{DriverId, ServiceTierId, ZoneId};
use muster_engine::market::Market;
use muster_engine::zone::{Gate, GateCall, PositionRange, QueueOrder, Zone};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::wire::time::rfc3339;

/// A zone: a place with rules of its own.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ZoneView {
    /// The zone.
    #[schema(example = "sfo-ground-transport")]
    pub zone: String,
    /// The name people see.
    pub name: String,
    /// What kind of place it is.
    pub category: Option<String>,
    /// Where zones overlap the greater one comes first.
    pub priority: i32,
    /// Whether drivers wait here in a queue.
    pub queue: bool,
    /// Whether queued drivers are offered rides from elsewhere too.
    pub open_market: bool,
    /// Whether drivers here may enter a rider's one-time password.
    pub otp: bool,
    /// Where riders and drivers meet.
    pub gates: Vec<GateView>,
    /// The area as a GeoJSON `MultiPolygon`.
    #[schema(value_type = Object)]
    pub area: Value,
}

/// A gate of a zone.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GateView {
    /// The gate.
    pub gate: String,
    /// `pickup`, `drop` or `parking`.
    pub kind: &'static str,
    /// Latitude.
    pub lat: f64,
    /// Longitude.
    pub lng: f64,
    /// How near a driver is at the gate.
    pub radius_m: f64,
}

/// The zones of a market, most specific first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ZoneList {
    /// The zones.
    pub zones: Vec<ZoneView>,
}

/// The queue of a zone.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueueView {
    /// The zone.
    pub zone: String,
    /// Grows by one with each change.
    pub version: u64,
    /// The queue of each tier of the market.
    pub service_tiers: Vec<TierQueueView>,
}

/// The queue of a tier.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TierQueueView {
    /// The tier.
    pub service_tier: String,
    /// Drivers in it.
    pub size: usize,
    /// The drivers, first come first.
    pub drivers: Vec<QueuedDriverView>,
}

/// A driver in the queue of a tier.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QueuedDriverView {
    /// The driver.
    pub driver_id: String,
    /// His position, counted from 1.
    pub position: usize,
    /// When he came.
    #[schema(format = DateTime)]
    pub entered_at: String,
    /// Offers and calls he let pass.
    pub skips: u32,
    /// The pickup gate he stands at.
    pub gate: Option<String>,
    /// The call to a gate that he has.
    pub call: Option<GateCallView>,
}

/// A call of a queued driver to a gate.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GateCallView {
    /// The call.
    pub call_id: String,
    /// Where to.
    pub gate: String,
    /// Until when the driver can answer.
    #[schema(format = DateTime)]
    pub respond_by: String,
    /// Until when he must be there, once he said yes.
    #[schema(format = DateTime)]
    pub arrive_by: Option<String>,
}

/// Where a driver stands in the queue of a tier: as a range, for positions change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuePositionView {
    /// The zone.
    pub zone: String,
    /// The tier.
    pub service_tier: String,
    /// The best position it may be, counted from 1.
    pub position_from: usize,
    /// The worst position it may be.
    pub position_to: usize,
    /// Drivers in the queue of the tier.
    pub queue_size: usize,
}

/// Where a driver stands in each of his tiers' queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuePositions {
    /// One for each tier he serves.
    pub positions: Vec<QueuePositionView>,
}

impl From<&Zone> for ZoneView {
    fn from(zone: &Zone) -> Self {
        let polygons: Vec<_> = zone.area.polygons().collect();
        Self {
            zone: zone.id.to_string(),
            name: zone.name.clone(),
            category: zone.category.clone(),
            priority: zone.priority,
            queue: zone.queue.is_some(),
            open_market: zone.open_market,
            otp: zone.otp,
            gates: zone.gates.iter().map(GateView::from).collect(),
            area: json!({"type": "MultiPolygon", "coordinates": polygons}),
        }
    }
}

impl From<&Gate> for GateView {
    fn from(gate: &Gate) -> Self {
        Self {
            gate: gate.id.to_string(),
            kind: gate.kind.name(),
            lat: gate.at.lat(),
            lng: gate.at.lng(),
            radius_m: gate.radius.get(),
        }
    }
}

impl From<&Market> for ZoneList {
    fn from(market: &Market) -> Self {
        Self { zones: market.zones().iter().map(|zone| ZoneView::from(zone.as_ref())).collect() }
    }
}

impl From<&GateCall> for GateCallView {
    fn from(call: &GateCall) -> Self {
        Self {
            call_id: call.id.to_string(),
            gate: call.gate.to_string(),
            respond_by: rfc3339(call.respond_by),
            arrive_by: call.arrive_by.map(rfc3339),
        }
    }
}

impl QueueView {
    /// The queue of every tier of a market.
    pub fn new(market: &Market, order: &QueueOrder) -> Self {
        let of_tier = |tier: &ServiceTierId| {
            let drivers: Vec<QueuedDriverView> = order
                .of_tier(tier)
                .map(|queued| QueuedDriverView {
                    driver_id: queued.entry.driver.to_string(),
                    position: queued.position,
                    entered_at: rfc3339(queued.entry.entered_at),
                    skips: queued.entry.skips,
                    gate: queued.entry.gate.as_ref().map(ToString::to_string),
                    call: queued.entry.call.as_ref().map(GateCallView::from),
                })
                .collect();
            TierQueueView { service_tier: tier.to_string(), size: drivers.len(), drivers }
        };
        let record = order.record();
        Self {
            zone: record.zone.to_string(),
            version: record.version,
            service_tiers: market.tiers().iter().map(of_tier).collect(),
        }
    }
}

impl QueuePositionView {
    fn new(zone: &ZoneId, tier: &ServiceTierId, range: PositionRange) -> Self {
        Self {
            zone: zone.to_string(),
            service_tier: tier.to_string(),
            position_from: range.from,
            position_to: range.to,
            queue_size: range.size,
        }
    }

    /// Where a driver stands in a queue, for each of its tiers that he serves.
    pub fn all(order: &QueueOrder, driver: &DriverId) -> Vec<Self> {
        let entry = order.record().entry(driver);
        let tiers = entry.map_or(&[][..], |entry| &entry.tiers);
        let view = |tier: &ServiceTierId| {
            Some(Self::new(&order.record().zone, tier, order.range(driver, tier)?))
        };
        tiers.iter().filter_map(view).collect()
    }

    /// Where a driver stands in the queue he is in.
    pub(crate) fn of_driver(
        dispatch: &Dispatch,
        view: &muster_engine::driver::DriverView,
    ) -> Vec<Self> {
        let market = &view.record.profile.market;
        let order = view.queue.as_ref().and_then(|zone| dispatch.zone_queue(market, zone).ok());
        order.map_or_else(Vec::new, |order| Self::all(&order, &view.record.driver))
    }
}
