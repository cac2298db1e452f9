//! First answers in SQLite.

use muster_actors::StoreError;
use muster_engine::id::RideId;
use sqlx::{SqliteConnection, SqlitePool};

use super::connection::{Writer, begin};
use super::error::from_sql;
use super::reads;
use crate::store::answers::{
    ANSWER_KEPT_MS, AnswerQueue, AnsweredKeys, CallColumns, FirstCall, Queued, SavedAnswer,
    answer_of, tell,
};
use crate::store::rows::{corrupt, instant};

pub(super) async fn answered(
    connection: &mut SqliteConnection,
) -> Result<AnsweredKeys, StoreError> {
    let keys: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency LIMIT ?")
        .bind(AnsweredKeys::READ_MAX)
        .fetch_all(connection)
        .await
        .map_err(from_sql)?;
    Ok(AnsweredKeys::of(&keys))
}

pub(super) async fn release_key(writer: &Writer, key: &str) -> Result<(), StoreError> {
    let mut slot = writer.lock().await;
    let connection = slot.connection().await?;
    let released = sqlx::query("UPDATE rides SET request_key = NULL WHERE request_key = ?");
    let outcome = released.bind(key).execute(connection).await.map_err(from_sql);
    slot.settle(outcome.map(|_| ()))
}

pub(super) async fn save(
    writer: &Writer,
    queue: &AnswerQueue,
    key: &str,
    answer: SavedAnswer,
) -> Result<(), StoreError> {
    let waiting = queue.push(key, answer);
    let mut slot = writer.lock().await;
    let queued = queue.take();
    if !queued.is_empty() {
        let written = match slot.connection().await {
            Ok(connection) => write(connection, &queued).await,
            Err(error) => Err(error),
        };
        tell(queued, &slot.settle(written));
    }
    drop(slot);
    waiting.outcome()
}

/// The first answer stays, unless it is void already.
async fn write(connection: &mut SqliteConnection, queued: &[Queued]) -> Result<(), StoreError> {
    let mut transaction = begin(connection).await?;
    for Queued { key, answer, .. } in queued {
        sqlx::query(
            "INSERT INTO idempotency (key, fingerprint, status, content_type, body, created_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, \
             status = excluded.status, content_type = excluded.content_type, \
             body = excluded.body, created_at = excluded.created_at \
             WHERE idempotency.created_at <= ?7",
        )
        .bind(key)
        .bind(&answer.fingerprint)
        .bind(answer.status)
        .bind(&answer.content_type)
        .bind(&answer.body)
        .bind(instant(answer.at))
        .bind(instant(answer.at) - ANSWER_KEPT_MS as i64)
        .execute(&mut *transaction)
        .await
        .map_err(from_sql)?;
    }
    transaction.commit().await.map_err(from_sql)
}

pub(super) async fn first_call(
    readers: &SqlitePool,
    key: &str,
) -> Result<Option<FirstCall>, StoreError> {
    let columns: CallColumns = sqlx::query_as(
        "SELECT a.fingerprint, a.status, a.content_type, a.body, a.created_at, r.ride_id \
         FROM (SELECT ?1 AS key) c LEFT JOIN idempotency a ON a.key = c.key \
         LEFT JOIN rides r ON r.request_key = c.key",
    )
    .bind(key)
    .fetch_one(readers)
    .await
    .map_err(from_sql)?;
    if let Some(ride) = &columns.5 {
        let ride = RideId::new(ride).map_err(|error| corrupt("a ride's id", error))?;
        let first = reads::ride_events(readers, &ride, 0, 1).await?.pop();
        return Ok(first.map(|event| FirstCall::Requested(Box::new(event.record))));
    }
    Ok(answer_of(columns)?.map(FirstCall::Answered))
}
