//! Two neighbouring markets on the equator, where metres are easy to turn into degrees.

use std::collections::BTreeSet;
use std::sync::Arc;

use muster_engine::driver::{Departure, DriverProfile};
use muster_engine::geo::{Cell, CellResolution, Position};
use muster_engine::grid::{FixLimits, Grid};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId, ZoneId};
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::matching::ValueTable;
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::RideRequest;
use muster_engine::time::Timestamp;
use muster_engine::units::Money;
use muster_engine::zone::Zones;

use crate::streets;
use crate::swarm::{Options, RidePlan};
use crate::taste::Taste;
use crate::world::EPOCH;
use crate::zone::ZonePlan;

/// Metres of a degree at the equator.
const DEGREE_M: f64 = 111_195.0;

/// Side of a market's square, in metres.
pub(crate) const SIDE_M: f64 = 5_000.0;

/// Markets in the city.
pub(crate) const MARKETS: usize = 2;

/// A market with what lives in it.
#[derive(Debug)]
pub(crate) struct MarketSite {
    pub(crate) market: Arc<Market>,
    pub(crate) policy: Arc<DispatchPolicy>,
    pub(crate) book: Arc<PolicyBook>,
    pub(crate) grid: Grid,
    pub(crate) limits: FixLimits,
}

impl MarketSite {
    pub(crate) fn new(ordinal: usize, options: &Options) -> Self {
        let policy = &options.policy;
        let zone = options.zone.as_ref().filter(|_| ordinal == 0);
        let market = market(ordinal).with_values(values(ordinal));
        let market = Arc::new(match zone {
            Some(plan) => name(market.with_zones(zones(plan))),
            None => market,
        });
        let grid = Grid::of(&market);
        grid.set_travel_times(options.streets.then(|| streets::of_market(ordinal)));
        let book = Arc::new(PolicyBook::of(policy.clone()));
        let policy = Arc::clone(book.base());
        Self { market, policy, book, grid, limits: FixLimits::default() }
    }
}

fn market(ordinal: usize) -> Market {
    let (west, side) = (west_of(ordinal), SIDE_M / DEGREE_M);
    let east = west + side;
    let ring = format!("[[{west},0],[{east},0],[{east},{side}],[{west},{side}],[{west},0]]");
    let text = format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#);
    let config = MarketConfig {
        id: name(MarketId::new(&format!("market-{ordinal}"))),
        name: format!("Market {ordinal}"),
        boundary: name(Boundary::from_geojson(&text)),
        tiers: vec![economy(), premium()],
        default_tier: economy(),
        resolution: name(CellResolution::new(9)),
    };
    name(Market::new(config))
}

/// What the places of a market are worth: no place as its neighbour.
fn values(ordinal: usize) -> ValueTable {
    let mut text = "muster-values,resolution=8,bucket_s=86400,discount_permille=500,\
                    utc_offset_min=0\ncell,time,value_s\n"
        .to_owned();
    let steps = || (0..25).map(|step| f64::from(step) * 200.0);
    let resolution = name(CellResolution::new(8));
    let places = steps().flat_map(|east| steps().map(move |north| (east, north)));
    let cells: BTreeSet<Cell> =
        places.map(|spot| Cell::at(place(ordinal, spot), resolution)).collect();
    for (nth, cell) in cells.into_iter().enumerate() {
        text.push_str(&format!("{cell},00:00,{}\n", nth * 97 % 1_200));
    }
    name(ValueTable::parse(&text))
}

/// The zone's id.
pub(crate) fn zone_id() -> ZoneId {
    name(ZoneId::new("zone-0"))
}

fn zones(plan: &ZonePlan) -> Zones {
    let ((east, north), side) = (plan.corner, plan.side_m);
    let corner = |e: f64, n: f64| {
        let at = place(0, (east + e, north + n));
        serde_json::json!([at.lng(), at.lat()])
    };
    let ring = [corner(0.0, 0.0), corner(side, 0.0), corner(side, side), corner(0.0, side)];
    let ring: Vec<_> = ring.iter().chain(&ring[..1]).collect();
    let rules = plan.rules;
    let gate = place(0, plan.middle());
    let tier = |(min, max): (u32, u32)| {
        let limits = serde_json::json!({"demand_min": 1, "drivers_min": min, "drivers_max": max});
        serde_json::json!({"economy": limits})
    };
    let document = serde_json::json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "id": zone_id().as_str(), "name": "Zone 0",
            "open_market": plan.open_market, "otp": plan.otp,
            "queue": {
                "entry_fixes": rules.entry_fixes, "exit_fixes": rules.exit_fixes,
                "silent_ms": rules.silent_ms, "skips_max": rules.skips_max,
                "rejoin_after_ms": rules.rejoin_after_ms, "respond_ms": rules.respond_ms,
                "arrive_ms": rules.arrive_ms, "call_cooldown_ms": rules.call_cooldown_ms,
            },
            "gates": [{"id": "gate-0", "kind": "pickup", "lat": gate.lat(), "lng": gate.lng(),
                "radius_m": 150, "service_tiers": plan.called.map(tier)}],
        },
    }]});
    name(Zones::from_geojson(&document.to_string()))
}

fn west_of(ordinal: usize) -> f64 {
    ordinal as f64 * (SIDE_M + 1_000.0) / DEGREE_M
}

/// The place `east` and `north` metres from the south-west corner of a market.
pub(crate) fn place(market: usize, (east, north): (f64, f64)) -> Position {
    let position = Position::from_degrees(north / DEGREE_M, west_of(market) + east / DEGREE_M);
    name(position)
}

fn economy() -> ServiceTierId {
    name(ServiceTierId::new("economy"))
}

fn premium() -> ServiceTierId {
    name(ServiceTierId::new("premium"))
}

pub(crate) fn usd(amount: u64) -> Money {
    Money { amount, currency: "USD".to_owned() }
}

/// The `ordinal`-th driver's id.
pub(crate) fn driver_id(ordinal: usize) -> DriverId {
    name(DriverId::new(&format!("d{ordinal:02}")))
}

/// The `ordinal`-th ride's id.
pub(crate) fn ride_id(ordinal: usize) -> RideId {
    name(RideId::new(&format!("r{ordinal:02}")))
}

/// The number in an id made here.
pub(crate) fn ordinal(id: &str) -> usize {
    id.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

pub(crate) fn profile(
    market: &Market,
    taste: &Taste,
    blocked_until: Option<Timestamp>,
) -> DriverProfile {
    let mut preferences = taste.preferences.clone();
    if taste.instant {
        preferences.instant_tiers = [economy()].into();
    }
    DriverProfile {
        market: market.id().clone(),
        service_tiers: if taste.premium { vec![economy(), premium()] } else { vec![economy()] },
        vehicle: Arc::from(r#"{"plate":"SIM 1"}"#),
        tags: taste.tags.clone(),
        rating: None,
        blocked_until,
        preferences: preferences.into(),
        capacity: taste.capacity,
        wallet: taste.wallet.map(usd).map(Box::new),
        departure: Departure::None,
        scheduled_pickup_at: taste.scheduled_at_ms.map(|ms| EPOCH.plus_millis(ms)),
        home: None,
    }
}

pub(crate) fn request(
    ride: usize,
    market: &Market,
    plan: &RidePlan,
    now: Timestamp,
) -> RideRequest {
    let (wishes, (east, north)) = (&plan.wishes, plan.pickup);
    let drop = |metres| place(plan.market, (east + metres, north));
    RideRequest {
        ride: ride_id(ride),
        rider: name(RiderId::new(&format!("p{:02}", wishes.rider.unwrap_or(ride)))),
        market: market.id().clone(),
        pickup: place(plan.market, plan.pickup),
        dropoff: wishes.trip_m.map(drop),
        service_tiers: if wishes.any_tier { vec![economy(), premium()] } else { vec![economy()] },
        fare: wishes.fare.map(usd),
        tip: None,
        pickup_at: plan.pickup_at_ms.map(|ms| EPOCH.plus_millis(ms)),
        attributes: wishes.attributes.clone(),
        require_tags: wishes.require_tags.clone(),
        forbid_tags: wishes.forbid_tags.clone(),
        blocked_drivers: std::collections::BTreeSet::new(),
        favourite_drivers: std::collections::BTreeSet::new(),
        requested_at: now,
        entropy: ride as u64 * 7_919,
        request_key: None,
        origin: None,
    }
}

/// Names and places made here are valid.
#[expect(clippy::panic, reason = "a name of the simulated city is wrong: the simulator is broken")]
fn name<T, E: std::fmt::Debug>(made: Result<T, E>) -> T {
    match made {
        Ok(made) => made,
        Err(error) => panic!("{error:?}"),
    }
}
