//! A ride followed as Server-Sent Events: every event, in order, resumed without a gap.

use std::collections::VecDeque;
use std::time::Duration;

use muster_api::http::HttpLimits;
use muster_engine::policy::DispatchPolicy;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::server::{Server, server, server_with};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
struct Event {
    id: Option<u64>,
    name: String,
    data: Value,
}

/// An open stream.
struct Stream {
    response: Response,
    text: String,
    events: VecDeque<Event>,
}

impl Stream {
    async fn open(server: &Server, path: &str, last: Option<u64>) -> Self {
        let mut call = server.call(Method::GET, path);
        if let Some(last) = last {
            call = call.header("last-event-id", last.to_string());
        }
        let response = call.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { response, text: String::new(), events: VecDeque::new() }
    }

    /// The next event; nothing when the stream ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("an event or the end in time").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                self.events.extend(event(block));
                self.text = rest.to_owned();
            }
        }
    }

    /// The names of the numbered events up to and with `last`.
    async fn until(&mut self, last: &str) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.unwrap_or_else(|| panic!("{last} in {events:?}"));
            let found = event.name == last;
            if event.id.is_some() {
                events.push(event);
            }
            if found {
                return events;
            }
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = serde_json::from_str(field("data: ")?).unwrap();
    let id = field("id: ").map(|id| id.parse().unwrap());
    Some(Event { id, name: field("event: ").unwrap().to_owned(), data })
}

fn check_order(events: &[Event]) {
    let ids: Vec<u64> = events.iter().map(|event| event.id.unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap in {ids:?}");
    for event in events {
        assert_eq!(event.data["type"], event.name);
        assert!(event.data["event_id"].as_str().unwrap().ends_with(&event.id.unwrap().to_string()));
        assert!(event.data["ride"]["status"].is_string() && event.data["at"].is_string());
    }
}

#[actix_web::test]
async fn a_ride_is_followed_live_from_request_to_completion() {
    let server = server().await;
    let ride = server.assigned("d-1").await;
    let path = format!("/v1/rides/{ride}");
    let mut stream = Stream::open(&server, &format!("{path}/events"), None).await;
    let mut events = stream.until("driver_assigned").await;
    let position = loop {
        let event = stream.next().await.unwrap();
        if event.name == "driver_position" {
            break event;
        }
        events.push(event);
    };
    assert_eq!((position.id, &position.data["driver_id"]), (None, &json!("d-1")));
    assert_eq!(position.data["position"]["lat"], 40.75);
    assert!(position.data["pickup_eta_s"].as_u64() > Some(0));
    let otp = server.get(&path).await.ok()["otp"].clone();
    server.tell(&format!("{path}/arrived")).await.ok();
    server.post(&format!("{path}/start"), json!({"otp": otp})).await.ok();
    server.tell(&format!("{path}/complete")).await.ok();
    events.extend(stream.until("ride_completed").await);
    assert!(stream.next().await.is_none(), "the stream ends with the ride");
    check_order(&events);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names[0], "ride_requested");
    let tail = ["driver_arrived", "ride_started", "ride_completed"];
    assert!(names.contains(&"wave_sent") && names.ends_with(&tail), "{names:?}");
    let last = events.last().unwrap().id;
    let over = server.call(Method::GET, &format!("{path}/events"));
    let over = over.header("last-event-id", last.unwrap().to_string());
    assert_eq!(server.send(over).await.status, 204);
}

#[actix_web::test]
async fn a_stream_that_broke_off_is_resumed_without_a_gap_or_a_repeat() {
    let server = server().await;
    let ride = server.assigned("d-1").await;
    let path = format!("/v1/rides/{ride}/events");
    let mut first = Stream::open(&server, &path, None).await;
    let seen = first.until("wave_sent").await;
    drop(first);
    server.tell(&format!("/v1/rides/{ride}/arrived")).await.ok();
    let last = seen.last().unwrap().id;
    let mut resumed = Stream::open(&server, &path, last).await;
    let mut by_query =
        Stream::open(&server, &format!("{path}?last_event_id={}", last.unwrap()), None).await;
    let rest = resumed.until("driver_arrived").await;
    let same = by_query.until("driver_arrived").await;
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&rest), ids(&same));
    check_order(&[seen, rest].concat());
    for header in ["x", "-1", ""] {
        let call = server.call(Method::GET, &path).header("last-event-id", header);
        server.send(call).await.refused(400, "invalid_last_event_id");
    }
    server.get(&format!("{path}?last_event_id=x")).await.refused(400, "invalid_query");
}

#[actix_web::test]
async fn a_drain_ends_every_stream() {
    let server = server().await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let mut stream = Stream::open(&server, &format!("/v1/rides/{ride}/events"), None).await;
    stream.until("ride_requested").await;
    server.tell("/v1/admin/drain").await.ok();
    while stream.next().await.is_some() {}
}

#[actix_web::test]
async fn only_so_many_streams_are_open_at_once() {
    let limits = HttpLimits { sse_streams_max: 1, ..HttpLimits::default() };
    let server = server_with(DispatchPolicy::default(), limits).await;
    let ride = server.ride("r-1").await["ride_id"].as_str().unwrap().to_owned();
    let path = format!("/v1/rides/{ride}/events");
    let mut stream = Stream::open(&server, &path, None).await;
    stream.until("ride_requested").await;
    server.get(&path).await.refused(503, "too_many_streams");
    drop(stream);
    let free =
        async { while server.call(Method::GET, &path).send().await.unwrap().status() != 200 {} };
    tokio::time::timeout(PATIENCE, free).await.unwrap();
}
