//! Trips to request: the bundled Manhattan hour, or those of a file.

use std::io::Read;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::error::CityError;
use crate::geo::Point;

const MANHATTAN: &[u8] = include_bytes!("../data/manhattan_trips_2013-11-18_16h.csv.zst");

/// One rider's wish, at a time after the start of the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trip {
    /// City milliseconds after the start of the window.
    pub after_ms: i64,
    /// Where the rider waits.
    pub pickup: Point,
    /// Where the rider goes.
    pub dropoff: Point,
    /// How many ride.
    pub passengers: u8,
}

/// New York's meter of 2013 at rush hour: 2.50 to start, 2.50 a mile, 1.00 and 0.50 extra.
pub fn fare_cents(driven_m: f64) -> u64 {
    let fifths_of_a_mile = (driven_m / 321.869).ceil();
    400 + 50 * fifths_of_a_mile as u64
}

#[derive(Deserialize)]
struct Row {
    pickup_local: String,
    pickup_lat: f64,
    pickup_lon: f64,
    dropoff_lat: f64,
    dropoff_lon: f64,
    pax: u8,
}

/// The 16,010 taxi trips inside Manhattan of Monday 18 November 2013, 16:00 to 17:00, by time.
///
/// The records know whole minutes; each trip is put at a seeded millisecond inside its minute.
///
/// # Errors
/// [`CityError::Data`] when the bundle cannot be read.
pub fn manhattan(seed: u64) -> Result<Vec<Trip>, CityError> {
    let what = "manhattan_trips";
    let text = decompress(what, MANHATTAN)?;
    let mut within_minute = ChaCha8Rng::seed_from_u64(seed ^ 0x0074_7269_7073);
    let mut trips = Vec::with_capacity(16_010);
    for row in csv::Reader::from_reader(text.as_slice()).deserialize() {
        let row: Row = row.map_err(|error| CityError::data(what, error))?;
        let minute = minute_of_the_hour(&row.pickup_local)
            .ok_or_else(|| CityError::data(what, format!("time {}", row.pickup_local)))?;
        // The 138 records of 17:00 are half a minute's worth: the rate stays even.
        let spread_ms = if minute == 60 { 30_000 } else { 60_000 };
        trips.push(Trip {
            after_ms: minute * 60_000 + within_minute.random_range(0..spread_ms),
            pickup: Point::new(row.pickup_lat, row.pickup_lon),
            dropoff: Point::new(row.dropoff_lat, row.dropoff_lon),
            passengers: row.pax,
        });
    }
    trips.sort_by_key(|trip| trip.after_ms);
    Ok(trips)
}

/// Leaves a seeded share of the trips, all over the window: a smaller city with a smaller fleet.
pub fn keep_share(trips: &mut Vec<Trip>, share: f64, seed: u64) {
    if share < 1.0 {
        let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0x0073_6861_7265);
        trips.retain(|_| random.random::<f64>() < share);
    }
}

/// The minute of `2013-11-18T16:MM`; 60 for the last records, which say 17:00.
fn minute_of_the_hour(local: &str) -> Option<i64> {
    if local == "2013-11-18T17:00" {
        return Some(60);
    }
    let minute = local.strip_prefix("2013-11-18T16:")?.parse().ok()?;
    (0..60).contains(&minute).then_some(minute)
}

/// Unpacks a zstd file held in memory.
///
/// # Errors
/// [`CityError::Data`] when it is none.
pub fn decompress(what: &str, packed: &[u8]) -> Result<Vec<u8>, CityError> {
    let mut text = Vec::new();
    zstd::Decoder::new(packed)
        .and_then(|mut decoder| decoder.read_to_end(&mut text))
        .map_err(|error| CityError::data(what, error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_hour_is_there_sorted_and_inside_the_hour() {
        let trips = manhattan(1).unwrap();
        assert_eq!(trips.len(), 16_010);
        assert!(trips.is_sorted_by_key(|trip| trip.after_ms));
        assert!(trips.iter().all(|trip| (0..3_630_000).contains(&trip.after_ms)));
        for place in trips.iter().flat_map(|trip| [trip.pickup, trip.dropoff]) {
            assert!((40.68..40.90).contains(&place.lat) && (-74.03..-73.90).contains(&place.lng));
        }
    }

    #[test]
    fn fares_follow_the_meter() {
        assert_eq!(fare_cents(0.0), 400);
        assert_eq!(fare_cents(1_609.0), 650);
    }

    #[test]
    fn a_share_of_the_trips_is_the_same_share_of_each_part_of_the_hour() {
        let all = manhattan(1).unwrap();
        let kept = |share| {
            let mut trips = all.clone();
            keep_share(&mut trips, share, 1);
            trips
        };
        assert_eq!(kept(1.0), all);
        let quarter = kept(0.25);
        assert_eq!(quarter, kept(0.25));
        let early = quarter.iter().filter(|trip| trip.after_ms < 1_800_000).count();
        let of = all.iter().filter(|trip| trip.after_ms < 1_800_000).count();
        assert!((early as f64 / of as f64 - 0.25).abs() < 0.02);
        assert!((quarter.len() as f64 / 16_010.0 - 0.25).abs() < 0.02);
    }

    #[test]
    fn the_seed_decides_the_milliseconds_and_nothing_else() {
        let (one, again, other) =
            (manhattan(1).unwrap(), manhattan(1).unwrap(), manhattan(2).unwrap());
        assert_eq!(one, again);
        assert_ne!(one, other);
        let per_minute = |trips: &[Trip]| {
            let mut counts = vec![0; 61];
            for trip in trips {
                counts[(trip.after_ms / 60_000) as usize] += 1;
            }
            counts
        };
        assert_eq!(per_minute(&one), per_minute(&other));
    }
}
