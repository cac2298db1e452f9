//! A city as a recorded log tells of it: its riders, its drivers, and how they behaved.

mod answers;
mod drivers;
mod market;
mod outcome;
mod rides;
mod what_if;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use muster_city::geo::Point;
use muster_city::trips::Trip;
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, RideId};
use muster_engine::time::Timestamp;
use muster_record::{Line, Log, MarketLine};
use serde::Serialize;

use self::answers::Answers;
use self::drivers::{DriverLines, RecordedDriver};
use self::rides::{RecordedRide, Spell};
use crate::error::SimulateError;
use crate::travel::Travel;

pub(crate) use self::drivers::ShiftChange;
pub use self::what_if::simulate_log;

/// Completed trips from which on they tell how fast cars drive.
const TRIPS_MIN: usize = 20;
/// Speeds that cars are believed to drive at.
pub(crate) const SPEED_MPS: (f64, f64) = (1.0, 40.0);

/// What a simulation of a log is made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogFacts {
    /// The market.
    pub market: MarketId,
    /// Files of the log.
    pub files: usize,
    /// Requests of the market.
    pub rides: usize,
    /// Drivers who were online at some time.
    pub drivers: usize,
    /// Answers to offers that drivers' answers are drawn from.
    pub answers: usize,
    /// Rides of the market that began before the log.
    pub rides_before: usize,
    /// Rides that were searched under other policies than the log begins with.
    pub rides_under_other_policies: usize,
    /// The policy that the log begins with has rules or an experiment, which are not simulated.
    pub policy_varies: bool,
    /// Files without a header, passed over.
    pub files_unreadable: u64,
    /// Files that end in the middle of something.
    pub files_cut_short: u64,
    /// Lines that could not be read.
    pub lines_damaged: u64,
    /// Lines that the server dropped.
    pub lines_dropped: u64,
}

/// A recorded city; all times in milliseconds after the log's first line.
#[derive(Debug)]
pub(crate) struct RecordedCity {
    pub(crate) market: MarketLine,
    /// As requested, by time, with the newest drop-off.
    pub(crate) trips: Vec<Trip>,
    pub(crate) rides: Vec<RecordedRide>,
    pub(crate) drivers: Vec<RecordedDriver>,
    pub(crate) answers: Answers,
    pub(crate) until_ms: u64,
    pub(crate) began_at: Timestamp,
    pub(crate) facts: LogFacts,
    places: BTreeMap<DriverId, usize>,
}

impl RecordedCity {
    /// Reads the log at `path`; of several markets the one named, or the one with the most requests.
    pub(crate) fn read(path: &Path, market: Option<&str>) -> Result<Self, SimulateError> {
        let log = Log::read(path)?;
        let market = market::of_log(&log.lines, market)?;
        let began_at = log.lines.first().map_or_else(Timestamp::default, Line::at);
        let until_at = log.lines.last().map_or(began_at, Line::at);
        let mut fold = Fold::new(began_at, &market);
        log.lines.iter().for_each(|line| fold.take(line));
        let until_ms = until_at.millis_since(began_at).max(1);
        fold.finish(market.clone(), until_ms, &log)
    }

    /// The place of a driver among the drivers.
    pub(crate) fn driver(&self, driver: &DriverId) -> Option<usize> {
        self.places.get(driver).copied()
    }

    /// How fast cars drove, with a detour as given; `otherwise` when the log tells too little.
    pub(crate) fn travel(&self, otherwise: Travel) -> Travel {
        let driven = |(ride, trip): (&RecordedRide, &Trip)| {
            let span_ms = ride.trip_ms().filter(|ms| *ms > 0)?;
            Some((otherwise.way_m(trip.pickup, trip.dropoff), span_ms as f64 / 1_000.0))
        };
        let driven: Vec<(f64, f64)> =
            self.rides.iter().zip(&self.trips).filter_map(driven).collect();
        if driven.len() < TRIPS_MIN {
            return otherwise;
        }
        let (way_m, took_s) = driven.iter().fold((0.0, 0.0), |sum, d| (sum.0 + d.0, sum.1 + d.1));
        Travel { speed_mps: (way_m / took_s).clamp(SPEED_MPS.0, SPEED_MPS.1), ..otherwise }
    }
}

/// The log as far as it was read.
struct Fold<'l> {
    began_at: Timestamp,
    market: &'l MarketLine,
    rides: Vec<RecordedRide>,
    numbers: BTreeMap<&'l RideId, usize>,
    drivers: BTreeMap<&'l DriverId, DriverLines<'l>>,
    before: BTreeSet<&'l RideId>,
}

impl<'l> Fold<'l> {
    fn new(began_at: Timestamp, market: &'l MarketLine) -> Self {
        Self {
            began_at,
            market,
            rides: Vec::new(),
            numbers: BTreeMap::new(),
            drivers: BTreeMap::new(),
            before: BTreeSet::new(),
        }
    }

    fn take(&mut self, line: &'l Line) {
        let ms = line.at().millis_since(self.began_at);
        match line {
            Line::Market(_) | Line::Dropped { .. } => {}
            Line::Driver(line) if line.profile.market == self.market.market => {
                let driver = self.drivers.entry(&line.driver).or_default();
                driver.profile(ms, line.online, &line.profile);
            }
            Line::Driver(_) => {}
            Line::Fix(fix) => {
                // Drivers of other markets are told apart at the end: they have no profile here.
                self.drivers.entry(&fix.driver).or_default().fix(ms, point(fix.position));
            }
            Line::Request(line) if line.request.market == self.market.market => {
                self.numbers.insert(&line.request.ride, self.rides.len());
                self.rides.push(RecordedRide::requested(ms, line.request.clone()));
            }
            Line::Request(_) => {}
            Line::Ride(step) => {
                let driver = step.driver.as_ref();
                if let Some(number) = self.numbers.get(&step.ride) {
                    self.rides[*number].step(ms, step);
                } else if let Some(driver) = driver.and_then(|id| self.drivers.get_mut(id)) {
                    self.before.insert(&step.ride);
                    driver.had_ride_before(ms);
                }
            }
            Line::OfferEnded(line) => {
                if let Some(number) = self.numbers.get(&line.ride) {
                    self.rides[*number].offer_ended(line);
                }
                self.drivers.entry(&line.driver).or_default().answers.extend(answers::of(line));
            }
        }
    }

    fn finish(
        mut self,
        market: MarketLine,
        until_ms: u64,
        log: &Log,
    ) -> Result<RecordedCity, SimulateError> {
        let mut served = self.served(until_ms);
        let (mut drivers, mut places) = (Vec::new(), BTreeMap::new());
        let mut answers = self.answers();
        for (id, lines) in std::mem::take(&mut self.drivers) {
            let spans = served.remove(id).unwrap_or_default();
            let Some((driver, own)) = lines.driver(spans, until_ms) else { continue };
            places.insert(id.clone(), drivers.len());
            drivers.push(driver);
            answers.push(own);
        }
        let (id, rides) = (&market.market, self.rides.len());
        if rides == 0 || drivers.is_empty() {
            let drivers = drivers.len();
            return Err(SimulateError::Log(format!(
                "market {id} has {rides} requests and {drivers} drivers who were online with a \
                 position: both are needed",
            )));
        }
        let facts = self.facts(&market, (drivers.len(), answers.len()), log);
        Ok(RecordedCity {
            trips: self.rides.iter().map(trip).collect(),
            rides: self.rides,
            drivers,
            answers,
            until_ms,
            began_at: self.began_at,
            facts,
            places,
            market,
        })
    }

    /// When each driver had a ride.
    fn served(&self, until_ms: u64) -> BTreeMap<DriverId, Vec<(u64, u64)>> {
        let mut served: BTreeMap<DriverId, Vec<(u64, u64)>> = BTreeMap::new();
        for spell in self.spells() {
            let span = (spell.assigned_ms, spell.until_ms.unwrap_or(until_ms));
            served.entry(spell.driver.clone()).or_default().push(span);
        }
        served
    }

    fn spells(&self) -> impl Iterator<Item = &Spell> {
        self.rides.iter().flat_map(|ride| &ride.spells)
    }

    /// Answers without anybody's yet.
    fn answers(&self) -> Answers {
        let given_up = self.spells().filter(|spell| spell.lost && spell.started_ms.is_none());
        let after_ms = |spell: &Spell| Some(spell.until_ms? - spell.assigned_ms);
        Answers::of_assignments(self.spells().count(), given_up.filter_map(after_ms).collect())
    }

    fn facts(
        &self,
        market: &MarketLine,
        (drivers, answers): (usize, usize),
        log: &Log,
    ) -> LogFacts {
        let version = market.policy_version;
        LogFacts {
            market: market.market.clone(),
            files: log.files,
            rides: self.rides.len(),
            drivers,
            answers,
            rides_before: self.before.len(),
            rides_under_other_policies: self
                .rides
                .iter()
                .filter(|ride| ride.is_under_other(version))
                .count(),
            policy_varies: market.varied,
            files_unreadable: log.faults.files_unreadable,
            files_cut_short: log.faults.files_cut_short,
            lines_damaged: log.faults.lines_damaged,
            lines_dropped: log.faults.lines_dropped,
        }
    }
}

fn trip(ride: &RecordedRide) -> Trip {
    Trip {
        after_ms: i64::try_from(ride.requested_ms).unwrap_or(i64::MAX),
        pickup: point(ride.request.pickup),
        dropoff: point(ride.dropoff().unwrap_or(ride.request.pickup)),
        passengers: 1,
    }
}

pub(crate) fn point(position: Position) -> Point {
    Point::new(position.lat(), position.lng())
}

#[cfg(test)]
mod tests;
