//! A zone's queue, calls to its gate and one-time passwords over real sockets, and scheduled tries:
//! all of them over the death of the process.

use std::path::Path;

use serde_json::{Value, json};

use crate::phone::{Phone, now_ms};
use crate::server::Server;

const QUEUE: &str = "/v1/markets/nyc/zones/station/queue";

/// Inside the zone, 450 m from its gate.
const WAITING: f64 = 40.7470;

/// A zone around the Empire State Building that calls one driver to its gate per waiting ride.
fn configure(folder: &Path) {
    let ring = [[-73.990, 40.745], [-73.980, 40.745], [-73.980, 40.752], [-73.990, 40.752]];
    let ring: Vec<_> = ring.iter().chain(&ring[..1]).collect();
    let calls = json!({"standard": {"demand_min": 1, "drivers_min": 1, "drivers_max": 1}});
    let gate = json!({"id": "main", "kind": "pickup", "lat": 40.7510, "lng": -73.9857,
        "radius_m": 50, "service_tiers": calls});
    let zones = json!({"type": "FeatureCollection", "features": [{
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"id": "station", "name": "Station", "otp": true,
            "queue": {"entry_fixes": 1, "respond_ms": 120_000}, "gates": [gate]},
    }]});
    std::fs::write(folder.join("zones.geojson"), zones.to_string()).unwrap();
    let config = "[markets.nyc]\nzones = \"zones.geojson\"\n";
    std::fs::write(folder.join("config.toml"), config).unwrap();
}

/// A driver with a place in the queue.
async fn queued(server: &Server, driver: &str) -> Phone {
    let (mut phone, _) = Phone::online(server, driver, WAITING).await;
    assert_eq!(phone.frame("queue_joined").await["zone"], "station");
    phone
}

fn drivers(queue: &Value) -> Vec<&str> {
    let drivers = queue["service_tiers"][0]["drivers"].as_array().unwrap().iter();
    drivers.map(|driver| driver["driver_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_kill_keeps_the_places_in_the_queue_and_the_call_that_was_told() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let server = Server::start_on_file(folder.path()).await;
    let mut first = queued(&server, "d-1").await;
    let _second = queued(&server, "d-2").await;
    // Nobody here may have the ride: it waits, and so drivers are called to the gate.
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1", "require_tags": ["wheelchair"],
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    assert_eq!(server.post("/v1/rides", ride).await.0, 202);
    let called = first.frame("queue_call").await;
    assert_eq!(
        (&called["zone"], &called["call"]["gate"], &called["call"]["arrive_by"]),
        (&json!("station"), &json!("main"), &json!(null))
    );
    let call = called["call"]["call_id"].clone();
    let yes = json!({"type": "queue_respond", "zone": "station", "call_id": call, "accept": true});
    first.say(yes).await;
    let known = first.frame("queue_call").await;
    assert_eq!(known["call"]["call_id"], call);
    assert!(known["call"]["arrive_by"].is_string(), "{known}");
    let (_, told) = server.get(QUEUE).await;
    assert_eq!(drivers(&told), ["d-1", "d-2"]);
    server.kill();

    let server = Server::start_on_file(folder.path()).await;
    let (_, after) = server.get(QUEUE).await;
    assert_eq!(drivers(&after), ["d-1", "d-2"]);
    let held = &after["service_tiers"][0]["drivers"][0]["call"];
    assert_eq!(*held, known["call"], "he is expected at the gate");
    let mut second = Phone::connect(&server, "d-2", "").await;
    let position = &second.frame("welcome").await["driver"]["queue"][0];
    assert_eq!((&position["zone"], &position["queue_size"]), (&json!("station"), &json!(2)));
}

#[tokio::test]
async fn a_phone_enters_a_one_time_password_and_the_ride_is_under_way() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path());
    let server = Server::start_on_file(folder.path()).await;
    let mut phone = queued(&server, "d-1").await;
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1", "attributes": {"otp_ride": "true"},
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    let (_, ride) = server.post("/v1/rides", ride).await;
    phone.say(json!({"type": "enter_otp", "otp": "000"})).await;
    assert_eq!(phone.frame("error").await["code"], "otp_mismatch");
    phone.say(json!({"type": "enter_otp", "otp": ride["otp"]})).await;
    let won = phone.frame("accept_result").await;
    assert_eq!((&won["result"], &won["ride"]["status"]), (&json!("won"), &json!("in_progress")));
    assert_eq!(phone.frame("queue_left").await["zone"], "station");
}

#[tokio::test]
async fn a_scheduled_ride_between_two_tries_has_the_next_one_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "[markets.nyc.policy]\nscheduled_try_ms = [19_000, 6_000]\n\
        offer_ttl_ms = 1_000\nsearch_limit_ms = 1_000\n";
    std::fs::write(folder.path().join("config.toml"), policy).unwrap();
    let server = Server::start_on_file(folder.path()).await;
    let pickup_at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
    let ride = json!({"ride_id": "ride-1", "rider_id": "r-1", "pickup_at": pickup_at.to_string(),
        "pickup": {"lat": 40.7484, "lng": -73.9857}});
    assert_eq!(server.post("/v1/rides", ride).await.0, 202);
    let between = |_: u16, ride: &Value| ride["status"] == "scheduled" && ride["attempt"] == 2;
    server.until("/v1/rides/ride-1", between).await;
    server.kill();

    let server = Server::start_on_file(folder.path()).await;
    let (status, ride) = server.get("/v1/rides/ride-1").await;
    assert!(between(status, &ride), "{ride}");
    let (mut phone, welcome) = Phone::online(&server, "d-1", 40.7490).await;
    phone.fix(40.7491, now_ms(&welcome)).await;
    assert_eq!(phone.frame("offer").await["offer"]["ride_id"], "ride-1");
    let (_, ride) = server.get("/v1/rides/ride-1").await;
    assert_eq!(ride["attempt"], 2, "{ride}");
}
