//! What the HTTP edge reads of the past: a port that the store implements.

use muster_actors::{PortFuture, StoreError};
use muster_engine::id::{MarketId, RideId};
use muster_engine::ride::{RideEventKind, RideRecord, RideStatus, WaveDecision};
use muster_engine::time::Timestamp;

/// Which rides a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RideFilter {
    /// Only rides of this market.
    pub market: Option<MarketId>,
    /// Only rides in this status.
    pub status: Option<RideStatus>,
}

/// Where a page of rides ends; the next page holds the rides after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RideCursor {
    /// When the last ride of the page was requested.
    pub requested_at: Timestamp,
    /// The last ride of the page.
    pub ride: RideId,
}

/// One transition of a ride, as it was committed.
#[derive(Debug, Clone, PartialEq)]
pub struct RideEventRow {
    /// Grows from event to event of one ride; 0 is before the first.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: RideEventKind,
    /// The ride after it.
    pub record: RideRecord,
}

/// The answer to a call that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedAnswer {
    /// A hash of the call's method, path and body.
    pub fingerprint: String,
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The outcome of a read.
pub type Read<'a, T> = PortFuture<'a, Result<T, StoreError>>;

/// The past of rides, and the answers that were given.
pub trait RideHistory: Send + Sync + 'static {
    /// At most `limit` rides after `cursor`, newest request first; rides requested in the same
    /// millisecond come in descending order of their ids.
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: usize,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, Vec<RideRecord>>;

    /// At most `limit` transitions of a ride after number `after_seq`, in order, without a gap.
    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: usize,
    ) -> Read<'a, Vec<RideEventRow>>;

    /// Who was considered for each wave of a ride, in the order of the waves.
    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>>;

    /// The answer saved under `key` in the last [`KEY_KEPT_MS`](super::KEY_KEPT_MS).
    fn idempotent_answer<'a>(&'a self, key: &'a str) -> Read<'a, Option<SavedAnswer>>;

    /// Saves the answer under `key`; an older one that ran out is replaced.
    fn save_answer<'a>(&'a self, key: &'a str, answer: &'a SavedAnswer) -> Read<'a, ()>;

    /// The newest ride whose request came with this idempotency key.
    fn ride_by_request_key<'a>(&'a self, key: &'a str) -> Read<'a, Option<RideRecord>>;
}
