//! Rides and drivers with every field filled, and a store in a folder of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_actors::{Durable, StoreError};
use muster_api::store::{Database, Location, PostgresOptions, SqliteOptions, SqliteStore};
use muster_engine::driver::{
    Departure, DriverProfile, DriverRecord, RidePreferences, RiderBlocks, VehicleCapacity,
};
use muster_engine::forward::ForwardLink;
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, OfferId, RideId, RiderId, ServiceTierId};
use muster_engine::offer::{Exclusion, FareBounds, OfferKind, Quote, QuoteEnd, Standby};
use muster_engine::policy::{AttemptKind, DispatchMode};
use muster_engine::ride::{
    AssignedDriver, Assignment, AttemptOffers, Attempts, CancelledBy, InstantSearch, LiveOffer,
    OfferCounts, PinnedPolicy, PriorityGroup, RankedDriver, Reallocation, ReallocationCause,
    ReallocationStage, RequestKey, RideCommit, RideEventKind, RideRecord, RideRequest, RideStatus,
    ScoreTerms, WaveDecision, WaveExclusion,
};
use muster_engine::time::Timestamp;
use muster_engine::travel::EtaSource;
use muster_engine::units::{EtaSeconds, Meters, Money};
use muster_services::Postgres;
use sqlx::{Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;

/// Runs each test in every store.
macro_rules! in_both_stores {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            use crate::fixtures::World;

            $(#[tokio::test]
            async fn $test() {
                super::$test(World::sqlite().await).await;
            })+
        }

        mod postgres {
            use crate::fixtures::World;

            $(#[tokio::test]
            async fn $test() {
                super::$test(World::postgres().await).await;
            })+
        }
    };
}
pub(crate) use in_both_stores;

/// When the fixtures' world began.
pub(crate) const T0: u64 = 1_764_547_200_000;

/// A server that all tests of this binary share; it ends with the process.
pub(crate) fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().expect("PostgreSQL runs"))
}

/// A store of its own, and where it is.
pub(crate) struct World {
    place: Place,
    pub(crate) store: Arc<dyn Database>,
}

enum Place {
    Sqlite(TempDir),
    /// The URL of a database.
    Postgres(String),
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        Self::at(Place::Sqlite(tempfile::tempdir().unwrap())).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::at(Place::Postgres(server().database().unwrap())).await
    }

    async fn at(place: Place) -> Self {
        let store = place.open().await;
        store.begin_epoch().await.unwrap();
        Self { place, store }
    }

    /// The folder of the SQLite file.
    pub(crate) fn folder(&self) -> &Path {
        match &self.place {
            Place::Sqlite(folder) => folder.path(),
            Place::Postgres(url) => panic!("{url} is no file"),
        }
    }

    /// The SQLite file.
    pub(crate) fn path(&self) -> PathBuf {
        file_in(self.folder())
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> String {
        match &self.place {
            Place::Sqlite(folder) => format!("sqlite://{}", file_in(folder.path()).display()),
            Place::Postgres(url) => format!("{url}?options=-csearch_path%3Dmuster"),
        }
    }

    pub(crate) fn location(&self) -> Location {
        self.place.location()
    }

    /// The same store as another process would open it.
    pub(crate) async fn open_again(&self) -> Arc<dyn Database> {
        self.place.open().await
    }

    pub(crate) async fn open_file(&self, options: &SqliteOptions) -> SqliteStore {
        SqliteStore::open_with(&self.path(), options).await.unwrap()
    }

    /// Runs `sql` behind the store's back.
    pub(crate) async fn sql(&self, sql: &'static str) {
        match &self.place {
            Place::Sqlite(_) => {
                let mut other = SqliteConnection::connect(&self.url()).await.unwrap();
                sqlx::query(sql).execute(&mut other).await.unwrap();
            }
            Place::Postgres(_) => {
                let mut other = PgConnection::connect(&self.url()).await.unwrap();
                sqlx::query(sql).execute(&mut other).await.unwrap();
            }
        }
    }

    pub(crate) async fn commit_all(&self, batch: &[Durable]) {
        let results = self.store.commit(batch).await;
        assert_eq!(results, vec![Ok(()); batch.len()]);
    }
}

impl Place {
    async fn open(&self) -> Arc<dyn Database> {
        self.location().open().await.unwrap()
    }

    fn location(&self) -> Location {
        match self {
            Self::Sqlite(folder) => {
                Location::Sqlite { path: file_in(folder.path()), thread_nice: 0 }
            }
            Self::Postgres(url) => Location::Postgres(Box::new(patient(url))),
        }
    }
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("data/muster.db")
}

/// Options that a busy machine does not make fail.
pub(crate) fn patient(url: &str) -> PostgresOptions {
    PostgresOptions {
        connect_timeout: Duration::from_secs(60),
        statement_timeout: Duration::from_secs(60),
        ..PostgresOptions::new(url, "muster").unwrap()
    }
}

pub(crate) fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(T0 + ms)
}

pub(crate) fn ride_id(id: &str) -> RideId {
    RideId::new(id).unwrap()
}

pub(crate) fn driver_id(id: &str) -> DriverId {
    DriverId::new(id).unwrap()
}

pub(crate) fn tier(id: &str) -> ServiceTierId {
    ServiceTierId::new(id).unwrap()
}

pub(crate) fn position(lat: f64, lng: f64) -> Position {
    Position::from_degrees(lat, lng).unwrap()
}

pub(crate) fn request(ride: &str, market: &str, requested_at: Timestamp) -> RideRequest {
    RideRequest {
        ride: ride_id(ride),
        rider: RiderId::new("rider:7").unwrap(),
        market: MarketId::new(market).unwrap(),
        pickup: position(40.748_433_7, -73.985_656_1),
        dropoff: Some(position(40.641_3, -73.778_1)),
        service_tiers: vec![tier("standard"), tier("xl")],
        fare: Some(Money { amount: u64::MAX, currency: "USD".to_owned() }),
        tip: Some(Money { amount: 250, currency: "USD".to_owned() }),
        pickup_at: Some(at(3_600_000)),
        attributes: BTreeMap::from([("payment".to_owned(), "cash \"now\" \u{1F695}\0".to_owned())]),
        require_tags: vec!["pet_friendly".to_owned()],
        forbid_tags: vec!["smoker".to_owned()],
        blocked_drivers: BTreeSet::from([driver_id("d-9")]),
        favourite_drivers: BTreeSet::from([driver_id("d-3")]),
        requested_at,
        entropy: u64::MAX - 1,
        request_key: None,
        origin: None,
    }
}

pub(crate) fn live_offer(driver: &str) -> LiveOffer {
    LiveOffer {
        cost_ms: None,
        driver: driver_id(driver),
        service_tier: tier("xl"),
        distance: Meters::new(1.0 / 3.0 * 1_000.0),
        pickup_eta: EtaSeconds::new(240),
        eta_source: EtaSource::Roads,
        offered_at: at(1),
        visible_at: at(1),
        expires_at: at(15_001),
        forward: Some(forward_link()),
        kind: OfferKind::Quote { bounds: Some(FareBounds { min: usd(400), max: usd(600) }) },
        quote: Some(Quote { fare: usd(450), vehicle: Arc::from("{}"), quoted_at: at(9) }),
        standby: Some(Standby { vehicle: Arc::from("{}"), accepted_at: at(10) }),
    }
}

pub(crate) fn usd(amount: u64) -> Money {
    Money { amount, currency: "USD".to_owned() }
}

pub(crate) fn forward_link() -> ForwardLink {
    let after = RideId::new("r-before").unwrap();
    ForwardLink { after, dropoff: position(40.7, -73.95) }
}

/// A ride with every field set, in `status`, at `version`.
pub(crate) fn full_record(ride: &str, version: u64, status: RideStatus) -> RideRecord {
    let mut request = request(ride, "nyc", at(0));
    let (key, fingerprint) = (format!("key of {ride}"), "sha256:abc".to_owned());
    request.request_key = Some(RequestKey { key, fingerprint });
    RideRecord {
        policy: pinned(),
        request: Arc::new(request),
        version,
        status,
        attempt: 2,
        wave: 3,
        search_radius_m: 2_000,
        search_began_at: at(5),
        search_deadline: Timestamp::from_millis(u64::MAX),
        service_tiers: vec![tier("standard")],
        dropoff: Some(position(40.8, -73.9)),
        tip: Some(Money { amount: 500, currency: "USD".to_owned() }),
        offers: BTreeMap::from([(OfferId::new("o-1").unwrap(), live_offer("d-1"))]),
        attempt_offers: AttemptOffers { sent: 4, declined: 1 },
        offer_counts: OfferCounts { sent: 5, accepted: 1, declined: 1, expired: 1, withdrawn: 1 },
        asked: BTreeSet::from([driver_id("d-1"), driver_id("d-2")]),
        gave_back: BTreeSet::from([driver_id("d-4")]),
        instant: Some(InstantSearch { asked: BTreeSet::from([driver_id("d-2")]) }),
        ended_quotes: vec![(OfferId::new("o-0").unwrap(), QuoteEnd::Expired)],
        assignment: Some(Assignment {
            forward: Some(forward_link()),
            ..assignment(&format!("driver-of-{ride}"))
        }),
        otp: Some("0042".to_owned()),
        otp_ride: true,
        otp_draws: 1,
        reallocations: 1,
        attempts: Attempts {
            offers_again: BTreeMap::from([(driver_id("d-1"), 2)]),
            reallocated: vec![Reallocation {
                driver: driver_id("d-4"),
                cause: ReallocationCause::DriverStalled,
                stage: ReallocationStage::Assigned,
            }],
        },
        arrived_at: Some(at(60_000)),
        started_at: Some(at(70_000)),
        completed_at: Some(at(80_000)),
        cancelled_at: Some(at(80_001)),
        ended_at: Some(at(80_002)),
        cancelled_by: Some(CancelledBy::Operator),
        reason: Some("a reason".to_owned()),
    }
}

pub(crate) fn assignment(driver: &str) -> Assignment {
    Assignment {
        offer: OfferId::new("o-1").unwrap(),
        driver: AssignedDriver {
            id: driver_id(driver),
            service_tier: tier("standard"),
            vehicle: Arc::from("{\"plate\":\"T 1\"}"),
        },
        distance: Meters::new(0.1 + 0.2),
        pickup_eta: EtaSeconds::new(90),
        eta_source: EtaSource::Fallback,
        assigned_at: at(30_000),
        forward: None,
        fare: Some(usd(450)),
        nudged_at: Some(at(31_000)),
    }
}

/// A ride as small as it can be, searching unless `driver` serves it.
pub(crate) fn plain_record(ride: &str, version: u64, driver: Option<&str>) -> RideRecord {
    let mut request = request(ride, "nyc", at(0));
    request.request_key = None;
    let status = if driver.is_some() { RideStatus::Assigned } else { RideStatus::Searching };
    let mut record = full_record(ride, version, status);
    record.request = Arc::new(request);
    record.assignment = driver.map(assignment);
    record
}

pub(crate) fn decision(wave: u32) -> WaveDecision {
    WaveDecision {
        policy: pinned(),
        attempt: 1,
        wave,
        at: at(u64::from(wave)),
        radius_m: 1_000,
        offered: vec![(OfferId::new("o-1").unwrap(), live_offer("d-1"))],
        ranked: vec![RankedDriver {
            driver: driver_id("d-1"),
            distance: Meters::new(12.5),
            pickup_eta: Some(EtaSeconds::new(7)),
            eta_source: EtaSource::Osrm,
            group: PriorityGroup::Favourite,
            score: Some(ScoreTerms {
                score: 500,
                acceptance: 1,
                cancellation: 2,
                idle: 3,
                pickup_eta: 4,
                rides: 5,
            }),
        }],
        excluded: vec![WaveExclusion {
            driver: driver_id("d-2"),
            distance: Meters::new(12.345_678_901_234_567),
            reason: Exclusion::StalePosition,
        }],
        excluded_counts: BTreeMap::from([(Exclusion::Offline, 3), (Exclusion::OnRide, 1)]),
        window: None,
    }
}

pub(crate) fn transition(record: RideRecord, kind: RideEventKind, ms: u64) -> Durable {
    let record = Arc::new(record);
    Durable::Ride(Box::new(RideCommit { record, kind, at: at(ms), decision: None, origin: None }))
}

/// The `version`-th transition of a plain ride.
pub(crate) fn step(ride: &str, version: u64, driver: Option<&str>) -> Durable {
    transition(plain_record(ride, version, driver), RideEventKind::OffersEnded, version)
}

/// Counts of a driver as they are stored.
const STATS: &str = r#"{"buckets":[{"began_at":5,"offers_answered":4,"offers_accepted":3,
    "rides_assigned":3,"rides_cancelled":1,"rides_completed":2}],"counted_offer":"o-1","idle_since":9}"#;

pub(crate) fn driver_record(driver: &str, online: bool) -> DriverRecord {
    DriverRecord {
        driver: driver_id(driver),
        profile: DriverProfile {
            market: MarketId::new("nyc").unwrap(),
            service_tiers: vec![tier("standard"), tier("xl")],
            vehicle: Arc::from("{\"colour\":\"yellow\"}"),
            tags: vec!["wheelchair".to_owned()],
            rating: Some(4.1 + 0.7),
            blocked_until: Some(at(9)),
            home: Position::from_degrees(40.7, -73.9).ok(),
            preferences: RidePreferences {
                categories: Some(BTreeSet::from(["rental".to_owned()])),
                trip_distance_m_max: Some(30_000),
                pets: Some(true),
                instant_tiers: BTreeSet::from([tier("xl")]),
                others: BTreeMap::from([("longest_ride_km".to_owned(), "30".to_owned())]),
                ..RidePreferences::default()
            }
            .into(),
            capacity: VehicleCapacity { seats: Some(4), luggage: None },
            wallet: Some(Box::new(Money { amount: 1_250, currency: "USD".to_owned() })),
            departure: Departure::None,
            scheduled_pickup_at: Some(at(7)),
        },
        online,
        rider_blocks: {
            let mut blocks = RiderBlocks::default();
            blocks.add(&RiderId::new("rider:7").unwrap(), at(5), at(1));
            blocks
        },
        stats: serde_json::from_str(STATS).unwrap(),
    }
}

pub(crate) fn driver(id: &str, online: bool) -> Durable {
    Durable::Driver(Arc::new(driver_record(id, online)))
}

/// `rides` rides with everything that a ride may have.
pub(crate) fn large_batch(name: &str, rides: u32) -> Vec<Durable> {
    (0..rides)
        .map(|ride| {
            let record = full_record(&format!("{name}-{ride}"), 1, RideStatus::Completed);
            transition(record, RideEventKind::RideCompleted, 1)
        })
        .collect()
}

/// The same record with another status and another driver.
pub(crate) fn ended(mut record: RideRecord, status: RideStatus) -> RideRecord {
    record.status = status;
    record
}

pub(crate) fn is_conflict(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

pub(crate) fn is_unavailable(result: &Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable(_)))
}

/// Which items of a batch were kept.
pub(crate) fn kept(results: &[Result<(), StoreError>]) -> Vec<bool> {
    assert!(results.iter().all(|result| result.is_ok() || is_conflict(result)), "{results:?}");
    results.iter().map(Result::is_ok).collect()
}

fn pinned() -> PinnedPolicy {
    PinnedPolicy {
        mode: DispatchMode::Sequential,
        attempt: AttemptKind::Retry,
        version: 7,
        rules: vec!["night".to_owned()],
        arm: Some("waves/five".to_owned()),
    }
}
