//! Drivers who are slow to come, and drivers who stand by for them, over real sockets.

use serde_json::{Value, json};

use crate::phone::{Phone, now_ms};
use crate::server::Server;

/// Some 2.2 km from the pickup.
const FAR: f64 = 40.7684;

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}})
}

/// The ride `ride-1` is this phone's.
async fn take(server: &Server, phone: &mut Phone) {
    server.post("/v1/rides", request("ride-1")).await;
    let offer = phone.frame("offer").await["offer"].clone();
    assert_eq!(offer["kind"], "ride");
    phone.say(json!({"type": "accept", "offer_id": offer["offer_id"]})).await;
    phone.frame("assigned").await;
}

#[tokio::test]
async fn a_standby_outlives_a_kill_and_has_the_ride_when_its_driver_cancels() {
    let folder = tempfile::tempdir().unwrap();
    let env = [
        ("MUSTER__POLICY__STANDBY_CHECK_MS", "1000"),
        ("MUSTER__POLICY__STANDBY_ABORT_RADIUS_M", "200"),
    ];
    let server = Server::start(folder.path(), &env).await;
    let (mut far, _) = Phone::online(&server, "d-1", FAR).await;
    take(&server, &mut far).await;
    let (mut near, _) = Phone::online(&server, "d-2", 40.7490).await;
    let offer = near.frame("offer").await["offer"].clone();
    assert_eq!((&offer["kind"], &offer["standing_by"]), (&json!("standby"), &json!(false)));
    near.say(json!({"type": "accept", "offer_id": offer["offer_id"]})).await;
    let told = near.frame("accept_result").await;
    assert_eq!(told["result"], "standby");
    assert!(told["standby_until"].is_string(), "{told}");
    assert!((server.metric("muster_standbys_total").await - 1.0).abs() < 0.1);
    server.kill();

    let server = Server::start(folder.path(), &env).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(
        (&ride["status"], &ride["driver"]["driver_id"], &ride["offers"]["live"]),
        (&json!("assigned"), &json!("d-1"), &json!(0))
    );
    let mut near = Phone::connect(&server, "d-2", "").await;
    let welcome = near.frame("welcome").await;
    let driver = &welcome["driver"];
    assert_eq!(
        (&driver["status"], &driver["standby_ride_id"], &driver["offers"][0]["standing_by"]),
        (&json!("reserved"), &json!("ride-1"), &json!(true))
    );
    near.fix(40.7490, now_ms(&welcome)).await;
    server.until("/v1/drivers/d-2", |_, view| view["contact"] == "live").await;
    let (status, _) =
        server.post("/v1/rides/ride-1/driver-cancel", json!({"reason": "flat"})).await;
    assert_eq!(status, 200);
    assert_eq!(near.frame("assigned").await["ride"]["ride_id"], "ride-1");
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(ride["driver"]["driver_id"], "d-2");
    let (_, explain) = server.get("/v1/rides/ride-1/explain").await;
    let attempt = &explain["attempts"][1];
    assert_eq!(attempt["policy"]["attempt"], "better_driver_search", "{explain}");
    assert_eq!(attempt["waves"][0]["candidates"][0]["driver_id"], "d-2", "{explain}");
    assert!((server.metric("muster_invariant_violations_total").await).abs() < 0.1);
}

#[tokio::test]
async fn a_driver_who_arrives_releases_the_standby_who_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let env = [("MUSTER__POLICY__STANDBY_CHECK_MS", "1000")];
    let server = Server::start(folder.path(), &env).await;
    let (mut far, _) = Phone::online(&server, "d-1", FAR).await;
    take(&server, &mut far).await;
    let (mut near, _) = Phone::online(&server, "d-2", 40.7490).await;
    let offer = near.frame("offer").await["offer"]["offer_id"].clone();
    near.say(json!({"type": "accept", "offer_id": offer})).await;
    assert_eq!(near.frame("accept_result").await["result"], "standby");
    far.say(json!({"type": "arrived", "ride_id": "ride-1"})).await;
    let told = near.frame("offer_withdrawn").await;
    assert_eq!((&told["offer_id"], &told["reason"]), (&offer, &json!("standby_released")));
    let free = |_, view: &Value| view["status"] == "available" && view["offers"] == json!([]);
    server.until("/v1/drivers/d-2", free).await;
}

#[tokio::test]
async fn a_driver_who_does_not_come_nearer_is_nudged_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let env =
        [("MUSTER__POLICY__PICKUP_CHECK_MS", "1000"), ("MUSTER__POLICY__PICKUP_STALL_CHECKS", "1")];
    let server = Server::start(folder.path(), &env).await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7530).await;
    take(&server, &mut phone).await;
    let nudge = phone.frame("nudge").await;
    assert_eq!((&nudge["ride_id"], &nudge["reason"]), (&json!("ride-1"), &json!("pickup_stalled")));
    assert!(nudge["seq"].is_u64(), "it is kept until it is acknowledged: {nudge}");
    assert!((server.metric("muster_pickup_nudges_total").await - 1.0).abs() < 0.1);
}
