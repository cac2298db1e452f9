//! A city in memory, and one ride with one driver.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use muster_engine::driver::{
    Departure, DriverCommand, DriverMachine, DriverProfile, DriverRecord, DriverStats,
    RidePreferences, RiderBlocks, VehicleCapacity,
};
use muster_engine::effect::{Effect, Outbox};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{
    DriverSlot, DriverStatus, Fix, FixLimits, Grid, Standing, Supply, TagFilter, TierSet,
};
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use muster_engine::machine::Machine;
use muster_engine::market::{Boundary, Market, MarketConfig};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{
    Candidate, CandidateQuery, Candidates, PriorityGroup, RankQuery, RankedCandidate, RideCommand,
    RideMachine, RideNeeds, RideRequest, RideStatus,
};
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use muster_engine_benches::workload::{Places, Spread};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

const BOX: &str = r#"{"type":"Polygon","coordinates":[[[-74.2,40.5],[-73.7,40.5],[-73.7,41.1],
    [-74.2,41.1],[-74.2,40.5]]]}"#;

pub(crate) fn market() -> Market {
    let tier = ServiceTierId::new("standard").expect("a valid id");
    Market::new(MarketConfig {
        id: MarketId::new("nyc").expect("a valid id"),
        name: "New York".to_owned(),
        boundary: Boundary::from_geojson(BOX).expect("a valid polygon"),
        tiers: vec![tier.clone()],
        default_tier: tier,
        resolution: CellResolution::new(9).expect("a valid resolution"),
    })
    .expect("a valid market")
}

/// Limits that let a benchmark report as often as it can.
pub(crate) fn limits() -> FixLimits {
    FixLimits { fixes_per_s_max: u32::MAX, jump_m_min: 1e9, ..FixLimits::default() }
}

fn places(spread: Spread) -> Vec<Position> {
    let mut places = Places::new(spread, 1).expect("bundled trips");
    places.positions(1 << 17).expect("places in New York")
}

/// Places of the city, as many as are told apart.
static CLUSTERED: LazyLock<Vec<Position>> = LazyLock::new(|| places(Spread::Clustered));
static UNIFORM: LazyLock<Vec<Position>> = LazyLock::new(|| places(Spread::Uniform));

/// A place where people are, the same for the same number.
pub(crate) fn place(number: u64) -> Position {
    place_of(Spread::Clustered, number)
}

/// A place of a city so spread, the same for the same number.
pub(crate) fn place_of(spread: Spread, number: u64) -> Position {
    let places = match spread {
        Spread::Clustered => &*CLUSTERED,
        Spread::Uniform => &*UNIFORM,
    };
    places[number as usize % places.len()]
}

/// One market for all slots, which share what is known of its cells.
static MARKET: LazyLock<Market> = LazyLock::new(market);

pub(crate) fn slot_at(id: &str, position: Position) -> Arc<DriverSlot> {
    let slot = Arc::new(DriverSlot::new(DriverId::new(id).expect("a valid id")));
    let at = Timestamp::from_millis(NOW.as_millis() - 1_000_000 + 1);
    let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
    slot.apply(&fix, NOW, &limits(), &MARKET).expect("a first fix");
    slot
}

pub(crate) fn supply(status: DriverStatus) -> Supply {
    Supply { status, ..Supply::free(TierSet::EMPTY.with(0)) }
}

/// Drivers spread over Manhattan as the load generator spreads them.
pub(crate) struct City {
    pub(crate) grid: Grid,
}

impl City {
    /// Every second driver is free.
    pub(crate) fn new(drivers: u64, spread: Spread) -> Self {
        let status = |number: u64| match number % 2 {
            0 => DriverStatus::Available,
            _ => DriverStatus::OnTrip,
        };
        Self::of(drivers, spread, status)
    }

    /// Nobody is free: a search sees everybody within its radius.
    pub(crate) fn all_busy(drivers: u64) -> Self {
        Self::of(drivers, Spread::Clustered, |_| DriverStatus::OnTrip)
    }

    fn of(drivers: u64, spread: Spread, status: impl Fn(u64) -> DriverStatus) -> Self {
        let grid = Grid::of(&MARKET);
        for number in 0..drivers {
            let slot = slot_at(&format!("driver-{number}"), place_of(spread, 1_000_000 + number));
            grid.place(&slot, supply(status(number)));
        }
        Self { grid }
    }
}

/// What all searches ask of a driver: nothing but a tier.
static NEEDS: LazyLock<Arc<RideNeeds>> = LazyLock::new(|| {
    Arc::new(RideNeeds::of(&Arc::new(request(&market(), place(1))), &Arc::default()))
});

/// Drivers whom a search must pass over.
fn some_drivers(first: u64) -> BTreeSet<DriverId> {
    let id = |number| DriverId::new(&format!("driver-{number}")).expect("a valid id");
    (0..6).map(|turn| id(first + 2 * turn)).collect()
}

/// A plain request.
fn request(market: &Market, pickup: Position) -> RideRequest {
    RideRequest {
        entropy: 42,
        forbid_tags: ["smoking".to_owned()].into(),
        ..RideRequest::plain(
            RideId::new("ride").expect("a valid id"),
            RiderId::new("rider").expect("a valid id"),
            market.id().clone(),
            pickup,
            vec![ServiceTierId::new("standard").expect("a valid id")],
            NOW,
        )
    }
}

/// What the first wave of a ride asks for, late enough that no slot is held any more that the wave
/// with the number before this `turn` counted on.
pub(crate) fn query(pickup: Position, radius_m: f64, turn: u64) -> CandidateQuery {
    const HELD_MS_MAX: u64 = 20_000;
    CandidateQuery {
        attempt: 1,
        pickup,
        radius: Meters::new(radius_m),
        limit: 3,
        tiers: TierSet::EMPTY.with(0),
        tags: TagFilter::default(),
        live_offers_max: 2,
        fix_received_after: Timestamp::default(),
        asked: some_drivers(0),
        blocked: some_drivers(1),
        now: NOW.plus_millis(turn * HELD_MS_MAX),
        explains: true,
        explained_max: 32,
        live_offers_soft_max: 2,
        needs: Arc::clone(&NEEDS),
        queue: None,
        instant: false,
        ranking: RankQuery {
            asked_before: BTreeSet::new(),
            policy: Arc::new(DispatchPolicy::default()),
            favourite_drivers: BTreeSet::new(),
            pickup,
            dropoff: None,
            seed: 0,
        },
        forward: None,
    }
}

/// One ride and one driver, from request to pickup on the way.
pub(crate) struct Round {
    ride: RideMachine,
    driver: DriverMachine,
    candidates: Vec<RankedCandidate>,
}

impl Round {
    pub(crate) fn new(market: &Arc<Market>) -> Self {
        Self::choosing_among(market, 1)
    }

    /// With so many candidates, of whom the driver is the nearest.
    pub(crate) fn choosing_among(market: &Arc<Market>, candidates: usize) -> Self {
        let book = Arc::new(PolicyBook::of(DispatchPolicy::default()));
        let policy = Arc::clone(book.base());
        let tier = ServiceTierId::new("standard").expect("a valid id");
        let id = DriverId::new("d").expect("a valid id");
        let profile = DriverProfile {
            market: market.id().clone(),
            service_tiers: vec![tier],
            vehicle: Arc::from("{}"),
            tags: Vec::new(),
            rating: None,
            blocked_until: None,
            home: None,
            preferences: RidePreferences::default().into(),
            capacity: VehicleCapacity::default(),
            wallet: None,
            departure: Departure::None,
            scheduled_pickup_at: None,
        };
        let record = DriverRecord {
            driver: id.clone(),
            profile,
            online: true,
            rider_blocks: RiderBlocks::default(),
            stats: DriverStats::default(),
        };
        let slot = slot_at("d", place(1));
        let driver = DriverMachine::new(record, slot, Arc::clone(market), policy, NOW);
        let request = request(market, place(1));
        let tiers = TierSet::EMPTY.with(0);
        let candidate = |number: usize| RankedCandidate {
            candidate: Candidate {
                driver: match number {
                    0 => id.clone(),
                    _ => DriverId::new(&format!("driver-{number}")).expect("a valid id"),
                },
                at: place(1),
                distance: Meters::new(10.0 + number as f64),
                travel: None,
                tiers,
                instant_tiers: TierSet::EMPTY,
                tags: TagFilter::default(),
                standing: Standing::default(),
            },
            group: PriorityGroup::Other,
            score: None,
        };
        let candidates = (0..candidates).map(candidate).collect();
        Self { ride: RideMachine::new(request, Arc::clone(market), book), driver, candidates }
    }

    /// Request, wave, offer, accept, won: every message between the two machines.
    pub(crate) fn run(&mut self) {
        let mut out = Outbox::default();
        self.ride.handle(RideCommand::Request { reply: None }, NOW, &mut out);
        self.deliver(&mut out);
        let offer = self.driver.live_offers().next().map(|offer| offer.id.clone());
        let accept =
            DriverCommand::Accept { offer: offer.expect("an offer"), fare: None, asker: None };
        self.driver.handle(accept, NOW, &mut out);
        self.deliver(&mut out);
        assert_eq!(self.ride.record().status, RideStatus::Assigned);
    }

    /// Asks for candidates; the answer is for [`plan`](Self::plan).
    pub(crate) fn ask(&mut self) -> Candidates {
        let mut out = Outbox::default();
        self.ride.handle(RideCommand::Request { reply: None }, NOW, &mut out);
        self.found(1)
    }

    /// Plans the first wave.
    pub(crate) fn plan(&mut self, found: Candidates) -> Outbox {
        let mut out = Outbox::default();
        self.ride.handle(RideCommand::Candidates(Box::new(found)), NOW, &mut out);
        out
    }

    fn found(&self, attempt: u32) -> Candidates {
        Candidates {
            attempt,
            found: self.candidates.clone(),
            forward: Vec::new(),
            passed_over: Vec::new(),
            excluded: Vec::new(),
            excluded_counts: BTreeMap::new(),
            window: None,
            trip: None,
            costs_ms: BTreeMap::new(),
        }
    }

    fn deliver(&mut self, out: &mut Outbox) {
        while !out.is_empty() {
            let effects: Vec<Effect> = out.drain().collect();
            for effect in effects {
                match effect {
                    Effect::ToDriver(_, command) => self.driver.handle(command, NOW, out),
                    Effect::ToRide(_, command) => self.ride.handle(command, NOW, out),
                    Effect::FindCandidates(query) => {
                        let found = self.found(query.attempt);
                        self.ride.handle(RideCommand::Candidates(Box::new(found)), NOW, out);
                    }
                    Effect::PersistRide(_)
                    | Effect::PersistDriver(_)
                    | Effect::PersistZone(_)
                    | Effect::ToZone(..)
                    | Effect::PublishQueue(..)
                    | Effect::ToMarket(_)
                    | Effect::MatchWindow(_)
                    | Effect::DecideShadow(_)
                    | Effect::SendFrame(..)
                    | Effect::CloseSession(..)
                    | Effect::Answer(..)
                    | Effect::PlaceSupply(_)
                    | Effect::RemoveSupply
                    | Effect::IndexOffer(_)
                    | Effect::ForgetOffer(_)
                    | Effect::Publish(_)
                    | Effect::LocateDriver(_)
                    | Effect::Retire => {}
                }
            }
        }
    }
}
