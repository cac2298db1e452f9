//! What it is worth to have a driver at a place at a time of day: the table of Xu et al., "Large-Scale
//! Order Dispatch in On-Demand Ride-Hailing Platforms" (KDD 2018).
//!
//! A value is the time with riders, in seconds, that a driver who is free there may expect until the
//! day is over, each second worth the less the farther ahead it is. A match is worth more than
//! waiting by its advantage: the time with its rider, and what the driver's new place and time are
//! worth, less what his own are worth.

use std::collections::BTreeMap;
use std::fmt;

use crate::geo::{Cell, CellResolution, Position};
use crate::time::Timestamp;

const DAY_S: u32 = 86_400;

/// Entries a table has at most: a city's cells of some hundred metres, every ten minutes.
pub const VALUES_MAX: usize = 5_000_000;

/// What the first line of a table begins with.
const MARK: &str = "muster-values";

/// What the second line of a table is.
const COLUMNS: &str = "cell,time,value_s";

/// How places and times are told apart, and how the future is discounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValueSpec {
    /// How large a place is.
    pub resolution: CellResolution,
    /// How long a time of day is, in seconds: whole minutes, a whole number of them in a day.
    pub bucket_s: u32,
    /// What a second an hour ahead is worth now, in thousandths: 1..=1000.
    pub discount_permille: u16,
    /// Minutes that the market's clocks are ahead of UTC: -1440..=1440. The day begins and ends at
    /// their midnight.
    pub utc_offset_min: i32,
}

/// What is wrong with a table of values, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {field} is {found:?}, allowed is {allowed}")]
pub struct ValueError {
    /// The line, counted from 1; 0 where no file is read.
    pub line: usize,
    /// The field.
    pub field: &'static str,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: &'static str,
}

fn refused(line: usize, field: &'static str, found: &str, allowed: &'static str) -> ValueError {
    ValueError { line, field, found: found.to_owned(), allowed }
}

impl ValueSpec {
    /// Checks every number.
    ///
    /// # Errors
    /// [`ValueError`] names the first field that is out of range.
    pub fn checked(self) -> Result<Self, ValueError> {
        let (bucket_s, offset) = (self.bucket_s, self.utc_offset_min);
        let whole = bucket_s >= 60 && bucket_s.is_multiple_of(60) && DAY_S.is_multiple_of(bucket_s);
        let checks = [
            (whole, "bucket_s", bucket_s.to_string(), "whole minutes that divide a day"),
            (
                (1..=1_000).contains(&self.discount_permille),
                "discount_permille",
                self.discount_permille.to_string(),
                "1..=1000",
            ),
            (
                (-1_440..=1_440).contains(&offset),
                "utc_offset_min",
                offset.to_string(),
                "-1440..=1440",
            ),
        ];
        match checks.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, found, allowed)) => Err(refused(0, field, &found, allowed)),
            None => Ok(self),
        }
    }

    /// How many times of day there are.
    pub const fn buckets(&self) -> usize {
        (DAY_S / self.bucket_s) as usize
    }

    /// The local second of the day.
    pub(super) const fn second_of_day(&self, at: Timestamp) -> f64 {
        let local_ms = (at.as_millis() as i64).saturating_add(self.utc_offset_min as i64 * 60_000);
        local_ms.rem_euclid(DAY_S as i64 * 1_000) as f64 / 1_000.0
    }

    /// The time of day of a second of the day; nothing once the day is over.
    pub(super) fn bucket_of(&self, second_of_day: f64) -> Option<usize> {
        let bucket = (second_of_day / f64::from(self.bucket_s)) as usize;
        (bucket < self.buckets()).then_some(bucket)
    }

    /// What a second is worth that is so many seconds ahead.
    pub(super) fn discount(&self, after_s: f64) -> f64 {
        (f64::from(self.discount_permille) / 1_000.0).powf(after_s / 3_600.0)
    }

    /// What `for_s` seconds are worth together that begin `after_s` seconds ahead.
    pub(super) fn discounted_s(&self, after_s: f64, for_s: f64) -> f64 {
        let rate = -(f64::from(self.discount_permille) / 1_000.0).ln() / 3_600.0;
        let whole = if rate > 0.0 { (1.0 - self.discount(for_s)) / rate } else { for_s };
        self.discount(after_s) * whole
    }
}

/// The values of a market's places and times.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueTable {
    spec: ValueSpec,
    /// By place, then by time of day.
    values_s: BTreeMap<Cell, Vec<f32>>,
}

impl ValueTable {
    pub(super) const fn new(spec: ValueSpec, values_s: BTreeMap<Cell, Vec<f32>>) -> Self {
        Self { spec, values_s }
    }

    /// How the table tells places and times apart.
    pub const fn spec(&self) -> &ValueSpec {
        &self.spec
    }

    /// How many places it knows.
    pub fn places(&self) -> usize {
        self.values_s.len()
    }

    /// The highest value, in seconds.
    pub fn highest_s(&self) -> f64 {
        self.values_s.values().flatten().copied().fold(0.0, f32::max).into()
    }

    /// What a driver is worth who is free at `place` so many seconds after `now`; nothing where the
    /// table does not know the place, and once the day of `now` is over.
    pub fn value_s(&self, place: Position, now: Timestamp, after_s: f64) -> f64 {
        let Some(bucket) = self.spec.bucket_of(self.spec.second_of_day(now) + after_s) else {
            return 0.0;
        };
        let values = self.values_s.get(&Cell::at(place, self.spec.resolution));
        values.map_or(0.0, |values| f64::from(values[bucket]))
    }

    /// How much more than waiting it is worth, in seconds, that a driver who is free at `from` after
    /// `free_s` seconds takes a rider after `pickup_s` and is at `to` after `trip_s` more.
    pub fn advantage_s(
        &self,
        now: Timestamp,
        (from, free_s): (Position, f64),
        pickup_s: f64,
        (to, trip_s): (Position, f64),
    ) -> f64 {
        let spec = &self.spec;
        let ends_s = pickup_s + trip_s;
        let served = spec.discounted_s(pickup_s, trip_s);
        let there = spec.discount(ends_s) * self.value_s(to, now, ends_s);
        served + there - spec.discount(free_s) * self.value_s(from, now, free_s)
    }

    /// Reads what [`fmt::Display`] writes.
    ///
    /// # Errors
    /// [`ValueError`] names line, field, what was found and what is allowed.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let mut lines = text.lines().zip(1..);
        let (settings, _) = lines.next().unwrap_or_default();
        let spec = parse_spec(settings)?;
        let (columns, _) = lines.next().unwrap_or_default();
        if columns != COLUMNS {
            return Err(refused(2, "columns", columns, COLUMNS));
        }
        let mut values_s: BTreeMap<Cell, Vec<f32>> = BTreeMap::new();
        let mut seen: BTreeMap<Cell, Vec<bool>> = BTreeMap::new();
        for (row, line) in lines {
            if line - 2 > VALUES_MAX {
                return Err(refused(line, "row", row, "at most 5000000 rows"));
            }
            let (cell, bucket, value_s) = parse_row(&spec, row, line)?;
            let unknown = || vec![false; spec.buckets()];
            if std::mem::replace(&mut seen.entry(cell).or_insert_with(unknown)[bucket], true) {
                return Err(refused(line, "row", row, "one row per cell and time"));
            }
            values_s.entry(cell).or_insert_with(|| vec![0.0; spec.buckets()])[bucket] = value_s;
        }
        Ok(Self { spec, values_s })
    }
}

impl fmt::Display for ValueTable {
    /// A line of settings, a line of column names, and a row for each place and time that is worth
    /// anything: the H3 cell, the local time at which the time of day begins, the value in seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ValueSpec { resolution, bucket_s, discount_permille, utc_offset_min } = self.spec;
        writeln!(
            f,
            "{MARK},resolution={},bucket_s={bucket_s},discount_permille={discount_permille},\
             utc_offset_min={utc_offset_min}",
            resolution.number()
        )?;
        writeln!(f, "{COLUMNS}")?;
        for (cell, values) in &self.values_s {
            for (bucket, value_s) in values.iter().enumerate() {
                // What is printed as nothing is worth nothing.
                if *value_s >= 0.05 {
                    let minute = bucket as u32 * (bucket_s / 60);
                    let (hour, minute) = (minute / 60, minute % 60);
                    writeln!(f, "{cell},{hour:02}:{minute:02},{value_s:.1}")?;
                }
            }
        }
        Ok(())
    }
}

/// Reads the line of settings: each once, in this order.
fn parse_spec(line: &str) -> Result<ValueSpec, ValueError> {
    let mut parts = line.split(',');
    let mark = parts.next().unwrap_or_default();
    if mark != MARK {
        return Err(refused(1, "format", mark, MARK));
    }
    let resolution = setting(parts.next(), "resolution", "an H3 resolution, 0..=15")?;
    let spec = ValueSpec {
        resolution: CellResolution::new(resolution).map_err(|_| {
            refused(1, "resolution", &resolution.to_string(), "an H3 resolution, 0..=15")
        })?,
        bucket_s: setting(parts.next(), "bucket_s", "whole minutes that divide a day")?,
        discount_permille: setting(parts.next(), "discount_permille", "1..=1000")?,
        utc_offset_min: setting(parts.next(), "utc_offset_min", "-1440..=1440")?,
    };
    if let Some(more) = parts.next() {
        return Err(refused(1, "settings", more, "nothing after utc_offset_min"));
    }
    spec.checked().map_err(|error| ValueError { line: 1, ..error })
}

fn setting<T: std::str::FromStr>(
    part: Option<&str>,
    name: &'static str,
    allowed: &'static str,
) -> Result<T, ValueError> {
    let part = part.unwrap_or_default();
    let value = part.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).ok_or_else(|| refused(1, name, part, allowed))
}

fn parse_row(spec: &ValueSpec, row: &str, line: usize) -> Result<(Cell, usize, f32), ValueError> {
    let mut fields = row.split(',');
    let mut field = || fields.next().unwrap_or_default();
    let (cell, time, value) = (field(), field(), field());
    if let Some(more) = fields.next() {
        return Err(refused(line, "row", more, COLUMNS));
    }
    let of_table = |cell: &Cell| cell.resolution() == spec.resolution;
    let cell = cell
        .parse()
        .ok()
        .filter(of_table)
        .ok_or_else(|| refused(line, "cell", cell, "an H3 cell of the table's resolution"))?;
    let bucket = bucket_at(spec, time)
        .ok_or_else(|| refused(line, "time", time, "HH:MM at which a time of day begins"))?;
    let within = |value_s: &f32| (0.0..=DAY_S as f32).contains(value_s);
    let value_s = value
        .parse()
        .ok()
        .filter(within)
        .ok_or_else(|| refused(line, "value_s", value, "seconds, 0..=86400"))?;
    Ok((cell, bucket, value_s))
}

fn bucket_at(spec: &ValueSpec, time: &str) -> Option<usize> {
    let (hour, minute) = time.split_once(':')?;
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hour) || !digits(minute) {
        return None;
    }
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let second = (hour * 60 + minute) * 60;
    let begins = hour < 24 && minute < 60 && second.is_multiple_of(spec.bucket_s);
    begins.then_some((second / spec.bucket_s) as usize)
}
