//! A ride from its request in a topic to its driver, and what a repeat does.

use serde_json::{Value, json};

use crate::broker::Topics;
use crate::city::{messages, metric, profile, request, serve, tracked, until_metric, until_rides};
use crate::phone::Phone;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_a_topic_becomes_an_offer_and_an_assignment() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let server = serve(folder.path(), &topics, &[]).await;
    topics.kcat(&topics.profiles(), "d-1", &profile(), &[]);
    server.until("/v1/drivers/d-1", |status, _| status == 200).await;
    let mut phone = Phone::connect(&server, "d-1", "").await;
    phone.frame("welcome").await;
    phone.say(json!({"type": "status", "status": "online"})).await;
    topics.kcat(&topics.locations(), "d-1", &tracked(40.7490), &[]);
    let ready = |_, view: &Value| view["status"] == "available" && view["contact"] == "live";
    let view = server.until("/v1/drivers/d-1", ready).await;
    assert_eq!(view["position"]["speed_mps"], 3.5);

    let headers = ["correlation_id=c-1", "schema=ride-request/1"];
    topics.kcat(&topics.rides(), "ride-1", &request("r-1"), &headers);
    let offer = phone.frame("offer").await["offer"].clone();
    assert_eq!(offer["ride_id"], "ride-1");
    phone.say(json!({"type": "accept", "offer_id": offer["offer_id"]})).await;
    assert_eq!(phone.frame("assigned").await["ride"]["ride_id"], "ride-1");

    let cancel = json!({"cancel": {"by": "rider", "reason": "late"}}).to_string();
    topics.kcat(&topics.rides(), "ride-1", &cancel, &[]);
    assert_eq!(phone.frame("ride_cancelled").await["reason"], "late");
    for topic in [topics.rides(), topics.profiles(), topics.locations()] {
        topics.until_committed(&topic).await;
        let lag = format!(r#"muster_kafka_consumer_lag{{topic="{topic}"}}"#);
        until_metric(&server, &lag, |lag| lag == 0.0).await;
    }
    let applied = metric(&server, r#"muster_position_fixes_total{outcome="applied"}"#).await;
    assert_eq!(applied, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_has_no_second_effect_and_a_finished_ride_may_be_cancelled_again() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let server = serve(folder.path(), &topics, &[]).await;
    let rides = topics.rides();
    for _ in 0..3 {
        topics.send(&rides, "ride-1", Some(request("r-1").as_bytes())).await;
    }
    // The same request over HTTP, and then once more by Kafka: the ride is the same.
    let body = json!({"ride_id": "ride-2", "rider_id": "r-2", "pickup": {"lat": 40.7484, "lng": -73.9857}});
    server.post("/v1/rides", body.clone()).await;
    topics.send(&rides, "ride-2", Some(body.to_string().as_bytes())).await;
    let cancel = json!({"ride_id": "ride-1", "cancel": {"by": "operator"}}).to_string();
    for _ in 0..2 {
        topics.send(&rides, "ride-1", Some(cancel.as_bytes())).await;
    }
    topics.until_committed(&rides).await;
    assert_eq!(until_rides(&server, 2).await.len(), 2);
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!((&ride["status"], &ride["cancelled_by"]), (&json!("cancelled"), &json!("operator")));
    assert_eq!(messages(&server, &rides, "repeated").await, 3.0);
    assert_eq!(messages(&server, &rides, "dead_letter").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_effect_and_commit_nothing_is_lost_and_nothing_is_done_twice() {
    const RIDES: usize = 400;
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let rides = topics.rides();
    // No offset is committed before the first kill.
    let server = serve(folder.path(), &topics, &[("COMMIT_MS", "60000")]).await;
    let load = async {
        for ride in 0..RIDES {
            let (key, value) = (format!("ride-{ride}"), request(&format!("r-{ride}")));
            topics.send(&rides, &key, Some(value.as_bytes())).await;
        }
    };
    let kill = async {
        let seen = until_rides(&server, RIDES / 8).await;
        server.kill();
        seen
    };
    let (seen, ()) = tokio::join!(kill, load);
    assert_eq!(topics.uncommitted(&rides), RIDES as i64);

    let server = serve(folder.path(), &topics, &[]).await;
    let found = until_rides(&server, RIDES).await;
    topics.until_committed(&rides).await;
    let found_again = until_rides(&server, RIDES).await;
    assert_eq!((found.len(), found_again.len()), (RIDES, RIDES));
    for (id, before) in &seen {
        assert_eq!(found[id]["requested_at"], before["requested_at"], "{id} was requested again");
        assert_eq!(found[id]["attempt"], 1);
    }
    let repeated = messages(&server, &rides, "repeated").await;
    let taken = messages(&server, &rides, "taken").await;
    assert!(repeated >= seen.len() as f64, "{repeated} repeats, {} were seen", seen.len());
    assert_eq!(repeated + taken, RIDES as f64);
    assert!(topics.read(&format!("{rides}.dlq")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_commits_what_is_done_and_the_next_process_takes_nothing_again() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let rides = topics.rides();
    let server = serve(folder.path(), &topics, &[("COMMIT_MS", "60000")]).await;
    for ride in 0..20 {
        topics.send(&rides, &format!("ride-{ride}"), Some(request("r").as_bytes())).await;
    }
    until_rides(&server, 20).await;
    let end = tokio::task::spawn_blocking(move || server.terminate());
    assert!(end.await.unwrap().success());
    assert_eq!(topics.uncommitted(&rides), 0);

    let server = serve(folder.path(), &topics, &[]).await;
    topics.send(&rides, "ride-20", Some(request("r").as_bytes())).await;
    until_rides(&server, 21).await;
    topics.until_committed(&rides).await;
    assert_eq!(messages(&server, &rides, "taken").await, 1.0);
    assert_eq!(messages(&server, &rides, "repeated").await, 0.0);
}
