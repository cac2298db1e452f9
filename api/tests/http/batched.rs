//! Batched mode over HTTP: a ride is matched by a window, and people can see by which.

use muster_api::http::HttpLimits;
use muster_engine::policy::{DispatchMode, DispatchPolicy, MatchAccept};
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

#[actix_web::test]
async fn a_match_offered_to_several_goes_to_the_best_who_accepts_and_the_other_loss_is_counted() {
    let policy = DispatchPolicy {
        match_offers_parallel: 2,
        match_accept: MatchAccept::BestOfAcceptors,
        match_collect_ms: 30_000,
        ..batched()
    };
    let server = server_with(policy, HttpLimits::default()).await;
    server.driver("d-1", 40.7500, -73.9857).await;
    server.driver("d-2", 40.7560, -73.9857).await;
    let ride = ride(&server, 40.7495).await;
    let (near, far) = (server.offer("d-1").await, server.offer("d-2").await);
    let (near, far) = (format!("/v1/offers/{near}/accept"), format!("/v1/offers/{far}/accept"));
    // The farther one is not answered before the nearer one has: the two calls end together.
    let farther = server.post(&far, json!({}));
    let nearer = async {
        server.until("/v1/drivers/d-2", |driver| driver["status"] == json!("reserved")).await;
        server.post(&near, json!({})).await.ok()
    };
    let (lost, won) = futures_util::future::join(farther, nearer).await;
    assert_eq!((&lost.ok()["result"], &won["result"]), (&json!("lost"), &json!("won")));
    let explained = server.get(&format!("/v1/rides/{ride}/explain")).await.ok();
    let candidates = explained["attempts"][0]["waves"][0]["candidates"].as_array().unwrap();
    let costs: Vec<i64> = candidates.iter().filter_map(|c| c["cost_ms"].as_i64()).collect();
    assert!(costs.len() == 2 && costs[0] < costs[1], "{candidates:?}");
    let of_driver = server.get("/v1/drivers/d-2/explain").await.ok();
    assert_eq!(of_driver["now"]["acceptances_lost"], json!(1));
}
