//! A driver on a trip is promised the next ride, and riders go elsewhere.

use muster_api::http::HttpLimits;
use muster_engine::policy::DispatchPolicy;
use serde_json::{Value, json};

use crate::server::{Server, profile, server, server_with};

async fn forward_server() -> Server {
    let policy = DispatchPolicy {
        forward_wave_size: 1,
        accept_cooldown_ms: 0,
        search_retry_ms: 100,
        ..DispatchPolicy::default()
    };
    server_with(policy, HttpLimits::default()).await
}

fn elsewhere() -> Value {
    json!({"dropoff": {"lat": 40.7510, "lng": -73.9880}})
}

/// Driver d-1 on his trip to a place nearby; returns the path of that ride.
async fn on_trip(server: &Server) -> String {
    let ride = format!("/v1/rides/{}", server.assigned("d-1").await);
    server.post(&format!("{ride}/dropoff"), elsewhere()).await.ok();
    server.tell(&format!("{ride}/arrived")).await.ok();
    let otp = server.get(&ride).await.ok()["otp"].clone();
    server.post(&format!("{ride}/start"), json!({"otp": otp})).await.ok();
    server.until("/v1/drivers/d-1", |driver| driver["status"] == "on_trip").await;
    ride
}

/// The path of the ride that d-1 takes after it.
async fn next_ride(server: &Server) -> String {
    let ride = server.ride("r-2").await;
    let offer = server.offer("d-1").await;
    let offers = server.get("/v1/drivers/d-1/offers").await.ok();
    assert_eq!(offers["offers"][0]["forward"], true, "{offers}");
    let won = server.tell(&format!("/v1/offers/{offer}/accept")).await.ok();
    assert_eq!((&won["result"], &won["ride"]["forward"]), (&json!("won"), &json!(true)), "{won}");
    format!("/v1/rides/{}", ride["ride_id"].as_str().unwrap())
}

#[actix_web::test]
async fn a_driver_on_a_trip_takes_the_next_ride_and_drives_it_when_he_has_finished() {
    let server = forward_server().await;
    let present = on_trip(&server).await;
    let next = next_ride(&server).await;
    let driver = server.get("/v1/drivers/d-1").await.ok();
    assert_eq!(driver["status"], "on_trip");
    assert!(present.ends_with(driver["ride_id"].as_str().unwrap()));
    assert!(next.ends_with(driver["forward_ride_id"].as_str().unwrap()));
    let ride = server.get(&next).await.ok();
    assert_eq!((&ride["status"], &ride["forward"]), (&json!("assigned"), &json!(true)));
    server.tell(&format!("{next}/arrived")).await.refused(409, "ride_is_forward");
    let explained = server.get(&format!("{next}/explain")).await.ok();
    let waves = explained["attempts"][0]["waves"].as_array().unwrap();
    let candidate = &waves.last().unwrap()["candidates"][0];
    assert_eq!((&candidate["stage"], &candidate["forward"]), (&json!("offered"), &json!(true)));

    server.tell(&format!("{present}/complete")).await.ok();
    server.until(&next, |ride| ride["forward"] == false).await;
    let driver = server.until("/v1/drivers/d-1", |driver| driver["ride_id"] != Value::Null).await;
    assert!(next.ends_with(driver["ride_id"].as_str().unwrap()));
    let told = (&driver["status"], &driver["forward_ride_id"]);
    assert_eq!(told, (&json!("en_route"), &json!(null)));
    assert_eq!(server.tell(&format!("{next}/arrived")).await.ok()["status"], "arrived");
}

#[actix_web::test]
async fn a_drop_off_that_moves_too_far_gives_the_next_ride_back() {
    let server = forward_server().await;
    let present = on_trip(&server).await;
    let next = next_ride(&server).await;
    let far = json!({"dropoff": {"lat": 40.6413, "lng": -73.7781}});
    assert_eq!(
        server.post(&format!("{present}/dropoff"), far.clone()).await.ok()["dropoff"],
        far["dropoff"]
    );
    let ride = server.until(&next, |ride| ride["attempt"] == 2).await;
    assert_eq!((&ride["forward"], &ride["driver"]), (&json!(false), &json!(null)));
    let driver = server.until("/v1/drivers/d-1", |d| d["forward_ride_id"] == Value::Null).await;
    assert_eq!(driver["status"], "on_trip");
}

#[actix_web::test]
async fn a_driver_who_wants_no_offers_while_he_drives_is_not_asked() {
    let server = forward_server().await;
    on_trip(&server).await;
    let mut shy = profile();
    shy["preferences"] = json!({"forward": false});
    let shown = server.put("/v1/drivers/d-1", shy.clone()).await.ok();
    assert_eq!(shown["preferences"], json!({"forward": false}));
    let ride = server.ride("r-2").await["ride_id"].as_str().unwrap().to_owned();
    let reason = |explained: &Value| explained["counts"]["forward_unwanted"] == 1;
    server.until(&format!("/v1/rides/{ride}/explain"), reason).await;
    shy["preferences"] = json!({"forward": "no"});
    let refused = server.put("/v1/drivers/d-1", shy).await.refused(422, "validation_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/preferences/forward");
}

#[actix_web::test]
async fn a_rider_goes_elsewhere_while_drivers_are_asked() {
    let server = server().await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let first = server.offer("d-1").await;
    let path = format!("/v1/rides/{ride}/dropoff");
    let changed = server.post(&path, elsewhere()).await.ok();
    assert_eq!(
        (&changed["status"], &changed["dropoff"]),
        (&json!("searching"), &elsewhere()["dropoff"])
    );
    let offers = server
        .until("/v1/drivers/d-1/offers", |list| {
            let newest = &list["offers"][0]["offer_id"];
            newest.is_string() && *newest != first
        })
        .await;
    assert_eq!(offers["offers"][0]["dropoff"], elsewhere()["dropoff"]);
    let lost = server.tell(&format!("/v1/offers/{first}/accept")).await.ok();
    assert_eq!((&lost["result"], &lost["reason"]), (&json!("lost"), &json!("superseded")));
}

#[actix_web::test]
async fn a_drop_off_that_cannot_be_taken_says_why() {
    let server = server().await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/rides/{ride}/dropoff");
    let nowhere = server.post(&path, json!({"dropoff": {"lat": 95, "lng": 0}})).await;
    let nowhere = nowhere.refused(422, "validation_failed");
    assert_eq!(nowhere["errors"][0]["pointer"], "/dropoff/lat");
    server.post(&path, json!({})).await.refused(400, "invalid_body");
    server.post(&path, json!({"dropoff": null})).await.refused(400, "invalid_body");
    server.post("/v1/rides/r-none/dropoff", elsewhere()).await.refused(404, "unknown_ride");
    let cancel = json!({"by": "rider"});
    server.post(&format!("/v1/rides/{ride}/cancel"), cancel).await.ok();
    server.post(&path, elsewhere()).await.refused(409, "ride_already_cancelled");
}
