//! Riders and drivers who keep a server busy over HTTP, and put up with its death.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// Drivers of a city.
const DRIVERS: u64 = 6;
/// Riders who ask at a time.
const RIDERS: u64 = 3;

/// People who go on until they are told to stop, or nobody answers any more.
pub(crate) struct City {
    stop: Arc<AtomicBool>,
    riders: Vec<JoinHandle<()>>,
}

impl City {
    /// Brings drivers online and lets riders ask, with rides numbered by `next`.
    pub(crate) async fn begin(url: &str, next: &Arc<AtomicU64>) -> Self {
        let http = reqwest::Client::new();
        for driver in 0..DRIVERS {
            come_online(&http, url, &format!("d-{driver}")).await;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let rider = |_| {
            let (http, url, next) = (http.clone(), url.to_owned(), Arc::clone(next));
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if travel(&http, &url, number).await.is_err() {
                        return;
                    }
                }
            })
        };
        let riders = (0..RIDERS).map(rider).collect();
        Self { stop, riders }
    }

    /// Has everyone finish what they are at.
    pub(crate) async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for rider in self.riders {
            rider.await.unwrap();
        }
    }
}

async fn come_online(http: &reqwest::Client, url: &str, driver: &str) {
    let profile =
        json!({"market": "nyc", "service_tiers": ["standard"], "vehicle": {"plate": "X"}});
    let put = http.put(format!("{url}/v1/drivers/{driver}")).json(&profile).send();
    assert_eq!(put.await.unwrap().status(), 200);
    post(http, url, &format!("/v1/drivers/{driver}/status"), json!({"status": "online"}))
        .await
        .unwrap();
}

/// One ride: asked for, offered, declined by some, won by one, driven or called off.
async fn travel(http: &reqwest::Client, url: &str, number: u64) -> reqwest::Result<()> {
    for driver in 0..DRIVERS {
        let fix = json!({"points": [{"lat": 40.7490, "lng": -73.9857, "at": now_ms()}]});
        post(http, url, &format!("/v1/drivers/d-{driver}/positions"), fix).await?;
    }
    let ride = format!("ride-{number}");
    let pickup = json!({"lat": 40.7484, "lng": -73.9857});
    let body = json!({"ride_id": ride, "rider_id": format!("r-{number}"), "pickup": pickup});
    post(http, url, "/v1/rides", body).await?;
    if number % 4 == 3 {
        let body = json!({"by": "rider", "reason": "changed \u{0} plans"});
        post(http, url, &format!("/v1/rides/{ride}/cancel"), body).await?;
        return Ok(());
    }
    for driver in 0..DRIVERS {
        let path = format!("{url}/v1/drivers/d-{driver}/offers");
        let offers: Value = http.get(path).send().await?.json().await?;
        let offers = offers["offers"].as_array().or_else(|| offers.as_array()).cloned();
        for offer in offers.unwrap_or_default() {
            let id = offer["offer_id"].as_str().unwrap_or_default().to_owned();
            let verb = if (number + driver).is_multiple_of(5) { "decline" } else { "accept" };
            post(http, url, &format!("/v1/offers/{id}/{verb}"), json!({})).await?;
        }
    }
    let view: Value = http.get(format!("{url}/v1/rides/{ride}")).send().await?.json().await?;
    post(http, url, &format!("/v1/rides/{ride}/arrived"), json!({})).await?;
    let otp = json!({"otp": view["otp"]});
    post(http, url, &format!("/v1/rides/{ride}/start"), otp).await?;
    post(http, url, &format!("/v1/rides/{ride}/complete"), json!({})).await?;
    Ok(())
}

/// The answer does not matter: a ride that was lost to another driver is refused, for one.
async fn post(http: &reqwest::Client, url: &str, path: &str, body: Value) -> reqwest::Result<()> {
    http.post(format!("{url}{path}")).json(&body).send().await?.bytes().await.map(drop)
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}
