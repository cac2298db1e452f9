//! What the actors need from outside: traits that the edges implement.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use muster_engine::driver::DriverRecord;
use muster_engine::event::Event;
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::{RideCommit, RideRecord};
use muster_engine::time::Timestamp;
use muster_engine::zone::{QueueRecord, ZoneCommit};

/// A boxed future, so that ports can be trait objects.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why the store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be written or read at present: disk full, read-only, connection down.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// The store stopped answering while it was asked to write: nobody knows whether it did. Reads of
    /// the same subject wait until it is known, and fail until then.
    #[error("the store did not say whether it wrote: {0}")]
    InDoubt(String),
    /// A newer version or epoch of the row exists, or a unique index refuses it: another writer was
    /// here first.
    #[error("the store refused a conflicting write: {0}")]
    Conflict(String),
    /// A row cannot be read back.
    #[error("the store holds a row that cannot be read: {0}")]
    Corrupt(String),
}

impl StoreError {
    /// The label in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::InDoubt(_) => "in_doubt",
            Self::Conflict(_) => "conflict",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

/// One thing to make durable.
#[derive(Debug, Clone)]
pub enum Durable {
    /// A ride's transition.
    Ride(Box<RideCommit>),
    /// A driver's profile or intent.
    Driver(Arc<DriverRecord>),
    /// A change of a zone's queue.
    Zone(Box<ZoneCommit>),
}

/// A driver's newest position, kept so that supply is back at once after a restart.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionSnapshot {
    /// The driver.
    pub driver: DriverId,
    /// Where.
    pub position: Position,
    /// When the phone took the fix.
    pub recorded_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
}

/// Everything a restarted process needs.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Every driver's profile and intent.
    pub drivers: Vec<DriverRecord>,
    /// Every ride that is not over.
    pub open_rides: Vec<RideRecord>,
    /// The queue of every zone that ever had one.
    pub zones: Vec<QueueRecord>,
    /// Positions as of the last snapshot.
    pub positions: Vec<PositionSnapshot>,
    /// The newest instant in the store: the clock must not go back behind it.
    pub newest_at: Timestamp,
}

/// Durable truth.
pub trait Store: Send + Sync + 'static {
    /// Makes `batch` durable in one transaction, in order; the result of each item is at its index.
    /// An item that conflicts fails, with the later items of the same ride or driver in the batch,
    /// and takes no other item with it; an unavailable store fails them all and keeps none. One that
    /// is in doubt keeps all that do not conflict, or none.
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>>;

    /// Takes ownership of all markets for this process: later commits of an older epoch conflict.
    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>>;

    /// Everything needed to go on after a restart.
    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>>;

    /// One ride, open or over.
    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>>;

    /// A driver's profile and intent.
    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>>;

    /// The queue of a zone, if it ever had one.
    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>>;

    /// Replaces the position snapshots of these drivers.
    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>>;
}

/// Where domain events go: metrics, logs.
pub trait EventSink: Send + Sync + 'static {
    /// Something happened.
    fn publish(&self, event: &Event);
}

/// Where the spans of traces go.
pub trait Tracer: Send + Sync + 'static {
    /// Begins a span of a `step` of an `actor`, beneath the `parent` that a W3C `traceparent` names;
    /// nothing beneath a trace that is not kept.
    fn begin(&self, actor: &'static str, step: &'static str, parent: &str)
    -> Option<Box<dyn Span>>;
}

/// A stretch of work within a trace; over when dropped.
pub trait Span: Send {
    /// The `traceparent` of what comes of it.
    fn traceparent(&self) -> String;
    /// It did not do what it was for.
    fn fail(&mut self, why: &str);
}

/// What the shell itself measures.
pub trait Meter: Send + Sync + 'static {
    /// The first offer of a ride left for its drivers this long after the request came in.
    fn first_offer(&self, seconds: f64);
    /// A search of the supply index took this long.
    fn match_duration(&self, mode: &'static str, seconds: f64);
    /// A group commit of `items` items took this long.
    fn store_commit(&self, items: usize, seconds: f64);
    /// A turn could not be made durable: `unavailable`, `conflict` or `corrupt`, see [`StoreError::name`].
    fn store_refused(&self, reason: &'static str);
    /// A mailbox was full.
    fn mailbox_full(&self, actor: &'static str);
    /// An actor was rebuilt after a panic or a failed commit.
    fn actor_restarted(&self, actor: &'static str);
}
