//! Rides that wait for a window, and drivers around them.

use std::sync::Arc;

use crate::effect::{Effect, Outbox};
use crate::geo::{CellResolution, Position};
use crate::grid::{DriverSlot, Fix, FixLimits, Grid, Standing, Supply, TierSet};
use crate::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use crate::machine::Machine;
use crate::market::{Boundary, Market, MarketConfig};
use crate::matching::{MarketCommand, WindowRequest};
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook};
use crate::ride::{RideCommand, RideMachine, RideRequest};
use crate::time::Timestamp;

pub(crate) const START: Timestamp = Timestamp::from_millis(1_000_000_000);

/// Metres per degree of latitude, and of longitude at the equator.
pub(super) const DEGREE_M: f64 = 111_195.0;

pub(crate) fn at(ms: u64) -> Timestamp {
    START.plus_millis(ms)
}

pub(crate) fn ride(name: &str) -> RideId {
    RideId::new(name).unwrap()
}

pub(crate) fn driver(name: &str) -> DriverId {
    DriverId::new(name).unwrap()
}

fn tier(name: &str) -> ServiceTierId {
    ServiceTierId::new(name).unwrap()
}

/// A market on the equator with an economy and a premium tier.
pub(crate) fn market() -> Arc<Market> {
    let square = r#"{"type":"Polygon","coordinates":[[[0,-1],[1,-1],[1,1],[0,1],[0,-1]]]}"#;
    let config = MarketConfig {
        id: MarketId::new("m").unwrap(),
        name: "M".to_owned(),
        boundary: Boundary::from_geojson(square).unwrap(),
        tiers: vec![tier("economy"), tier("premium")],
        default_tier: tier("economy"),
        resolution: CellResolution::new(9).unwrap(),
    };
    Arc::new(Market::new(config).unwrap())
}

pub(crate) fn grid() -> Grid {
    Grid::new(CellResolution::new(9).unwrap())
}

/// The place so many metres east of the middle.
pub(crate) fn place(east_m: f64) -> Position {
    Position::from_degrees(0.0, 0.5 + east_m / DEGREE_M).unwrap()
}

/// Windows whose costs are times to the pickup and nothing else.
pub(crate) fn policy() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Batched,
        search_radius_m_max: 5_000,
        match_age_permille: 0,
        match_downgrade_s: 0,
        match_idle_s: 0,
        match_refusal_s: 0,
        detour_factor: 1.0,
        pickup_speed_mps: 1.0,
        ..DispatchPolicy::default()
    }
}

/// A rider so many metres east of the middle.
pub(crate) fn request(name: &str, east_m: f64, ms: u64) -> RideRequest {
    RideRequest {
        entropy: 7,
        ..RideRequest::plain(
            ride(name),
            RiderId::new(name).unwrap(),
            MarketId::new("m").unwrap(),
            place(east_m),
            vec![tier("economy")],
            at(ms),
        )
    }
}

/// What a ride sends that begins to search at `ms`, so many metres east of the middle.
pub(super) fn join(policy: &DispatchPolicy, name: &str, east_m: f64, ms: u64) -> WindowRequest {
    join_with(policy, name, east_m, ms, |_| {})
}

pub(super) fn join_with(
    policy: &DispatchPolicy,
    name: &str,
    east_m: f64,
    ms: u64,
    change: impl FnOnce(&mut RideRequest),
) -> WindowRequest {
    let mut request = request(name, east_m, ms);
    change(&mut request);
    let book = Arc::new(PolicyBook::of(policy.clone()));
    let mut machine = RideMachine::new(request, market(), book);
    let mut out = Outbox::default();
    machine.handle(RideCommand::Request { reply: None }, at(ms), &mut out);
    let mut joins = out.drain().filter_map(|effect| {
        let Effect::ToMarket(MarketCommand::Join(request)) = effect else { return None };
        Some(*request)
    });
    joins.next().unwrap()
}

/// Puts a free driver of the economy tier so many metres east of the middle.
pub(crate) fn put(grid: &Grid, name: &str, east_m: f64) {
    put_with(grid, name, east_m, |_| {});
}

pub(crate) fn put_with(grid: &Grid, name: &str, east_m: f64, change: impl FnOnce(&mut Supply)) {
    let slot = Arc::new(DriverSlot::new(driver(name)));
    let position = place(east_m);
    let fix = Fix { position, at: START, accuracy_m: None, speed_mps: None, bearing_deg: None };
    slot.apply(&fix, START, &FixLimits::default(), &market()).unwrap();
    let mut supply = Supply {
        standing: Standing { idle_since: START, ..Standing::default() },
        ..Supply::free(TierSet::EMPTY.with(0))
    };
    change(&mut supply);
    grid.place(&slot, supply);
}
