//! Rides from request to completion, in the order of their life.

use serde_json::json;

use crate::server::server;

#[actix_web::test]
async fn a_ride_is_taken_offered_accepted_driven_and_completed() {
    let server = server().await;
    server.driver("d-1", 40.7500, -73.9870).await;
    let body = json!({
        "rider_id": "r-1", "market": "nyc", "pickup": {"lat": 40.7484, "lng": -73.9857},
        "dropoff": {"lat": 40.6413, "lng": -73.7781}, "service_tiers": ["standard"],
        "fare": {"amount": 3250, "currency": "USD"}, "attributes": {"payment": "cash"},
    });
    let taken = server.post("/v1/rides", body).await;
    assert_eq!(taken.status, 202);
    let ride = taken.ok();
    let path = format!("/v1/rides/{}", ride["ride_id"].as_str().unwrap());
    assert_eq!(taken.header("location"), path);
    assert_eq!(ride["status"], "searching");
    assert_eq!((&ride["driver"], &ride["otp"]), (&json!(null), &json!(null)));
    assert_eq!(ride["fare"], json!({"amount": 3250, "currency": "USD"}));

    let offer = server.offer("d-1").await;
    let offers = server.get("/v1/drivers/d-1/offers").await.ok();
    assert_eq!(offers["offers"][0]["ride_id"], ride["ride_id"]);
    assert_eq!(offers["offers"][0]["forward"], false);
    assert_eq!(server.get(&path).await.ok()["offers"]["live"], 1);
    let won = server.tell(&format!("/v1/offers/{offer}/accept")).await.ok();
    assert_eq!((&won["result"], &won["reason"]), (&json!("won"), &json!(null)));
    assert_eq!(won["ride"]["otp"], json!(null), "the driver learns it from the rider");

    let ride = server.get(&path).await.ok();
    assert_eq!(ride["status"], "assigned");
    assert_eq!(ride["driver"]["driver_id"], "d-1");
    assert_eq!(ride["driver"]["vehicle"]["plate"], "T123456C");
    assert_eq!(ride["driver"]["position"]["lat"], 40.75);
    assert!(ride["pickup_eta_s"].as_u64().unwrap() > 0);
    let otp = ride["otp"].as_str().unwrap().to_owned();
    let wrong = if otp == "0000" { "0001" } else { "0000" };

    let start = format!("{path}/start");
    server.post(&start, json!({"otp": otp})).await.refused(409, "driver_not_arrived");
    assert_eq!(server.tell(&format!("{path}/arrived")).await.ok()["status"], "arrived");
    server.post(&start, json!({"otp": wrong})).await.refused(409, "otp_mismatch");
    server.tell(&start).await.refused(409, "otp_mismatch");
    server.tell(&format!("{path}/complete")).await.refused(409, "ride_not_started");
    assert_eq!(server.post(&start, json!({"otp": otp})).await.ok()["status"], "in_progress");
    let driver = server.get("/v1/drivers/d-1").await.ok();
    assert_eq!((&driver["status"], &driver["ride_id"]), (&json!("on_trip"), &ride["ride_id"]));
    assert_eq!(server.tell(&format!("{path}/complete")).await.ok()["status"], "completed");

    let over = server.get(&path).await.ok();
    assert_eq!(over["driver"]["driver_id"], "d-1");
    assert_eq!(over["driver"]["position"], json!(null));
    for instant in ["requested_at", "assigned_at", "arrived_at", "started_at", "completed_at"] {
        let text = over[instant].as_str().unwrap();
        assert!(text.len() == 24 && text.ends_with('Z'), "{instant}: {text}");
    }
    let cancel = json!({"by": "rider", "reason": "late"});
    let refused = server.post(&format!("{path}/cancel"), cancel).await;
    refused.refused(409, "ride_already_completed");
    server.until("/v1/drivers/d-1", |driver| driver["status"] == "available").await;
}

#[actix_web::test]
async fn a_cancelled_ride_stays_cancelled_and_says_by_whom() {
    let server = server().await;
    let ride = server.ride("r-1").await;
    let path = format!("/v1/rides/{}", ride["ride_id"].as_str().unwrap());
    let body = json!({"by": "operator", "reason": "flood"});
    let first = server.post(&format!("{path}/cancel"), body).await.ok();
    assert_eq!(first["status"], "cancelled");
    assert_eq!((&first["cancelled_by"], &first["reason"]), (&json!("operator"), &json!("flood")));
    let again = server.post(&format!("{path}/cancel"), json!({"by": "rider"})).await.ok();
    assert_eq!(again, first);
    server.tell(&format!("{path}/retry")).await.refused(409, "ride_already_cancelled");
    server.tell(&format!("{path}/arrived")).await.refused(409, "ride_already_cancelled");
}

#[actix_web::test]
async fn a_retry_begins_a_new_attempt_with_new_terms() {
    let server = server().await;
    let ride = server.ride("r-1").await;
    let path = format!("/v1/rides/{}/retry", ride["ride_id"].as_str().unwrap());
    let terms = json!({"tip": {"amount": 500, "currency": "USD"}, "service_tiers": ["xl"]});
    let second = server.post(&path, terms).await.ok();
    assert_eq!(second["attempt"], 2);
    assert_eq!(second["service_tiers"], json!(["xl"]));
    assert_eq!(second["tip"]["amount"], 500);
    let boat = server.post(&path, json!({"service_tiers": ["boat"]})).await;
    boat.refused(422, "unknown_service_tier");
    server.post(&path, json!({"service_tiers": []})).await.refused(422, "validation_failed");
}

#[actix_web::test]
async fn a_driver_who_gives_a_ride_back_is_not_asked_again() {
    let server = server().await;
    let ride = server.assigned("d-1").await;
    let path = format!("/v1/rides/{ride}/driver-cancel");
    let back = server.post(&path, json!({"reason": "flat_tyre"})).await.ok();
    assert_eq!((&back["status"], &back["attempt"]), (&json!("searching"), &json!(2)));
    server.driver("d-2", 40.7510, -73.9870).await;
    server.offer("d-2").await;
    let first = server.get("/v1/drivers/d-1").await.ok();
    assert_eq!((&first["status"], &first["offers"]), (&json!("available"), &json!([])));
    assert_eq!(server.get(&format!("/v1/rides/{ride}")).await.ok()["driver"], json!(null));
}

#[actix_web::test]
async fn a_ride_asked_for_ahead_waits_for_its_time() {
    let server = server().await;
    let ahead = "2099-01-01T10:00:00Z";
    let body = |at: &str| json!({"rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857}, "pickup_at": at});
    let refused = server.post("/v1/rides", body(ahead)).await;
    assert_eq!(refused.refused(422, "validation_failed")["errors"][0]["pointer"], "/pickup_at");
    let in_a_day = muster_api::wire::rfc3339(muster_engine::time::Timestamp::from_millis(
        crate::server::now_ms() + 86_400_000,
    ));
    let ride = server.post("/v1/rides", body(&in_a_day)).await.ok();
    assert_eq!((&ride["status"], &ride["pickup_at"]), (&json!("scheduled"), &json!(in_a_day)));
}

#[actix_web::test]
async fn rides_are_listed_newest_first_in_pages() {
    let server = server().await;
    let mut asked = Vec::new();
    for rider in ["r-1", "r-2", "r-3", "r-4", "r-5"] {
        asked.push(server.ride(rider).await["ride_id"].clone());
    }
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/rides?limit=2&market=nyc{cursor}")).await.ok();
        let rides = page["rides"].as_array().unwrap();
        assert!(rides.len() <= 2);
        listed.extend(
            rides.iter().map(|ride| (ride["requested_at"].clone(), ride["ride_id"].clone())),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let times: Vec<&str> = listed.iter().map(|(at, _)| at.as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let mut ids: Vec<_> = listed.iter().map(|(_, id)| id.to_string()).collect();
    let mut all: Vec<_> = asked.iter().map(ToString::to_string).collect();
    ids.sort();
    all.sort();
    assert_eq!(ids, all);
    assert_eq!(server.get("/v1/rides?status=completed").await.ok()["rides"], json!([]));
    assert_eq!(server.get("/v1/rides?market=sf").await.ok()["rides"], json!([]));
    for query in ["limit=0", "limit=201", "limit=x", "status=lost", "cursor=x", "color=red"] {
        let refused = server.get(&format!("/v1/rides?{query}")).await;
        let name = query.split('=').next().unwrap();
        let pointer = refused.refused(400, "invalid_query")["errors"][0]["pointer"].clone();
        assert_eq!(pointer, format!("?{name}"));
    }
}

#[actix_web::test]
async fn explain_names_every_driver_considered() {
    let server = server().await;
    server.driver("near", 40.7490, -73.9860).await;
    server.driver("tired", 40.7495, -73.9862).await;
    let blocked = json!({
        "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
        "blocked_driver_ids": ["tired"],
    });
    let ride = server.post("/v1/rides", blocked).await.ok();
    let path = format!("/v1/rides/{}/explain", ride["ride_id"].as_str().unwrap());
    let explained = server.until(&path, |e| !e["attempts"].as_array().unwrap().is_empty()).await;
    assert_eq!(explained["policy"]["mode"], "broadcast");
    assert_eq!(explained["counts"], json!({"blocked_for_ride": 1}));
    let wave = &explained["attempts"][0]["waves"][0];
    assert_eq!((&wave["wave"], &wave["radius_m"]), (&json!(1), &json!(1_000)));
    let (offered, excluded) = (&wave["candidates"][0], &wave["candidates"][1]);
    assert_eq!((&offered["driver_id"], &offered["stage"]), (&json!("near"), &json!("offered")));
    assert_eq!((&excluded["driver_id"], &excluded["stage"]), (&json!("tired"), &json!("nearby")));
    assert_eq!(excluded["reason"], "blocked_for_ride");
    assert!(excluded["distance_m"].as_f64() > offered["distance_m"].as_f64());
    assert!(excluded["pickup_eta_s"].as_u64() > Some(0));
}

#[actix_web::test]
async fn explain_tells_who_others_were_preferred_to() {
    let server = server().await;
    for (name, lat) in [("a", 40.7485), ("b", 40.7486), ("c", 40.7487), ("liked", 40.7500)] {
        server.driver(name, lat, -73.9857).await;
    }
    let favourite = json!({
        "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
        "favourite_driver_ids": ["liked"],
    });
    let ride = server.post("/v1/rides", favourite).await.ok();
    let path = format!("/v1/rides/{}/explain", ride["ride_id"].as_str().unwrap());
    let explained = server.until(&path, |e| !e["attempts"].as_array().unwrap().is_empty()).await;
    let candidates = explained["attempts"][0]["waves"][0]["candidates"].as_array().unwrap();
    let told: Vec<_> = candidates
        .iter()
        .map(|c| ["driver_id", "stage", "group"].map(|key| c[key].as_str().unwrap()))
        .collect();
    let expected = [
        ["liked", "offered", "favourite"],
        ["a", "offered", "other"],
        ["b", "offered", "other"],
        ["c", "ranked", "other"],
    ];
    assert_eq!(told, expected);
}
