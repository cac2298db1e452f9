//! The payload of a position: as Namma Yatri's location tracking service writes it, or our own.
//!
//! ```text
//! {"ts":"2026-11-28T10:00:00Z","pt":{"lat":12.9,"lon":77.6},"acc":8.0,"speed":6.2,"bear":181.0, …}
//! {"lat":12.9,"lng":77.6,"at":1764547200000, …}            {"points":[{"lat", "lng", "at"}, …]}
//! ```
//!
//! The first is somebody else's contract: members that dispatch does not read are passed over, and
//! may come and go. The others are ours: an unknown member is refused, as over HTTP.

use std::fmt;

use muster_engine::grid::{self, FixRejection};
use muster_engine::time::Timestamp;
use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::fault::Fault;
use crate::http::{FIXES_MAX, PositionsBody, read_json};
use crate::wire::{Fix, parse_rfc3339};

/// An epoch below this is in seconds, above it in milliseconds: the year 5138, or March 1973.
const SECONDS_MAX: f64 = 1e11;

/// A fix, or why its coordinates are none.
pub(super) type Judged = Result<grid::Fix, FixRejection>;

/// A message of the location tracking service, as far as dispatch reads it.
#[derive(serde::Deserialize)]
struct TrackedLocation {
    /// When the phone was there.
    ts: Instant,
    pt: Option<Point>,
    lat: Option<f64>,
    lon: Option<f64>,
    /// Metres.
    acc: Option<f64>,
    /// Metres per second.
    speed: Option<f64>,
    /// Degrees.
    bear: Option<f64>,
}

#[derive(Clone, Copy, serde::Deserialize)]
struct Point {
    lat: f64,
    lon: f64,
}

/// Unix milliseconds, from RFC 3339 text or an epoch.
struct Instant(u64);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InstantVisitor)
    }
}

struct InstantVisitor;

impl Visitor<'_> for InstantVisitor {
    type Value = Instant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 instant, or seconds or milliseconds since 1970")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Instant, E> {
        let at = parse_rfc3339(text).map_err(|fault| E::custom(fault.to_string()))?;
        Ok(Instant(at.as_millis()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Instant, E> {
        let seconds = (number as f64) < SECONDS_MAX;
        Ok(Instant(if seconds { number * 1_000 } else { number }))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Instant, E> {
        if !(number.is_finite() && number >= 0.0) {
            return Err(E::custom("instants before 1970 are not taken"));
        }
        let ms = if number < SECONDS_MAX { number * 1_000.0 } else { number };
        Ok(Instant(ms.round() as u64))
    }
}

/// Calls `each` for every fix of a message, in order.
///
/// # Errors
/// [`Fault`] when the payload is neither shape; then `each` was not called.
pub(super) fn read_fixes(json: &[u8], mut each: impl FnMut(Judged)) -> Result<(), Fault> {
    let tracked = match serde_json::from_slice::<TrackedLocation>(json) {
        Ok(tracked) => tracked,
        Err(error) => return read_own(json, &error, each),
    };
    let flat = tracked.lat.zip(tracked.lon).map(|(lat, lon)| Point { lat, lon });
    let Some(point) = tracked.pt.or(flat) else {
        return Err(Fault::new("invalid_body", "neither pt nor lat and lon is there"));
    };
    // Members that are other in our shape alone: the rules for what is odd are the same.
    each(grid::Fix::try_from(&Fix {
        lat: point.lat,
        lng: point.lon,
        at: tracked.ts.0,
        accuracy_m: tracked.acc,
        speed_mps: tracked.speed,
        bearing_deg: tracked.bear,
    }));
    Ok(())
}

fn read_own(
    json: &[u8],
    tracked: &serde_json::Error,
    mut each: impl FnMut(Judged),
) -> Result<(), Fault> {
    match serde_json::from_slice::<Fix>(json) {
        Ok(fix) => {
            each(grid::Fix::try_from(&fix));
            return Ok(());
        }
        Err(error) if !error.is_data() => {
            return Err(Fault::new("malformed_json", format!("the payload is not JSON: {error}")));
        }
        Err(_) => {}
    }
    let members: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json)
        .map_err(|error| Fault::new("invalid_body", format!("an object is expected: {error}")))?;
    if members.contains_key("points") {
        let PositionsBody { points } = read_json(json)?;
        if points.len() > FIXES_MAX {
            let detail =
                format!("/points: at most {FIXES_MAX} fixes are taken, got {}", points.len());
            return Err(Fault::new("invalid_body", detail));
        }
        points.iter().map(grid::Fix::try_from).for_each(each);
        return Ok(());
    }
    if members.contains_key("lng") || members.contains_key("at") {
        // Read again for the place of what is wrong.
        return read_json::<Fix>(json)
            .map(|fix| each(grid::Fix::try_from(&fix)))
            .map_err(Fault::from);
    }
    Err(Fault::new("invalid_body", format!("the payload is refused: {tracked}")))
}

/// Whether a position of `at` says anything at `now`.
pub(super) fn is_recent(at: Timestamp, now: Timestamp, age_ms_max: u64) -> bool {
    age_ms_max == 0 || now.millis_since(at) <= age_ms_max
}

#[cfg(test)]
mod tests {
    use muster_engine::geo::Position;

    use super::*;

    fn read(json: &str) -> Result<Vec<Judged>, Fault> {
        let mut fixes = Vec::new();
        read_fixes(json.as_bytes(), |fix| fixes.push(fix)).map(|()| fixes)
    }

    fn refused(json: &str) -> (&'static str, String) {
        let fault = read(json).unwrap_err();
        (fault.reason, fault.detail)
    }

    /// As the service writes it, with everything in it that dispatch does not read.
    const TRACKED: &str = r#"{"r_id":null,"m_id":"m-1","mocid":"c-1","rid":"ride-1",
        "ts":"2025-12-01T00:00:00.250123Z","st":"2025-12-01T00:00:01Z","pt":{"lat":12.97,"lon":77.59},
        "da":true,"lat":12.97,"lon":77.59,"acc":8.5,"speed":6.25,"bear":181.5,"ride_status":"ON_PICKUP",
        "active":true,"on_ride":true,"mode":"ONLINE","vehicle_variant":"AUTO_RICKSHAW",
        "is_stop_detected":null,"stop_lat":null,"stop_lon":null,"travelled_distance":12}"#;

    #[test]
    fn a_message_of_the_tracking_service_is_a_fix() {
        let fixes = read(TRACKED).unwrap();
        let fix = fixes[0].unwrap();
        assert_eq!(fixes.len(), 1);
        assert_eq!(fix.position, Position::from_degrees(12.97, 77.59).unwrap());
        assert_eq!(fix.at, Timestamp::from_millis(1_764_547_200_250));
        assert_eq!(
            (fix.accuracy_m, fix.speed_mps, fix.bearing_deg),
            (Some(8.5), Some(6.25), Some(181.5))
        );
    }

    #[test]
    fn older_and_newer_messages_of_the_service_are_fixes_too() {
        let at = |json: &str| read(json).unwrap()[0].unwrap().at.as_millis();
        let place = r#""lat":1.0,"lon":2.0"#;
        assert_eq!(at(&format!(r#"{{"ts":1764547200,{place}}}"#)), 1_764_547_200_000);
        assert_eq!(at(&format!(r#"{{"ts":1764547200.25,{place}}}"#)), 1_764_547_200_250);
        assert_eq!(
            at(&format!(r#"{{"ts":1764547200250,{place},"bear":null}}"#)),
            1_764_547_200_250
        );
        let both = r#"{"ts":1,"pt":{"lat":3.0,"lon":4.0},"lat":1.0,"lon":2.0}"#;
        let position = read(both).unwrap()[0].unwrap().position;
        assert_eq!(position, Position::from_degrees(3.0, 4.0).unwrap());
    }

    #[test]
    fn our_own_fix_and_several_of_them_are_taken() {
        let one = read(r#"{"lat":40.7,"lng":-73.9,"at":1764547200000,"speed_mps":6.2}"#).unwrap();
        assert_eq!(one[0].unwrap().at, Timestamp::from_millis(1_764_547_200_000));
        let two = r#"{"points":[{"lat":40.7,"lng":-73.9,"at":1},{"lat":95.0,"lng":0.0,"at":2}]}"#;
        let two = read(two).unwrap();
        assert!(two[0].is_ok());
        assert_eq!(two[1], Err(FixRejection::OutOfRange));
    }

    #[test]
    fn what_is_neither_is_refused_with_the_fact() {
        assert_eq!(refused("{").0, "malformed_json");
        assert_eq!(refused("\u{1}\u{2}").0, "malformed_json");
        assert!(refused("[]").1.contains("object"));
        let (reason, detail) = refused(r#"{"lat":1.0,"lng":2.0,"at":3,"colour":"red"}"#);
        assert_eq!(reason, "invalid_body");
        assert!(detail.contains("colour"), "{detail}");
        let (_, detail) = refused(r#"{"points":[{"lat":1.0,"lng":2.0}]}"#);
        assert!(detail.contains("/points/0") && detail.contains("at"), "{detail}");
        let many = vec![r#"{"lat":1.0,"lng":2.0,"at":3}"#; FIXES_MAX + 1].join(",");
        assert!(refused(&format!(r#"{{"points":[{many}]}}"#)).1.contains("at most"));
        assert!(refused(r#"{"ts":1}"#).1.contains("pt"));
        assert!(refused(r#"{"ts":"yesterday","lat":1.0,"lon":2.0}"#).1.contains("instant"));
        assert!(refused(r#"{"ts":-5,"lat":1.0,"lon":2.0}"#).0 == "invalid_body");
    }

    #[test]
    fn a_position_says_nothing_after_its_time() {
        let at = Timestamp::from_millis(10_000);
        assert!(is_recent(at, at.plus_millis(5), 5));
        assert!(!is_recent(at, at.plus_millis(6), 5));
        assert!(is_recent(at, at.plus_millis(1_000_000), 0));
        assert!(is_recent(at.plus_millis(9), at, 5), "a clock ahead is judged elsewhere");
    }
}
