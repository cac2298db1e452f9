//! Brokers that die, hang and come back, and a group whose members change, under load.

use std::time::Instant;

use muster_services::Kafka;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::broker::{PATIENCE, Topics, client};
use crate::city::{all_rides, messages, request, serve, until_rides};

async fn load(topics: &Topics, rides: std::ops::Range<usize>) {
    for ride in rides {
        let (key, value) = (format!("ride-{ride}"), request(&format!("r-{ride}")));
        topics.send(&topics.rides(), &key, Some(value.as_bytes())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_or_hangs_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Kafka::start().unwrap();
    let topics = Topics::on(&broker, 2).await;
    let server = serve(folder.path(), &topics, &[]).await;
    let faults = async {
        until_rides(&server, 50).await;
        broker.kill().unwrap();
        let before = all_rides(&server).await.len();
        broker.restart().unwrap();
        until_rides(&server, (before + 50).min(400)).await;
        broker.pause().unwrap();
        // The server lives on without it.
        for _ in 0..20 {
            assert_eq!(server.get("/readyz").await.0, 200);
        }
        broker.resume().unwrap();
    };
    tokio::join!(faults, load(&topics, 0..400));
    let rides = until_rides(&server, 400).await;
    topics.until_committed(&topics.rides()).await;
    assert_eq!(rides.len(), 400);
    assert!(rides.values().all(|ride| ride["attempt"] == 1));
    assert_eq!(messages(&server, &topics.rides(), "dead_letter").await, 0.0);
    // A broker that hangs does not keep the server from ending.
    broker.pause().unwrap();
    let end = tokio::task::spawn_blocking(move || server.terminate());
    let end = tokio::time::timeout(PATIENCE, end).await.expect("the drain does not end");
    assert!(end.unwrap().success());
    broker.resume().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_given_away_and_come_back_lose_and_repeat_nothing() {
    let (folder, topics) = (tempfile::tempdir().unwrap(), Topics::shared().await);
    let server = serve(folder.path(), &topics, &[]).await;
    let mut config = client(&topics.bootstrap);
    config.set("group.id", topics.group()).set("enable.auto.commit", "false");
    let rides = topics.rides();
    let change = async {
        until_rides(&server, 30).await;
        // Another member takes partitions, does nothing with them, and leaves.
        let member = tokio::task::spawn_blocking(move || {
            let other: BaseConsumer = config.create().unwrap();
            other.subscribe(&[&rides]).unwrap();
            let began = Instant::now();
            while other.assignment().unwrap().count() == 0 {
                assert!(began.elapsed() < PATIENCE, "no partition was given away");
                drop(other.poll(std::time::Duration::from_millis(50)));
            }
        });
        member.await.unwrap();
    };
    tokio::join!(change, load(&topics, 0..300));
    assert_eq!(until_rides(&server, 300).await.len(), 300);
    topics.until_committed(&topics.rides()).await;
    assert_eq!(messages(&server, &topics.rides(), "dead_letter").await, 0.0);
}
