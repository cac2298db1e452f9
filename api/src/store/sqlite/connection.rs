//! The one writer connection and the pool of readers.

use std::path::Path;

use muster_actors::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, MutexGuard};

use super::SqliteOptions;
use super::error::from_sql;
use super::priority::prefer;

/// The page size of a new database, in bytes; the default of SQLite.
pub(super) const PAGE_BYTES: u64 = 4_096;
/// Once the write-ahead log holds this many pages (64 MiB) it is folded to its end.
pub(super) const LOG_PAGES_MAX: i64 = 16_384;
/// A commit folds the write-ahead log itself when it holds this many pages (256 MiB). That takes as
/// long as dozens of commits, so a connection of its own folds it much earlier, beside the writer.
const CHECKPOINT_PAGES: u32 = 65_536;
/// The file of the write-ahead log is cut back to this when the log begins anew; space that is kept
/// need not be found again.
const LOG_BYTES_MAX: u32 = 128 * 1024 * 1024;
/// The writer's page cache: a large batch must fit, or it spills into the log half-way.
const WRITER_CACHE_KIB: u32 = 64 * 1024;
/// Above the number of distinct statements and scripts, so that each is compiled once.
const STATEMENTS_CACHED: usize = 128;

/// Names of threads, at most 15 bytes as the system keeps them.
pub(super) const WRITER_THREAD: &str = "store-writer";
pub(super) const FOLDER_THREAD: &str = "store-folder";
pub(super) const READER_THREAD: &str = "store-reader";

pub(super) fn connect_options(
    path: &Path,
    options: &SqliteOptions,
    thread: &'static str,
) -> SqliteConnectOptions {
    let mut connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(options.busy_timeout)
        .statement_cache_capacity(STATEMENTS_CACHED)
        .thread_name(move |_| thread.to_owned())
        .disable_statement_logging();
    if options.read_only {
        return connect.pragma("query_only", "ON");
    }
    if let Some(bytes) = options.bytes_max {
        connect = connect.pragma("max_page_count", (bytes / PAGE_BYTES).max(1).to_string());
    }
    connect
        .page_size(PAGE_BYTES as u32)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        // What undoes one statement of a batch needs no file.
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", LOG_BYTES_MAX.to_string())
}

/// Readers see every commit that ended before they began and wait for no writer.
pub(super) fn reader_pool(path: &Path, options: &SqliteOptions) -> SqlitePool {
    let read_only = SqliteOptions { read_only: true, ..options.clone() };
    let thread_nice = options.thread_nice;
    SqlitePoolOptions::new()
        .after_connect(move |_, _| {
            prefer(READER_THREAD, thread_nice);
            Box::pin(std::future::ready(Ok(())))
        })
        .max_connections(options.readers)
        .acquire_timeout(options.busy_timeout)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(connect_options(path, &read_only, READER_THREAD))
}

/// The only connection that writes.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    thread_nice: i32,
    connection: Mutex<Option<SqliteConnection>>,
}

impl Writer {
    pub(super) fn new(
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        thread_nice: i32,
    ) -> Self {
        Self { options, thread_nice, connection: Mutex::new(Some(connection)) }
    }

    /// A connection that opens with its first use.
    pub(super) fn lazy(options: SqliteConnectOptions) -> Self {
        Self { options, thread_nice: 0, connection: Mutex::new(None) }
    }

    /// Waits, first come first served, until nobody else writes.
    pub(super) async fn lock(&self) -> WriterSlot<'_> {
        let connection = self.connection.lock().await;
        WriterSlot { writer: self, connection, in_use: false }
    }
}

/// The right to write.
pub(super) struct WriterSlot<'a> {
    writer: &'a Writer,
    connection: MutexGuard<'a, Option<SqliteConnection>>,
    in_use: bool,
}

impl Drop for WriterSlot<'_> {
    /// A use that was given up half way leaves a connection in the middle of a transaction.
    fn drop(&mut self) {
        if self.in_use {
            *self.connection = None;
        }
    }
}

impl WriterSlot<'_> {
    /// The connection; opened again when the last use broke it.
    pub(super) async fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        if self.connection.is_none() {
            let options = &self.writer.options;
            let fresh = SqliteConnection::connect_with(options).await.map_err(from_sql)?;
            prefer(WRITER_THREAD, self.writer.thread_nice);
            *self.connection = Some(fresh);
        }
        self.in_use = true;
        self.connection
            .as_mut()
            .ok_or_else(|| StoreError::Unavailable("the connection is closed".to_owned()))
    }

    /// Ends a use. After a failed write SQLite may have ended the transaction by itself, so that
    /// nobody knows what state the connection is in: it is dropped, which rolls back.
    pub(super) fn settle<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        self.in_use = false;
        if matches!(outcome, Err(StoreError::Unavailable(_) | StoreError::Corrupt(_))) {
            *self.connection = None;
        }
        outcome
    }

    /// Closes the connection in good order.
    pub(super) async fn close(&mut self) -> Result<(), StoreError> {
        match self.connection.take() {
            Some(connection) => connection.close().await.map_err(from_sql),
            None => Ok(()),
        }
    }
}

/// Begins a transaction that holds the write lock from its first moment: it never fails half-way
/// because another process wrote meanwhile.
pub(super) async fn begin(
    connection: &mut SqliteConnection,
) -> Result<Transaction<'_, Sqlite>, StoreError> {
    connection.begin_with("BEGIN IMMEDIATE").await.map_err(from_sql)
}
