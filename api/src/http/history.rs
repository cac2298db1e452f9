//! What the HTTP edge reads of the past: a port that the store implements.

use muster_actors::{PortFuture, StoreError};
use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::WaveDecision;
use muster_engine::time::Timestamp;

use crate::store::{
    DriverDecisions, FirstCall, RideCursor, RideFilter, RidePage, SavedAnswer, StoredRideEvent,
};

/// The outcome of a read.
pub type Read<'a, T> = PortFuture<'a, Result<T, StoreError>>;

/// The past of rides, and the answers that were given.
pub trait RideHistory: Send + Sync + 'static {
    /// A page of at most `limit` rides (1..=[`READ_ROWS_MAX`](crate::store::READ_ROWS_MAX)) after
    /// `cursor`, newest request first; rides requested in the same millisecond come in descending
    /// order of their ids. Pages that follow one another neither repeat nor omit a ride, whatever is
    /// requested meanwhile.
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: u32,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, RidePage>;

    /// At most `limit` transitions of a ride after number `after_seq`, in order, without a gap.
    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: u32,
    ) -> Read<'a, Vec<StoredRideEvent>>;

    /// Who was considered for each wave of a ride, in the order of the waves.
    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>>;

    /// The decisions since `since` that name a driver, newest first; at most
    /// [`NAMING_MAX`](crate::store::NAMING_MAX) of them, among the newest
    /// [`LOOKED_AT_MAX`](crate::store::LOOKED_AT_MAX) of all rides.
    fn decisions_naming<'a>(
        &'a self,
        driver: &'a DriverId,
        since: Timestamp,
    ) -> Read<'a, DriverDecisions>;

    /// The first call that came with the idempotency key `key`, however old.
    fn first_call<'a>(&'a self, key: &'a str) -> Read<'a, Option<FirstCall>>;

    /// Whether an answer may be saved under `key`; `false` is certain. Reads nothing.
    fn may_have_answered(&self, key: &str) -> bool;

    /// Takes the idempotency key from a ride that was requested with it more than a day ago.
    fn release_key<'a>(&'a self, key: &'a str) -> Read<'a, ()>;

    /// Saves the answer under `key`; an older one that ran out is replaced.
    fn save_answer<'a>(&'a self, key: &'a str, answer: SavedAnswer) -> Read<'a, ()>;
}
