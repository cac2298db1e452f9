//! Retention, size and the health probe.

use std::ffi::OsString;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use muster_actors::StoreError;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::time::timeout;

use super::connection::{LOG_PAGES_MAX, Writer, begin};
use super::error::from_sql;
use crate::store::retention::{Pruned, Retention};
use crate::store::rows::{instant, unsigned};

/// How long the writer is held for the copy of the pages of some commits.
const COPY_WITHIN: Duration = Duration::from_millis(3);

/// At most `rows` of each kind go in one short transaction, oldest first.
pub(super) async fn prune(
    writer: &Writer,
    retention: &Retention,
    rows: u32,
) -> Result<Pruned, StoreError> {
    let mut slot = writer.lock().await;
    let outcome = prune_chunk(slot.connection().await?, retention, rows).await;
    slot.settle(outcome)
}

/// Decisions are found by the order in which they were taken; those of a ride are older than its
/// end, so by the time a ride goes its decisions are due as well. A ride goes when nothing refers to
/// it any more, which may take several calls.
async fn prune_chunk(
    connection: &mut SqliteConnection,
    retention: &Retention,
    rows: u32,
) -> Result<Pruned, StoreError> {
    let decisions_before = retention.decisions_before.max(retention.rides_before);
    let (rides_before, unpublished) = (retention.rides_before, retention.unpublished_before);
    let mut transaction = begin(connection).await?;
    let due = |sql, before| sqlx::query(sql).bind(instant(before)).bind(rows);
    let decisions = due(DECISIONS, decisions_before).bind(instant(unpublished));
    let ride_events = due(RIDE_EVENTS, rides_before).bind(instant(unpublished));
    let pruned = Pruned {
        answers: delete(&mut transaction, due(ANSWERS, retention.answers_before)).await?,
        decisions: delete(&mut transaction, decisions).await?,
        ride_events: delete(&mut transaction, ride_events).await?,
        rides: delete(&mut transaction, due(RIDES, rides_before)).await?,
        zone_events: delete(&mut transaction, due(ZONE_EVENTS, rides_before)).await?,
    };
    transaction.commit().await.map_err(from_sql)?;
    Ok(pruned)
}

// `INDEXED BY` keeps the planner from sorting all rides that ever ended for each chunk.
const ANSWERS: &str = "DELETE FROM idempotency WHERE key IN \
    (SELECT key FROM idempotency WHERE created_at < ?1 ORDER BY created_at LIMIT ?2)";
// Decisions are numbered in the order of their transitions.
const DECISIONS: &str = "DELETE FROM decisions WHERE at < ?1 AND decision_id IN \
    (SELECT decision_id FROM decisions ORDER BY decision_id LIMIT ?2) \
    AND (at < ?3 OR decision_id < COALESCE( \
      (SELECT decision_id FROM ride_events \
       WHERE event_id > (SELECT MIN(last_event) FROM relays) AND decision_id IS NOT NULL \
       ORDER BY event_id LIMIT 1), 9223372036854775807))";
const ZONE_EVENTS: &str = "DELETE FROM zone_queue_events WHERE at < ?1 AND event_id IN \
    (SELECT event_id FROM zone_queue_events ORDER BY event_id LIMIT ?2)";
// The oldest events go first, so that what is left of a chain still hangs on its ride.
const RIDE_EVENTS: &str = "DELETE FROM ride_events WHERE event_id IN \
    (WITH RECURSIVE due AS \
       (SELECT last_event FROM rides INDEXED BY rides_ended \
        WHERE status IN ('completed', 'cancelled', 'unfulfilled') AND updated_at < ?1 \
        AND (updated_at < ?3 OR last_event <= \
          COALESCE((SELECT MIN(last_event) FROM relays), 9223372036854775807)) \
        ORDER BY updated_at LIMIT ?2), \
     chain AS \
       (SELECT e.event_id, e.prev_event FROM due JOIN ride_events e ON e.event_id = due.last_event \
        UNION ALL \
        SELECT e.event_id, e.prev_event FROM chain \
        JOIN ride_events e ON e.event_id = chain.prev_event) \
     SELECT event_id FROM chain ORDER BY event_id LIMIT ?2)";
const RIDES: &str = "DELETE FROM rides WHERE ride_id IN \
    (SELECT ride_id FROM rides INDEXED BY rides_ended \
     WHERE status IN ('completed', 'cancelled', 'unfulfilled') AND updated_at < ?1 \
     AND NOT EXISTS (SELECT 1 FROM ride_events WHERE event_id = last_event) \
     AND NOT EXISTS (SELECT 1 FROM decisions WHERE decision_id = last_decision) \
     ORDER BY updated_at LIMIT ?2)";

async fn delete(
    connection: &mut SqliteConnection,
    query: Query<'_, Sqlite, SqliteArguments>,
) -> Result<u64, StoreError> {
    let done = query.execute(connection).await.map_err(from_sql)?;
    Ok(done.rows_affected())
}

/// The main file by the count of its pages, and the write-ahead log by its length.
pub(super) async fn database_bytes(readers: &SqlitePool, path: &Path) -> Result<u64, StoreError> {
    let main: i64 = sqlx::query_scalar(
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    )
    .fetch_one(readers)
    .await
    .map_err(from_sql)?;
    let mut log = OsString::from(path);
    log.push("-wal");
    let log = tokio::fs::metadata(log).await.map_or(0, |file| file.len());
    Ok(unsigned("page_count", main)? + log)
}

/// Folds the write-ahead log, and once it is long has the next commit begin it anew.
///
/// A log begins anew when all of it is folded, which never comes to pass while commits follow one
/// another: then a commit would have to fold what is left, at the worst moment. So the writer is held
/// for as long as the very last of it takes.
pub(super) async fn fold_log(folder: &Writer, writer: &Writer) -> Result<(), StoreError> {
    let mut slot = folder.lock().await;
    let outcome = fold(slot.connection().await?, writer).await;
    slot.settle(outcome)
}

/// Folding copies pages into the file, and waits for the disk only where no commit came while it copied.
/// So without more ado the disk would be waited for while the writer is held, for all that was copied
/// since the last time: tens of milliseconds.
async fn fold(connection: &mut SqliteConnection, writer: &Writer) -> Result<(), StoreError> {
    if fold_once(connection).await? < LOG_PAGES_MAX {
        return Ok(());
    }
    // What came meanwhile is copied beside the writer, too.
    fold_once(connection).await?;
    // What came during that is little. Held while it is copied, the writer goes on while the disk works.
    {
        let mut folding = pin!(fold_once(connection));
        let held = writer.lock().await;
        let copied = timeout(COPY_WITHIN, &mut folding).await;
        drop(held);
        match copied {
            Ok(folded) => folded,
            Err(_) => folding.await,
        }?;
    }
    let _held = writer.lock().await;
    fold_once(connection).await.map(|_| ())
}

/// A passive checkpoint takes no lock that a writer needs; returns the pages of the log.
async fn fold_once(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let folding = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)");
    let (_busy, log, _folded): (i64, i64, i64) =
        folding.fetch_one(connection).await.map_err(from_sql)?;
    Ok(log)
}

/// Proves that there is room for a small commit: eight pages.
pub(super) async fn check_writable(writer: &Writer) -> Result<(), StoreError> {
    let mut slot = writer.lock().await;
    let outcome = probe(slot.connection().await?).await;
    slot.settle(outcome)
}

async fn probe(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let mut transaction = begin(connection).await?;
    for sql in
        ["INSERT INTO write_probe (body) VALUES (zeroblob(32768))", "DELETE FROM write_probe"]
    {
        sqlx::query(sql).execute(&mut *transaction).await.map_err(from_sql)?;
    }
    transaction.commit().await.map_err(from_sql)
}
