//! First answers to mutating calls, given again when a client repeats itself.
//!
//! Answers are group-committed like transitions: each caller queues his answer and waits for the
//! writer; whoever gets it first writes all that queued. A thousand callers cost transitions one
//! wait, not a thousand.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use muster_actors::StoreError;
use muster_engine::id::stable_hash;
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use tokio::sync::oneshot;

use super::rows::{corrupt, timestamp};

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

/// An answer that waits, with whoever waits for it.
pub(super) struct Queued {
    pub(super) key: String,
    pub(super) answer: SavedAnswer,
    done: Done,
}

/// Answers that wait for the writer.
#[derive(Default)]
pub(super) struct AnswerQueue(Mutex<Vec<Queued>>);

/// A caller who waits until his answer is written.
pub(super) struct Waiting(oneshot::Receiver<Result<(), StoreError>>);

impl AnswerQueue {
    pub(super) fn push(&self, key: &str, answer: SavedAnswer) -> Waiting {
        let (done, outcome) = oneshot::channel();
        let queued = Queued { key: key.to_owned(), answer, done };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(queued);
        Waiting(outcome)
    }

    pub(super) fn take(&self) -> Vec<Queued> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Waiting {
    /// The outcome, once whoever took the queue has told it.
    pub(super) fn outcome(mut self) -> Result<(), StoreError> {
        let abandoned = || StoreError::Unavailable("the write was abandoned".to_owned());
        self.0.try_recv().unwrap_or_else(|_| Err(abandoned()))
    }
}

/// Tells all of `queued` how their write ended.
pub(super) fn tell(queued: Vec<Queued>, written: &Result<(), StoreError>) {
    for Queued { done, .. } in queued {
        // A caller who went away does not wait for his answer.
        let _gone = done.send(written.clone());
    }
}

/// More keys than this are not kept in mind (some 32 MiB): then every key may have been answered.
const ANSWERED_KEYS_MAX: usize = 1_000_000;

/// The keys of saved answers, so that a first call need not read to learn that it is one. Answers to
/// ride requests are not among them: the ride itself holds its key.
pub(super) struct AnsweredKeys(Mutex<Option<HashSet<u64>>>);

impl AnsweredKeys {
    /// Keys to read at most: one more than are kept in mind.
    pub(super) const READ_MAX: i64 = ANSWERED_KEYS_MAX as i64 + 1;

    /// Those of `keys`, which are all that are stored or [`AnsweredKeys::READ_MAX`] of them.
    pub(super) fn of(keys: &[String]) -> Self {
        let all = keys.len() <= ANSWERED_KEYS_MAX;
        let hashes = || keys.iter().map(|key| hash(key)).collect();
        Self(Mutex::new(all.then(hashes)))
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

/// `fingerprint, status, content_type, body, created_at, ride_id` of the call with a key, as far as
/// there are any.
pub(super) type CallColumns =
    (Option<String>, Option<i32>, Option<String>, Option<Vec<u8>>, Option<i64>, Option<String>);

/// The answer in `columns`, if there is one.
pub(super) fn answer_of(columns: CallColumns) -> Result<Option<SavedAnswer>, StoreError> {
    let (Some(fingerprint), Some(status), Some(content_type), Some(body), Some(at), _) = columns
    else {
        return Ok(None);
    };
    let status = u16::try_from(status).map_err(|error| corrupt("a status", error))?;
    let at = timestamp("created_at", at)?;
    Ok(Some(SavedAnswer { fingerprint, status, content_type, body, at }))
}
