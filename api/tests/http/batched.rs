//! Batched mode over HTTP: a ride is matched by a window, and people can see by which.

use muster_api::http::HttpLimits;
use muster_engine::policy::{DispatchMode, DispatchPolicy};
use serde_json::{Value, json};

use crate::server::{Server, server_with};

fn batched() -> DispatchPolicy {
    DispatchPolicy {
        mode: DispatchMode::Batched,
        batch_window_ms: 200,
        batch_window_ms_min: 200,
        ..DispatchPolicy::default()
    }
}

async fn ride(server: &Server, lat: f64) -> String {
    let body = json!({"rider_id": "r-1", "pickup": {"lat": lat, "lng": -73.9857}});
    let ride = server.post("/v1/rides", body).await.ok();
    ride["ride_id"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn two_rides_of_a_window_are_offered_to_the_drivers_they_are_matched_with() {
    let server = server_with(batched(), HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9857).await;
    server.driver("d-2", 40.7600, -73.9857).await;
    let far = ride(&server, 40.7590).await;
    let near = ride(&server, 40.7495).await;
    let (one, other) = (server.offer("d-1").await, server.offer("d-2").await);
    assert_ne!(one, other);
    for offer in [&one, &other] {
        let answer = server.post(&format!("/v1/offers/{offer}/accept"), json!({})).await.ok();
        assert_eq!(answer["result"], json!("won"));
    }
    for (ride, driver) in [(&near, "d-1"), (&far, "d-2")] {
        let view = server.get(&format!("/v1/rides/{ride}")).await.ok();
        assert_eq!(view["driver"]["driver_id"], json!(driver));
        let explained = server.get(&format!("/v1/rides/{ride}/explain")).await.ok();
        assert_eq!(explained["policy"]["mode"], json!("batched"));
        let window: &Value = &explained["attempts"][0]["waves"][0]["window"];
        assert!(window["requests"].as_u64() >= Some(1) && window["optimal"] == json!(true));
        assert_eq!(window["gap_ms"], json!(0));
        assert!(window["cost"]["pickup_eta_ms"].as_i64() > Some(0));
    }
}
