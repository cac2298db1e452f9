//! The shell around real actors on real Arbiters: what is told, when, and what survives.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memory::{Kept, MemoryStore, Observer};
use muster_actors::{
    CallError, Dispatch, DispatchConfig, DispatchLimits, DriverLink, Ports, SessionFrame,
};
use muster_engine::driver::{
    Departure, DriverProfile, PhoneFrame, RidePreferences, VehicleCapacity,
};
use muster_engine::effect::{AcceptAnswer, Refusal};
use muster_engine::geo::{CellResolution, Position};
use muster_engine::grid::{DriverStatus, Fix, FixLimits};
use muster_engine::id::{DriverId, MarketId, OfferId, RideId, RiderId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig, Markets};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{CancelledBy, RideProgress, RideRequest, RideStatus};
use muster_engine::time::Timestamp;

const BOUNDARY: &str =
    r#"{"type":"Polygon","coordinates":[[[-75,40],[-73,40],[-73,42],[-75,42],[-75,40]]]}"#;
const PATIENCE: Duration = Duration::from_secs(20);

struct City {
    dispatch: Dispatch,
    store: Arc<MemoryStore>,
    observer: Arc<Observer>,
}

fn tier(name: &str) -> ServiceTierId {
    ServiceTierId::new(name).unwrap()
}

fn config(policy: DispatchPolicy) -> DispatchConfig {
    let id = MarketId::new("nyc").unwrap();
    let market = Market::new(MarketConfig {
        id: id.clone(),
        name: "New York".to_owned(),
        boundary: Boundary::from_geojson(BOUNDARY).unwrap(),
        tiers: vec![tier("standard")],
        default_tier: tier("standard"),
        resolution: CellResolution::new(9).unwrap(),
    });
    DispatchConfig {
        markets: Markets::new([market.unwrap()]).unwrap(),
        policies: BTreeMap::from([(id, Arc::new(PolicyBook::of(policy.validated().unwrap())))]),
        travel: BTreeMap::new(),
        fix_limits: FixLimits::default(),
        limits: DispatchLimits {
            mailbox_capacity: 64,
            store_backlog_max: 1_000,
            open_rides_max: 1_000,
            answer_within: Duration::from_secs(10),
            position_snapshot_every: Duration::ZERO,
        },
        arbiters: 2,
        clock_speed: 1.0,
    }
}

async fn city_over(store: Arc<MemoryStore>, policy: DispatchPolicy) -> City {
    let observer = Arc::new(Observer::default());
    let (events, meter) = (observer.clone(), observer.clone());
    let ports = Ports { store: store.clone(), events, meter, tracer: None };
    let dispatch = Dispatch::start(config(policy), ports).await.unwrap();
    City { dispatch, store, observer }
}

async fn city() -> City {
    city_over(MemoryStore::new(), DispatchPolicy::default()).await
}

fn driver_id(name: &str) -> DriverId {
    DriverId::new(name).unwrap()
}

impl City {
    /// A driver who is online at `lat`, with his phone connected.
    async fn driver(&self, name: &str, lat: f64) -> DriverLink {
        let id = driver_id(name);
        let profile = DriverProfile {
            market: MarketId::new("nyc").unwrap(),
            service_tiers: vec![tier("standard")],
            vehicle: Arc::from("{}"),
            tags: Vec::new(),
            rating: None,
            blocked_until: None,
            preferences: RidePreferences::default().into(),
            capacity: VehicleCapacity::default(),
            wallet: None,
            departure: Departure::None,
            scheduled_pickup_at: None,
            home: None,
        };
        self.dispatch.put_driver(&id, profile).await.unwrap();
        let link = self.dispatch.connect(&id, None).unwrap();
        self.dispatch.set_online(&id, true).await.unwrap();
        self.fix(&link, lat);
        self.until_available(&id).await;
        link
    }

    fn fix(&self, link: &DriverLink, lat: f64) {
        let position = Position::from_degrees(lat, -74.0).unwrap();
        let at = self.dispatch.now();
        let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
        link.apply(&fix).unwrap();
    }

    async fn until_available(&self, id: &DriverId) {
        let status = || async {
            let view = self.dispatch.driver(id).await.unwrap();
            view.status == DriverStatus::Available
                && view.contact == muster_engine::grid::Contact::Live
        };
        until(status).await;
    }

    fn request(&self, name: &str) -> RideRequest {
        RideRequest {
            entropy: 7,
            ..RideRequest::plain(
                RideId::new(name).unwrap(),
                RiderId::new("r-1").unwrap(),
                MarketId::new("nyc").unwrap(),
                Position::from_degrees(40.75, -74.0).unwrap(),
                vec![tier("standard")],
                self.dispatch.now(),
            )
        }
    }
}

/// Waits until `holds`, re-checking as the runtime makes progress.
async fn until<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the state was not reached");
}

async fn frame(link: &mut DriverLink) -> PhoneFrame {
    match tokio::time::timeout(PATIENCE, link.next()).await.expect("no frame came") {
        Some(SessionFrame::Phone(frame)) => *frame,
        other => panic!("{other:?} instead of a frame"),
    }
}

async fn offer(link: &mut DriverLink) -> OfferId {
    loop {
        if let PhoneFrame::Offer { offer, .. } = frame(link).await {
            return offer.id;
        }
    }
}

#[actix::test]
async fn a_ride_runs_from_request_to_completion() {
    let city = city().await;
    let mut phone = city.driver("d-1", 40.751).await;
    let ride = RideId::new("ride-1").unwrap();
    let told = city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    assert_eq!(told.status, RideStatus::Searching);
    let offer = offer(&mut phone).await;
    let answer = city.dispatch.accept(None, &offer, None).await.unwrap();
    assert!(matches!(answer, AcceptAnswer::Won(_)));
    let progress = |step| city.dispatch.progress(&ride, Some(driver_id("d-1")), step);
    progress(RideProgress::Arrived).await.unwrap();
    let wrong = progress(RideProgress::Start { otp: Some("no".to_owned()) }).await;
    assert_eq!(wrong.unwrap_err(), CallError::Refused(Refusal::OtpMismatch));
    let otp = city.dispatch.ride(&ride).await.unwrap().otp.clone();
    progress(RideProgress::Start { otp }).await.unwrap();
    let done = progress(RideProgress::Complete).await.unwrap();
    assert_eq!(done.status, RideStatus::Completed);
    city.until_available(&driver_id("d-1")).await;
}

#[actix::test]
async fn nobody_is_told_before_it_is_durable() {
    let city = city().await;
    let mut phone = city.driver("d-1", 40.751).await;
    assert!(matches!(frame(&mut phone).await, PhoneFrame::Welcome { .. }));
    city.store.set_open(false);
    let dispatch = city.dispatch.clone();
    let request = city.request("ride-1");
    let mut call = actix::spawn(async move { dispatch.request_ride(request).await });
    // The ride's actor has had its turn once the search moved the supply; neither rider nor driver
    // may hear of it while the commit waits.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut call).await;
    assert!(early.is_err(), "the rider was told before the commit");
    let early = tokio::time::timeout(Duration::from_millis(50), phone.next()).await;
    assert!(early.is_err(), "the driver was told before the commit: {early:?}");
    let unknown = city.dispatch.ride(&RideId::new("ride-1").unwrap()).await;
    assert_eq!(unknown.unwrap_err(), CallError::Refused(Refusal::UnknownRide));
    city.store.set_open(true);
    call.await.unwrap().unwrap();
    offer(&mut phone).await;
}

#[actix::test]
async fn a_failed_commit_is_answered_and_leaves_nothing_behind() {
    let city = city().await;
    let _phone = city.driver("d-1", 40.751).await;
    city.store.set_failing(true);
    let refused = city.dispatch.request_ride(city.request("ride-1")).await;
    assert!(matches!(refused, Err(CallError::Store(_))), "{refused:?}");
    city.store.set_failing(false);
    let ride = RideId::new("ride-1").unwrap();
    until(|| async { city.dispatch.ride(&ride).await.is_err() }).await;
    // The same id can be requested once the store is back.
    until(|| async { city.dispatch.request_ride(city.request("ride-1")).await.is_ok() }).await;
}

#[actix::test]
async fn a_running_ride_stays_readable_and_goes_on_when_the_store_is_back() {
    let city = city().await;
    let mut phone = city.driver("d-1", 40.751).await;
    let ride = RideId::new("ride-1").unwrap();
    city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    let offer = offer(&mut phone).await;
    city.dispatch.accept(None, &offer, None).await.unwrap();
    city.store.set_failing(true);
    let refused = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
    assert!(matches!(refused, Err(CallError::Store(_))), "{refused:?}");
    assert_eq!(city.dispatch.ride(&ride).await.unwrap().status, RideStatus::Assigned);
    city.store.set_failing(false);
    let arrived = || async {
        let call = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
        call.is_ok_and(|ride| ride.status == RideStatus::Arrived)
    };
    until(arrived).await;
}

#[actix::test]
async fn a_panic_costs_one_machine_its_memory_and_nothing_else() {
    let city = city().await;
    let mut phone = city.driver("d-1", 40.751).await;
    city.observer.panic_on_next_wave();
    // The panic hits the ride's actor after its first wave became durable, before the offers left.
    city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    let offer = offer(&mut phone).await;
    assert!(matches!(
        city.dispatch.accept(None, &offer, None).await.unwrap(),
        AcceptAnswer::Won(_)
    ));
    assert_eq!(city.observer.restarts.load(Ordering::SeqCst), 1);
    assert_eq!(city.observer.assigned.load(Ordering::SeqCst), 1);
}

#[actix::test]
async fn a_panic_behind_a_commit_that_still_lands_leaves_no_conflict() {
    let city = city().await;
    let mut phone_1 = city.driver("d-1", 40.751).await;
    let mut phone_2 = city.driver("d-2", 40.752).await;
    let ride = RideId::new("ride-1").unwrap();
    city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    let (offer_1, offer_2) = (offer(&mut phone_1).await, offer(&mut phone_2).await);
    city.store.set_open(false);
    city.dispatch.decline(None, &offer_1, None).await.unwrap();
    city.observer.panic_on_next_search();
    // The last decline makes the ride search, which panics while the first one's commit waits.
    city.dispatch.decline(None, &offer_2, None).await.unwrap();
    until(|| async { city.observer.restarts.load(Ordering::SeqCst) > 0 }).await;
    city.store.set_open(true);
    let cancelled = || async {
        let call = city.dispatch.cancel_ride(&ride, CancelledBy::Rider, None).await;
        call.is_ok_and(|ride| ride.status == RideStatus::Cancelled)
    };
    until(cancelled).await;
    let (kept, told) = (city.store.ride(&ride).unwrap(), city.dispatch.ride(&ride).await.unwrap());
    assert_eq!((kept.version, kept.status), (told.version, told.status));
}

#[actix::test]
async fn a_commit_that_was_kept_but_reported_lost_is_found_again() {
    let city = city().await;
    let mut phone = city.driver("d-1", 40.751).await;
    let ride = RideId::new("ride-1").unwrap();
    city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    let offer = offer(&mut phone).await;
    city.dispatch.accept(None, &offer, None).await.unwrap();
    city.store.set_lying(true);
    let refused = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
    assert!(matches!(refused, Err(CallError::Store(_))), "{refused:?}");
    city.store.set_lying(false);
    let arrived = || async {
        let call = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
        call.is_ok_and(|ride| ride.status == RideStatus::Arrived)
    };
    until(arrived).await;
    assert_eq!(
        city.store.ride(&ride).unwrap().version,
        city.dispatch.ride(&ride).await.unwrap().version
    );
}

#[actix::test]
async fn a_change_in_doubt_is_told_only_once_the_store_says_that_it_holds() {
    for kept in [Kept::Yes, Kept::No] {
        let city = city().await;
        let mut phone = city.driver("d-1", 40.751).await;
        let ride = RideId::new("ride-1").unwrap();
        city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
        let offer = offer(&mut phone).await;
        city.dispatch.accept(None, &offer, None).await.unwrap();
        city.store.set_doubt(Some(kept));
        let unknown = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
        assert!(matches!(unknown, Err(CallError::Store(_))), "{unknown:?}");
        assert_eq!(city.dispatch.ride(&ride).await.unwrap().status, RideStatus::Assigned);
        city.store.set_doubt(None);
        if kept == Kept::No {
            let arrived = city.dispatch.progress(&ride, None, RideProgress::Arrived).await;
            assert_eq!(arrived.unwrap().status, RideStatus::Arrived);
        }
        // Nobody has to ask: what the store holds is told by itself.
        let told = || async {
            let told = city.dispatch.ride(&ride).await.unwrap();
            told.status == RideStatus::Arrived
                && city.store.ride(&ride).unwrap().version == told.version
        };
        until(told).await;
    }
}

#[actix::test]
async fn a_request_in_doubt_is_a_ride_if_the_store_holds_it() {
    for kept in [Kept::Yes, Kept::No] {
        let city = city().await;
        let mut phone = city.driver("d-1", 40.751).await;
        let ride = RideId::new("ride-1").unwrap();
        city.store.set_doubt(Some(kept));
        let unknown = city.dispatch.request_ride(city.request("ride-1")).await;
        assert!(matches!(unknown, Err(CallError::Store(_))), "{unknown:?}");
        let told = city.dispatch.ride(&ride).await;
        assert!(told.is_err(), "nobody may hear of it: {told:?}");
        city.store.set_doubt(None);
        if kept == Kept::No {
            let requested =
                || async { city.dispatch.request_ride(city.request("ride-1")).await.is_ok() };
            until(requested).await;
        }
        offer(&mut phone).await;
    }
}

#[actix::test]
async fn a_restarted_process_goes_on_where_people_were_told() {
    let store = MemoryStore::new();
    let before = city_over(store.clone(), DispatchPolicy::default()).await;
    let mut phone_1 = before.driver("d-1", 40.751).await;
    let mut phone_2 = before.driver("d-2", 40.752).await;
    before.dispatch.request_ride(before.request("ride-1")).await.unwrap();
    let (offer_1, offer_2) = (offer(&mut phone_1).await, offer(&mut phone_2).await);
    assert_ne!(offer_1, offer_2);
    assert!(before.dispatch.drain(PATIENCE).await);

    let after = city_over(store, DispatchPolicy::default()).await;
    let view = after.dispatch.driver(&driver_id("d-1")).await.unwrap();
    assert_eq!(view.offers.iter().map(|offer| &offer.id).collect::<Vec<_>>(), [&offer_1]);
    let answer = after.dispatch.accept(None, &offer_1, None).await.unwrap();
    assert!(matches!(answer, AcceptAnswer::Won(_)), "{answer:?}");
    let late = after.dispatch.accept(None, &offer_2, None).await.unwrap();
    assert!(matches!(late, AcceptAnswer::Lost(_)), "{late:?}");
}

#[actix::test]
async fn offers_expire_by_themselves_and_the_search_ends() {
    let policy = DispatchPolicy {
        offer_ttl_ms: 1_000,
        search_limit_ms: 1_500,
        search_retry_ms: 100,
        ..DispatchPolicy::default()
    };
    let city = city_over(MemoryStore::new(), policy).await;
    let mut phone = city.driver("d-1", 40.751).await;
    city.dispatch.request_ride(city.request("ride-1")).await.unwrap();
    offer(&mut phone).await;
    loop {
        if let PhoneFrame::OfferWithdrawn { .. } = frame(&mut phone).await {
            break;
        }
    }
    let ride = RideId::new("ride-1").unwrap();
    until(|| async { city.dispatch.ride(&ride).await.unwrap().status == RideStatus::Unfulfilled })
        .await;
}

#[actix::test]
async fn a_newer_session_supersedes_the_older_one() {
    let city = city().await;
    let mut old = city.driver("d-1", 40.751).await;
    let mut new = city.dispatch.connect(&driver_id("d-1"), None).unwrap();
    assert!(matches!(frame(&mut new).await, PhoneFrame::Welcome { .. }));
    while let Some(frame) = old.next().await {
        if frame == SessionFrame::Superseded {
            return;
        }
    }
    panic!("the old session was not told");
}

#[actix::test]
async fn a_draining_process_takes_no_new_rides() {
    let city = city().await;
    city.dispatch.begin_drain();
    let refused = city.dispatch.request_ride(city.request("ride-1")).await;
    assert_eq!(refused.unwrap_err(), CallError::Draining);
}

#[actix::test]
async fn rides_that_left_memory_still_answer() {
    let policy = DispatchPolicy { retire_after_ms: 1_000, ..DispatchPolicy::default() };
    let city = city_over(MemoryStore::new(), policy).await;
    let rides: Vec<RideId> = (0..64).map(|n| RideId::new(&format!("ride-{n}")).unwrap()).collect();
    for ride in &rides {
        city.dispatch.request_ride(city.request(ride.as_str())).await.unwrap();
        city.dispatch.cancel_ride(ride, CancelledBy::Rider, None).await.unwrap();
    }
    until(|| async { rides.iter().all(|ride| city.dispatch.watch_ride(ride).is_none()) }).await;
    let again = rides.iter().map(|ride| city.dispatch.cancel_ride(ride, CancelledBy::Rider, None));
    for (ride, again) in rides.iter().zip(futures_util::future::join_all(again).await) {
        let again = again.unwrap();
        assert_eq!(again.status, RideStatus::Cancelled);
        assert_eq!(again.version, city.store.ride(ride).unwrap().version);
        assert!(again.ended_at > Some(Timestamp::default()));
    }
}
