//! Which items of a batch hold: each after the other, against what is stored and what the batch has
//! made of it so far.
//!
//! Commits follow one another (the row of `meta` is locked), so what was read at the beginning of one
//! is what its writes meet. What is left to write is one row per ride, which cannot conflict.

use std::collections::{BTreeMap, BTreeSet};

use muster_actors::StoreError;

use super::plain;
use crate::store::rows::{DriverRow, RideRow, Row, Subject, ZoneRow};

/// A driver, and whether the ride waits for him: one ride may have it.
pub(super) type Place = (String, bool);

/// A ride as it is stored, or as the batch has made it so far.
#[derive(Debug, Clone, Default)]
pub(super) struct RideState {
    /// 0 when there is no such ride.
    pub(super) version: u64,
    pub(super) driver: Option<String>,
    pub(super) place: Option<Place>,
    pub(super) last_event: Option<i64>,
    pub(super) last_decision: Option<i64>,
}

/// What is stored of everything that a batch names.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) rides: BTreeMap<String, RideState>,
    /// The rides that were requested with these keys.
    pub(super) keys: BTreeMap<String, String>,
    /// The versions of queues.
    pub(super) queues: BTreeMap<(String, String), u64>,
    /// The newest ids.
    pub(super) last_event: i64,
    pub(super) last_decision: i64,
    pub(super) last_zone_event: i64,
}

/// A transition that holds, with its place in the chains of its ride.
pub(super) struct Event<'r, 'a> {
    pub(super) row: &'r RideRow<'a>,
    pub(super) id: i64,
    pub(super) prev: Option<i64>,
    /// The id of its decision, if it has one.
    pub(super) decision: Option<i64>,
    pub(super) prev_decision: Option<i64>,
}

/// What is written of a ride: the last of its transitions that hold.
pub(super) struct Change<'r, 'a> {
    pub(super) last: &'r RideRow<'a>,
    /// The version of the first of them; 1 is the request itself.
    pub(super) first_version: u64,
    pub(super) last_event: i64,
    pub(super) last_decision: Option<i64>,
}

/// What holds of a batch.
#[derive(Default)]
pub(super) struct Judged<'r, 'a> {
    pub(super) verdicts: Vec<Result<(), StoreError>>,
    pub(super) events: Vec<Event<'r, 'a>>,
    pub(super) rides: BTreeMap<&'r str, Change<'r, 'a>>,
    pub(super) drivers: BTreeMap<&'r str, &'r DriverRow<'a>>,
    pub(super) queues: BTreeMap<(&'r str, &'r str), &'r ZoneRow<'a>>,
    pub(super) queue_events: Vec<(i64, &'r ZoneRow<'a>)>,
    /// Rides that leave a place to another: the index must see them leave first.
    pub(super) vacated: Vec<String>,
    /// The newest ids after it.
    pub(super) last_event: i64,
    pub(super) last_decision: i64,
    pub(super) last_zone_event: i64,
}

impl Judged<'_, '_> {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.drivers.is_empty() && self.queue_events.is_empty()
    }
}

/// Judges `rows` in order.
pub(super) fn judge<'r, 'a>(known: Known, rows: &'r [Row<'a>]) -> Judged<'r, 'a> {
    let places = |rides: &BTreeMap<String, RideState>| -> BTreeMap<Place, String> {
        let held = |(id, ride): (&String, &RideState)| Some((ride.place.clone()?, id.clone()));
        rides.iter().filter_map(held).collect()
    };
    let before = places(&known.rides);
    let mut docket = Docket {
        places: before.clone(),
        judged: Judged {
            last_event: known.last_event,
            last_decision: known.last_decision,
            last_zone_event: known.last_zone_event,
            ..Judged::default()
        },
        rides: known.rides,
        keys: known.keys,
        queues: known.queues,
    };
    let mut failed: BTreeSet<Subject<'_>> = BTreeSet::new();
    for row in rows {
        let verdict = if failed.contains(&row.subject()) {
            Err("an earlier transition in the batch was refused")
        } else {
            docket.take(row)
        };
        if verdict.is_err() {
            failed.insert(row.subject());
        }
        let verdict = verdict.map_err(|fact| StoreError::Conflict(fact.to_owned()));
        docket.judged.verdicts.push(verdict);
    }
    let Docket { places: after, mut judged, .. } = docket;
    let left = |(place, ride): (&Place, &String)| {
        after.get(place).is_some_and(|taken_by| taken_by != ride).then(|| ride.clone())
    };
    judged.vacated = before.iter().filter_map(left).collect();
    judged
}

/// The state that the rows judged so far have made.
struct Docket<'r, 'a> {
    rides: BTreeMap<String, RideState>,
    places: BTreeMap<Place, String>,
    keys: BTreeMap<String, String>,
    queues: BTreeMap<(String, String), u64>,
    judged: Judged<'r, 'a>,
}

impl<'r, 'a> Docket<'r, 'a> {
    fn take(&mut self, row: &'r Row<'a>) -> Result<(), &'static str> {
        match row {
            Row::Ride(row) => self.ride(row),
            Row::Driver(row) => {
                self.judged.drivers.insert(row.record.driver.as_str(), row);
                Ok(())
            }
            Row::Zone(row) => self.queue(row),
        }
    }

    fn ride(&mut self, row: &'r RideRow<'a>) -> Result<(), &'static str> {
        let record = row.record();
        let id = record.request.ride.as_str();
        let stored = self.rides.get(id).cloned().unwrap_or_default();
        if stored.version + 1 != record.version {
            return Err("the transition does not follow the one that is stored");
        }
        let driver = record.assignment.as_ref().map(|assignment| assignment.driver.id.as_str());
        if let (Some(held), Some(driver)) = (stored.driver.as_deref(), driver)
            && held != driver
        {
            return Err("the ride is another driver's");
        }
        let place = row.active_driver().map(|(driver, waits)| (driver.to_string(), waits));
        let taken = place.as_ref().and_then(|place| self.places.get(place));
        if taken.is_some_and(|taken| taken != id) {
            return Err("the driver has another ride");
        }
        let key = record.request.request_key.as_ref().filter(|_| stored.version == 0);
        if let Some(key) = key.map(|key| plain(&key.key)) {
            if self.keys.get(key.as_ref()).is_some_and(|ride| ride != id) {
                return Err("another ride was requested with this key");
            }
            self.keys.insert(key.into_owned(), id.to_owned());
        }
        if let Some(left) = &stored.place {
            self.places.remove(left);
        }
        if let Some(place) = &place {
            self.places.insert(place.clone(), id.to_owned());
        }
        let (last_event, last_decision) = self.chain(row, &stored);
        let state = RideState {
            version: record.version,
            driver: driver.map(str::to_owned),
            place,
            last_event: Some(last_event),
            last_decision,
        };
        self.rides.insert(id.to_owned(), state);
        Ok(())
    }

    /// Gives out the ids of a transition that holds; the newest of its ride come back.
    fn chain(&mut self, row: &'r RideRow<'a>, stored: &RideState) -> (i64, Option<i64>) {
        let judged = &mut self.judged;
        judged.last_event += 1;
        let (event, mut last_decision) = (judged.last_event, stored.last_decision);
        let decision = row.decision.as_ref().map(|_| {
            judged.last_decision += 1;
            judged.last_decision
        });
        judged.events.push(Event {
            row,
            id: event,
            prev: stored.last_event,
            decision,
            prev_decision: stored.last_decision,
        });
        last_decision = decision.or(last_decision);
        let (id, version) = (row.record().request.ride.as_str(), row.record().version);
        let first_version = judged.rides.get(id).map_or(version, |change| change.first_version);
        let change = Change { last: row, first_version, last_event: event, last_decision };
        judged.rides.insert(id, change);
        (event, last_decision)
    }

    fn queue(&mut self, row: &'r ZoneRow<'a>) -> Result<(), &'static str> {
        let record = &row.commit.record;
        let place = (record.market.to_string(), record.zone.to_string());
        if self.queues.get(&place).is_some_and(|version| version + 1 != record.version) {
            return Err("the change does not follow the one that is stored");
        }
        self.queues.insert(place, record.version);
        self.judged.queues.insert((record.market.as_str(), record.zone.as_str()), row);
        self.judged.last_zone_event += 1;
        self.judged.queue_events.push((self.judged.last_zone_event, row));
        Ok(())
    }
}
