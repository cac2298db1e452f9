//! Trips of a file: CSV, packed with zstd or not.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use muster_engine::geo::Position;
use muster_engine::matching::DrivenRide;
use muster_engine::policy::DispatchPolicy;
use muster_engine::time::Timestamp;
use serde::Deserialize;

use super::{RIDES_MAX, TrainError};

/// A trip as it is written; other columns are passed over.
#[derive(Deserialize)]
struct Row {
    pickup_lat: f64,
    pickup_lon: f64,
    dropoff_lat: f64,
    dropoff_lon: f64,
    #[serde(default)]
    pickup_ts: Option<i64>,
    #[serde(default)]
    pickup_local: Option<String>,
    #[serde(default)]
    dropoff_ts: Option<i64>,
    #[serde(default)]
    cab: Option<String>,
}

/// The trips of a file, in its order. Nobody knows where a cab came from: its rider got in where and
/// when it took the trip. A trip that tells no end takes as long as `policy` estimates.
pub(super) fn rides(
    path: &Path,
    policy: &DispatchPolicy,
    utc_offset_min: i32,
) -> Result<Vec<DrivenRide>, TrainError> {
    let name = || path.display().to_string();
    let failed = |error| TrainError::File { path: name(), error };
    let file = File::open(path).map_err(failed)?;
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    let text: Box<dyn Read> = match packed {
        true => Box::new(zstd::Decoder::new(file).map_err(failed)?),
        false => Box::new(file),
    };
    let mut rides = Vec::new();
    for (row, line) in csv::Reader::from_reader(text).into_deserialize::<Row>().zip(2..) {
        let ride = row.map_err(|error| error.to_string());
        let ride = ride.and_then(|row| driven(row, policy, utc_offset_min));
        rides.push(ride.map_err(|error| TrainError::Row { path: name(), line, error })?);
        if rides.len() > RIDES_MAX {
            return Err(TrainError::TooMany);
        }
    }
    Ok(rides)
}

fn driven(row: Row, policy: &DispatchPolicy, utc_offset_min: i32) -> Result<DrivenRide, String> {
    let place = |what: &str, lat, lng| {
        Position::from_degrees(lat, lng).map_err(|error| format!("{what}: {error}"))
    };
    let pickup = place("pickup", row.pickup_lat, row.pickup_lon)?;
    let dropoff = place("dropoff", row.dropoff_lat, row.dropoff_lon)?;
    let taken_at = match (row.pickup_ts, row.pickup_local) {
        (Some(seconds), _) => unix("pickup_ts", seconds)?,
        (None, Some(local)) => clock("pickup_local", &local, utc_offset_min)?,
        (None, None) => return Err("pickup_ts or pickup_local is missing".to_owned()),
    };
    let estimated_s = policy.pickup_eta(pickup.distance(dropoff)).get();
    let completed_at = match row.dropoff_ts {
        Some(seconds) => unix("dropoff_ts", seconds)?,
        None => taken_at.plus_millis(u64::from(estimated_s) * 1_000),
    };
    Ok(DrivenRide {
        driver: row.cab.filter(|cab| !cab.is_empty()),
        assigned_at: taken_at,
        pickup,
        boarded_at: taken_at,
        dropoff,
        completed_at,
    })
}

fn unix(field: &str, seconds: i64) -> Result<Timestamp, String> {
    let seconds = u64::try_from(seconds).map_err(|_| format!("{field} is {seconds}, below 0"))?;
    Ok(Timestamp::from_millis(seconds.saturating_mul(1_000)))
}

/// The instant at which the market's clocks show `local`.
fn clock(field: &str, local: &str, utc_offset_min: i32) -> Result<Timestamp, String> {
    let refused = || format!("{field} is {local:?}, allowed is YYYY-MM-DDTHH:MM");
    let local: jiff::civil::DateTime = local.parse().map_err(|_| refused())?;
    let utc = local.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| refused())?;
    let ms = utc.timestamp().as_millisecond() - i64::from(utc_offset_min) * 60_000;
    u64::try_from(ms).map(Timestamp::from_millis).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<DrivenRide>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let bytes = match name.ends_with(".zst") {
            true => zstd::encode_all(text.as_bytes(), 1).unwrap(),
            false => text.as_bytes().to_vec(),
        };
        std::fs::write(&path, bytes).unwrap();
        let policy = DispatchPolicy {
            detour_factor: 1.0,
            pickup_speed_mps: 10.0,
            ..DispatchPolicy::default()
        };
        rides(&path, &policy, -300).map_err(|error| error.to_string())
    }

    const PLACES: &str = "pickup_lat,pickup_lon,dropoff_lat,dropoff_lon";

    #[test]
    fn local_minutes_are_those_of_the_market_and_the_way_is_estimated() {
        let text =
            format!("pickup_local,{PLACES},pax\n2013-11-18T16:05,40.75,-73.99,40.76,-73.99,2\n");
        for name in ["trips.csv", "trips.csv.zst"] {
            let ride = read(name, &text).unwrap().remove(0);
            // 16:05 five hours behind UTC, and 1,112 m at ten a second.
            assert_eq!(ride.boarded_at.as_millis(), 1_384_808_700_000);
            assert_eq!(ride.completed_at.millis_since(ride.boarded_at), 111_000);
            assert_eq!(ride.driver, None);
        }
    }

    #[test]
    fn trips_of_a_fleet_tell_cab_and_end() {
        let text =
            format!("pickup_ts,cab,{PLACES},dropoff_ts\n1000,c-1,37.7,-122.4,37.8,-122.4,1600\n");
        let ride = read("trips.csv", &text).unwrap().remove(0);
        assert_eq!(
            (ride.driver.as_deref(), ride.completed_at.as_millis()),
            (Some("c-1"), 1_600_000)
        );
    }

    #[test]
    fn a_row_that_cannot_be_read_is_named_with_its_line() {
        let text = format!("pickup_local,{PLACES}\n2013-11-18T16:05,40.75,-73.99,40.76,-73.99\n");
        let error = read("trips.csv", &format!("{text}16:06,40.75,-73.99,40.76,-73.99\n"));
        let error = error.unwrap_err();
        assert!(error.contains("trips.csv, line 3: pickup_local is \"16:06\""), "{error}");
        let error = read("trips.csv", &format!("{PLACES}\n40.75,-73.99,40.76,-73.99\n"));
        assert!(error.unwrap_err().ends_with("line 2: pickup_ts or pickup_local is missing"));
    }
}
