//! A server that takes a test's topics in, and what people see of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use crate::broker::{PATIENCE, Topics};
use crate::server::Server;

pub(crate) async fn serve(folder: &Path, topics: &Topics, more: &[(&str, &str)]) -> Server {
    let mut env = topics.env();
    for (key, value) in more {
        env.push((format!("MUSTER__KAFKA__INTAKE__{key}"), (*value).to_owned()));
    }
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    Server::start(folder, &env).await
}

pub(crate) fn request(rider: &str) -> String {
    json!({"rider_id": rider, "pickup": {"lat": 40.7484, "lng": -73.9857}}).to_string()
}

pub(crate) fn profile() -> String {
    json!({"market": "nyc", "service_tiers": ["standard"], "vehicle": {"plate": "K1"}}).to_string()
}

/// A position as Namma Yatri's location tracking service writes it.
pub(crate) fn tracked(lat: f64) -> String {
    let at = jiff::Timestamp::now();
    json!({
        "r_id": null, "m_id": "m-1", "mocid": "c-1", "rid": null, "ts": at.to_string(),
        "st": at.to_string(), "pt": {"lat": lat, "lon": -73.9857}, "da": true, "lat": lat,
        "lon": -73.9857, "acc": 5.0, "speed": 3.5, "bear": 90.0, "ride_status": "IDLE", "active": true,
        "on_ride": false, "mode": "ONLINE", "vehicle_variant": "SEDAN",
    })
    .to_string()
}

/// A value of `GET /metrics` by its name with labels.
pub(crate) async fn metric(server: &Server, name: &str) -> f64 {
    let (_, body) = server.get("/metrics").await;
    let line = body.as_str().unwrap().lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().unwrap())
}

/// The counter of messages of a topic that came to this end.
pub(crate) async fn messages(server: &Server, topic: &str, outcome: &str) -> f64 {
    let labels = format!(r#"{{topic="{topic}",outcome="{outcome}"}}"#);
    metric(server, &format!("muster_kafka_messages_total{labels}")).await
}

/// Waits until a metric is what is wanted.
pub(crate) async fn until_metric(server: &Server, name: &str, holds: impl Fn(f64) -> bool) {
    let began = Instant::now();
    loop {
        let value = metric(server, name).await;
        if holds(value) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{name} stays {value}");
        tokio::task::yield_now().await;
    }
}

/// Every ride that can be listed, by id.
pub(crate) async fn all_rides(server: &Server) -> BTreeMap<String, Value> {
    let (mut rides, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let (status, page) = server.get(&format!("/v1/rides?limit=200{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        for ride in page["rides"].as_array().unwrap() {
            let id = ride["ride_id"].as_str().unwrap().to_owned();
            assert!(rides.insert(id, ride.clone()).is_none(), "a ride is listed twice");
        }
        let Some(next) = page["next_cursor"].as_str() else { return rides };
        cursor = format!("&cursor={next}");
    }
}

/// Waits until so many rides are there.
pub(crate) async fn until_rides(server: &Server, many: usize) -> BTreeMap<String, Value> {
    let began = Instant::now();
    loop {
        let rides = all_rides(server).await;
        if rides.len() >= many {
            return rides;
        }
        assert!(began.elapsed() < PATIENCE, "{} rides of {many}", rides.len());
        tokio::task::yield_now().await;
    }
}
