//! Drivers: profile, work, positions, offers, who is near.

use serde_json::{Value, json};

use crate::server::{now_ms, profile, server};

#[actix_web::test]
async fn a_profile_is_shown_back_as_it_was_put() {
    let server = server().await;
    let put = server.put("/v1/drivers/d-1", profile()).await.ok();
    assert_eq!(put, server.get("/v1/drivers/d-1").await.ok());
    for (name, value) in profile().as_object().unwrap() {
        assert_eq!(&put[name], value, "{name}");
    }
    assert_eq!((&put["status"], &put["contact"]), (&json!("offline"), &json!("lost")));
    assert_eq!((&put["position"], &put["offers"]), (&json!(null), &json!([])));
    let smaller = json!({"market": "nyc", "service_tiers": ["xl", "xl"]});
    let put = server.put("/v1/drivers/d-1", smaller).await.ok();
    assert_eq!((&put["service_tiers"], &put["vehicle"]), (&json!(["xl"]), &json!({})));
}

#[actix_web::test]
async fn a_profile_out_of_bounds_is_refused_field_by_field() {
    let server = server().await;
    let body = json!({
        "market": "n y c", "service_tiers": [], "tags": ["a b"], "rating": 7.0,
        "blocked_until": "soon", "vehicle": {"text": "x".repeat(5_000)},
    });
    let refused = server.put("/v1/drivers/d-1", body).await.refused(422, "validation_failed");
    let pointers: Vec<_> =
        refused["errors"].as_array().unwrap().iter().map(|e| e["pointer"].clone()).collect();
    let expected =
        ["/market", "/service_tiers", "/tags/0", "/rating", "/blocked_until", "/vehicle"];
    assert_eq!(pointers, expected);

    let in_market = |market: &str, tier: &str| json!({"market": market, "service_tiers": [tier]});
    let put = async |body| server.put("/v1/drivers/d-1", body).await;
    put(in_market("oslo", "standard")).await.refused(422, "unknown_market");
    put(in_market("nyc", "boat")).await.refused(422, "unknown_service_tier");
    server.put("/v1/drivers/d%201", profile()).await.refused(400, "invalid_id");
    put(in_market("nyc", "standard")).await.ok();
    put(in_market("sf", "standard")).await.refused(409, "driver_in_other_market");
}

#[actix_web::test]
async fn preferences_that_dispatch_reads_are_checked_and_all_are_shown_back() {
    let server = server().await;
    let with = |likes: Value| json!({"market": "nyc", "service_tiers": ["standard"], "preferences": likes});
    let likes = json!({
        "airport": true, "categories": ["one_way", "rental"], "payment": ["cash"], "pets": true,
        "pickup_distance_m_max": 900, "trip_distance_m_max": 20_000, "trip_distance_m_min": 500,
    });
    let mut body = with(likes.clone());
    body["wallet"] = json!({"amount": 900, "currency": "USD"});
    body["scheduled_pickup_at"] = json!("2030-01-02T03:04:05.000Z");
    let put = server.put("/v1/drivers/d-1", body.clone()).await.ok();
    for name in ["preferences", "wallet", "scheduled_pickup_at"] {
        assert_eq!(put[name], body[name], "{name}");
    }
    let wrong = json!({
        "categories": "rental", "payment": [1], "pets": "yes", "pickup_distance_m_max": -1,
        "trip_distance_m_max": 1.5,
    });
    let mut body = with(wrong.clone());
    body["wallet"] = json!({"amount": 900, "currency": "usd"});
    body["scheduled_pickup_at"] = json!("soon");
    let refused = server.put("/v1/drivers/d-1", body).await.refused(422, "validation_failed");
    let mut pointers: Vec<_> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["pointer"].as_str().unwrap().to_owned())
        .collect();
    pointers.sort_unstable();
    let members = wrong.as_object().unwrap().keys().map(|name| format!("/preferences/{name}"));
    let mut expected: Vec<_> = members.collect();
    expected.extend(["/scheduled_pickup_at".to_owned(), "/wallet/currency".to_owned()]);
    expected.sort_unstable();
    assert_eq!(pointers, expected);
    let crossed = with(json!({"trip_distance_m_min": 2, "trip_distance_m_max": 1}));
    server.put("/v1/drivers/d-1", crossed).await.refused(422, "validation_failed");
}

#[actix_web::test]
async fn a_driver_who_does_not_suit_is_explained_with_the_reason() {
    let server = server().await;
    server.driver("d-1", 40.7490, -73.9857).await;
    let body = json!({
        "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
        "service_tiers": ["standard"], "attributes": {"vehicle.seats_min": "6"},
    });
    let ride = server.post("/v1/rides", body).await.ok();
    let path = format!("/v1/rides/{}/explain", ride["ride_id"].as_str().unwrap());
    let told = server.until(&path, |told| told["counts"]["vehicle_seats"].is_u64()).await;
    let candidate = &told["attempts"][0]["waves"][0]["candidates"][0];
    assert_eq!(
        (&candidate["driver_id"], &candidate["reason"]),
        (&json!("d-1"), &json!("vehicle_seats"))
    );
}

#[actix_web::test]
async fn each_fix_is_accepted_or_refused_with_its_index() {
    let server = server().await;
    server.put("/v1/drivers/d-1", profile()).await.ok();
    let now = now_ms();
    let points = json!({"points": [
        {"lat": 40.75, "lng": -73.98, "at": now - 2_000, "speed_mps": -1, "accuracy_m": 8},
        {"lat": 95.0, "lng": -73.98, "at": now - 1_000},
        {"lat": 40.75, "lng": -73.98, "at": now - 3_000},
        {"lat": 40.75, "lng": -73.98, "at": now + 60_000},
        {"lat": 40.7501, "lng": -73.98, "at": now - 500},
    ]});
    let told = server.post("/v1/drivers/d-1/positions", points).await.ok();
    assert_eq!(told["accepted"], 2, "{told}");
    let expected = json!([
        {"index": 1, "code": "out_of_range"},
        {"index": 2, "code": "out_of_order"},
        {"index": 3, "code": "in_future"},
    ]);
    assert_eq!(told["rejected"], expected);
    let outside = json!({"points": [{"lat": 10.0, "lng": 10.0, "at": now}]});
    let told = server.post("/v1/drivers/d-1/positions", outside).await.ok();
    assert_eq!(told["accepted"], 0);
    let many: Vec<_> = (0..101).map(|i| json!({"lat": 40.75, "lng": -73.98, "at": i})).collect();
    let many = server.post("/v1/drivers/d-1/positions", json!({"points": many})).await;
    assert_eq!(many.refused(422, "validation_failed")["errors"][0]["pointer"], "/points");
    let newest = server.get("/v1/drivers/d-1").await.ok();
    assert_eq!(newest["position"], json!({"lat": 40.7501, "lng": -73.98, "at": now - 500}));
}

#[actix_web::test]
async fn near_drivers_come_nearest_first_and_offline_ones_not_at_all() {
    let server = server().await;
    server.driver("far", 40.7550, -73.9857).await;
    server.driver("near", 40.7490, -73.9857).await;
    server.driver("gone", 40.7485, -73.9857).await;
    server.post("/v1/drivers/gone/status", json!({"status": "offline"})).await.ok();
    let near = "/v1/drivers/nearby?lat=40.7484&lng=-73.9857";
    let list = server.until(near, |l| l["drivers"].as_array().unwrap().len() == 2).await;
    let ids: Vec<_> = list["drivers"].as_array().unwrap().iter().map(|d| &d["driver_id"]).collect();
    assert_eq!(ids, ["near", "far"]);
    let first = &list["drivers"][0];
    let metres = first["distance_m"].as_f64().unwrap();
    assert!((60.0..75.0).contains(&metres), "{metres}");
    assert!(first["pickup_eta_s"].as_u64() > Some(0));
    let one = server.get(&format!("{near}&limit=1&service_tier=standard&radius_m=500")).await.ok();
    assert_eq!(one["drivers"].as_array().unwrap().len(), 1);
    assert_eq!(server.get(&format!("{near}&service_tier=xl")).await.ok()["drivers"], json!([]));

    let refused = async |query: &str| server.get(&format!("/v1/drivers/nearby?{query}")).await;
    refused("lat=40.7484&lng=-73.9857&service_tier=boat")
        .await
        .refused(422, "unknown_service_tier");
    refused("lat=0&lng=0").await.refused(422, "not_serviceable");
    for query in ["lat=40", "lat=95&lng=0", "lat=NaN&lng=0", "lat=40.7&lng=-73.9&radius_m=0"] {
        refused(query).await.refused(400, "invalid_query");
    }
}

#[actix_web::test]
async fn a_declined_offer_is_gone_and_an_accept_of_it_is_lost() {
    let server = server().await;
    server.driver("d-1", 40.7500, -73.9870).await;
    server.ride("r-1").await;
    let offer = server.offer("d-1").await;
    let path = format!("/v1/offers/{offer}");
    let long = json!({"reason": "x".repeat(300)});
    server.post(&format!("{path}/decline"), long).await.refused(422, "validation_failed");
    let view = server.post(&format!("{path}/decline"), json!({"reason": "too_far"})).await.ok();
    assert_eq!(view["offers"], json!([]));
    let late = server.tell(&format!("{path}/accept")).await;
    if late.status == 200 {
        assert_eq!((&late.json()["result"], &late.json()["ride"]), (&json!("lost"), &json!(null)));
    } else {
        late.refused(404, "unknown_offer");
    }
}

#[actix_web::test]
async fn a_cancelled_ride_takes_its_offers_back() {
    let server = server().await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    server.offer("d-1").await;
    server.post(&format!("/v1/rides/{ride}/cancel"), json!({"by": "rider"})).await.ok();
    server.until("/v1/drivers/d-1/offers", |list| list["offers"] == json!([])).await;
}

#[actix_web::test]
async fn a_driver_is_told_why_he_got_nothing_and_what_he_got() {
    let server = server().await;
    server.driver("d-1", 40.7490, -73.9860).await;
    let quiet = server.get("/v1/drivers/d-1/explain").await.ok();
    assert_eq!((&quiet["stages"], &quiet["complete"]), (&json!({}), &json!(true)));
    assert_eq!(quiet["now"]["reason"], json!(null));
    let pickup = json!({"lat": 40.7484, "lng": -73.9857});
    let blocked = json!({"rider_id": "r-1", "pickup": pickup, "blocked_driver_ids": ["d-1"]});
    server.post("/v1/rides", blocked).await.ok();
    // Two rides search beside each other; the first must have decided before the second asks.
    let path = "/v1/drivers/d-1/explain";
    server.until(path, |e| e["stages"] == json!({"nearby": 1})).await;
    let ride = json!({"rider_id": "r-2", "pickup": pickup});
    let ride = server.post("/v1/rides", ride).await.ok();
    // What was decided can be read a moment before the offer is with the driver.
    let offered = json!({"nearby": 1, "offered": 1});
    let told = server.until(path, |e| e["stages"] == offered && e["now"]["offers"] == 1).await;
    assert_eq!(told["reasons"], json!({"blocked_for_ride": 1}));
    assert_eq!(told["recent"][0]["ride_id"], ride["ride_id"], "newest first: {told}");
    assert_eq!(told["recent"][0]["stage"], "offered");
    assert_eq!(told["recent"][1]["reason"], "blocked_for_ride");
    assert_eq!(told["now"]["searching_nearby"], 2);
    server.post("/v1/drivers/d-1/status", json!({"status": "offline"})).await.ok();
    let gone = server.get(path).await.ok();
    assert_eq!(gone["now"]["reason"], "offline");
}

#[actix_web::test]
async fn an_explanation_of_nobody_or_of_no_time_is_refused() {
    let server = server().await;
    server.get("/v1/drivers/nobody/explain").await.refused(404, "unknown_driver");
    server.driver("d-1", 40.7490, -73.9860).await;
    for since_s in ["0", "86401", "soon"] {
        let path = format!("/v1/drivers/d-1/explain?since_s={since_s}");
        server.get(&path).await.refused(400, "invalid_query");
    }
}
