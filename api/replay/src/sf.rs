//! San Francisco: a fleet's own GPS traces and trips, read from files that are not bundled.
//!
//! A recorded cab cannot follow a dispatch. The rule of this replay: on a won offer the driver
//! arrives, starts and completes on a timetable of straight-line distance × 1.3 at 20 km/h,
//! while the cab's recorded fixes go on unchanged; a cab that carried a passenger in the
//! recording declines offers as `occupied`. Cabs are silent when the recording is silent.

mod trace;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

pub(crate) use trace::{TraceFix, TraceVehicle};

use crate::error::ReplayError;
use crate::geo::Point;
use crate::options::ReplayOptions;
use crate::trips::Trip;

const TRACES: &str = "sf_cab_traces_2008-06-01_07.csv.zst";
const TRIPS: &str = "sf_cab_trips_2008.csv.zst";
/// Friday 6 June 2008, 23:00 in San Francisco: 1,621 trips begin in the hour.
const DEFAULT_START_S: i64 = 1_212_818_400;
/// A cab's last fix before the window still tells where it is if it is not older than this.
const BEFORE_S: i64 = 300;

/// What is replayed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    /// Unix seconds of the recording.
    pub(crate) start_s: i64,
    pub(crate) minutes: i64,
    /// Traces go on for this long after the last request.
    pub(crate) wind_down_minutes: i64,
}

impl Window {
    pub(crate) fn new(options: &ReplayOptions) -> Self {
        Self {
            start_s: options.start.unwrap_or(DEFAULT_START_S),
            minutes: i64::from(options.minutes().unwrap_or(60)),
            wind_down_minutes: i64::from(options.wind_down_minutes()),
        }
    }

    fn requests_end_s(&self) -> i64 {
        self.start_s + self.minutes * 60
    }
}

/// Fixes of each cab by its number, in time order, with city time 0 at the window's start.
pub(crate) type Traces = BTreeMap<u32, Vec<TraceFix>>;

/// Reads the traces and trips of a window; takes a second or two, and blocks.
pub(crate) fn load(
    folder: Option<&Path>,
    window: &Window,
) -> Result<(Traces, Vec<Trip>), ReplayError> {
    // Both files are looked for before any is read.
    let (traces, trips) = (find(folder, TRACES)?, find(folder, TRIPS)?);
    let traces = read_traces(reader(&traces)?, window)?;
    let trips = read_trips(reader(&trips)?, window)?;
    if trips.is_empty() || traces.is_empty() {
        return Err(ReplayError::Options(format!(
            "the window that starts at {} has {} cabs and {} trips: the traces cover \
             1212303600 to 1212908400 (1 to 7 June 2008)",
            window.start_s,
            traces.len(),
            trips.len()
        )));
    }
    Ok((traces, trips))
}

fn find(folder: Option<&Path>, name: &str) -> Result<PathBuf, ReplayError> {
    let path = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    if path.is_file() { Ok(path) } else { Err(ReplayError::DataMissing { path }) }
}

fn reader(path: &Path) -> Result<impl BufRead, ReplayError> {
    let failed = |error| ReplayError::data(&path.display().to_string(), error);
    let decoder = zstd::Decoder::new(File::open(path).map_err(failed)?).map_err(failed)?;
    Ok(BufReader::new(decoder))
}

/// Rows `ts, cab, lat, lon, occ`, sorted by time.
fn read_traces(text: impl BufRead, window: &Window) -> Result<Traces, ReplayError> {
    let end_s = window.requests_end_s() + window.wind_down_minutes * 60;
    let mut traces = Traces::new();
    for line in text.lines().skip(1) {
        let line = line.map_err(|error| ReplayError::data(TRACES, error))?;
        let bad = || ReplayError::data(TRACES, format!("row {line}"));
        let mut fields = line.split(',');
        let ts: i64 = field(&mut fields).ok_or_else(bad)?;
        if ts < window.start_s - BEFORE_S {
            continue;
        }
        if ts >= end_s {
            break;
        }
        let cab: u32 = field(&mut fields).ok_or_else(bad)?;
        let (lat, lng) = (field(&mut fields).ok_or_else(bad)?, field(&mut fields).ok_or_else(bad)?);
        let occupied = field::<u8>(&mut fields).ok_or_else(bad)? == 1;
        let after_ms = (ts - window.start_s) * 1_000;
        let fixes = traces.entry(cab).or_default();
        // Only the newest of the fixes before the window matters.
        if after_ms <= 0 {
            fixes.clear();
        }
        fixes.push(TraceFix { after_ms, point: Point::new(lat, lng), occupied });
    }
    traces.retain(|_, fixes| fixes.iter().any(|fix| fix.after_ms >= 0));
    Ok(traces)
}

/// Rows `pickup_ts, cab, pickup_lat, pickup_lon, dropoff_ts, dropoff_lat, dropoff_lon, …`.
fn read_trips(text: impl BufRead, window: &Window) -> Result<Vec<Trip>, ReplayError> {
    let mut trips = Vec::new();
    for line in text.lines().skip(1) {
        let line = line.map_err(|error| ReplayError::data(TRIPS, error))?;
        let bad = || ReplayError::data(TRIPS, format!("row {line}"));
        let columns: Vec<&str> = line.split(',').collect();
        let number = |column: usize| {
            columns.get(column).and_then(|text| text.parse::<f64>().ok()).ok_or_else(bad)
        };
        let ts = number(0)? as i64;
        if (window.start_s..window.requests_end_s()).contains(&ts) {
            trips.push(Trip {
                after_ms: (ts - window.start_s) * 1_000,
                pickup: Point::new(number(2)?, number(3)?),
                dropoff: Point::new(number(5)?, number(6)?),
                passengers: 1,
            });
        }
    }
    trips.sort_by_key(|trip| trip.after_ms);
    Ok(trips)
}

fn field<'a, T: std::str::FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { start_s: 1_000, minutes: 1, wind_down_minutes: 1 };

    #[test]
    fn a_window_of_the_traces_keeps_the_last_fix_before_it() {
        let text = "ts,cab,lat,lon,occ\n600,1,37.7,-122.4,0\n900,1,37.71,-122.41,1\n\
                    950,1,37.72,-122.42,0\n960,2,37.7,-122.4,0\n1010,1,37.73,-122.43,1\n\
                    1119,3,37.7,-122.4,0\n1120,1,37.9,-122.4,0\n";
        let traces = read_traces(text.as_bytes(), &WINDOW).unwrap();
        assert_eq!(traces.keys().copied().collect::<Vec<_>>(), [1, 3], "cab 2 has gone home");
        let first: Vec<_> = traces[&1].iter().map(|fix| (fix.after_ms, fix.occupied)).collect();
        assert_eq!(first, [(-50_000, false), (10_000, true)]);
    }

    #[test]
    fn trips_of_the_window_are_sorted_by_time() {
        let text = "pickup_ts,cab,pickup_lat,pickup_lon,dropoff_ts,dropoff_lat,dropoff_lon,path_m,fixes\n\
                    1059,7,37.7,-122.4,1200,37.8,-122.5,1,1\n999,7,1,2,3,4,5,6,7\n\
                    1000,7,37.7,-122.4,1200,37.8,-122.5,1,1\n1060,7,1,2,3,4,5,6,7\n";
        let trips = read_trips(text.as_bytes(), &WINDOW).unwrap();
        let times: Vec<_> = trips.iter().map(|trip| trip.after_ms).collect();
        assert_eq!(times, [0, 59_000]);
        assert_eq!(trips[0].dropoff, Point::new(37.8, -122.5));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load(Some(Path::new("/nowhere")), &WINDOW).unwrap_err().to_string();
        assert!(error.contains("/nowhere/sf_cab_traces_2008-06-01_07.csv.zst"), "{error}");
        assert!(error.contains("--data"), "{error}");
    }
}
