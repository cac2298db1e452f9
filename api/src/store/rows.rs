//! Records to rows and back.

use muster_actors::{Durable, PositionSnapshot, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, RideId};
use muster_engine::origin::Origin;
use muster_engine::ride::{RideCommit, RideEventKind, RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use muster_engine::zone::ZoneCommit;
use serde::Serialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::collections::BTreeMap;

use super::past::StoredRideEvent;

/// A ride's transition, ready to be written.
pub(super) struct RideRow<'a> {
    pub(super) commit: &'a RideCommit,
    /// Without the request, which is stored with the ride and never changes.
    pub(super) state: String,
    pub(super) decision: Option<String>,
}

impl RideRow<'_> {
    pub(super) fn record(&self) -> &RideRecord {
        &self.commit.record
    }

    /// The call that caused the transition, unless it is the one that asked for the ride.
    pub(super) fn own_origin(&self) -> Option<&Origin> {
        let asked = self.record().request.origin.as_deref();
        self.commit.origin.as_deref().filter(|own| Some(*own) != asked)
    }

    /// The driver who has the ride in this state, and whether it waits for him.
    pub(super) fn active_driver(&self) -> Option<(&DriverId, bool)> {
        let record = self.record();
        let assignment = record.assignment.as_ref().filter(|_| record.status.has_driver())?;
        Some((&assignment.driver.id, record.forward().is_some()))
    }
}

/// A driver's record, ready to be written.
pub(super) struct DriverRow<'a> {
    pub(super) record: &'a DriverRecord,
    pub(super) profile: String,
    pub(super) rider_blocks: String,
    pub(super) stats: String,
}

/// A change of a zone's queue, ready to be written.
pub(super) struct ZoneRow<'a> {
    pub(super) commit: &'a ZoneCommit,
    pub(super) state: String,
}

/// One item of a batch, ready to be written.
pub(super) enum Row<'a> {
    Ride(RideRow<'a>),
    Driver(DriverRow<'a>),
    Zone(ZoneRow<'a>),
}

/// Whose state an item changes: when one item fails, the later ones of the same subject fail too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject<'a> {
    Ride(&'a str),
    Driver(&'a str),
    Zone(&'a str, &'a str),
}

impl<'a> Row<'a> {
    pub(super) fn encode(item: &'a Durable) -> Result<Self, StoreError> {
        match item {
            Durable::Ride(commit) => Ok(Self::Ride(RideRow {
                commit,
                state: to_json(&*commit.record)?,
                decision: commit.decision.as_ref().map(to_json).transpose()?,
            })),
            Durable::Driver(record) => Ok(Self::Driver(DriverRow {
                record,
                profile: to_json(&record.profile)?,
                rider_blocks: to_json(&record.rider_blocks)?,
                stats: to_json(&record.stats)?,
            })),
            Durable::Zone(commit) => {
                Ok(Self::Zone(ZoneRow { commit, state: to_json(&*commit.record)? }))
            }
        }
    }

    pub(super) fn subject(&self) -> Subject<'_> {
        match self {
            Self::Ride(row) => Subject::Ride(row.record().request.ride.as_str()),
            Self::Driver(row) => Subject::Driver(row.record.driver.as_str()),
            Self::Zone(row) => {
                let record = &row.commit.record;
                Subject::Zone(record.market.as_str(), record.zone.as_str())
            }
        }
    }
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("a record that has no JSON form", error))
}

pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| corrupt(what, error))
}

/// A ride from its request and the rest of its state, which are stored apart.
pub(super) fn ride_record(request: &str, state: &str) -> Result<RideRecord, StoreError> {
    let rest = state.strip_prefix('{').unwrap_or(state);
    from_json("a ride", &format!("{{\"request\":{request},{rest}"))
}

/// An unsigned number as the column type of both stores; saturates.
pub(super) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn instant(at: Timestamp) -> i64 {
    column(at.as_millis())
}

/// A column that is never negative.
pub(super) fn unsigned(what: &str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|error| corrupt(what, error))
}

pub(super) fn timestamp(what: &str, ms: i64) -> Result<Timestamp, StoreError> {
    unsigned(what, ms).map(Timestamp::from_millis)
}

/// A value that is in the store and means nothing.
pub(super) fn corrupt(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {error}"))
}

/// `event_id, seq, at, kind, state, request`
pub(super) type EventColumns = (i64, i64, i64, String, String, String);

impl TryFrom<EventColumns> for StoredRideEvent {
    type Error = StoreError;

    fn try_from(columns: EventColumns) -> Result<Self, StoreError> {
        let (event_id, seq, at, kind, state, request) = columns;
        Ok(Self {
            event_id: unsigned("event_id", event_id)?,
            seq: unsigned("seq", seq)?,
            at: timestamp("at", at)?,
            kind: named::<RideEventKind>("a kind of event", &kind)?,
            record: ride_record(&request, &state)?,
        })
    }
}

/// A value of an enumeration by its name.
pub(super) fn named<T: DeserializeOwned>(what: &str, name: &str) -> Result<T, StoreError> {
    let name: StrDeserializer<'_, ValueError> = name.into_deserializer();
    T::deserialize(name).map_err(|error| corrupt(what, error))
}

/// `ride_id, body`
pub(super) fn decision_of(
    (ride, body): (String, String),
) -> Result<(RideId, WaveDecision), StoreError> {
    let ride = RideId::new(&ride).map_err(|error| corrupt("a ride's id", error))?;
    Ok((ride, from_json("a decision", &body)?))
}

/// `driver_id, online, profile, rider_blocks, stats`
pub(super) type DriverColumns = (String, bool, String, String, Option<String>);

pub(super) fn driver_of(columns: DriverColumns) -> Result<DriverRecord, StoreError> {
    let (id, online, profile, rider_blocks, stats) = columns;
    let driver = DriverId::new(&id).map_err(|error| corrupt("a driver's id", error))?;
    let profile = from_json("a driver's profile", &profile)?;
    let rider_blocks = from_json("a driver's rider blocks", &rider_blocks)?;
    let stats = stats.map(|stats| from_json("a driver's statistics", &stats)).transpose()?;
    Ok(DriverRecord { driver, profile, online, rider_blocks, stats: stats.unwrap_or_default() })
}

/// `driver_id, lat_e7, lng_e7, recorded_at, received_at`
pub(super) type PositionColumns = (String, i64, i64, i64, i64);

pub(super) fn position_of(columns: PositionColumns) -> Result<PositionSnapshot, StoreError> {
    let (driver, lat, lng, recorded_at, received_at) = columns;
    let degrees = |e7: i64| i32::try_from(e7).map_err(|error| corrupt("a coordinate", error));
    Ok(PositionSnapshot {
        driver: DriverId::new(&driver).map_err(|error| corrupt("a driver's id", error))?,
        position: Position::from_e7(degrees(lat)?, degrees(lng)?)
            .map_err(|error| corrupt("a position", error))?,
        recorded_at: timestamp("recorded_at", recorded_at)?,
        received_at: timestamp("received_at", received_at)?,
    })
}

/// The newest of `positions` of each driver.
pub(super) fn newest_of_each(positions: &[PositionSnapshot]) -> Vec<&PositionSnapshot> {
    let mut newest: BTreeMap<&DriverId, &PositionSnapshot> = BTreeMap::new();
    for position in positions {
        let kept = newest.entry(&position.driver).or_insert(position);
        if kept.recorded_at <= position.recorded_at {
            *kept = position;
        }
    }
    newest.into_values().collect()
}
