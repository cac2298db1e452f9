//! Records to rows and back.

use muster_actors::{Durable, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::DriverId;
use muster_engine::origin::Origin;
use muster_engine::ride::{RideCommit, RideRecord};
use muster_engine::time::Timestamp;
use muster_engine::zone::ZoneCommit;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::corrupt;

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

/// An unsigned number as the column type of SQLite; saturates.
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
