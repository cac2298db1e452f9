//! Transitions and the messages they become, word for word.

use std::sync::Arc;

use muster_engine::origin::Origin;
use muster_engine::ride::{RideEventKind, RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use serde_json::{Value, json};

use super::{OutTopic, messages};
use crate::kafka::Transition;
use crate::kafka::schemas;

/// 2025-12-01T00:00:00.000Z
const T0: u64 = 1_764_547_200_000;

fn offer(driver: &str, kind: &str, expires_at: u64) -> Value {
    json!({"driver": driver, "service_tier": "standard", "distance": 250.5, "pickup_eta": 60,
        "offered_at": T0, "visible_at": T0 + 500, "expires_at": T0 + expires_at, "kind": kind})
}

/// A searching ride with these keys of its record set.
pub(crate) fn ride(version: u64, keys: Value) -> Arc<RideRecord> {
    let mut record = json!({
        "request": {"ride": "ride-1", "rider": "r-1", "market": "nyc",
            "pickup": {"lat_e7": 407_484_000, "lng_e7": -739_857_000}, "dropoff": null,
            "service_tiers": ["standard"], "fare": {"amount": 1_250, "currency": "USD"}, "tip": null,
            "pickup_at": null, "attributes": {"note": "a\u{0}b \u{2028} \"ü\""}, "require_tags": [],
            "blocked_drivers": [], "favourite_drivers": [], "requested_at": T0, "entropy": 7,
            "request_key": null},
        "version": version, "status": "searching", "attempt": 1, "wave": 1, "search_radius_m": 1_000,
        "search_began_at": T0, "search_deadline": T0 + 60_000, "service_tiers": ["standard"],
        "offers": {},
        "offer_counts": {"sent": 0, "accepted": 0, "declined": 0, "expired": 0, "withdrawn": 0},
        "asked": [], "gave_back": [], "reallocations": 0
    });
    let fields = record.as_object_mut().unwrap();
    fields.extend(keys.as_object().unwrap().clone());
    Arc::new(serde_json::from_value(record).unwrap())
}

fn assigned(version: u64, status: &str, offer: &str, driver: &str) -> Arc<RideRecord> {
    let driver =
        json!({"id": driver, "service_tier": "standard", "vehicle": "{\"plate\":\"T 1\"}"});
    let assignment = json!({"offer": offer, "driver": driver, "distance": 250.5, "pickup_eta": 60,
        "assigned_at": T0 + 2_000});
    ride(version, json!({"status": status, "assignment": assignment, "otp": "0042"}))
}

pub(crate) fn transition(
    kind: RideEventKind,
    before: Option<Arc<RideRecord>>,
    after: Arc<RideRecord>,
) -> Transition {
    let origin = Origin {
        correlation_id: "c-1".to_owned(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
    };
    let at = Timestamp::from_millis(T0 + 3_000);
    let origin = Some(Arc::new(origin));
    Transition { event: 9, kind, at, before, after, origin, decision: None }
}

/// Keys, event ids and bodies of a transition's messages; each fits the schema of its topic.
fn told(topic: OutTopic, transition: &Transition) -> Vec<(String, String, Value)> {
    let schema: Value = serde_json::from_str(schemas::text(topic)).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let message = |message: super::OutMessage| {
        let body: Value = serde_json::from_slice(&message.payload).unwrap();
        let faults: Vec<String> = schema.iter_errors(&body).map(|f| f.to_string()).collect();
        assert!(faults.is_empty(), "{body:#}\n{faults:?}");
        let id = body.get("event_id").or_else(|| body.get("id"));
        assert_eq!(id, Some(&json!(message.event_id)));
        (message.key, message.event_id, body)
    };
    messages(topic, transition, "acme").unwrap().into_iter().map(message).collect()
}

fn offers_of(transition: &Transition) -> Vec<(String, String, String)> {
    let short = |(key, _, body): (String, String, Value)| {
        let text = |name: &str| body[name].as_str().unwrap_or("-").to_owned();
        assert_eq!(key, text("driver_id"));
        (text("offer_id"), text("type"), text("reason"))
    };
    told(OutTopic::DriverOffers, transition).into_iter().map(short).collect()
}

fn named(offers: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let owned = |(a, b, c): &(&str, &str, &str)| ((*a).into(), (*b).into(), (*c).into());
    offers.iter().map(owned).collect()
}

#[test]
fn a_transition_is_told_with_the_ride_after_it() {
    let requested = transition(RideEventKind::RideRequested, None, ride(1, json!({"wave": 0})));
    let told = told(OutTopic::RideEvents, &requested);
    let body = json!({
        "event_id": "ride-1:1", "type": "ride_requested", "at": "2025-12-01T00:00:03.000Z",
        "ride": {
            "ride_id": "ride-1", "rider_id": "r-1", "market": "nyc", "status": "searching",
            "pickup": {"lat": 40.7484, "lng": -73.9857}, "dropoff": null,
            "service_tiers": ["standard"], "requested_at": "2025-12-01T00:00:00.000Z",
            "assigned_at": null, "arrived_at": null, "started_at": null, "completed_at": null,
            "cancelled_at": null, "forward": false, "attempt": 1, "wave": 0,
            "search_radius_m": 1000,
            "offers": {"live": 0, "sent": 0, "declined": 0, "expired": 0},
            "driver": null, "pickup_eta_s": null, "otp": null, "cancelled_by": null,
            "reason": null, "version": 1, "fare": {"amount": 1250, "currency": "USD"},
            "attributes": {"note": "a\u{0}b \u{2028} \"ü\""}
        },
        "cause": "rider", "correlation_id": "c-1"
    });
    assert_eq!(told, [("ride-1".to_owned(), "ride-1:1".to_owned(), body)]);
}

#[test]
fn a_wave_tells_each_driver_his_offer_but_not_those_who_are_not_asked() {
    let offers = json!({"o-1": offer("d-1", "ride", 15_000), "o-2": offer("d-2", "ride", 15_000),
        "o-3": offer("d-3", "instant", 15_000)});
    let after = ride(2, json!({"offers": offers}));
    let wave = transition(RideEventKind::WaveSent, Some(ride(1, json!({}))), after.clone());
    let all = told(OutTopic::DriverOffers, &wave);
    let first = json!({
        "event_id": "ride-1:2:o-1", "type": "offer", "at": "2025-12-01T00:00:03.000Z",
        "market": "nyc", "driver_id": "d-1", "ride_id": "ride-1", "offer_id": "o-1", "attempt": 1,
        "offer": {
            "offer_id": "o-1", "ride_id": "ride-1", "pickup": {"lat": 40.7484, "lng": -73.9857},
            "dropoff": null, "fare": {"amount": 1250, "currency": "USD"}, "tip": null,
            "service_tier": "standard", "distance_m": 250.5, "pickup_eta_s": 60,
            "expires_at": "2025-12-01T00:00:15.000Z", "visible_at": "2025-12-01T00:00:00.500Z",
            "forward": false, "kind": "ride"
        },
        "reason": null, "correlation_id": "c-1"
    });
    assert_eq!(all[0], ("d-1".to_owned(), "ride-1:2:o-1".to_owned(), first));
    assert_eq!(offers_of(&wave), named(&[("o-1", "offer", "-"), ("o-2", "offer", "-")]));
    // Where the state before is pruned, only offers as old as the transition began with it.
    let unknown = transition(RideEventKind::WaveSent, None, after);
    assert_eq!(offers_of(&unknown), named(&[]));
    assert_eq!(told(OutTopic::NammaYatriEvents, &unknown), []);
}

#[test]
fn an_assignment_ends_every_offer_with_its_own_reason() {
    let offers = json!({"o-1": offer("d-1", "ride", 15_000), "o-2": offer("d-2", "ride", 15_000),
        "o-3": offer("d-3", "ride", 2_000)});
    let before = ride(2, json!({"offers": offers}));
    let after = assigned(3, "assigned", "o-1", "d-1");
    let won = transition(RideEventKind::DriverAssigned, Some(before), after);
    let all = [
        ("o-1", "offer_withdrawn", "accepted"),
        ("o-2", "offer_withdrawn", "taken"),
        ("o-3", "offer_withdrawn", "expired"),
    ];
    assert_eq!(offers_of(&won), named(&all));
    let envelopes = told(OutTopic::NammaYatriEvents, &won);
    let kinds: Vec<_> = envelopes.iter().map(|(_, _, body)| body["eventType"].clone()).collect();
    assert_eq!(kinds, ["quotes", "booking_created", "ride_created"]);
    let created = json!({
        "id": "ride-1:3:ride_created:ride-1", "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "sessionId": "c-1", "personId": "d-1", "merchantId": "acme",
        "deploymentVersion": crate::version::VERSION, "at": 1_764_547_203.0,
        "eventType": "ride_created", "subType": null, "primaryId": "ride-1",
        "service": "DYNAMIC_OFFER_DRIVER_APP", "triggeredBy": "User",
        "payload": {"tag": "Ride", "rId": "ride-1", "rs": "NEW",
            "cAt": "2025-12-01T00:00:02.000Z", "uAt": "2025-12-01T00:00:03.000Z"},
        "merchantOperatingCityId": "nyc"
    });
    assert_eq!(envelopes[2].2, created);
    assert_eq!(told(OutTopic::RideEvents, &won)[0].2["cause"], "driver");
}

#[test]
fn one_answer_declines_one_offer_and_what_is_unclear_is_superseded() {
    let offers = json!({"o-1": offer("d-1", "ride", 15_000), "o-2": offer("d-2", "ride", 15_000)});
    let before = ride(2, json!({"offers": offers}));
    let counts = json!({"sent": 2, "accepted": 0, "declined": 1, "expired": 0, "withdrawn": 0});
    let left = json!({"o-2": offer("d-2", "ride", 15_000)});
    let one = ride(3, json!({"offers": left, "offer_counts": counts}));
    let declined = transition(RideEventKind::OffersEnded, Some(before.clone()), one);
    assert_eq!(offers_of(&declined), named(&[("o-1", "offer_withdrawn", "declined")]));
    assert_eq!(told(OutTopic::RideEvents, &declined)[0].2["cause"], "driver");
    let both = transition(RideEventKind::SearchStarted, Some(before.clone()), ride(3, json!({})));
    let all = [("o-1", "offer_withdrawn", "superseded"), ("o-2", "offer_withdrawn", "superseded")];
    assert_eq!(offers_of(&both), named(&all));
    let over = ride(3, json!({"status": "cancelled", "cancelled_by": "operator"}));
    let cancelled = transition(RideEventKind::RideCancelled, Some(before), over);
    let all = [("o-1", "offer_withdrawn", "cancelled"), ("o-2", "offer_withdrawn", "cancelled")];
    assert_eq!(offers_of(&cancelled), named(&all));
    assert_eq!(told(OutTopic::RideEvents, &cancelled)[0].2["cause"], "operator");
}

#[test]
fn an_offer_that_becomes_a_quote_is_told_again() {
    let mut quoted = offer("d-1", "ride", 75_000);
    quoted["quote"] = json!({"fare": {"amount": 1_300, "currency": "USD"}, "vehicle": "{}",
        "quoted_at": T0 + 3_000});
    let before = ride(2, json!({"offers": {"o-1": offer("d-1", "ride", 15_000)}}));
    let after = ride(3, json!({"offers": {"o-1": quoted}}));
    let quote = transition(RideEventKind::QuoteReceived, Some(before), after);
    assert_eq!(offers_of(&quote), named(&[("o-1", "offer_updated", "-")]));
    let envelopes = told(OutTopic::NammaYatriEvents, &quote);
    assert_eq!(envelopes.len(), 1);
    assert_eq!(envelopes[0].2["payload"]["searchTryId"], "ride-1:1");
}

#[test]
fn the_envelopes_of_a_ride_tell_its_whole_life() {
    let kinds = |kind, before: &Arc<RideRecord>, after: &Arc<RideRecord>| -> Vec<String> {
        let transition = transition(kind, Some(before.clone()), after.clone());
        let kind = |(_, _, body): (String, String, Value)| body["eventType"].to_string();
        told(OutTopic::NammaYatriEvents, &transition).into_iter().map(kind).collect()
    };
    let [first, arrived, begun, done, second] = [
        assigned(3, "assigned", "o-1", "d-1"),
        assigned(4, "arrived", "o-1", "d-1"),
        assigned(5, "in_progress", "o-1", "d-1"),
        assigned(6, "completed", "o-1", "d-1"),
        assigned(4, "assigned", "o-2", "d-2"),
    ];
    let nothing = Vec::<String>::new();
    assert_eq!(kinds(RideEventKind::DriverArrived, &first, &arrived), nothing);
    assert_eq!(kinds(RideEventKind::RideStarted, &arrived, &begun), ["\"ride_started\""]);
    let end = kinds(RideEventKind::RideCompleted, &begun, &done);
    assert_eq!(end, ["\"ride_ended\"", "\"booking_completed\""]);
    let back = kinds(RideEventKind::RideReallocated, &first, &ride(4, json!({"attempt": 2})));
    assert_eq!(back, ["\"ride_cancelled\"", "\"booking_cancelled\""]);
    // A driver who stood by takes over without a search between.
    let over = kinds(RideEventKind::DriverAssigned, &first, &second);
    assert_eq!(over[..2], ["\"ride_cancelled\"", "\"booking_cancelled\""]);
    assert_eq!(over[3..], ["\"booking_created\"", "\"ride_created\""]);
}

#[test]
fn a_decision_is_a_row_per_driver_and_one_per_reason_for_those_without_a_name() {
    let decision: WaveDecision = serde_json::from_value(json!({
        "attempt": 1, "wave": 1, "at": T0, "radius_m": 1_000,
        "offered": [["o-1", offer("d-1", "ride", 15_000)]],
        "ranked": [
            {"driver": "d-1", "distance": 250.5, "group": "favourite", "score": {"score": 500,
                "acceptance": 1, "cancellation": 2, "idle": 3, "pickup_eta": 4, "rides": 5}},
            {"driver": "d-2", "distance": 300.0, "group": "other", "pickup_eta": 70}],
        "excluded": [["d-3", 12.3, "stale_position"]],
        "excluded_counts": {"stale_position": 1, "on_ride": 40}
    }))
    .unwrap();
    let mut wave = transition(RideEventKind::WaveSent, None, ride(2, json!({})));
    assert_eq!(told(OutTopic::AllocationDecisions, &wave), []);
    wave.decision = Some(decision);
    let rows = told(OutTopic::AllocationDecisions, &wave);
    let short = |(key, id, row): &(String, String, Value)| {
        assert_eq!(key, "ride-1");
        let (stage, reason) = (row["stage"].clone(), row["reason"].clone());
        (id.clone(), row["driver_id"].clone(), stage, reason, row["drivers"].clone())
    };
    let id = |place: u32| format!("ride-1:2:{place}");
    assert_eq!(
        rows.iter().map(short).collect::<Vec<_>>(),
        [
            (id(0), json!("d-1"), json!("offered"), json!(null), json!(1)),
            (id(1), json!("d-2"), json!("ranked"), json!(null), json!(1)),
            (id(2), json!("d-3"), json!("nearby"), json!("stale_position"), json!(1)),
            (id(3), json!(null), json!("nearby"), json!("on_ride"), json!(40)),
        ]
    );
    assert_eq!((&rows[0].2["score_rides"], &rows[0].2["offer_id"]), (&json!(5), &json!("o-1")));
    let flat = |value: &Value| !value.is_object();
    assert!(rows.iter().all(|(_, _, row)| row.as_object().unwrap().values().all(flat)));
}
