//! Zones, their queues and one-time passwords, over HTTP.

use muster_api::http::HttpLimits;
use muster_engine::policy::DispatchPolicy;
use reqwest::Method;
use serde_json::{Value, json};

use crate::memory_store::MemoryStore;
use crate::server::{Server, server, server_on};

/// Far from where the other tests' rides begin: a station with a queue and one-time passwords.
pub(crate) const ZONES: &str = r#"{"type":"FeatureCollection","features":[
    {"type":"Feature","geometry":{"type":"Polygon","coordinates":
        [[[-74.02,40.30],[-74.00,40.30],[-74.00,40.32],[-74.02,40.32],[-74.02,40.30]]]},
     "properties":{"id":"station","name":"Station","otp":true,"queue":true,
        "gates":[{"id":"main","kind":"pickup","lat":40.31,"lng":-74.01}]}},
    {"type":"Feature","geometry":{"type":"Polygon","coordinates":
        [[[-74.10,40.30],[-74.09,40.30],[-74.09,40.31],[-74.10,40.31],[-74.10,40.30]]]},
     "properties":{"id":"stadium","name":"Stadium"}}]}"#;

const QUEUE: &str = "/v1/markets/nyc/zones/station/queue";
const AT: (f64, f64) = (40.305, -74.005);

/// A driver whose phone tells twice that he is at the station.
async fn arrives(server: &Server, id: &str) {
    server.driver(id, AT.0, AT.1).await;
    server.seen(id, AT.0 + 0.0001, AT.1).await;
    server.until(&format!("/v1/drivers/{id}"), |view| view["queue"] != json!([])).await;
}

fn drivers(queue: &Value, tier: usize) -> Vec<String> {
    let drivers = queue["service_tiers"][tier]["drivers"].as_array().unwrap().iter();
    drivers.map(|driver| driver["driver_id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn zones_are_listed_and_shown_with_their_market() {
    let server = server().await;
    let list = server.get("/v1/markets/nyc/zones").await.ok();
    let names: Vec<&str> =
        list["zones"].as_array().unwrap().iter().map(|z| z["zone"].as_str().unwrap()).collect();
    assert_eq!(names, ["stadium", "station"], "of equal priority the smaller one first");
    assert_eq!(list["zones"][1]["gates"][0]["kind"], "pickup");
    assert_eq!(server.get("/v1/markets/nyc").await.ok()["zones"], list["zones"]);
    assert_eq!(server.get("/v1/markets/sf/zones").await.ok(), json!({"zones": []}));
    server.get("/v1/markets/nyc/zones/stadium/queue").await.refused(404, "unknown_zone");
    server.get("/v1/markets/oslo/zones").await.refused(404, "unknown_market");
}

#[actix_web::test]
async fn drivers_queue_in_order_of_arrival_and_are_told_a_range() {
    let server = server().await;
    for id in ["d-1", "d-2", "d-3"] {
        arrives(&server, id).await;
    }
    let queue = server.get(QUEUE).await.ok();
    assert_eq!(drivers(&queue, 0), ["d-1", "d-2", "d-3"]);
    assert_eq!(drivers(&queue, 1), Vec::<String>::new(), "nobody serves the other tier");
    let position = server.get(&format!("{QUEUE}/d-3")).await.ok();
    let expected = json!({"zone": "station", "service_tier": "standard",
        "position_from": 1, "position_to": 3, "queue_size": 3});
    assert_eq!(position["positions"], json!([expected]));
    let view = server.get("/v1/drivers/d-3").await.ok();
    assert_eq!((&view["zone"], &view["queue"]), (&json!("station"), &position["positions"]));
    server.get(&format!("{QUEUE}/d-9")).await.refused(404, "not_queued");
}

#[actix_web::test]
async fn one_noisy_fix_evicts_nobody_and_going_offline_does() {
    let server = server().await;
    arrives(&server, "d-1").await;
    server.seen("d-1", AT.0, AT.1 + 0.0058).await;
    server.seen("d-1", AT.0, AT.1).await;
    assert_eq!(drivers(&server.get(QUEUE).await.ok(), 0), ["d-1"]);
    server.post("/v1/drivers/d-1/status", json!({"status": "offline"})).await.ok();
    server.until(QUEUE, |queue| drivers(queue, 0).is_empty()).await;
}

#[actix_web::test]
async fn an_operator_places_a_driver_and_takes_him_out() {
    let server = server().await;
    for id in ["d-1", "d-2"] {
        arrives(&server, id).await;
    }
    server.driver("d-3", 40.75, -73.98).await;
    let place = |id: &str| format!("{QUEUE}/{id}");
    let first = json!({"service_tier": "standard", "position": 1});
    let queue = server.post(&place("d-3"), first.clone()).await.ok();
    assert_eq!(drivers(&queue, 0), ["d-3", "d-1", "d-2"]);
    let remove = server.call(Method::DELETE, &place("d-1")).json(&json!({"reason": "left"}));
    assert_eq!(drivers(&server.send(remove).await.ok(), 0), ["d-3", "d-2"]);
    let again = server.call(Method::DELETE, &place("d-1"));
    server.send(again).await.refused(404, "not_queued");

    let add = async |id: &str, body: Value| server.post(&place(id), body).await;
    let zero = json!({"service_tier": "standard", "position": 0});
    let refused = add("d-2", zero).await.refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/position");
    add("d-2", json!({"service_tier": "boat"})).await.refused(422, "unknown_service_tier");
    add("d-2", json!({"service_tier": "xl"})).await.refused(409, "driver_not_eligible");
    add("d-9", first.clone()).await.refused(404, "unknown_driver");
    server.post("/v1/drivers/d-3/status", json!({"status": "offline"})).await.ok();
    add("d-3", first).await.refused(409, "driver_offline");
}

#[actix_web::test]
async fn a_restart_keeps_the_order_of_the_queue() {
    let store = MemoryStore::new();
    let limits = HttpLimits::default();
    let before = server_on(store.clone(), DispatchPolicy::default(), limits).await;
    for id in ["d-1", "d-2"] {
        arrives(&before, id).await;
    }
    before.driver("d-3", 40.75, -73.98).await;
    let first = json!({"service_tier": "standard", "position": 1});
    before.post(&format!("{QUEUE}/d-3"), first).await.ok();
    let after = server_on(store, DispatchPolicy::default(), limits).await;
    assert_eq!(drivers(&after.get(QUEUE).await.ok(), 0), ["d-3", "d-1", "d-2"]);
}

async fn otp_ride(server: &Server) -> Value {
    let pickup = json!({"lat": AT.0, "lng": AT.1});
    let body = json!({"rider_id": "r-1", "pickup": pickup, "attributes": {"otp_ride": "true"}});
    server.post("/v1/rides", body).await.ok()
}

#[actix_web::test]
async fn a_one_time_password_entered_at_the_zone_starts_its_ride_once() {
    let server = server().await;
    arrives(&server, "d-1").await;
    let ride = otp_ride(&server).await;
    assert_eq!((&ride["status"], &ride["offers"]["sent"]), (&json!("searching"), &json!(0)));
    let otp = ride["otp"].as_str().unwrap().to_owned();
    assert_eq!(otp.len(), 6);
    let enter = async |driver: &str, otp: &str| {
        let body = json!({"driver_id": driver, "otp": otp});
        server.post("/v1/markets/nyc/zones/station/otp", body).await
    };
    let won = enter("d-1", &otp).await.ok();
    assert_eq!((&won["result"], &won["ride"]["status"]), (&json!("won"), &json!("in_progress")));
    assert_eq!(enter("d-1", &otp).await.ok()["result"], "won", "a repetition is answered the same");
    arrives(&server, "d-2").await;
    enter("d-2", &otp).await.refused(409, "otp_mismatch");
    server.driver("d-3", 40.75, -73.98).await;
    enter("d-3", &otp).await.refused(409, "not_at_zone");
    let ride = server.get(&format!("/v1/rides/{}", ride["ride_id"].as_str().unwrap())).await.ok();
    assert_eq!(ride["driver"]["driver_id"], "d-1");
}

#[actix_web::test]
async fn wrong_passwords_are_counted_per_driver() {
    let server = server().await;
    arrives(&server, "d-1").await;
    let body = json!({"driver_id": "d-1", "otp": "nothing"});
    for _ in 0..DispatchPolicy::default().otp_attempts_max {
        let tried = server.post("/v1/markets/nyc/zones/station/otp", body.clone()).await;
        tried.refused(409, "otp_mismatch");
    }
    let tried = server.post("/v1/markets/nyc/zones/station/otp", body).await;
    tried.refused(429, "otp_attempts_exhausted");
    assert_eq!(tried.header("retry-after"), "60");
}

#[actix_web::test]
async fn a_password_ride_away_from_such_a_zone_is_refused() {
    let server = server().await;
    let pickup = json!({"lat": 40.7484, "lng": -73.9857});
    let body = json!({"rider_id": "r-1", "pickup": pickup, "attributes": {"otp_ride": "true"}});
    let refused = server.post("/v1/rides", body).await.refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/attributes/otp_ride");
}

#[actix_web::test]
async fn a_policy_for_an_unknown_zone_is_refused_by_name() {
    let server = server().await;
    let rule = |zone: &str| json!({"rules": [{"name": "fifo", "match": {"pickup_zone": zone}, "set": {"mode": "queue"}}]});
    let put = server.put("/v1/markets/nyc/policy", rule("statoin")).await;
    assert!(put.text.contains("statoin"), "{put:?}");
    assert_eq!(put.status, 422);
    server.put("/v1/markets/nyc/policy", rule("station")).await.ok();
    arrives(&server, "d-1").await;
    let body = json!({"rider_id": "r-1", "pickup": {"lat": AT.0, "lng": AT.1}});
    server.post("/v1/rides", body).await.ok();
    server.offer("d-1").await;
}
