//! The driver's WebSocket, frame by frame.

use serde_json::{Value, json};

use crate::phone::{Phone, now_ms};
use crate::server::{PATIENCE, Server};

fn request(ride: &str) -> Value {
    json!({"ride_id": ride, "rider_id": "r-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
           "dropoff": {"lat": 40.6413, "lng": -73.7781}, "fare": {"amount": 3250, "currency": "USD"}})
}

async fn city() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]).await;
    (folder, server)
}

#[tokio::test]
async fn a_ride_runs_over_the_socket() {
    let (_folder, server) = city().await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    let (status, ride) = server.post("/v1/rides", request("ride-1")).await;
    assert_eq!((status, &ride["status"]), (202, &json!("searching")), "{ride}");
    let offer = phone.frame("offer").await;
    assert_eq!(offer["offer"]["ride_id"], "ride-1");
    assert_eq!(offer["offer"]["forward"], false);
    assert!(offer["offer"]["distance_m"].as_f64().unwrap() < 200.0, "{offer}");
    phone.say(json!({"type": "accept", "offer_id": offer["offer"]["offer_id"]})).await;
    let (mut won, mut assigned) = (false, false);
    while !(won && assigned) {
        let frame = phone.next().await.unwrap();
        won |= frame["type"] == "accept_result" && frame["result"] == "won";
        assigned |= frame["type"] == "assigned" && frame["ride"]["status"] == "assigned";
    }
    phone.say(json!({"type": "start", "ride_id": "ride-1"})).await;
    assert_eq!(phone.frame("error").await["code"], "driver_not_arrived");
    phone.say(json!({"type": "arrived", "ride_id": "ride-1"})).await;
    assert_eq!(phone.frame("ride_updated").await["ride"]["status"], "arrived");
    phone.say(json!({"type": "start", "ride_id": "ride-1", "otp": "wrong"})).await;
    assert_eq!(phone.frame("error").await["code"], "otp_mismatch");
    let otp = server.get("/v1/rides/ride-1").await.1["otp"].clone();
    phone.say(json!({"type": "start", "ride_id": "ride-1", "otp": otp})).await;
    assert_eq!(phone.frame("ride_updated").await["ride"]["status"], "in_progress");
    phone.say(json!({"type": "complete", "ride_id": "ride-1"})).await;
    assert_eq!(phone.frame("ride_updated").await["ride"]["status"], "completed");
    assert!((server.metric("muster_ws_sessions").await - 1.0).abs() < 0.1);
    assert!(server.metric("muster_invariant_violations_total").await.abs() < 0.1);
}

#[tokio::test]
async fn a_dropped_connection_loses_no_offer() {
    let (_folder, server) = city().await;
    let (phone, welcome) = Phone::online(&server, "d-1", 40.7490).await;
    drop(phone);
    server.post("/v1/rides", request("ride-1")).await;
    let query = format!("?last_seq={}", welcome["seq"]);
    let mut again = Phone::connect(&server, "d-1", &query).await;
    let offer = again.frame("offer").await;
    drop(again);
    // Not acknowledged: shown again, with the same number.
    let mut third = Phone::connect(&server, "d-1", &query).await;
    assert_eq!(third.frame("offer").await["seq"], offer["seq"]);
    third.say(json!({"type": "ack", "seq": offer["seq"]})).await;
    third.say(json!({"type": "ping", "at": 1})).await;
    third.frame("pong").await;
    let mut fourth = Phone::connect(&server, "d-1", "").await;
    let welcome = fourth.frame("welcome").await;
    assert_eq!(welcome["driver"]["offers"].as_array().unwrap().len(), 1);
    fourth.say(json!({"type": "ping", "at": 2})).await;
    assert_eq!(fourth.next().await.unwrap()["type"], "pong", "an acknowledged frame came again");
}

#[tokio::test]
async fn a_second_session_supersedes_the_first() {
    let (_folder, server) = city().await;
    let (mut first, _) = Phone::online(&server, "d-1", 40.7490).await;
    let mut second = Phone::connect(&server, "d-1", "").await;
    second.frame("welcome").await;
    assert_eq!(first.frame("bye").await["reason"], "superseded");
    assert_eq!(first.closed().await, 4001);
    second.say(json!({"type": "ping", "at": 1})).await;
    second.frame("pong").await;
}

#[tokio::test]
async fn fixes_are_refused_one_by_one_with_their_reason() {
    let (_folder, server) = city().await;
    let (mut phone, welcome) = Phone::online(&server, "d-1", 40.7490).await;
    let now = now_ms(&welcome);
    let point = |lat: f64, at: u64| json!({"lat": lat, "lng": -73.9857, "at": at});
    let points = json!([
        point(40.7491, now + 2),
        point(40.7, now - 60_000),
        point(40.7, now + 3_600_000),
        point(95.0, now + 3),
        point(10.0, now + 4)
    ]);
    phone.say(json!({"type": "positions", "points": points})).await;
    let mut codes = Vec::new();
    for _ in 0..4 {
        let frame = phone.frame("rejected").await;
        codes.push((frame["index"].as_u64().unwrap(), frame["code"].as_str().unwrap().to_owned()));
    }
    let codes: Vec<(u64, &str)> = codes.iter().map(|(i, code)| (*i, code.as_str())).collect();
    assert_eq!(codes[..3], [(1, "out_of_order"), (2, "in_future"), (3, "out_of_range")]);
    assert!(matches!(codes[3], (4, "implausible_jump" | "outside_market")), "{codes:?}");
}

#[tokio::test]
async fn binary_positions_move_the_driver() {
    let (_folder, server) = city().await;
    server.put_driver("d-1").await;
    let mut phone = Phone::connect_with(&server, "d-1", "", "muster.bin.v1").await;
    assert_eq!(phone.protocol.as_deref(), Some("muster.bin.v1"));
    let welcome = phone.frame("welcome").await;
    let mut frame = vec![1_u8, 1];
    frame.extend(407_500_000_i32.to_le_bytes());
    frame.extend((-739_800_000_i32).to_le_bytes());
    frame.extend(now_ms(&welcome).to_le_bytes());
    frame.extend(620_u16.to_le_bytes());
    frame.extend(0xffff_u16.to_le_bytes());
    phone.say_bytes(frame).await;
    let moved = |_, view: &Value| view["position"]["lat"] == 40.75;
    server.until("/v1/drivers/d-1", moved).await;
    phone.say_bytes(vec![9, 1, 1]).await;
    assert_eq!(phone.frame("error").await["code"], "invalid_frame");
}

#[tokio::test]
async fn ten_invalid_frames_in_a_row_end_the_session() {
    let (_folder, server) = city().await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    for _ in 0..9 {
        phone.say_text("{\"type\":\"honk\"}").await;
        assert_eq!(phone.frame("error").await["code"], "invalid_frame");
    }
    // A good frame forgives the bad ones before it.
    phone.say(json!({"type": "ping", "at": 1})).await;
    phone.frame("pong").await;
    for _ in 0..10 {
        phone.say_text("no json").await;
    }
    assert_eq!(phone.frame("bye").await["reason"], "protocol_error");
    assert_eq!(phone.closed().await, 1008);
}

#[tokio::test]
async fn an_oversized_frame_ends_the_session() {
    let (_folder, server) = city().await;
    let (mut phone, _) = Phone::online(&server, "d-1", 40.7490).await;
    phone.say_text(&" ".repeat(17 * 1024)).await;
    assert_eq!(phone.closed().await, 1009);
}

#[tokio::test]
async fn an_unknown_driver_gets_no_socket() {
    let (_folder, server) = city().await;
    let (status, problem) = server.get("/v1/drivers/nobody/stream").await;
    assert!(status == 400 || status == 404, "{status} {problem}");
    let refused = tokio_tungstenite::connect_async(server.socket_url("nobody", "")).await;
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("404"), "{error}");
}

#[tokio::test]
async fn a_silent_phone_is_let_go_after_three_heartbeats() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[("MUSTER__SERVER__HEARTBEAT_S", "1")]).await;
    server.put_driver("d-1").await;
    // A bare TCP client that shakes hands and then says nothing, not even pong.
    let url = server.socket_url("d-1", "");
    let address = url.strip_prefix("ws://").unwrap().split('/').next().unwrap().to_owned();
    let stream = std::net::TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(crate::server::PATIENCE)).unwrap();
    let handshake = format!(
        "GET /v1/drivers/d-1/stream HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Version: 13\r\n\r\n"
    );
    use std::io::{Read, Write};
    (&stream).write_all(handshake.as_bytes()).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).map(|_| heard)
    });
    let heard = String::from_utf8_lossy(&read.await.unwrap().unwrap()).into_owned();
    assert!(heard.contains(r#"{"type":"bye","reason":"idle"}"#), "{heard}");
}

/// Resident bytes of a process.
fn resident_bytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test]
async fn a_slow_reader_is_let_go_and_costs_little() {
    let (_folder, server) = city().await;
    let (mut other, _) = Phone::online(&server, "d-2", 40.7490).await;
    server.put_driver("d-1").await;
    let mut deaf = Phone::connect(&server, "d-1", "").await;
    deaf.frame("welcome").await;
    let before = resident_bytes(server.pid());
    // Each ping is answered; nobody reads the answers, so sooner or later the server cannot write.
    let ping = json!({"type": "ping", "at": 1}).to_string();
    let flood = async { while deaf.try_say_text(&ping).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, flood).await.expect("the server kept the slow reader");
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes for one phone");
    while server.metric("muster_ws_sessions").await > 1.5 {
        tokio::task::yield_now().await;
    }
    other.say(json!({"type": "ping", "at": 2})).await;
    other.frame("pong").await;
}
