//! First answers in PostgreSQL.

use std::collections::BTreeMap;

use muster_actors::StoreError;
use muster_engine::id::RideId;
use sqlx::PgConnection;
use tokio::sync::Mutex;

use super::connection::Readers;
use super::error::from_sql;
use super::{plain, reads};
use crate::store::answers::{
    ANSWER_KEPT_MS, AnswerQueue, AnsweredKeys, CallColumns, FirstCall, Queued, SavedAnswer,
    answer_of, tell,
};
use crate::store::rows::{corrupt, instant};

pub(super) async fn answered(connection: &mut PgConnection) -> Result<AnsweredKeys, StoreError> {
    let keys: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency LIMIT $1")
        .bind(AnsweredKeys::READ_MAX)
        .fetch_all(connection)
        .await
        .map_err(from_sql)?;
    Ok(AnsweredKeys::of(&keys))
}

pub(super) async fn release_key(readers: &Readers, key: &str) -> Result<(), StoreError> {
    let mut reader = readers.get().await?;
    let released = sqlx::query("UPDATE rides SET request_key = NULL WHERE request_key = $1");
    released.bind(plain(key)).execute(reader.connection()?).await.map_err(from_sql)?;
    reader.done();
    Ok(())
}

/// Answers that wait, and the right to write them.
#[derive(Default)]
pub(super) struct Answers {
    queue: AnswerQueue,
    writing: Mutex<()>,
}

pub(super) async fn save(
    readers: &Readers,
    answers: &Answers,
    key: &str,
    answer: SavedAnswer,
) -> Result<(), StoreError> {
    let waiting = answers.queue.push(key, answer);
    let writing = answers.writing.lock().await;
    let queued = answers.queue.take();
    if !queued.is_empty() {
        let written = write(readers, &queued).await;
        tell(queued, &written);
    }
    drop(writing);
    waiting.outcome()
}

/// The first answer stays, unless it is void already.
async fn write(readers: &Readers, queued: &[Queued]) -> Result<(), StoreError> {
    let mut first: BTreeMap<&str, &SavedAnswer> = BTreeMap::new();
    for Queued { key, answer, .. } in queued {
        first.entry(key).or_insert(answer);
    }
    let answers = || first.values();
    let mut reader = readers.get().await?;
    sqlx::query(
        "INSERT INTO idempotency (key, fingerprint, status, content_type, body, created_at) \
         SELECT * FROM UNNEST($1::text[], $2::text[], $3::integer[], $4::text[], $5::bytea[], \
         $6::bigint[]) \
         ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, \
         status = excluded.status, content_type = excluded.content_type, \
         body = excluded.body, created_at = excluded.created_at \
         WHERE idempotency.created_at <= excluded.created_at - $7",
    )
    .bind(first.keys().map(|key| plain(key)).collect::<Vec<_>>())
    .bind(answers().map(|answer| answer.fingerprint.as_str()).collect::<Vec<_>>())
    .bind(answers().map(|answer| i32::from(answer.status)).collect::<Vec<_>>())
    .bind(answers().map(|answer| answer.content_type.as_str()).collect::<Vec<_>>())
    .bind(answers().map(|answer| answer.body.as_slice()).collect::<Vec<_>>())
    .bind(answers().map(|answer| instant(answer.at)).collect::<Vec<_>>())
    .bind(ANSWER_KEPT_MS as i64)
    .execute(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    Ok(())
}

pub(super) async fn first_call(
    readers: &Readers,
    key: &str,
) -> Result<Option<FirstCall>, StoreError> {
    let mut reader = readers.get().await?;
    let columns: CallColumns = sqlx::query_as(
        "SELECT a.fingerprint, a.status, a.content_type, a.body, a.created_at, r.ride_id \
         FROM (SELECT $1::text AS key) c LEFT JOIN idempotency a ON a.key = c.key \
         LEFT JOIN rides r ON r.request_key = c.key",
    )
    .bind(plain(key))
    .fetch_one(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    if let Some(ride) = &columns.5 {
        let ride = RideId::new(ride).map_err(|error| corrupt("a ride's id", error))?;
        let first = reads::ride_events(readers, &ride, 0, 1).await?.pop();
        return Ok(first.map(|event| FirstCall::Requested(Box::new(event.record))));
    }
    Ok(answer_of(columns)?.map(FirstCall::Answered))
}
