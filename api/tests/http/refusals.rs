//! Everything that is refused, and how: a problem with a stable code, whatever went wrong.

use muster_api::http::HttpLimits;
use muster_engine::policy::DispatchPolicy;
use reqwest::Method;
use serde_json::json;

use crate::server::{server, server_with};

const PICKUP: &str = r#""pickup":{"lat":40.7484,"lng":-73.9857}"#;

#[actix_web::test]
async fn a_body_that_is_no_json_or_of_another_shape_is_400() {
    let server = server().await;
    let post = async |body: String| server.post_text("/v1/rides", body).await;
    post("{".to_owned()).await.refused(400, "malformed_json");
    post(String::new()).await.refused(400, "malformed_json");
    post(format!(r#"{{"rider_id":"r-1",{PICKUP}}} x"#)).await.refused(400, "malformed_json");
    let infinite = r#"{"rider_id":"r-1","pickup":{"lat":1e999,"lng":0}}"#;
    post(infinite.to_owned()).await.refused(400, "malformed_json");
    let unknown = post(format!(r#"{{"rider_id":"r-1",{PICKUP},"service_tier":"xl"}}"#)).await;
    let unknown = unknown.refused(400, "invalid_body");
    assert!(unknown["detail"].as_str().unwrap().contains("service_tier"), "{unknown}");
    let typed = post(format!(r#"{{"rider_id":"r-1",{PICKUP},"fare":{{"amount":-1}}}}"#)).await;
    assert_eq!(typed.refused(400, "invalid_body")["errors"][0]["pointer"], "/fare/amount");
    post(format!("{{{PICKUP}}}")).await.refused(400, "invalid_body");
    let nan = r#"{"points":[{"lat":NaN,"lng":0,"at":1}]}"#;
    server.post_text("/v1/drivers/d-1/positions", nan).await.refused(400, "malformed_json");
    let status = server.post_text("/v1/drivers/d-1/status", r#"{"status":"away"}"#).await;
    assert_eq!(status.refused(400, "invalid_body")["errors"][0]["pointer"], "/status");
    assert_eq!(server.store.ride_count(), 0);
}

#[actix_web::test]
async fn values_out_of_bounds_are_422_and_all_of_them_are_named() {
    let server = server().await;
    let body = json!({
        "ride_id": "a b", "rider_id": "", "pickup": {"lat": 95.0, "lng": -73.9},
        "dropoff": {"lat": 0, "lng": 181}, "fare": {"amount": 1, "currency": "usd"},
        "pickup_at": "noon", "require_tags": ["x y"], "forbid_tags": ["y z"], "blocked_driver_ids": [""],
        "attributes": {
            "category": "", "note": "x".repeat(300), "pets": "two", "vehicle.luggage_min": "-1",
            "vehicle.seats_min": "many",
        },
    });
    let refused = server.post("/v1/rides", body).await.refused(422, "validation_failed");
    let errors = refused["errors"].as_array().unwrap();
    let mut pointers: Vec<_> = errors.iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    let expected = [
        "/attributes/category",
        "/attributes/note",
        "/attributes/pets",
        "/attributes/vehicle.luggage_min",
        "/attributes/vehicle.seats_min",
        "/blocked_driver_ids/0",
        "/dropoff/lng",
        "/fare/currency",
        "/forbid_tags/0",
        "/pickup/lat",
        "/pickup_at",
        "/require_tags/0",
        "/ride_id",
        "/rider_id",
    ];
    assert_eq!(pointers, expected);
    assert!(errors.iter().all(|error| !error["detail"].as_str().unwrap().is_empty()));
}

#[actix_web::test]
async fn a_body_that_is_too_large_or_no_json_by_name_is_refused() {
    let server = server().await;
    let large = format!(r#"{{"rider_id":"{}"}}"#, "x".repeat(65_536));
    server.post_text("/v1/rides", large.clone()).await.refused(413, "body_too_large");
    let keyed = server.call(Method::POST, "/v1/rides").header("idempotency-key", "k").body(large);
    server.send(keyed).await.refused(413, "body_too_large");
    let form = server.call(Method::POST, "/v1/rides").header("content-type", "text/plain");
    server.send(form.body("{}")).await.refused(415, "unsupported_media_type");
    let bare = server.call(Method::POST, "/v1/rides").body("{}");
    server.send(bare).await.refused(415, "unsupported_media_type");
    server.get("/healthz").await.ok();
}

#[actix_web::test]
async fn an_id_nobody_knows_is_404() {
    let server = server().await;
    for id in ["r-0", "no%20id", "%E2%82%AC"] {
        for path in ["", "/events", "/explain"] {
            let path = format!("/v1/rides/{id}{path}");
            server.get(&path).await.refused(404, "unknown_ride");
        }
        for path in ["retry", "arrived", "start", "complete", "driver-cancel"] {
            let path = format!("/v1/rides/{id}/{path}");
            server.tell(&path).await.refused(404, "unknown_ride");
        }
        let cancel = server.post(&format!("/v1/rides/{id}/cancel"), json!({"by": "rider"})).await;
        cancel.refused(404, "unknown_ride");
        server.get(&format!("/v1/drivers/{id}")).await.refused(404, "unknown_driver");
        server.get(&format!("/v1/drivers/{id}/offers")).await.refused(404, "unknown_driver");
        for (path, body) in
            [("status", json!({"status": "online"})), ("positions", json!({"points": []}))]
        {
            let path = format!("/v1/drivers/{id}/{path}");
            server.post(&path, body).await.refused(404, "unknown_driver");
        }
        server.tell(&format!("/v1/offers/{id}/accept")).await.refused(404, "unknown_offer");
        server.tell(&format!("/v1/offers/{id}/decline")).await.refused(404, "unknown_offer");
        server.get(&format!("/v1/markets/{id}")).await.refused(404, "unknown_market");
        server.get(&format!("/v1/markets/{id}/supply")).await.refused(404, "unknown_market");
    }
}

#[actix_web::test]
async fn a_ride_that_cannot_be_served_is_422() {
    let server = server().await;
    let post = async |extra: serde_json::Value| {
        let mut body = json!({"rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        server.post("/v1/rides", body).await
    };
    post(json!({"pickup": {"lat": 0, "lng": 0}})).await.refused(422, "not_serviceable");
    post(json!({"market": "sf"})).await.refused(422, "not_serviceable");
    post(json!({"market": "oslo"})).await.refused(422, "unknown_market");
    post(json!({"service_tiers": ["boat"]})).await.refused(422, "unknown_service_tier");
    let sf = json!({"pickup": {"lat": 37.77, "lng": -122.42}, "service_tiers": ["xl"]});
    post(sf).await.refused(422, "unknown_service_tier");
    assert_eq!(post(json!({"ride_id": "mine"})).await.status, 202);
    post(json!({"ride_id": "mine"})).await.refused(409, "ride_already_exists");
    server.tell("/v1/rides/mine/arrived").await.refused(409, "ride_not_assigned");
}

#[actix_web::test]
async fn a_path_or_method_nobody_knows_is_answered_with_a_problem() {
    let server = server().await;
    for path in ["/nothing", "/v1", "/v1/rides/r-1/nothing", "/docs/nothing.js"] {
        server.get(path).await.refused(404, "not_found");
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/rides", "GET, POST"),
        (Method::POST, "/v1/rides/r-1", "GET"),
        (Method::GET, "/v1/rides/r-1/cancel", "POST"),
        (Method::PATCH, "/v1/drivers/d-1", "GET, PUT"),
        (Method::POST, "/v1/drivers/nearby", "GET"),
        (Method::GET, "/v1/admin/drain", "POST"),
    ] {
        let refused = server.send(server.call(method, path)).await;
        refused.refused(405, "method_not_allowed");
        assert_eq!(refused.header("allow"), allowed, "{path}");
    }
}

#[actix_web::test]
async fn a_rider_who_asks_too_often_is_told_when_to_come_back() {
    let limits = HttpLimits { ride_requests_per_rider_per_min: 2, ..HttpLimits::default() };
    let server = server_with(DispatchPolicy::default(), limits).await;
    server.ride("r-1").await;
    server.ride("r-1").await;
    let body = json!({"rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}});
    let third = server.post("/v1/rides", body).await;
    third.refused(429, "rate_limited");
    let wait: u64 = third.header("retry-after").parse().unwrap();
    assert!((1..=31).contains(&wait), "{wait}");
    server.ride("r-2").await;
}

#[actix_web::test]
async fn a_store_that_fails_is_503_and_nothing_is_half_done() {
    let server = server().await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    server.store.set_failing(true);
    let body = json!({"rider_id": "r-2", "pickup": {"lat": 40.7484, "lng": -73.9857}});
    let refused = server.post("/v1/rides", body).await;
    refused.refused(503, "store_unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    server.get("/v1/rides").await.refused(503, "store_unavailable");
    server.store.set_failing(false);
    assert_eq!(server.store.ride_count(), 1);
    assert_eq!(server.get(&format!("/v1/rides/{ride}")).await.status, 200);
}
