//! A server that cannot keep up: topics are paused, nothing is lost, nothing grows.

use std::process::Command;

use crate::broker::Topics;
use crate::city::{messages, request, serve, until_metric, until_rides};
use crate::server::Server;

fn file_size_limit(server: &Server, limit: &str) {
    let pid = format!("--pid={}", server.pid());
    let set = Command::new("prlimit").args([&pid, &format!("--fsize={limit}")]).status().unwrap();
    assert!(set.success());
}

/// Fills the disk behind a first ride and has so many more asked for, until their topic is paused. Names
/// the metric that says so.
async fn pause_full(server: &Server, topics: &Topics, many: usize) -> String {
    let rides = topics.rides();
    topics.send(&rides, "ride-first", Some(request("r").as_bytes())).await;
    until_rides(server, 1).await;
    // A file size limit stands in for a full disk.
    file_size_limit(server, "1000:unlimited");
    for ride in 0..many {
        let (key, value) = (format!("ride-{ride}"), request(&format!("r-{ride}")));
        topics.send(&rides, &key, Some(value.as_bytes())).await;
    }
    let paused = format!(r#"muster_kafka_paused{{topic="{rides}"}}"#);
    until_metric(server, &paused, |paused| paused == 1.0).await;
    paused
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_full_pauses_the_topic_and_makes_no_dead_letters() {
    const RIDES: usize = 200;
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let rides = topics.rides();
    let bounds = [("IN_FLIGHT_MAX", "8"), ("RETRY_MS_MIN", "10"), ("RETRY_MS_MAX", "100")];
    let server = serve(folder.path(), &topics, &bounds).await;
    let paused = pause_full(&server, &topics, RIDES).await;
    let retried = messages(&server, &rides, "retried").await;
    let in_flight = format!(r#"muster_kafka_in_flight{{topic="{rides}"}}"#);
    // It tries on, again and again, with what it has and no more.
    let name = format!(r#"muster_kafka_messages_total{{topic="{rides}",outcome="retried"}}"#);
    until_metric(&server, &name, |now| now > retried + 50.0).await;
    // The group may share its partitions out once more meanwhile.
    until_metric(&server, &in_flight, |in_flight| in_flight == 8.0).await;
    until_metric(&server, &paused, |paused| paused == 1.0).await;
    let (status, _) = server.get("/v1/rides/ride-first").await;
    assert_eq!(status, 200, "what was told can still be read");

    file_size_limit(&server, "unlimited");
    assert_eq!(until_rides(&server, RIDES + 1).await.len(), RIDES + 1);
    topics.until_committed(&rides).await;
    until_metric(&server, &paused, |paused| paused == 0.0).await;
    assert!(topics.read(&format!("{rides}.dlq")).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_given_away_and_comes_back_while_it_is_paused_is_read_on() {
    const RIDES: usize = 40;
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let rides = topics.rides();
    let bounds = [("IN_FLIGHT_MAX", "8"), ("RETRY_MS_MAX", "100"), ("SETTLE_MS", "100")];
    let server = serve(folder.path(), &topics, &bounds).await;
    pause_full(&server, &topics, RIDES).await;
    // Another member gets some of the partitions, and leaves.
    topics.share(&rides).await;
    file_size_limit(&server, "unlimited");
    assert_eq!(until_rides(&server, RIDES + 1).await.len(), RIDES + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_that_are_not_taken_hold_their_offsets_and_are_written_later() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let rides = topics.rides();
    let missing = format!("{rides}-later");
    let mut env = topics.env();
    let suffix = "-later.dlq".to_owned();
    env.push(("MUSTER__KAFKA__TOPICS__DLQ_SUFFIX".to_owned(), suffix));
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let server = Server::start(folder.path(), &env).await;
    topics.send(&rides, "ride-1", Some(b"no json")).await;
    topics.send(&rides, "ride-2", Some(request("r").as_bytes())).await;
    // Other keys go on; the partition's offset does not pass the letter.
    until_rides(&server, 1).await;
    assert!(topics.uncommitted(&rides) >= 1);
    assert_eq!(messages(&server, &rides, "dead_letter").await, 0.0);
    topics.make(&format!("{missing}.dlq"), 1).await;
    topics.until_committed(&rides).await;
    assert_eq!(topics.read(&format!("{missing}.dlq")).len(), 1);
}
