//! Markets, health, documents, ids, and what the observer is told.

use serde_json::{Value, json};

use crate::server::{now_ms, server};

#[actix_web::test]
async fn markets_show_what_they_sell_where_they_are_and_how_they_dispatch() {
    let server = server().await;
    let list = server.get("/v1/markets").await.ok();
    assert_eq!(list["markets"][0]["market"], "nyc");
    assert_eq!(list["markets"][1]["default_service_tier"], "standard");
    let nyc = server.get("/v1/markets/nyc").await.ok();
    assert_eq!(nyc["service_tiers"], json!(["standard", "xl"]));
    assert_eq!(nyc["boundary"]["type"], "MultiPolygon");
    assert_eq!(nyc["boundary"]["coordinates"][0][0][0], json!([-74.5, 40.2]));
    let first = &nyc["zones"][0]["zone"];
    assert_eq!((&nyc["policy"]["mode"], first), (&json!("broadcast"), &json!("stadium")));
    assert_eq!(nyc["policy"]["offer_ttl_ms"], 15_000);
}

#[actix_web::test]
async fn supply_counts_drivers_and_open_rides_per_cell() {
    let server = server().await;
    server.driver("d-1", 40.7484, -73.9857).await;
    let path = "/v1/markets/nyc/supply";
    let one = |supply: &Value| supply["cells"][0]["drivers"]["available"] == 1;
    assert_eq!(server.until(path, one).await["resolution"], 8);
    server.post("/v1/drivers/d-1/status", json!({"status": "offline"})).await.ok();
    server.ride("r-1").await;
    let demand = |supply: &Value| {
        let cells = supply["cells"].as_array().unwrap();
        cells.len() == 1 && cells[0]["open_rides"] == 1 && cells[0]["drivers"]["available"] == 0
    };
    server.until(&format!("{path}?resolution=7"), demand).await;
    assert_eq!(server.get(&format!("{path}?resolution=15")).await.ok()["resolution"], 9);
    server.get(&format!("{path}?resolution=16")).await.refused(400, "invalid_query");
}

#[actix_web::test]
async fn supply_and_demand_are_told_per_tier_with_their_ratio() {
    let server = server().await;
    server.driver("d-1", 40.7484, -73.9857).await;
    let both = json!({"market": "nyc", "service_tiers": ["standard", "xl"]});
    server.put("/v1/drivers/d-2", both).await.ok();
    server.post("/v1/drivers/d-2/status", json!({"status": "online"})).await.ok();
    server.seen("d-2", 40.7485, -73.9857).await;
    let path = "/v1/markets/nyc/supply?resolution=5";
    let cell = |supply: &Value| supply["cells"][0].clone();
    let both = |supply: &Value| cell(supply)["service_tiers"]["standard"]["available"] == 2;
    let idle = cell(&server.until(path, both).await);
    assert_eq!(idle["ratio"], Value::Null);
    let tier = |available, searching, ratio: Option<f64>| json!({"available": available, "searching": searching, "ratio": ratio});
    assert_eq!(
        idle["service_tiers"],
        json!({"standard": tier(2, 0, None), "xl": tier(1, 0, None)})
    );
    server.ride("r-1").await;
    let body = json!({"rider_id": "r-2", "pickup": {"lat": 40.7484, "lng": -73.9857},
        "service_tiers": ["standard", "xl"]});
    server.post("/v1/rides", body).await.ok();
    let asked = |supply: &Value| cell(supply)["open_rides"] == 2;
    let busy = cell(&server.until(path, asked).await);
    let tiers = json!({"standard": tier(2, 2, Some(1.0)), "xl": tier(1, 1, Some(1.0))});
    assert_eq!((&busy["ratio"], &busy["service_tiers"]), (&json!(1.0), &tiers));
}

#[actix_web::test]
async fn a_draining_server_is_alive_but_takes_no_new_work() {
    let server = server().await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    assert_eq!(server.get("/readyz").await.ok()["status"], "ready");
    assert_eq!(server.tell("/v1/admin/drain").await.status, 202);
    let refused = server.get("/readyz").await;
    refused.refused(503, "draining");
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(server.get("/healthz").await.ok()["status"], "ok");
    let body = json!({"rider_id": "r-2", "pickup": {"lat": 40.7484, "lng": -73.9857}});
    server.post("/v1/rides", body).await.refused(503, "draining");
    server.get(&format!("/v1/rides/{ride}/events")).await.refused(503, "draining");
    let cancel = server.post(&format!("/v1/rides/{ride}/cancel"), json!({"by": "rider"})).await;
    assert_eq!(cancel.ok()["status"], "cancelled");
}

#[actix_web::test]
async fn ids_are_taken_over_when_well_formed_and_drawn_otherwise() {
    let server = server().await;
    let call = async |correlation: &str, parent: &str| {
        let call = server.call(reqwest::Method::GET, "/v1/rides/none");
        server
            .send(call.header("x-correlation-id", correlation).header("traceparent", parent))
            .await
    };
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let known = call("order-17", parent).await;
    assert_eq!(known.refused(404, "unknown_ride")["correlation_id"], "order-17");
    assert_eq!(known.header("traceparent"), parent);
    let odd = call("two words", "00-xyz").await;
    assert_eq!(odd.header("x-correlation-id").len(), 36);
    assert_eq!(odd.header("traceparent").len(), 55);
    let drawn = server.get("/healthz").await;
    assert_eq!(drawn.header("x-correlation-id").len(), 36);
    assert_ne!(drawn.header("x-correlation-id"), odd.header("x-correlation-id"));
}

#[actix_web::test]
async fn the_observer_is_told_the_pattern_and_not_the_path() {
    let server = server().await;
    server.get("/v1/rides/none").await.refused(404, "unknown_ride");
    server.get(&format!("/nothing/{}", now_ms())).await.refused(404, "not_found");
    server.tell("/v1/rides/none").await.refused(405, "method_not_allowed");
    let told = |method: &str, route: &str, status| (method.to_owned(), route.to_owned(), status);
    let expected = [
        told("GET", "/v1/rides/{ride_id}", 404),
        told("GET", "unmatched", 404),
        told("POST", "/v1/rides/{ride_id}", 405),
    ];
    assert_eq!(server.answers.all(), expected);
}

#[actix_web::test]
async fn documents_and_the_page_come_from_the_server_itself() {
    let server = server().await;
    let version = server.get("/version").await.ok();
    assert_eq!(version, json!({"version": "0.1.0", "revision": "abc", "clock_speed": 1.0}));
    let document = server.get("/openapi.json").await.ok();
    assert!(document["paths"]["/v1/rides"]["post"]["responses"]["202"].is_object());
    let socket = server.get("/asyncapi.yaml").await;
    assert_eq!(socket.header("content-type"), "application/yaml");
    assert!(socket.text.contains("ride_updated"));
    let reference = "./schemas/ride-events.v1.json";
    assert!(socket.text.contains(reference));
    let schema = server.get(reference.trim_start_matches('.')).await.ok();
    assert_eq!(schema["properties"]["event_id"]["type"], "string");
    assert_eq!(server.get("/schemas/none.json").await.status, 404);
    let page = server.get("/docs").await;
    assert_eq!(page.status, 200);
    let script = server.get("/docs/swagger-initializer.js").await;
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
    for text in [&page.text, &script.text] {
        assert!(!text.contains("https://") && !text.contains("\"//"), "{text}");
    }
}

/// `UPDATE_OPENAPI=1` writes the file anew.
#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let made = muster_api::http::openapi_document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(made == kept, "openapi.json is out of date: run this test with UPDATE_OPENAPI=1");
}
