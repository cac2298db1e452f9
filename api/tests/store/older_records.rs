//! Rows that an older version wrote are still read.

use muster_engine::driver::DriverRecord;
use muster_engine::offer::OfferKind;
use muster_engine::ride::{RideRecord, RideStatus};
use serde_json::{Value, json};

use crate::fixtures::{driver_record, full_record};

fn remove(object: &mut Value, names: &[&str]) {
    for name in names {
        assert!(object.as_object_mut().unwrap().remove(*name).is_some(), "{name}");
    }
}

#[test]
fn a_ride_from_before_quotes_and_instant_assignments_has_none() {
    let full = full_record("r-1", 3, RideStatus::Searching);
    let mut row = serde_json::to_value(&full).unwrap();
    row["request"] = serde_json::to_value(&*full.request).unwrap();
    remove(&mut row, &["ended_quotes", "instant"]);
    remove(&mut row["offers"]["o-1"], &["kind", "quote", "standby"]);
    remove(&mut row["assignment"], &["fare"]);
    let read: RideRecord = serde_json::from_value(row).unwrap();
    let mut expected = full;
    (expected.ended_quotes, expected.instant) = (Vec::new(), None);
    for live in expected.offers.values_mut() {
        (live.kind, live.quote, live.standby) = (OfferKind::Ride, None, None);
    }
    expected.assignment.as_mut().unwrap().fare = None;
    assert_eq!(read, expected);
}

#[test]
fn a_ride_without_quotes_is_stored_as_small_as_before_them() {
    let mut plain = full_record("r-1", 3, RideStatus::Searching);
    (plain.ended_quotes, plain.instant) = (Vec::new(), None);
    for live in plain.offers.values_mut() {
        (live.kind, live.quote, live.standby) = (OfferKind::Ride, None, None);
    }
    plain.assignment.as_mut().unwrap().fare = None;
    let row = serde_json::to_value(&plain).unwrap();
    let text = row.to_string();
    let names = ["kind", "quote", "standby", "ended_quotes", "instant", "fare"];
    for name in names.map(|name| format!("\"{name}\"")) {
        assert!(!text.contains(&name), "{name} in {text}");
    }
}

#[test]
fn a_driver_from_before_instant_assignments_has_not_opted_in() {
    let full = driver_record("d-1", true);
    let mut row = serde_json::to_value(&full).unwrap();
    assert_eq!(row["profile"]["preferences"]["instant_tiers"], json!(["xl"]));
    remove(&mut row["profile"]["preferences"], &["instant_tiers"]);
    let read: DriverRecord = serde_json::from_value(row).unwrap();
    assert!(read.profile.preferences.instant_tiers.is_empty());
    assert_eq!(read.profile.preferences.others, full.profile.preferences.others);
}
