//! Drivers who come and go by a compacted topic.

use serde_json::{Value, json};

use crate::broker::Topics;
use crate::city::{profile, request, serve};
use crate::phone::Phone;
use crate::server::Server;

async fn is_gone(server: &Server, driver: &str) {
    server.until(&format!("/v1/drivers/{driver}"), |status, _| status == 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tombstone_removes_a_driver_who_is_free_and_one_on_a_ride_when_it_is_over() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let profiles = topics.profiles();
    let server = serve(folder.path(), &topics, &[]).await;
    let (mut busy, _) = Phone::online(&server, "d-busy", 40.7490).await;
    topics.send(&topics.rides(), "ride-1", Some(request("r-1").as_bytes())).await;
    let offer = busy.frame("offer").await["offer"]["offer_id"].clone();
    busy.say(json!({"type": "accept", "offer_id": offer})).await;
    busy.frame("assigned").await;
    let (_free, _) = Phone::online(&server, "d-free", 40.7491).await;
    for driver in ["d-free", "d-busy", "d-nobody"] {
        topics.send(&profiles, driver, None).await;
    }
    topics.until_committed(&profiles).await;
    is_gone(&server, "d-free").await;
    let (_, view) = server.get("/v1/drivers/d-busy").await;
    assert_eq!((&view["status"], &view["ride_id"]), (&json!("en_route"), &json!("ride-1")));
    server.kill();

    // The removal that waits for the ride's end outlives the process; so does the one that is done.
    let server = serve(folder.path(), &topics, &[]).await;
    is_gone(&server, "d-free").await;
    let on_ride = |_, view: &Value| view["ride_id"] == "ride-1";
    server.until("/v1/drivers/d-busy", on_ride).await;
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    for step in ["arrived", "start", "complete"] {
        let body = if step == "start" { json!({"otp": ride["otp"]}) } else { json!({}) };
        let (status, answer) = server.post(&format!("/v1/rides/ride-1/{step}"), body).await;
        assert_eq!(status, 200, "{step}: {answer}");
    }
    is_gone(&server, "d-busy").await;
    // He may come back as anyone may.
    topics.send(&profiles, "d-busy", Some(profile().as_bytes())).await;
    let view = server.until("/v1/drivers/d-busy", |status, _| status == 200).await;
    assert_eq!(view["status"], "offline");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_word_about_a_driver_holds() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let profiles = topics.profiles();
    for driver in 0..40 {
        let key = format!("d-{driver}");
        for plate in 0..5 {
            let body = json!({"market": "nyc", "service_tiers": ["standard"], "vehicle": {"plate": plate}});
            topics.send(&profiles, &key, Some(body.to_string().as_bytes())).await;
        }
        if driver % 2 == 0 {
            topics.send(&profiles, &key, None).await;
        }
    }
    let server = serve(folder.path(), &topics, &[]).await;
    topics.until_committed(&profiles).await;
    for driver in 0..40 {
        let (status, view) = server.get(&format!("/v1/drivers/d-{driver}")).await;
        assert_eq!(status, if driver % 2 == 0 { 404 } else { 200 }, "d-{driver}");
        assert!(status == 404 || view["vehicle"]["plate"] == 4, "{view}");
    }
    assert!(topics.read(&format!("{profiles}.dlq")).is_empty());
}
