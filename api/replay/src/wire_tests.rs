//! The contract's own examples, read and written.

use super::*;

const RIDE: &str = r#"{"ride_id":"r1-7","rider_id":"r-17","market":"nyc","status":"assigned",
 "pickup":{"lat":40.7484,"lng":-73.9857},"dropoff":{"lat":40.6413,"lng":-73.7781},
 "service_tiers":["standard"],"requested_at":"2026-01-01T00:00:00.000Z","assigned_at":null,
 "attempt":1,"wave":2,"search_radius_m":2000,"offers":{"live":3,"sent":8,"declined":4,"expired":1},
 "driver":{"driver_id":"d-1","service_tier":"standard","vehicle":{"plate":"1A23"},
 "position":{"lat":40.7,"lng":-73.9,"at":1764547200000},"pickup_eta_s":120},
 "pickup_eta_s":null,"otp":"1234","cancelled_by":null,"reason":null,"version":7}"#;

fn frame(text: &str) -> Received {
    Received::parse(text).unwrap_or_else(|| panic!("cannot read {text}"))
}

#[test]
fn a_ride_view_is_read() {
    let ride: RideView = serde_json::from_str(RIDE).unwrap();
    assert_eq!((ride.status, ride.version, ride.attempt), (RideStatus::Assigned, 7, 1));
    assert_eq!(ride.driver.unwrap().driver_id, "d-1");
    assert_eq!(ride.otp.as_deref(), Some("1234"));
    assert_eq!(ride.pickup, Some(Point::new(40.7484, -73.9857)));
    let newer: RideView =
        serde_json::from_str(r#"{"ride_id":"x","status":"teleporting","extra":[1]}"#).unwrap();
    assert_eq!((newer.status, newer.version), (RideStatus::Other, 0));
}

#[test]
fn every_server_frame_of_the_contract_is_read() {
    let welcome = frame(
        r#"{"type":"welcome","session_id":"s","seq":40,"server_time":"2025-12-01T00:00:00.250Z",
            "heartbeat_s":15,"driver":{"driver_id":"d","status":"available","contact":"live"}}"#,
    );
    assert_eq!(welcome.seq, Some(40));
    let ServerFrame::Welcome { server_time_ms, heartbeat_s, driver } = welcome.frame else {
        panic!("not a welcome");
    };
    assert_eq!((server_time_ms, heartbeat_s), (Some(1_764_547_200_250), Some(15.0)));
    assert_eq!(driver.unwrap().status.as_deref(), Some("available"));

    let offer = frame(
        r#"{"type":"offer","seq":41,"offer":{"offer_id":"o","ride_id":"r","pickup":{"lat":1,"lng":2},
            "dropoff":null,"fare":{"amount":1250,"currency":"USD"},"tip":null,
            "service_tier":"standard","distance_m":812,"pickup_eta_s":190,
            "expires_at":"2025-12-01T00:00:15Z","visible_at":1764547200000,"forward":false}}"#,
    );
    let ServerFrame::Offer(offer) = offer.frame else { panic!("not an offer") };
    assert_eq!(offer.expires_at, Some(1_764_547_215_000));
    assert_eq!((offer.visible_at, offer.pickup_eta_s), (Some(1_764_547_200_000), Some(190.0)));

    let result = format!(
        r#"{{"type":"accept_result","offer_id":"o","result":"won","reason":null,"ride":{RIDE}}}"#
    );
    assert!(matches!(
        frame(&result).frame,
        ServerFrame::AcceptResult { result: AcceptOutcome::Won, ride: Some(_), .. }
    ));
    let assigned = format!(r#"{{"type":"assigned","seq":43,"ride":{RIDE}}}"#);
    assert!(matches!(frame(&assigned).frame, ServerFrame::Assigned(_)));
    let updated = format!(r#"{{"type":"ride_updated","ride":{RIDE}}}"#);
    assert!(matches!(frame(&updated).frame, ServerFrame::RideUpdated(_)));
    for (text, expected) in [
        (
            r#"{"type":"offer_withdrawn","seq":42,"offer_id":"o","reason":"taken"}"#,
            "OfferWithdrawn",
        ),
        (r#"{"type":"ride_cancelled","seq":44,"ride_id":"r","by":"rider"}"#, "RideCancelled"),
        (r#"{"type":"rejected","code":"out_of_order","index":3}"#, "Rejected"),
        (r#"{"type":"error","code":"invalid_frame","detail":"…"}"#, "Error"),
        (r#"{"type":"bye","reason":"draining"}"#, "Bye"),
        (r#"{"type":"pong","at":1}"#, "Other"),
    ] {
        let debug = format!("{:?}", frame(text).frame);
        assert!(debug.starts_with(expected), "{debug}");
    }
}

#[test]
fn broken_frames_are_not_read() {
    for text in ["", "[]", "{}", r#"{"type":"offer","seq":1}"#, r#"{"type":"assigned","ride":{}}"#]
    {
        assert!(Received::parse(text).is_none(), "{text}");
    }
}

#[test]
fn client_frames_are_spelled_as_in_the_contract() {
    let text = |frame: &ClientFrame| serde_json::to_string(frame).unwrap();
    assert_eq!(text(&ClientFrame::Ack { seq: 41 }), r#"{"type":"ack","seq":41}"#);
    assert_eq!(text(&ClientFrame::Ping { at: 5 }), r#"{"type":"ping","at":5}"#);
    assert_eq!(
        text(&ClientFrame::Status { status: "online" }),
        r#"{"type":"status","status":"online"}"#
    );
    assert_eq!(
        text(&ClientFrame::Start { ride_id: "r".into(), otp: "1234".into() }),
        r#"{"type":"start","ride_id":"r","otp":"1234"}"#
    );
    assert_eq!(
        text(&ClientFrame::Decline { offer_id: "o".into(), reason: "too_far" }),
        r#"{"type":"decline","offer_id":"o","reason":"too_far"}"#
    );
}

#[test]
fn fixes_are_written_in_both_encodings() {
    let fix = Fix {
        point: Point::new(40.7, -73.9),
        at_ms: 1_764_547_200_000,
        speed_mps: Some(6.2),
        bearing_deg: Some(181.0),
    };
    let bare = Fix { speed_mps: None, bearing_deg: None, ..fix };
    assert_eq!(
        Fix::json_frame(&[fix, bare]),
        r#"{"type":"positions","points":[{"lat":40.7000000,"lng":-73.9000000,"at":1764547200000,"accuracy_m":8,"speed_mps":6.20,"bearing_deg":181.0},{"lat":40.7000000,"lng":-73.9000000,"at":1764547200000}]}"#
    );
    let bytes = Fix::binary_frame(&[fix, bare]);
    assert_eq!(bytes.len(), 42);
    assert_eq!(bytes[..2], [1, 2]);
    assert_eq!(bytes[2..6], 407_000_000_i32.to_le_bytes());
    assert_eq!(bytes[6..10], (-739_000_000_i32).to_le_bytes());
    assert_eq!(bytes[10..18], 1_764_547_200_000_u64.to_le_bytes());
    assert_eq!(bytes[18..22], [0x6c, 0x02, 0xb4, 0x46]);
    assert_eq!(bytes[38..], [0xff; 4]);
}
