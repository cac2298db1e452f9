//! First answers to mutating calls, given again when a client repeats itself.
//!
//! Answers are group-committed like transitions: each caller queues his answer and waits for the
//! writer; whoever gets it first writes all that queued. A thousand callers cost transitions one
//! wait, not a thousand.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use muster_actors::StoreError;
use muster_engine::id::{RideId, stable_hash};
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};
use tokio::sync::oneshot;

use super::connection::{Writer, begin};
use super::error::{corrupt, from_sql};
use super::reads;
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

/// The first call that came with an idempotency key.
#[derive(Debug, Clone, PartialEq)]
pub enum FirstCall {
    /// It was answered with these words.
    Answered(SavedAnswer),
    /// It requested this ride, and was answered with its first state: the ride remembers key and
    /// fingerprint, so no words need to be saved.
    Requested(Box<RideRecord>),
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

/// More keys than this are not kept in mind (some 32 MiB): then every key may have been answered.
const ANSWERED_KEYS_MAX: usize = 1_000_000;

/// The keys of saved answers, so that a first call need not read to learn that it is one. Answers to
/// ride requests are not among them: the ride itself holds its key.
pub(super) struct AnsweredKeys(Mutex<Option<HashSet<u64>>>);

impl AnsweredKeys {
    pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let most = ANSWERED_KEYS_MAX as i64 + 1;
        let keys: Vec<String> = sqlx::query_scalar("SELECT key FROM idempotency LIMIT ?")
            .bind(most)
            .fetch_all(connection)
            .await
            .map_err(from_sql)?;
        let all = keys.len() <= ANSWERED_KEYS_MAX;
        let hashes = || keys.iter().map(|key| hash(key)).collect();
        Ok(Self(Mutex::new(all.then(hashes))))
    }

    pub(super) fn may_hold(&self, key: &str) -> bool {
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.as_ref().is_none_or(|keys| keys.contains(&hash(key)))
    }

    pub(super) fn add(&self, key: &str) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.as_mut() {
            known.insert(hash(key));
            if known.len() > ANSWERED_KEYS_MAX {
                *keys = None;
            }
        }
    }
}

fn hash(key: &str) -> u64 {
    stable_hash(key.as_bytes(), 0)
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

pub(super) async fn first_call(
    readers: &SqlitePool,
    key: &str,
) -> Result<Option<FirstCall>, StoreError> {
    type Columns =
        (Option<String>, Option<u16>, Option<String>, Option<Vec<u8>>, Option<i64>, Option<String>);
    let (fingerprint, status, content_type, body, at, ride): Columns = sqlx::query_as(
        "SELECT a.fingerprint, a.status, a.content_type, a.body, a.created_at, r.ride_id \
         FROM (SELECT ?1 AS key) c LEFT JOIN idempotency a ON a.key = c.key \
         LEFT JOIN rides r ON r.request_key = c.key",
    )
    .bind(key)
    .fetch_one(readers)
    .await
    .map_err(from_sql)?;
    if let Some(ride) = ride {
        let ride = RideId::new(&ride).map_err(|error| corrupt("a ride's id", error))?;
        let first = reads::ride_events(readers, &ride, 0, 1).await?.pop();
        return Ok(first.map(|event| FirstCall::Requested(Box::new(event.record))));
    }
    let (Some(fingerprint), Some(status), Some(content_type), Some(body), Some(at)) =
        (fingerprint, status, content_type, body, at)
    else {
        return Ok(None);
    };
    let at = timestamp("created_at", at)?;
    Ok(Some(FirstCall::Answered(SavedAnswer { fingerprint, status, content_type, body, at })))
}
