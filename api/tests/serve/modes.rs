//! Modes of dispatch over real sockets, with a real store.

use serde_json::{Value, json};

use crate::phone::Phone;
use crate::server::Server;

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
           "fare": {"amount": 1000, "currency": "USD"}})
}

fn usd(amount: u64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

#[tokio::test]
async fn a_phone_quotes_a_fare_and_the_quote_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("MUSTER__POLICY__MODE", "quotes")];
    let server = Server::start(folder.path(), &env).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    server.post("/v1/rides", request("ride-1")).await;
    let offer = phone.frame("offer").await["offer"].clone();
    assert_eq!((&offer["kind"], &offer["fare_min"]), (&json!("quote"), &usd(800)));
    let id = offer["offer_id"].as_str().unwrap();
    phone.say(json!({"type": "accept", "offer_id": id, "fare": usd(9_999)})).await;
    assert_eq!(phone.frame("error").await["code"], "fare_out_of_bounds");
    phone
        .say(json!({"type": "accept", "offer_id": id, "fare": {"amount": 1, "currency": "x"}}))
        .await;
    assert_eq!(phone.frame("error").await["code"], "invalid_frame");
    phone.say(json!({"type": "accept", "offer_id": id, "fare": usd(1_250)})).await;
    let quoted = phone.frame("accept_result").await;
    assert_eq!((&quoted["result"], &quoted["quote"]["fare"]), (&json!("quoted"), &usd(1_250)));
    assert!((server.metric("muster_quotes_received_total").await - 1.0).abs() < 0.1);
    drop(phone);
    server.kill();

    let server = Server::start(folder.path(), &env).await;
    let (_, list) = server.get("/v1/rides/ride-1/quotes").await;
    assert_eq!(
        (&list["quotes"][0]["quote_id"], &list["quotes"][0]["fare"]),
        (&json!(id), &usd(1_250))
    );
    let mut phone = Phone::connect(&server, "d-1", "").await;
    let welcome = phone.frame("welcome").await;
    assert_eq!(welcome["driver"]["status"], "reserved");
    phone.fix(40.7490, crate::phone::now_ms(&welcome)).await;
    let live = |_, view: &Value| view["contact"] == "live";
    server.until("/v1/drivers/d-1", live).await;
    let select = format!("/v1/rides/ride-1/quotes/{id}/select");
    let (status, ride) = server.post(&select, json!({})).await;
    assert_eq!((status, &ride["status"], &ride["fare"]), (200, &json!("assigned"), &usd(1_250)));
    let assigned = phone.frame("assigned").await;
    assert_eq!(assigned["ride"]["fare"], usd(1_250));
    assert!((server.metric("muster_quotes_ended_total").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_driver_who_opted_in_is_assigned_without_a_pop_up_while_his_phone_is_connected() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("MUSTER__POLICY__MODE", "instant")]).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    let (gone, _) = Phone::online(&server, "d-2", 40.7485).await;
    let profile = json!({"market": "nyc", "service_tiers": ["standard"],
        "preferences": {"instant_tiers": ["standard"]}});
    for driver in ["d-1", "d-2"] {
        assert_eq!(server.put(&format!("/v1/drivers/{driver}"), profile.clone()).await.0, 200);
    }
    drop(gone);
    let sockets = |_, body: &Value| body.as_str().unwrap().contains("muster_ws_sessions 1\n");
    server.until("/metrics", sockets).await;
    server.post("/v1/rides", request("ride-1")).await;
    let frame = loop {
        let frame = phone.next().await.unwrap();
        if frame["type"] == "offer" || frame["type"] == "assigned" {
            break frame;
        }
    };
    assert_eq!((&frame["type"], &frame["ride"]["ride_id"]), (&json!("assigned"), &json!("ride-1")));
    let (_, metrics) = server.get("/metrics").await;
    let text = metrics.as_str().unwrap();
    assert!(text.contains("muster_match_duration_seconds_count{mode=\"instant\"}"), "{text}");
    let excluded = |reason: &str| {
        let line = text.lines().find(|line| {
            line.starts_with("muster_candidates_excluded_total") && line.contains(reason)
        });
        line.is_some()
    };
    assert!(excluded("reason=\"no_session\""), "the nearer one was passed over, and counted");
    let (_, explain) = server.get("/v1/rides/ride-1/explain").await;
    assert!(explain.to_string().contains("\"no_session\""), "{explain}");
    assert!(server.metric("muster_invariant_violations_total").await.abs() < 0.1);
}
