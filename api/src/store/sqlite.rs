//! Embedded durable truth: one SQLite file.
//!
//! One connection writes, in group commits that are on disk when they return; a few others read and
//! wait for nobody.

mod answers;
mod apply;
mod commit;
mod connection;
mod error;
mod policies;
mod priority;
mod reads;
mod recover;
mod relay;
mod upkeep;
mod zones;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_actors::{Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::{RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;
use sqlx::migrate::Migrator;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::watch;

pub use self::priority::THREAD_NICE_MIN;

use self::connection::Writer;
use self::error::from_migration;
pub(super) use self::error::from_sql;
use super::Database;
use super::answers::{AnswerQueue, AnsweredKeys, FirstCall, SavedAnswer};
use super::migrations::{self, Applied, MigrationStatus};
use super::past::{DriverDecisions, RideCursor, RideFilter, RidePage, StoredRideEvent};
use super::retention::{Pruned, Retention};
use super::rows::unsigned;
use crate::http::history::{Read, RideHistory};

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections that read.
    pub readers: u32,
    /// How long to wait for another process that writes, or for a free reader.
    pub busy_timeout: Duration,
    /// How large the main file may grow; beyond it writes are refused as if the disk were full.
    pub bytes_max: Option<u64>,
    /// Refuse every write: for tools that look at the file of a living process.
    pub read_only: bool,
    /// The nice value of the threads that commit and read, [`THREAD_NICE_MIN`]..=0: how far they go
    /// before others where the system allows it; 0 leaves them as they are.
    pub thread_nice: i32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            readers: 4,
            busy_timeout: Duration::from_secs(5),
            bytes_max: None,
            read_only: false,
            thread_nice: 0,
        }
    }
}

/// Durable truth in one SQLite file (with its write-ahead log beside it).
pub struct SqliteStore {
    path: PathBuf,
    writer: Writer,
    /// Folds the write-ahead log into the file while the writer goes on.
    folder: Writer,
    readers: SqlitePool,
    answers: AnswerQueue,
    answered: AnsweredKeys,
    /// The epoch this process took; 0 before it took one.
    epoch: AtomicU64,
    /// Batches committed so far.
    commits: watch::Sender<u64>,
}

impl SqliteStore {
    /// Opens the store at `path`, and creates file and folder where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the file cannot be opened or written,
    /// [`StoreError::Corrupt`] when it is no database or one of a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, &SqliteOptions::default()).await
    }

    /// Opens the store at `path` with `options`.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; a read-only store must exist.
    pub async fn open_with(path: &Path, options: &SqliteOptions) -> Result<Self, StoreError> {
        let connect = connection::connect_options(path, options, connection::FOLDER_THREAD);
        let writing = connection::connect_options(path, options, connection::WRITER_THREAD);
        if let Some(folder) = path.parent().filter(|_| !options.read_only) {
            let created = tokio::fs::create_dir_all(folder).await;
            created.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        }
        let first = writing.clone().create_if_missing(!options.read_only);
        let mut writer = SqliteConnection::connect_with(&first).await.map_err(from_sql)?;
        priority::prefer(connection::WRITER_THREAD, options.thread_nice);
        if !options.read_only {
            migrator().run(&mut writer).await.map_err(from_migration)?;
        }
        let answered = answers::answered(&mut writer).await?;
        Ok(Self {
            path: path.to_owned(),
            // Folding is long work that nobody waits for.
            folder: Writer::lazy(connect),
            writer: Writer::new(writing, writer, options.thread_nice),
            readers: connection::reader_pool(path, options),
            answers: AnswerQueue::default(),
            answered,
            epoch: AtomicU64::new(0),
            commits: watch::Sender::new(0),
        })
    }

    /// What migrations there are, and which the file at `path` lacked; with `apply` it lacks none
    /// afterwards, and is made if absent.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn migrate(path: &Path, apply: bool) -> Result<Vec<MigrationStatus>, StoreError> {
        let applied = if path.exists() { applied(path).await? } else { Vec::new() };
        let found = migrations::compare(&migrator(), &applied)?;
        if apply && found.iter().any(|migration| !migration.applied) {
            Self::open(path).await?.close().await?;
        }
        Ok(found)
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A connection for one piece of work on the file at `path`, which exists.
pub(super) async fn connect(path: &Path, access: Access) -> Result<SqliteConnection, StoreError> {
    let options = SqliteOptions { read_only: access == Access::Read, ..SqliteOptions::default() };
    let connect = connection::connect_options(path, &options, connection::READER_THREAD);
    SqliteConnection::connect_with(&connect).await.map_err(from_sql)
}

fn migrator() -> Migrator {
    sqlx::migrate!("migrations/sqlite")
}

/// The migrations that the file at `path` has seen.
async fn applied(path: &Path) -> Result<Vec<Applied>, StoreError> {
    let mut connection = connect(path, Access::Read).await?;
    let any =
        sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'");
    let any: i64 = any.fetch_one(&mut connection).await.map_err(from_sql)?;
    if any == 0 {
        return Ok(Vec::new());
    }
    sqlx::query_as(migrations::APPLIED).fetch_all(&mut connection).await.map_err(from_sql)
}

impl Store for SqliteStore {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        Box::pin(async move {
            let verdicts = commit::commit(&self.writer, epoch, batch).await;
            self.commits.send_modify(|commits| *commits += 1);
            verdicts
        })
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(async {
            let epoch = recover::begin_epoch(&self.writer).await?;
            let epoch = unsigned("epoch", epoch)?;
            self.epoch.store(epoch, Ordering::Release);
            Ok(epoch)
        })
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(recover::recover(&self.readers))
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        Box::pin(recover::load_ride(&self.readers, ride))
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        Box::pin(recover::load_driver(&self.readers, driver))
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        Box::pin(zones::load(&self.readers, market, zone))
    }

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(recover::save_positions(&self.writer, positions))
    }
}

impl RideHistory for SqliteStore {
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: u32,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, RidePage> {
        Box::pin(reads::list_rides(&self.readers, filter, limit, cursor))
    }

    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: u32,
    ) -> Read<'a, Vec<StoredRideEvent>> {
        Box::pin(reads::ride_events(&self.readers, ride, after_seq, limit))
    }

    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>> {
        Box::pin(reads::decisions(&self.readers, ride))
    }

    fn decisions_naming<'a>(
        &'a self,
        driver: &'a DriverId,
        since: Timestamp,
    ) -> Read<'a, DriverDecisions> {
        Box::pin(reads::decisions_naming(&self.readers, driver, since))
    }

    fn first_call<'a>(&'a self, key: &'a str) -> Read<'a, Option<FirstCall>> {
        Box::pin(answers::first_call(&self.readers, key))
    }

    fn may_have_answered(&self, key: &str) -> bool {
        self.answered.may_hold(key)
    }

    fn release_key<'a>(&'a self, key: &'a str) -> Read<'a, ()> {
        Box::pin(answers::release_key(&self.writer, key))
    }

    fn save_answer<'a>(&'a self, key: &'a str, answer: SavedAnswer) -> Read<'a, ()> {
        self.answered.add(key);
        Box::pin(answers::save(&self.writer, &self.answers, key, answer))
    }
}

impl Database for SqliteStore {
    fn prune<'a>(
        &'a self,
        retention: &'a Retention,
        rows: u32,
    ) -> PortFuture<'a, Result<Pruned, StoreError>> {
        Box::pin(upkeep::prune(&self.writer, retention, rows))
    }

    /// Folds the write-ahead log into the file, beside writer and readers; only when the log is long
    /// the writer waits for the last of it.
    fn tidy(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(upkeep::fold_log(&self.folder, &self.writer))
    }

    /// The file and its write-ahead log.
    fn database_bytes(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(upkeep::database_bytes(&self.readers, &self.path))
    }

    fn check_writable(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(upkeep::check_writable(&self.writer))
    }

    /// Folds the log into the file, too.
    fn close(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.readers.close().await;
            self.folder.lock().await.close().await?;
            self.writer.lock().await.close().await
        })
    }
}
