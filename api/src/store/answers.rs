//! First answers to mutating calls, given again when a client repeats itself.
//!
//! Answers are group-committed like transitions: each caller queues his answer and waits for the
//! writer; whoever gets it first writes all that queued. A thousand callers cost transitions one
//! wait, not a thousand.

use std::sync::{Mutex, PoisonError};

use muster_actors::StoreError;
use muster_engine::id::RideId;
use muster_engine::time::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::oneshot;

use super::connection::{Writer, begin};
use super::error::{corrupt, from_sql};
use super::rows::{instant, timestamp};

/// How long an answer is kept.
pub const ANSWER_KEPT_MS: u64 = 24 * 60 * 60 * 1_000;

/// The first answer to a call with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAnswer {
    /// A hash of method, path and body of the call.
    pub fingerprint: String,
    /// HTTP status.
    pub status: u16,
    /// Media type of the body.
    pub content_type: String,
    /// The body, byte for byte.
    pub body: Vec<u8>,
    /// When it was given; it is void [`ANSWER_KEPT_MS`] later, pruned or not.
    pub at: Timestamp,
}

type Done = oneshot::Sender<Result<(), StoreError>>;

struct Queued {
    key: String,
    answer: SavedAnswer,
    done: Done,
}

/// Answers that wait for the writer.
#[derive(Default)]
pub(super) struct AnswerQueue(Mutex<Vec<Queued>>);

impl AnswerQueue {
    fn push(&self, queued: Queued) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(queued);
    }

    fn take(&self) -> Vec<Queued> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(super) async fn save(
    writer: &Writer,
    queue: &AnswerQueue,
    key: &str,
    answer: SavedAnswer,
) -> Result<(), StoreError> {
    let (done, mut outcome) = oneshot::channel();
    queue.push(Queued { key: key.to_owned(), answer, done });
    let mut slot = writer.lock().await;
    let queued = queue.take();
    if !queued.is_empty() {
        let written = match slot.connection().await {
            Ok(connection) => write(connection, &queued).await,
            Err(error) => Err(error),
        };
        let written = slot.settle(written);
        for Queued { done, .. } in queued {
            // A caller who went away does not wait for his answer.
            let _gone = done.send(written.clone());
        }
    }
    drop(slot);
    let abandoned = || StoreError::Unavailable("the write was abandoned".to_owned());
    outcome.try_recv().unwrap_or_else(|_| Err(abandoned()))
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

pub(super) async fn find(
    readers: &SqlitePool,
    key: &str,
) -> Result<Option<SavedAnswer>, StoreError> {
    let row: Option<(String, u16, String, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT fingerprint, status, content_type, body, created_at FROM idempotency \
         WHERE key = ?",
    )
    .bind(key)
    .fetch_optional(readers)
    .await
    .map_err(from_sql)?;
    let Some((fingerprint, status, content_type, body, at)) = row else { return Ok(None) };
    let at = timestamp("created_at", at)?;
    Ok(Some(SavedAnswer { fingerprint, status, content_type, body, at }))
}

pub(super) async fn ride_by_request_key(
    readers: &SqlitePool,
    key: &str,
) -> Result<Option<(RideId, String)>, StoreError> {
    let row: Option<(String, String)> = sqlx::query_as(
        "SELECT ride_id, COALESCE(request_fingerprint, '') FROM rides WHERE request_key = ?",
    )
    .bind(key)
    .fetch_optional(readers)
    .await
    .map_err(from_sql)?;
    let Some((ride, fingerprint)) = row else { return Ok(None) };
    let ride = RideId::new(&ride).map_err(|error| corrupt("a ride's id", error))?;
    Ok(Some((ride, fingerprint)))
}
