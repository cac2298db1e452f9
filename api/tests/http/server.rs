//! A server of its own for each test, and the few calls that most tests begin with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use muster_actors::{Dispatch, DispatchConfig, DispatchLimits, EventSink, Meter, Ports};
use muster_api::http::{self, AppParts, AppState, BuildInfo, HttpLimits, HttpObserver};
use muster_api::policy::{PolicyDesk, Standings};
use muster_engine::event::Event;
use muster_engine::geo::CellResolution;
use muster_engine::grid::FixLimits;
use muster_engine::id::{MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig, Markets};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::zone::Zones;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::memory_store::MemoryStore;

const PATIENCE: Duration = Duration::from_secs(20);

/// Counts nothing: the HTTP edge is observed through its own observer.
struct Silent;

impl EventSink for Silent {
    fn publish(&self, _: &Event) {}
}

impl Meter for Silent {
    fn first_offer(&self, _: f64) {}
    fn match_duration(&self, _: &'static str, _: f64) {}
    fn store_commit(&self, _: usize, _: f64) {}
    fn store_refused(&self, _: &'static str) {}
    fn mailbox_full(&self, _: &'static str) {}
    fn actor_restarted(&self, _: &'static str) {}
}

/// Remembers method, route and status of every answer.
#[derive(Default)]
pub(crate) struct Answers(Mutex<Vec<(String, String, u16)>>);

impl Answers {
    pub(crate) fn all(&self) -> Vec<(String, String, u16)> {
        self.0.lock().unwrap().clone()
    }
}

impl HttpObserver for Answers {
    fn answered(&self, method: &str, route: &str, status: u16, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds));
        self.0.lock().unwrap().push((method.to_owned(), route.to_owned(), status));
    }
}

pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) answers: Arc<Answers>,
    client: reqwest::Client,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The body of a call that went well.
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }

    /// Checks that this is a problem, of the contract's shape, with this status and code.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str) -> Value {
        let body = self.json();
        let told = (self.status, body["code"].as_str().unwrap_or_default());
        assert_eq!(told, (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert!(body["type"].as_str().unwrap().ends_with(code));
        assert!(!body["title"].as_str().unwrap().is_empty());
        assert!(!body["detail"].as_str().unwrap().is_empty());
        assert_eq!(body["correlation_id"], self.header("x-correlation-id"));
        body
    }
}

/// A square around Manhattan, and another far from it.
fn market(id: &str, south: f64, west: f64, tiers: &[&str]) -> Market {
    let (north, east) = (south + 1.0, west + 1.0);
    let ring = format!(
        "[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]"
    );
    let boundary = format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#);
    let tiers: Vec<_> = tiers.iter().map(|tier| ServiceTierId::new(tier).unwrap()).collect();
    Market::new(MarketConfig {
        id: MarketId::new(id).unwrap(),
        name: id.to_uppercase(),
        boundary: Boundary::from_geojson(&boundary).unwrap(),
        default_tier: tiers[0].clone(),
        tiers,
        resolution: CellResolution::new(9).unwrap(),
    })
    .unwrap()
}

fn config(policy: DispatchPolicy) -> DispatchConfig {
    let nyc = market("nyc", 40.2, -74.5, &["standard", "xl"]);
    let markets = [
        nyc.with_zones(Zones::from_geojson(crate::zones::ZONES).unwrap()).unwrap(),
        market("sf", 37.2, -123.0, &["standard"]),
    ];
    let policy = Arc::new(PolicyBook::of(policy.validated().unwrap()));
    let policies = ["nyc", "sf"].map(|id| (MarketId::new(id).unwrap(), Arc::clone(&policy)));
    DispatchConfig {
        markets: Markets::new(markets).unwrap(),
        policies: BTreeMap::from(policies),
        travel: BTreeMap::new(),
        fix_limits: FixLimits::default(),
        limits: DispatchLimits {
            mailbox_capacity: 64,
            store_backlog_max: 1_000,
            open_rides_max: 1_000,
            answer_within: Duration::from_secs(2),
            position_snapshot_every: Duration::ZERO,
        },
        arbiters: 1,
        clock_speed: 1.0,
    }
}

pub(crate) async fn server() -> Server {
    server_with(DispatchPolicy::default(), HttpLimits::default()).await
}

pub(crate) async fn server_with(policy: DispatchPolicy, limits: HttpLimits) -> Server {
    let store = MemoryStore::new();
    server_on(store, policy, limits).await
}

/// A server on what `store` holds.
pub(crate) async fn server_on(
    store: Arc<MemoryStore>,
    policy: DispatchPolicy,
    limits: HttpLimits,
) -> Server {
    let answers = Arc::new(Answers::default());
    let (events, meter) = (Arc::new(Silent), Arc::new(Silent));
    let ports = Ports { store: store.clone(), events, meter, tracer: None };
    let mut config = config(policy);
    let standings = Standings::load(store.as_ref(), &config.policies).await.unwrap();
    config.policies = standings.books();
    let dispatch = Dispatch::start(config, ports).await.unwrap();
    let policies = PolicyDesk::open(dispatch.clone(), store.clone(), standings).await.unwrap();
    let state = web::Data::new(AppState::new(AppParts {
        shared_allowance: None,
        dispatch,
        history: store.clone(),
        policies: Arc::new(policies),
        observe: answers.clone(),
        traces: None,
        limits,
        build: BuildInfo { version: "0.1.0".to_owned(), revision: "abc".to_owned() },
    }));
    let app = move || {
        let app = App::new().app_data(state.clone()).wrap(from_fn(http::trace));
        app.configure(http::configure)
    };
    let server = HttpServer::new(app).workers(1).disable_signals().h1_allow_half_closed(false);
    let server = server.bind(("127.0.0.1", 0)).unwrap();
    let base = format!("http://{}", server.addrs()[0]);
    actix_web::rt::spawn(server.run());
    Server { base, store, answers, client: reqwest::Client::new() }
}

impl Server {
    pub(crate) fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).timeout(PATIENCE)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        answer(self.call(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.call(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.call(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn send(&self, call: RequestBuilder) -> Answer {
        answer(call.send().await.unwrap()).await
    }

    /// A POST without a body.
    pub(crate) async fn tell(&self, path: &str) -> Answer {
        self.send(self.call(Method::POST, path)).await
    }

    /// A POST whose body is sent as it is.
    pub(crate) async fn post_text(&self, path: &str, body: impl Into<String>) -> Answer {
        let call = self.call(Method::POST, path).header("content-type", "application/json");
        self.send(call.body(body.into())).await
    }

    /// A driver who is online and seen at `lat`, `lng`.
    pub(crate) async fn driver(&self, id: &str, lat: f64, lng: f64) {
        let path = format!("/v1/drivers/{id}");
        self.put(&path, profile()).await.ok();
        self.post(&format!("{path}/status"), json!({"status": "online"})).await.ok();
        self.seen(id, lat, lng).await;
        let query = format!("/v1/drivers/nearby?lat={lat}&lng={lng}&radius_m=50");
        self.until(&query, |near| {
            near["drivers"].as_array().unwrap().iter().any(|driver| driver["driver_id"] == id)
        })
        .await;
    }

    /// The driver's phone reports where it is, now.
    pub(crate) async fn seen(&self, id: &str, lat: f64, lng: f64) {
        let points = json!({"points": [{"lat": lat, "lng": lng, "at": measured_ms()}]});
        let told = self.post(&format!("/v1/drivers/{id}/positions"), points).await.ok();
        assert_eq!(told["accepted"], 1, "{told}");
    }

    /// Asks for a ride at the Empire State Building and returns its view.
    pub(crate) async fn ride(&self, rider: &str) -> Value {
        let body = json!({"rider_id": rider, "pickup": {"lat": 40.7484, "lng": -73.9857}});
        let taken = self.post("/v1/rides", body).await;
        assert_eq!(taken.status, 202, "{taken:?}");
        taken.ok()
    }

    /// The id of the offer that `driver` gets.
    pub(crate) async fn offer(&self, driver: &str) -> String {
        let path = format!("/v1/drivers/{driver}/offers");
        let list = self.until(&path, |list| !list["offers"].as_array().unwrap().is_empty()).await;
        list["offers"][0]["offer_id"].as_str().unwrap().to_owned()
    }

    /// A ride that `driver`, who is a few streets away, has accepted.
    pub(crate) async fn assigned(&self, driver: &str) -> String {
        self.driver(driver, 40.7500, -73.9870).await;
        let ride = self.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
        let offer = self.offer(driver).await;
        let won = self.tell(&format!("/v1/offers/{offer}/accept")).await.ok();
        assert_eq!(won["result"], "won", "{won}");
        ride
    }

    /// Asks until the answer is as wanted.
    pub(crate) async fn until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut newest = Value::Null;
        let wait = async {
            loop {
                newest = self.get(path).await.ok();
                if holds(&newest) {
                    break;
                }
            }
        };
        let settled = tokio::time::timeout(PATIENCE, wait).await;
        assert!(settled.is_ok(), "{path} did not settle: {newest}");
        newest
    }
}

pub(crate) fn profile() -> Value {
    json!({
        "market": "nyc",
        "service_tiers": ["standard"],
        "vehicle": {"plate": "T123456C", "seats": 4},
        "tags": ["pet_friendly"],
        "rating": 4.8,
        "home": {"lat": 40.8, "lng": -73.9},
        "preferences": {"airport": true},
    })
}

/// The present instant, later than any given before: a phone measures no two fixes at once.
fn measured_ms() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = now_ms();
    let later = |last: u64| Some(now.max(last + 1));
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    now.max(last.unwrap_or_default() + 1)
}

pub(crate) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    u64::try_from(now.unwrap().as_millis()).unwrap()
}

async fn answer(response: Response) -> Answer {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}
