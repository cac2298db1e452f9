//! What the edges read: pages of rides, the history of a ride, the decisions behind it.

use std::fmt;
use std::str::FromStr;

use muster_actors::StoreError;
use muster_engine::id::{DriverId, MarketId, RideId};
use muster_engine::ride::{RideEventKind, RideRecord, RideStatus, WaveDecision};
use muster_engine::time::Timestamp;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

use super::error::{corrupt, from_sql};
use super::rows::{column, from_json, instant, ride_record, timestamp, unsigned};

/// Rows that one read answers at most.
pub const READ_ROWS_MAX: u32 = 1_000;

/// Which rides to list; nothing set = all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RideFilter {
    /// Only rides of this market.
    pub market: Option<MarketId>,
    /// Only rides in this status.
    pub status: Option<RideStatus>,
}

/// Where a page ended. Its text is opaque to clients and safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RideCursor {
    /// When the last ride of the page was requested.
    pub requested_at: Timestamp,
    /// The last ride of the page.
    pub ride: RideId,
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a page of rides ended with")]
pub struct CursorError;

impl fmt::Display for RideCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.requested_at.as_millis(), self.ride)
    }
}

impl FromStr for RideCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (ms, ride) = text.split_once('.').ok_or(CursorError)?;
        let ms = u64::from_str_radix(ms, 16).map_err(|_not_hex| CursorError)?;
        let ride = RideId::new(ride).map_err(|_not_an_id| CursorError)?;
        Ok(Self { requested_at: Timestamp::from_millis(ms), ride })
    }
}

/// A page of rides, newest request first.
#[derive(Debug, Clone, PartialEq)]
pub struct RidePage {
    /// The rides.
    pub rides: Vec<RideRecord>,
    /// Where the next page begins, if there is one.
    pub next: Option<RideCursor>,
}

/// One transition in a ride's history.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRideEvent {
    /// The place among all transitions of all rides.
    pub event_id: u64,
    /// The place in this ride's history: the ride's version.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: RideEventKind,
    /// The ride after it.
    pub record: RideRecord,
}

pub(super) async fn list_rides(
    readers: &SqlitePool,
    filter: &RideFilter,
    limit: u32,
    cursor: Option<&RideCursor>,
) -> Result<RidePage, StoreError> {
    let limit = limit.clamp(1, READ_ROWS_MAX) as usize;
    let found: Vec<(String, String)> = page_query(filter, limit, cursor)
        .build_query_as()
        .fetch_all(readers)
        .await
        .map_err(from_sql)?;
    let more = found.len() > limit;
    let rides = found.iter().take(limit).map(|(request, state)| ride_record(request, state));
    let rides: Vec<RideRecord> = rides.collect::<Result<_, _>>()?;
    let last = rides.last().filter(|_| more);
    let next = last.map(|last| RideCursor {
        requested_at: last.request.requested_at,
        ride: last.request.ride.clone(),
    });
    Ok(RidePage { rides, next })
}

/// Asks for one row more than the page holds: its presence means that there is a next page.
fn page_query(
    filter: &RideFilter,
    limit: usize,
    cursor: Option<&RideCursor>,
) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new(
        "SELECT request, state FROM rides JOIN ride_events ON event_id = last_event WHERE 1 = 1",
    );
    if let Some(status) = filter.status {
        sql.push(" AND status = ").push_bind(status.name());
    }
    if let Some(market) = &filter.market {
        sql.push(" AND market = ").push_bind(market.as_str());
    }
    if let Some(cursor) = cursor {
        sql.push(" AND (requested_at, rides.ride_id) < (")
            .push_bind(instant(cursor.requested_at))
            .push(", ")
            .push_bind(cursor.ride.as_str())
            .push(")");
    }
    sql.push(" ORDER BY requested_at DESC, rides.ride_id DESC LIMIT ").push_bind(limit as i64 + 1);
    sql
}

pub(super) async fn ride_events(
    readers: &SqlitePool,
    ride: &RideId,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<StoredRideEvent>, StoreError> {
    let rows: Vec<(i64, i64, i64, String, String, String)> = sqlx::query_as(
        "WITH RECURSIVE chain AS ( \
           SELECT e.* FROM rides JOIN ride_events e ON e.event_id = rides.last_event \
           WHERE rides.ride_id = ?1 AND e.seq > ?2 \
           UNION ALL \
           SELECT e.* FROM chain JOIN ride_events e ON e.event_id = chain.prev_event \
           WHERE e.seq > ?2) \
         SELECT event_id, seq, at, kind, state, request FROM chain JOIN rides USING (ride_id) \
         ORDER BY seq LIMIT ?3",
    )
    .bind(ride.as_str())
    .bind(column(after_seq))
    .bind(i64::from(limit.clamp(1, READ_ROWS_MAX)))
    .fetch_all(readers)
    .await
    .map_err(from_sql)?;
    let event =
        |(event_id, seq, at, kind, state, request): (i64, i64, i64, String, String, String)| {
            Ok(StoredRideEvent {
                event_id: unsigned("event_id", event_id)?,
                seq: unsigned("seq", seq)?,
                at: timestamp("at", at)?,
                kind: event_kind(&kind)?,
                record: ride_record(&request, &state)?,
            })
        };
    rows.into_iter().map(event).collect()
}

pub(super) fn event_kind(name: &str) -> Result<RideEventKind, StoreError> {
    let name: StrDeserializer<'_, ValueError> = name.into_deserializer();
    RideEventKind::deserialize(name).map_err(|error| corrupt("a kind of event", error))
}

pub(super) async fn decisions(
    readers: &SqlitePool,
    ride: &RideId,
) -> Result<Vec<WaveDecision>, StoreError> {
    let bodies: Vec<String> = sqlx::query_scalar(
        "WITH RECURSIVE chain AS ( \
           SELECT d.* FROM rides JOIN decisions d ON d.decision_id = rides.last_decision \
           WHERE rides.ride_id = ?1 \
           UNION ALL \
           SELECT d.* FROM chain JOIN decisions d ON d.decision_id = chain.prev_decision \
           LIMIT ?2) \
         SELECT body FROM chain ORDER BY decision_id",
    )
    .bind(ride.as_str())
    .bind(i64::from(READ_ROWS_MAX))
    .fetch_all(readers)
    .await
    .map_err(from_sql)?;
    bodies.iter().map(|body| from_json("a decision", body)).collect()
}

/// Decisions looked at, newest first, for those that name a driver: some 100 MB.
pub const LOOKED_AT_MAX: u32 = 50_000;

/// Decisions that name a driver, told at most.
pub const NAMING_MAX: u32 = 500;

/// What was decided about a driver.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverDecisions {
    /// The rides and the decisions, newest first.
    pub decisions: Vec<(RideId, WaveDecision)>,
    /// Whether these are all there are.
    pub complete: bool,
}

impl DriverDecisions {
    /// Those of `decisions`, newest first, that name `driver`; `all_seen` tells whether there are no
    /// older ones.
    pub fn of(
        driver: &DriverId,
        decisions: impl Iterator<Item = (RideId, WaveDecision)>,
        all_seen: bool,
    ) -> Self {
        let mut naming: Vec<_> = decisions.filter(|(_, one)| one.names(driver)).collect();
        let complete = all_seen && naming.len() <= NAMING_MAX as usize;
        naming.truncate(NAMING_MAX as usize);
        Self { decisions: naming, complete }
    }
}

pub(super) async fn decisions_naming(
    readers: &SqlitePool,
    driver: &DriverId,
    since: Timestamp,
) -> Result<DriverDecisions, StoreError> {
    // Ids need no escapes in JSON. Whether the text found is the driver shows when it is read.
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT ride_id, body FROM decisions \
         WHERE decision_id > (SELECT max(decision_id) - ?2 FROM decisions) AND at >= ?3 \
         AND instr(body, ?1) > 0 ORDER BY decision_id DESC LIMIT ?4",
    )
    .bind(format!("\"{driver}\""))
    .bind(i64::from(LOOKED_AT_MAX))
    .bind(instant(since))
    .bind(i64::from(NAMING_MAX) + 1)
    .fetch_all(readers)
    .await
    .map_err(from_sql)?;
    let unseen: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM decisions \
         WHERE decision_id <= (SELECT max(decision_id) - ?1 FROM decisions) AND at >= ?2)",
    )
    .bind(i64::from(LOOKED_AT_MAX))
    .bind(instant(since))
    .fetch_one(readers)
    .await
    .map_err(from_sql)?;
    let mut decisions = Vec::with_capacity(rows.len());
    for (ride, body) in rows {
        let ride = RideId::new(&ride).map_err(|error| corrupt("a ride's id", error))?;
        decisions.push((ride, from_json::<WaveDecision>("a decision", &body)?));
    }
    Ok(DriverDecisions::of(driver, decisions.into_iter(), !unseen))
}
