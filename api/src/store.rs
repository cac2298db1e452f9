//! Embedded durable truth: the [`Store`] port over one SQLite file, and what the edges read.
//!
//! One connection writes, in group commits that are on disk when they return; a few others read and
//! wait for nobody. No SQL type leaves this module.

mod answers;
mod apply;
mod commit;
mod connection;
mod error;
mod history;
mod policies;
mod priority;
mod reads;
mod recover;
mod relay;
mod rows;
mod upkeep;
mod zones;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_actors::{Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::{RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use sqlx::{Connection, SqliteConnection, SqlitePool};
use tokio::sync::watch;

pub use self::answers::{ANSWER_KEPT_MS, FirstCall, SavedAnswer};
pub use self::priority::THREAD_NICE_MIN;
pub use self::reads::{
    CursorError, DriverDecisions, LOOKED_AT_MAX, NAMING_MAX, READ_ROWS_MAX, RideCursor, RideFilter,
    RidePage, StoredRideEvent,
};
pub use self::upkeep::{Pruned, Retention};

use self::answers::{AnswerQueue, AnsweredKeys};
use self::connection::Writer;
use self::error::{from_migration, from_sql};

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
            let migrations = sqlx::migrate!("migrations/sqlite");
            migrations.run(&mut writer).await.map_err(from_migration)?;
        }
        let answered = AnsweredKeys::load(&mut writer).await?;
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

    /// Waits for the write that runs, then closes all connections and folds the log into the file.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the log cannot be folded; nothing is lost by that.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.readers.close().await;
        self.folder.lock().await.close().await?;
        self.writer.lock().await.close().await
    }

    /// A page of at most `limit` rides (1..=[`READ_ROWS_MAX`]), newest request first. Pages that
    /// follow `cursor` neither repeat nor omit a ride, whatever is requested meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn list_rides(
        &self,
        filter: &RideFilter,
        limit: u32,
        cursor: Option<&RideCursor>,
    ) -> Result<RidePage, StoreError> {
        reads::list_rides(&self.readers, filter, limit, cursor).await
    }

    /// At most `limit` transitions (1..=[`READ_ROWS_MAX`]) of `ride` after version `after_seq`, in
    /// order.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn ride_events(
        &self,
        ride: &RideId,
        after_seq: u64,
        limit: u32,
    ) -> Result<Vec<StoredRideEvent>, StoreError> {
        reads::ride_events(&self.readers, ride, after_seq, limit).await
    }

    /// The newest [`READ_ROWS_MAX`] decisions of `ride`, in the order they were taken. A wave has one
    /// for each look at the supply.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn decisions(&self, ride: &RideId) -> Result<Vec<WaveDecision>, StoreError> {
        reads::decisions(&self.readers, ride).await
    }

    /// The decisions since `since` that name `driver`, newest first, among the newest
    /// [`LOOKED_AT_MAX`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn decisions_naming(
        &self,
        driver: &DriverId,
        since: Timestamp,
    ) -> Result<DriverDecisions, StoreError> {
        reads::decisions_naming(&self.readers, driver, since).await
    }

    /// The first call that came with `key`, however old.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn first_call(&self, key: &str) -> Result<Option<FirstCall>, StoreError> {
        answers::first_call(&self.readers, key).await
    }

    /// Whether an answer may be saved under `key`; `false` is certain. Reads nothing.
    pub fn may_have_answered(&self, key: &str) -> bool {
        self.answered.may_hold(key)
    }

    /// Takes `key` from the ride that was requested with it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn release_key(&self, key: &str) -> Result<(), StoreError> {
        answers::release_key(&self.writer, key).await
    }

    /// Saves the answer to the call with `key`. An answer younger than [`ANSWER_KEPT_MS`] that is
    /// there already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn save_answer(&self, key: &str, answer: SavedAnswer) -> Result<(), StoreError> {
        self.answered.add(key);
        answers::save(&self.writer, &self.answers, key, answer).await
    }

    /// Forgets at most `rows` rows of each kind that `retention` allows to forget; call again until
    /// [`Pruned::total`] is 0. The file does not shrink, its pages are used again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn prune(&self, retention: &Retention, rows: u32) -> Result<Pruned, StoreError> {
        upkeep::prune(&self.writer, retention, rows).await
    }

    /// Bytes on disk: the file and its write-ahead log.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn database_bytes(&self) -> Result<u64, StoreError> {
        upkeep::database_bytes(&self.readers, &self.path).await
    }

    /// Folds the write-ahead log into the file, beside writer and readers; only when the log is long
    /// the writer waits for the last of it. To be called every second or so.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; the log grows until a commit folds it.
    pub async fn fold_log(&self) -> Result<(), StoreError> {
        upkeep::fold_log(&self.folder, &self.writer).await
    }

    /// Whether a commit would succeed now: writes, and undoes it. Costs as much as a small commit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] with the reason.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        upkeep::check_writable(&self.writer).await
    }
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
            let epoch = rows::unsigned("epoch", epoch)?;
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

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(recover::save_positions(&self.writer, positions))
    }
}
