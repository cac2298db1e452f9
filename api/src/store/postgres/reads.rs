//! What the edges read: pages of rides, the history of a ride, the decisions behind it.

use muster_actors::StoreError;
use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::WaveDecision;
use muster_engine::time::Timestamp;
use sqlx::{Postgres, QueryBuilder};

use super::connection::Readers;
use super::error::from_sql;
use crate::store::past::{
    DriverDecisions, LOOKED_AT_MAX, NAMING_MAX, READ_ROWS_MAX, RideCursor, RideFilter, RidePage,
    StoredRideEvent,
};
use crate::store::rows::{EventColumns, column, decision_of, from_json, instant, ride_record};

pub(super) async fn list_rides(
    readers: &Readers,
    filter: &RideFilter,
    limit: u32,
    cursor: Option<&RideCursor>,
) -> Result<RidePage, StoreError> {
    let limit = limit.clamp(1, READ_ROWS_MAX) as usize;
    let mut reader = readers.get().await?;
    let found: Vec<(String, String)> = page_query(filter, limit, cursor)
        .build_query_as()
        .fetch_all(reader.connection()?)
        .await
        .map_err(from_sql)?;
    reader.done();
    let rides = found.iter().map(|(request, state)| ride_record(request, state));
    Ok(RidePage::of(rides.collect::<Result<_, _>>()?, limit))
}

/// Asks for one row more than the page holds: its presence means that there is a next page.
fn page_query(
    filter: &RideFilter,
    limit: usize,
    cursor: Option<&RideCursor>,
) -> QueryBuilder<Postgres> {
    let mut sql = QueryBuilder::new(
        "SELECT request, state FROM rides JOIN ride_events ON event_id = last_event WHERE TRUE",
    );
    if let Some(status) = filter.status {
        sql.push(" AND status = ").push_bind(status.name());
    }
    if let Some(market) = &filter.market {
        sql.push(" AND market = ").push_bind(market.as_str().to_owned());
    }
    if let Some(cursor) = cursor {
        sql.push(" AND (requested_at, rides.ride_id) < (")
            .push_bind(instant(cursor.requested_at))
            .push(", ")
            .push_bind(cursor.ride.as_str().to_owned())
            .push(")");
    }
    sql.push(" ORDER BY requested_at DESC, rides.ride_id DESC LIMIT ").push_bind(limit as i64 + 1);
    sql
}

pub(super) async fn ride_events(
    readers: &Readers,
    ride: &RideId,
    after_seq: u64,
    limit: u32,
) -> Result<Vec<StoredRideEvent>, StoreError> {
    let mut reader = readers.get().await?;
    let rows: Vec<EventColumns> = sqlx::query_as(
        "WITH RECURSIVE chain AS ( \
           SELECT e.* FROM rides JOIN ride_events e ON e.event_id = rides.last_event \
           WHERE rides.ride_id = $1 AND e.seq > $2 \
           UNION ALL \
           SELECT e.* FROM chain JOIN ride_events e ON e.event_id = chain.prev_event \
           WHERE e.seq > $2) \
         SELECT event_id, seq, at, kind, state, request FROM chain JOIN rides USING (ride_id) \
         ORDER BY seq LIMIT $3",
    )
    .bind(ride.as_str())
    .bind(column(after_seq))
    .bind(i64::from(limit.clamp(1, READ_ROWS_MAX)))
    .fetch_all(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    rows.into_iter().map(StoredRideEvent::try_from).collect()
}

pub(super) async fn decisions(
    readers: &Readers,
    ride: &RideId,
) -> Result<Vec<WaveDecision>, StoreError> {
    let mut reader = readers.get().await?;
    let bodies: Vec<String> = sqlx::query_scalar(
        "WITH RECURSIVE chain AS ( \
           SELECT d.decision_id, d.prev_decision, d.body, 1 AS place \
           FROM rides JOIN decisions d ON d.decision_id = rides.last_decision \
           WHERE rides.ride_id = $1 \
           UNION ALL \
           SELECT d.decision_id, d.prev_decision, d.body, chain.place + 1 \
           FROM chain JOIN decisions d ON d.decision_id = chain.prev_decision \
           WHERE chain.place < $2) \
         SELECT body FROM chain ORDER BY decision_id",
    )
    .bind(ride.as_str())
    .bind(i64::from(READ_ROWS_MAX))
    .fetch_all(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    bodies.iter().map(|body| from_json("a decision", body)).collect()
}

pub(super) async fn decisions_naming(
    readers: &Readers,
    driver: &DriverId,
    since: Timestamp,
) -> Result<DriverDecisions, StoreError> {
    let mut reader = readers.get().await?;
    // Ids need no escapes in JSON. Whether the text found is the driver shows when it is read.
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT ride_id, body FROM decisions \
         WHERE decision_id > (SELECT MAX(decision_id) - $2 FROM decisions) AND at >= $3 \
         AND STRPOS(body, $1) > 0 ORDER BY decision_id DESC LIMIT $4",
    )
    .bind(format!("\"{driver}\""))
    .bind(i64::from(LOOKED_AT_MAX))
    .bind(instant(since))
    .bind(i64::from(NAMING_MAX) + 1)
    .fetch_all(reader.connection()?)
    .await
    .map_err(from_sql)?;
    let unseen: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM decisions \
         WHERE decision_id <= (SELECT MAX(decision_id) - $1 FROM decisions) AND at >= $2)",
    )
    .bind(i64::from(LOOKED_AT_MAX))
    .bind(instant(since))
    .fetch_one(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    let decisions: Result<Vec<_>, StoreError> = rows.into_iter().map(decision_of).collect();
    Ok(DriverDecisions::of(driver, decisions?.into_iter(), !unseen))
}
