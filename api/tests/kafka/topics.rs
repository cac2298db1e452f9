//! Every topic that goes out: keys, headers, schemas, order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::bridge::{Bridge, OUT, PATIENCE, drain, shared_broker};
use crate::checker::{compare, history};
use crate::city::City;
use crate::kcat;
use crate::schemas::{schema, schema_of};
use crate::server::Server;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Rides that have been numbered once so many were asked for.
async fn busy(server: &Server, rides: f64) {
    let next = Arc::new(AtomicU64::new(0));
    let city = City::begin(server.url(), &next).await;
    let began = std::time::Instant::now();
    while server.metric("muster_rides_requested_total").await < rides {
        assert!(began.elapsed() < PATIENCE, "the city sleeps");
    }
    city.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_topic_fits_its_schema_and_tells_the_whole_history_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "whole");
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    busy(&server, 25.0).await;
    drain(server).await;

    let history = history(folder.path()).await;
    let events = bridge.read("ride_events");
    let found = compare(&history, &events);
    assert_eq!((found.duplicates, found.transitions), (0, events.len()));
    for topic in OUT {
        let (messages, name) = (bridge.read(topic), schema_of(topic));
        assert!(messages.len() >= 25, "{topic}: {}", messages.len());
        fits(&messages, name);
    }
    offers_begin_once_and_end_once(&bridge.read("driver_offers"));
    let decided: usize = history.iter().filter(|one| one.decision.is_some()).count();
    let rows = bridge.read("allocation_decisions");
    let waves: BTreeSet<_> = rows.iter().map(|row| base(row.event_id())).collect();
    assert!(waves.len() <= decided && !waves.is_empty(), "{} of {decided}", waves.len());
}

fn base(event_id: &str) -> &str {
    event_id.rsplit_once(':').unwrap().0
}

/// Bodies by the schema, and what goes beside them.
fn fits(messages: &[kcat::Message], name: &str) {
    let schema = jsonschema::validator_for(&schema(name)).unwrap();
    let mut ids = BTreeSet::new();
    for message in messages {
        let body = message.body();
        let faults: Vec<String> =
            schema.iter_errors(&body).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{body:#}: {faults:?}");
        assert_eq!(message.headers["schema"], name);
        assert!(ids.insert(message.event_id()), "{} twice in {name}", message.event_id());
        let id = body.get("event_id").or_else(|| body.get("id")).unwrap();
        assert_eq!(id, message.event_id());
        assert!(message.headers["traceparent"].starts_with("00-"));
        let driver = name == "driver-offers.v1";
        let key =
            if driver { &body["driver_id"] } else { body.get("ride_id").unwrap_or(&Value::Null) };
        assert!(key.is_null() || *key == message.key.as_str(), "{key} {}", message.key);
    }
}

/// By driver, an offer is told when it begins and when it ends, in this order.
fn offers_begin_once_and_end_once(messages: &[kcat::Message]) {
    let mut words: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in messages {
        let body = message.body();
        let offer = body["offer_id"].as_str().unwrap().to_owned();
        words.entry(offer).or_default().push(body["type"].as_str().unwrap().to_owned());
    }
    for (offer, words) in &words {
        assert_eq!(words.first().map(String::as_str), Some("offer"), "{offer}: {words:?}");
        let ends = words.iter().filter(|word| *word == "offer_withdrawn").count();
        assert!(
            ends <= 1 && (ends == 0 || words.last().unwrap() == "offer_withdrawn"),
            "{words:?}"
        );
    }
    assert!(words.values().any(|words| words.len() == 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transition_carries_the_ids_of_the_call_that_caused_it() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "origin");
    bridge.create(folder.path());
    let server = bridge.serve(folder.path()).await;
    let http = reqwest::Client::new();
    let call = async |path: &str, id: &str, body: Value| {
        let call = http.post(format!("{}{path}", server.url())).json(&body);
        let call = call.header("x-correlation-id", id).header("traceparent", TRACE);
        call.send().await.unwrap().json::<Value>().await.unwrap()
    };
    server.put_driver("d-1").await;
    call("/v1/drivers/d-1/status", "c-status", json!({"status": "online"})).await;
    let fix = json!({"points": [{"lat": 40.7490, "lng": -73.9857, "at": crate::city::now_ms()}]});
    call("/v1/drivers/d-1/positions", "c-fix", fix).await;
    let pickup = json!({"lat": 40.7484, "lng": -73.9857});
    call("/v1/rides", "c-rider", json!({"ride_id": "r", "rider_id": "r-1", "pickup": pickup}))
        .await;
    let offers =
        server.until("/v1/drivers/d-1/offers", |_, offers| offers.to_string().contains("offer_id"));
    let offers = offers.await.to_string();
    let offer = offers.split("\"offer_id\":\"").nth(1).unwrap().split('"').next().unwrap();
    call(&format!("/v1/offers/{offer}/accept"), "c-driver", json!({})).await;
    arrive_by_phone(&server, "c-phone").await;
    call("/v1/rides/r/cancel", "c-cancel", json!({"by": "rider", "reason": "x"})).await;
    drain(server).await;

    let ids: Vec<(String, String)> = bridge
        .read("ride_events")
        .iter()
        .map(|message| {
            assert_eq!(message.headers["traceparent"], TRACE);
            let body = message.body();
            assert_eq!(body["correlation_id"], message.headers["correlation_id"].as_str());
            let kind = body["type"].as_str().unwrap().to_owned();
            (kind, message.headers["correlation_id"].clone())
        })
        .collect();
    let told = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    assert_eq!(
        ids,
        [
            told("ride_requested", "c-rider"),
            told("wave_sent", "c-rider"),
            told("driver_assigned", "c-driver"),
            told("driver_arrived", "c-phone"),
            told("ride_cancelled", "c-cancel"),
        ]
    );
}

/// The driver of the ride `r` says on a socket that he is there; the socket was opened with these ids.
async fn arrive_by_phone(server: &Server, id: &str) {
    let mut request = server.socket_url("d-1", "").into_client_request().unwrap();
    request.headers_mut().insert("x-correlation-id", id.parse().unwrap());
    request.headers_mut().insert("traceparent", TRACE.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let arrived = json!({"type": "arrived", "ride_id": "r"}).to_string();
    socket.send(Message::text(arrived)).await.unwrap();
    server.until("/v1/rides/r", |_, ride| ride["status"] == "arrived").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_never_relayed_begins_where_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = Server::start(folder.path(), &[]).await;
    let pickup = json!({"lat": 40.7484, "lng": -73.9857});
    let request = |ride: &str| json!({"ride_id": ride, "rider_id": ride, "pickup": pickup});
    quiet.post("/v1/rides", request("before")).await;
    quiet.post("/v1/rides/before/cancel", json!({"by": "rider", "reason": "x"})).await;
    drain(quiet).await;
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("data")).unwrap();
    let database = |folder: &std::path::Path| folder.join("data/muster.db");
    std::fs::copy(database(folder.path()), database(copy.path())).unwrap();

    for (name, start, folder) in [("now", "now", &folder), ("oldest", "oldest", &copy)] {
        let bridge = Bridge::new(shared_broker(), name).with("KAFKA__RELAY__START", start);
        bridge.create(folder.path());
        let server = bridge.serve(folder.path()).await;
        server.post("/v1/rides", request("after")).await;
        drain(server).await;
        let rides: BTreeSet<String> =
            bridge.read("ride_events").into_iter().map(|message| message.key).collect();
        let all: &[&str] = if start == "now" { &["after"] } else { &["after", "before"] };
        assert_eq!(rides.iter().map(String::as_str).collect::<Vec<_>>(), all);
    }
}
