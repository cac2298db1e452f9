//! Retention, size and the health probe.

use muster_actors::StoreError;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Postgres};

use super::connection::Readers;
use super::error::from_sql;
use crate::store::retention::{Pruned, Retention};
use crate::store::rows::{instant, unsigned};

/// At most `rows` of each kind go in one short transaction, oldest first. A ride goes when nothing
/// refers to it any more, which may take several calls.
pub(super) async fn prune(
    readers: &Readers,
    retention: &Retention,
    rows: u32,
) -> Result<Pruned, StoreError> {
    let decisions_before = retention.decisions_before.max(retention.rides_before);
    let (rides_before, unpublished) = (retention.rides_before, retention.unpublished_before);
    let due = |sql, before| sqlx::query(sql).bind(instant(before)).bind(i64::from(rows));
    let decisions = due(DECISIONS, decisions_before).bind(instant(unpublished));
    let ride_events = due(RIDE_EVENTS, rides_before).bind(instant(unpublished));
    let mut reader = readers.get().await?;
    let mut transaction = reader.connection()?.begin().await.map_err(from_sql)?;
    let pruned = Pruned {
        answers: delete(&mut transaction, due(ANSWERS, retention.answers_before)).await?,
        decisions: delete(&mut transaction, decisions).await?,
        ride_events: delete(&mut transaction, ride_events).await?,
        rides: delete(&mut transaction, due(RIDES, rides_before)).await?,
        zone_events: delete(&mut transaction, due(ZONE_EVENTS, rides_before)).await?,
    };
    transaction.commit().await.map_err(from_sql)?;
    reader.done();
    Ok(pruned)
}

const ANSWERS: &str = "DELETE FROM idempotency WHERE key IN \
    (SELECT key FROM idempotency WHERE created_at < $1 ORDER BY created_at LIMIT $2)";
// Decisions are numbered in the order of their transitions.
const DECISIONS: &str = "DELETE FROM decisions WHERE at < $1 AND decision_id IN \
    (SELECT decision_id FROM decisions ORDER BY decision_id LIMIT $2) \
    AND (at < $3 OR decision_id < COALESCE( \
      (SELECT decision_id FROM ride_events \
       WHERE event_id > (SELECT MIN(last_event) FROM relays) AND decision_id IS NOT NULL \
       ORDER BY event_id LIMIT 1), 9223372036854775807))";
const ZONE_EVENTS: &str = "DELETE FROM zone_queue_events WHERE at < $1 AND event_id IN \
    (SELECT event_id FROM zone_queue_events ORDER BY event_id LIMIT $2)";
// The oldest events go first, so that what is left of a chain still hangs on its ride.
const RIDE_EVENTS: &str = "DELETE FROM ride_events WHERE event_id IN \
    (WITH RECURSIVE due AS \
       (SELECT last_event FROM rides \
        WHERE status IN ('completed', 'cancelled', 'unfulfilled') AND updated_at < $1 \
        AND (updated_at < $3 OR last_event <= \
          COALESCE((SELECT MIN(last_event) FROM relays), 9223372036854775807)) \
        ORDER BY updated_at LIMIT $2), \
     chain AS \
       (SELECT e.event_id, e.prev_event FROM due JOIN ride_events e ON e.event_id = due.last_event \
        UNION ALL \
        SELECT e.event_id, e.prev_event FROM chain \
        JOIN ride_events e ON e.event_id = chain.prev_event) \
     SELECT event_id FROM chain ORDER BY event_id LIMIT $2)";
const RIDES: &str = "DELETE FROM rides WHERE ride_id IN \
    (SELECT ride_id FROM rides \
     WHERE status IN ('completed', 'cancelled', 'unfulfilled') AND updated_at < $1 \
     AND NOT EXISTS (SELECT 1 FROM ride_events WHERE event_id = rides.last_event) \
     AND NOT EXISTS (SELECT 1 FROM decisions WHERE decision_id = rides.last_decision) \
     ORDER BY updated_at LIMIT $2)";

async fn delete(
    connection: &mut PgConnection,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<u64, StoreError> {
    let done = query.execute(connection).await.map_err(from_sql)?;
    Ok(done.rows_affected())
}

/// The tables of the schema with their indexes; the server's own log is everyone's.
pub(super) async fn database_bytes(readers: &Readers) -> Result<u64, StoreError> {
    let mut reader = readers.get().await?;
    let bytes: i64 = sqlx::query_scalar(
        "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c \
         WHERE c.relkind = 'r' AND c.relnamespace = CURRENT_SCHEMA()::regnamespace",
    )
    .fetch_one(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    unsigned("the size of the tables", bytes)
}

/// Proves that there is room for a small commit: 32 KiB.
pub(super) async fn check_writable(readers: &Readers) -> Result<(), StoreError> {
    let mut reader = readers.get().await?;
    let mut transaction = reader.connection()?.begin().await.map_err(from_sql)?;
    for sql in [
        "INSERT INTO write_probe (body) VALUES (DECODE(REPEAT('00', 32768), 'hex'))",
        "DELETE FROM write_probe",
    ] {
        sqlx::query(sql).execute(&mut *transaction).await.map_err(from_sql)?;
    }
    transaction.commit().await.map_err(from_sql)?;
    reader.done();
    Ok(())
}
