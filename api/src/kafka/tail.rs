//! The history of all rides as the relay reads it: in order, after a cursor that is durable itself.

use std::sync::Arc;

use muster_actors::{PortFuture, StoreError};
use muster_engine::origin::Origin;
use muster_engine::ride::{RideEventKind, RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use tokio::sync::watch;

/// One transition of one ride, with all that messages about it are made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Its place among all transitions of all rides; they are numbered without gaps.
    pub event: u64,
    /// What happened.
    pub kind: RideEventKind,
    /// When.
    pub at: Timestamp,
    /// The ride before it; nothing for the first one, and where that row is pruned already.
    pub before: Option<Arc<RideRecord>>,
    /// The ride after it.
    pub after: Arc<RideRecord>,
    /// The call that it goes back to; rows of older versions have none.
    pub origin: Option<Arc<Origin>>,
    /// Who was considered, when a search was made.
    pub decision: Option<WaveDecision>,
}

/// Where a relay begins that has no cursor yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RelayStart {
    /// Behind the newest transition.
    Now,
    /// At the oldest one that is kept.
    Oldest,
}

/// The history, read by one relay.
pub trait HistoryTail: Send + Sync + 'static {
    /// The last event that `relay` has published; one that begins gets its cursor by `start`.
    fn begin_relay<'a>(
        &'a self,
        relay: &'a str,
        start: RelayStart,
    ) -> PortFuture<'a, Result<u64, StoreError>>;

    /// At most `limit` transitions after `event`, in order.
    fn after(&self, event: u64, limit: u32) -> PortFuture<'_, Result<Vec<Transition>, StoreError>>;

    /// Makes durable that `relay` has published everything up to `event`. A conflict means that a newer
    /// process owns the store.
    fn save_relay<'a>(
        &'a self,
        relay: &'a str,
        event: u64,
    ) -> PortFuture<'a, Result<(), StoreError>>;

    /// Changes with each commit that may hold transitions.
    fn commits(&self) -> watch::Receiver<u64>;
}
