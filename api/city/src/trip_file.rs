//! Trips of a file: CSV with a header, plain or packed with zstd.
//!
//! Needed are `pickup_lat`, `pickup_lon`, `dropoff_lat`, `dropoff_lon` in degrees and a time:
//! `pickup_ts` (unix seconds) or `pickup_local` (`2013-11-18T16:05`, seconds may follow). `pax` may say
//! how many ride. Other columns are passed over.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

use crate::error::CityError;
use crate::geo::Point;
use crate::trips::{Trip, decompress};

/// Trips that are read at most: a day of a large city.
pub const TRIPS_MAX: usize = 2_000_000;

#[derive(Deserialize)]
struct Row {
    pickup_ts: Option<i64>,
    pickup_local: Option<String>,
    pickup_lat: f64,
    pickup_lon: f64,
    dropoff_lat: f64,
    dropoff_lon: f64,
    pax: Option<u8>,
}

/// The trips of the file at `path`, by time; the first minute in it begins the window. Where times
/// are whole minutes each trip is put at a seeded millisecond inside its minute.
///
/// # Errors
/// [`CityError::Data`] names the file, the line and what is wrong with it.
pub fn read(path: &Path, seed: u64) -> Result<Vec<Trip>, CityError> {
    let what = path.display().to_string();
    let read = std::fs::read(path).map_err(|error| CityError::data(&what, error))?;
    let packed = path.extension().is_some_and(|ending| ending == "zst");
    let text = if packed { decompress(&what, &read)? } else { read };
    parse(&what, &text, seed)
}

fn parse(what: &str, text: &[u8], seed: u64) -> Result<Vec<Trip>, CityError> {
    let mut within_minute = ChaCha8Rng::seed_from_u64(seed ^ 0x0074_7269_7073);
    let mut trips = Vec::new();
    for (number, row) in csv::Reader::from_reader(text).deserialize::<Row>().enumerate() {
        let row = row.map_err(|error| CityError::data(what, error))?;
        let fault =
            |detail: String| CityError::data(what, format!("line {}: {detail}", number + 2));
        let (mut after_ms, is_minute) = time_ms(&row).map_err(fault)?;
        if is_minute {
            after_ms += within_minute.random_range(0..60_000);
        }
        let place = |name: &str, lat: f64, lng: f64| {
            let fits = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lng);
            let detail = || format!("{name} is {lat}, {lng}, which is no position in degrees");
            if fits { Ok(Point::new(lat, lng)) } else { Err(fault(detail())) }
        };
        let pickup = place("pickup", row.pickup_lat, row.pickup_lon)?;
        let dropoff = place("dropoff", row.dropoff_lat, row.dropoff_lon)?;
        trips.push(Trip { after_ms, pickup, dropoff, passengers: row.pax.unwrap_or(1) });
        if trips.len() > TRIPS_MAX {
            return Err(fault(format!("more than {TRIPS_MAX} trips")));
        }
    }
    trips.sort_by_key(|trip| trip.after_ms);
    let Some(first) = trips.first() else {
        return Err(CityError::data(what, "it holds no trip"));
    };
    let begins_ms = first.after_ms.div_euclid(60_000) * 60_000;
    trips.iter_mut().for_each(|trip| trip.after_ms -= begins_ms);
    Ok(trips)
}

/// Milliseconds on some clock, and whether they are a whole minute that may stand for any in it.
fn time_ms(row: &Row) -> Result<(i64, bool), String> {
    if let Some(seconds) = row.pickup_ts {
        return Ok((seconds.saturating_mul(1_000), false));
    }
    let Some(local) = &row.pickup_local else {
        return Err("neither pickup_ts nor pickup_local".to_owned());
    };
    local_ms(local).ok_or_else(|| format!("pickup_local is {local:?}, not like 2013-11-18T16:05"))
}

fn local_ms(local: &str) -> Option<(i64, bool)> {
    let (date, time) = local.split_once(['T', ' '])?;
    let numbers = |text: &str, by: char| {
        text.split(by).map(|part| part.parse::<i64>().ok()).collect::<Option<Vec<i64>>>()
    };
    let (date, time) = (numbers(date, '-')?, numbers(time, ':')?);
    let ([year, month, day], [hour, minute, seconds @ ..]) = (&date[..], &time[..]) else {
        return None;
    };
    let fits = (1..=12).contains(month) && (1..=31).contains(day) && seconds.len() <= 1;
    let fits = fits && (0..24).contains(hour) && (0..60).contains(minute);
    let second = seconds.first().copied();
    if !fits || !(0..=60).contains(&second.unwrap_or(0)) {
        return None;
    }
    let at_s = (days_since_epoch(*year, *month, *day) * 24 + hour) * 3_600 + minute * 60;
    Some(((at_s + second.unwrap_or(0)) * 1_000, second.is_none()))
}

/// Days from 1 January 1970 in the Gregorian calendar, whose years are counted from March here so
/// that the leap day is the last.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year - era * 400;
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "pickup_local,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon,pax\n";

    fn parsed(text: &str) -> Result<Vec<Trip>, String> {
        parse("t.csv", text.as_bytes(), 1).map_err(|error| error.to_string())
    }

    #[test]
    fn minutes_are_filled_and_seconds_kept_from_the_first_minute_on() {
        let rows =
            "2024-02-29T23:59,40.7,-74,40.8,-73.9,2\n2024-03-01T00:01:30,40.7,-74,40.8,-73.9,1\n";
        let trips = parsed(&format!("{HEAD}{rows}")).unwrap();
        assert!((0..60_000).contains(&trips[0].after_ms));
        assert_eq!((trips[1].after_ms, trips[1].passengers), (150_000, 1));
        let by_second = "pickup_ts,cab,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\n\
                         1211018404,7,37.7,-122.4,37.8,-122.4\n1211018410,7,37.7,-122.4,37.8,-122.4\n";
        let trips = parsed(by_second).unwrap();
        assert_eq!(trips[1].after_ms - trips[0].after_ms, 6_000);
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        assert_eq!(days_since_epoch(1970, 1, 1), 0);
        assert_eq!(days_since_epoch(2000, 3, 1), 11_017);
        assert_eq!(days_since_epoch(2013, 11, 18), 16_027);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let error = |rows: &str| parsed(&format!("{HEAD}{rows}")).unwrap_err();
        let soon = error("soon,40.7,-74,40.8,-73.9,2\n");
        assert!(soon.contains("t.csv: line 2: pickup_local is \"soon\""), "{soon}");
        let far = error("2024-02-29T23:59,40.7,-74,140.8,-73.9,2\n");
        assert!(far.contains("dropoff is 140.8, -73.9"), "{far}");
        assert!(error("").contains("no trip"));
        let untimed = parsed("pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\n1,1,1,1\n");
        assert!(untimed.unwrap_err().contains("neither pickup_ts nor pickup_local"));
    }
}
