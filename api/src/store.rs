//! Durable truth: one port, [`Database`], over one SQLite file or over PostgreSQL.
//!
//! What every store shares is here: records to rows and back, the past as the edges ask for it, saved
//! answers, retention. No SQL type leaves this module.

mod answers;
mod location;
mod migrations;
mod past;
mod postgres;
mod retention;
mod rows;
mod sqlite;
mod transfer;
mod transitions;

use muster_actors::{PortFuture, Store, StoreError};

pub use self::answers::{ANSWER_KEPT_MS, FirstCall, SavedAnswer};
pub use self::location::Location;
pub use self::migrations::MigrationStatus;
pub use self::past::{
    CursorError, DriverDecisions, LOOKED_AT_MAX, NAMING_MAX, READ_ROWS_MAX, RideCursor, RideFilter,
    RidePage, StoredRideEvent,
};
pub use self::postgres::{PostgresOptions, PostgresStore};
pub use self::retention::{Pruned, Retention};
pub use self::sqlite::{SqliteOptions, SqliteStore, THREAD_NICE_MIN};
pub use self::transfer::TransferError;
use crate::http::history::RideHistory;
use crate::kafka::HistoryTail;
use crate::policy::PolicyLog;

/// Everything that a server keeps, whatever keeps it.
pub trait Database: Store + RideHistory + PolicyLog + HistoryTail {
    /// Forgets at most `rows` rows of each kind that `retention` allows to forget; call again until
    /// [`Pruned::total`] is 0. Nothing shrinks, the space is used again.
    fn prune<'a>(
        &'a self,
        retention: &'a Retention,
        rows: u32,
    ) -> PortFuture<'a, Result<Pruned, StoreError>>;

    /// What keeps commits short in the long run; to be called every second or so.
    fn tidy(&self) -> PortFuture<'_, Result<(), StoreError>>;

    /// Bytes on disk.
    fn database_bytes(&self) -> PortFuture<'_, Result<u64, StoreError>>;

    /// Whether a commit would succeed now: writes, and undoes it. Costs as much as a small commit.
    fn check_writable(&self) -> PortFuture<'_, Result<(), StoreError>>;

    /// Waits for the write that runs, then closes all connections. Nothing is lost when that fails.
    fn close(&self) -> PortFuture<'_, Result<(), StoreError>>;
}
