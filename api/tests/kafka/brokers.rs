//! Brokers that die, hang and come back, or do not know a topic.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use muster_services::Kafka;
use serde_json::json;

use crate::bridge::{Bridge, PATIENCE, drain, shared_broker};
use crate::checker::{compare, history};
use crate::city::City;
use crate::server::Server;

async fn requested(server: &Server, rides: f64) {
    let began = Instant::now();
    while server.metric("muster_rides_requested_total").await < rides {
        assert!(began.elapsed() < PATIENCE, "dispatch cares for the broker");
    }
}

/// Waits until all is published.
async fn told(server: &Server) {
    let began = Instant::now();
    while server.metric("muster_outbox_lag_seconds").await > 0.0 {
        assert!(began.elapsed() < PATIENCE, "the relay does not come back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_or_hangs_costs_delay_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut kafka = Kafka::start().unwrap();
    let bridge = Bridge::new(kafka.bootstrap(), "broker");
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    let next = Arc::new(AtomicU64::new(0));
    let city = City::begin(server.url(), &next).await;
    requested(&server, 8.0).await;

    kafka.kill().unwrap();
    requested(&server, 16.0).await;
    assert!(server.metric("muster_outbox_lag_seconds").await > 0.0);
    kafka.restart().unwrap();
    requested(&server, 24.0).await;

    kafka.pause().unwrap();
    requested(&server, 32.0).await;
    kafka.resume().unwrap();
    requested(&server, 40.0).await;

    city.end().await;
    told(&server).await;
    drain(server).await;
    let history = history(folder.path()).await;
    let found = compare(&history, &bridge.read("ride_events"));
    assert!(found.transitions >= 80, "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_server_had_on_its_way_to_a_broker_that_hangs_is_told_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let kafka = Kafka::start().unwrap();
    let bridge = Bridge::new(kafka.bootstrap(), "both");
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    let next = Arc::new(AtomicU64::new(0));
    let city = City::begin(server.url(), &next).await;
    requested(&server, 5.0).await;
    kafka.pause().unwrap();
    // Long enough that a cursor which ran ahead of the broker would have been saved several times.
    let began = Instant::now();
    while server.metric("muster_outbox_lag_seconds").await < 2.0 {
        assert!(began.elapsed() < PATIENCE, "nothing waits for the broker");
    }
    server.kill();
    city.end().await;
    kafka.resume().unwrap();
    drain(bridge.serve(folder.path()).await).await;
    let history = history(folder.path()).await;
    compare(&history, &bridge.read("ride_events"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let quick = r#"{ "topic.metadata.propagation.max.ms" = "100" }"#;
    let bridge = Bridge::new(shared_broker(), "missing").with("KAFKA__PROPERTIES", quick);
    let server = bridge.serve(folder.path()).await;
    let request = json!({"ride_id": "r", "rider_id": "r-1",
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    server.post("/v1/rides", request).await;
    let began = Instant::now();
    while server.metric("muster_outbox_restarts_total").await < 1.0 {
        assert!(began.elapsed() < PATIENCE, "nobody notices that the topics are missing");
    }
    assert!(server.metric("muster_outbox_lag_seconds").await > 0.0);
    bridge.create(folder.path());
    told(&server).await;
    drain(server).await;
    compare(&history(folder.path()).await, &bridge.read("ride_events"));
}
