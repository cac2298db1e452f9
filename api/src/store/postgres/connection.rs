//! The one connection that commits, the pool of those that read, and what happens when they break.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muster_actors::StoreError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, Postgres};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::PostgresOptions;
use super::doubt::{Doubt, Outcome};
use super::error::{from_sql, too_late};
use super::retry::Retry;

/// Above the number of distinct statements, so that each is prepared once per connection, and a bound
/// for what the server keeps of them.
const STATEMENTS_CACHED: usize = 64;
/// How long the server keeps a transaction whose process says nothing, in limits of a statement: it
/// holds the lock that all commits need.
const SILENT_LIMITS: u32 = 4;
/// A database whose administrator lets commits return before they are on disk would break promises.
const DURABLE_COMMITS: &str = "SELECT set_config('synchronous_commit', 'on', FALSE) \
    WHERE current_setting('synchronous_commit') = 'off'";

/// Connections in the configured schema. `statement` zero sets no limits: for work that takes as long
/// as it takes.
pub(super) fn connect_options(options: &PostgresOptions, statement: Duration) -> PgConnectOptions {
    let limit = format!("{}ms", statement.as_millis());
    let silent = format!("{}ms", (statement * SILENT_LIMITS).as_millis());
    options
        .connect
        .clone()
        .statement_cache_capacity(STATEMENTS_CACHED)
        .options([
            ("search_path", options.schema.as_str()),
            ("statement_timeout", &limit),
            ("lock_timeout", &limit),
            ("idle_in_transaction_session_timeout", &silent),
        ])
        .disable_statement_logging()
}

/// A connection for one long piece of work, without a limit to it.
pub(in crate::store) async fn patient(
    options: &PostgresOptions,
) -> Result<PgConnection, StoreError> {
    connect(&connect_options(options, Duration::ZERO), options.connect_timeout).await
}

async fn connect(options: &PgConnectOptions, within: Duration) -> Result<PgConnection, StoreError> {
    let connecting = async {
        let mut connection = PgConnection::connect_with(options).await?;
        connection.execute(DURABLE_COMMITS).await?;
        Ok::<_, sqlx::Error>(connection)
    };
    timeout(within, connecting).await.map_err(|_| too_late())?.map_err(from_sql)
}

/// Connections that read, and write what is no transition.
pub(super) struct Readers {
    pool: PgPool,
}

/// A connection of the pool. Unless its work is [`done`](Reader::done) it is closed: nobody knows
/// what it still waits for.
pub(super) struct Reader(Option<PoolConnection<Postgres>>);

impl Readers {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(options.connect_timeout)
            .after_connect(|connection, _| {
                Box::pin(async { connection.execute(DURABLE_COMMITS).await.map(|_| ()) })
            })
            .connect_lazy_with(connect_options(options, options.statement_timeout));
        Self { pool }
    }

    pub(super) async fn get(&self) -> Result<Reader, StoreError> {
        self.pool.acquire().await.map(|connection| Reader(Some(connection))).map_err(from_sql)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

impl Reader {
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.0.as_deref_mut().ok_or_else(closed)
    }

    /// Gives the connection back.
    pub(super) fn done(mut self) {
        self.0.take();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

/// The only connection that commits transitions.
pub(super) struct Writer {
    options: PgConnectOptions,
    connect_timeout: Duration,
    statement_timeout: Duration,
    state: Mutex<State>,
    in_doubt: AtomicBool,
}

struct State {
    connection: Option<PgConnection>,
    /// The commit whose end nobody heard. Nothing is written before it is known.
    doubt: Option<Doubt>,
    retry: Retry,
}

impl Writer {
    pub(super) fn new(options: &PostgresOptions) -> Self {
        let retry = Retry::new(options.reconnect_max);
        Self {
            options: connect_options(options, options.statement_timeout)
                // Statements over arrays need one plan each, and one that was made while the tables
                // were small must not stay. No statement here is worth compiling.
                .options([
                    ("plan_cache_mode", "force_generic_plan"),
                    ("enable_seqscan", "off"),
                    ("jit", "off"),
                ]),
            connect_timeout: options.connect_timeout,
            statement_timeout: options.statement_timeout,
            state: Mutex::new(State { connection: None, doubt: None, retry }),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Waits, first come first served, until nobody else writes.
    pub(super) async fn lock(&self) -> Slot<'_> {
        Slot { writer: self, state: self.state.lock().await, in_use: false }
    }

    /// Makes sure that no commit is in doubt: who reads afterwards reads what holds.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        if self.in_doubt.load(Ordering::Acquire) {
            self.lock().await.ready().await?;
        }
        Ok(())
    }

    /// Comes back to a database that was lost, also when nobody has anything to write. One that is
    /// still down has been told of in the log.
    pub(super) async fn reconnect(&self) {
        let mut slot = self.lock().await;
        let lost = slot.state.retry.has_failed() || slot.state.doubt.is_some();
        if lost && slot.state.retry.rests(Instant::now()).is_none() {
            let _still_down = slot.ready().await;
        }
    }
}

/// The right to write.
pub(super) struct Slot<'a> {
    writer: &'a Writer,
    state: MutexGuard<'a, State>,
    in_use: bool,
}

impl Drop for Slot<'_> {
    /// A use that was given up half way leaves a connection in the middle of a transaction.
    fn drop(&mut self) {
        if self.in_use {
            self.state.connection = None;
        }
    }
}

impl Slot<'_> {
    /// Begins a transaction. It ends with [`Slot::commit`] or [`Slot::roll_back`]; without one of them
    /// the connection is closed, which rolls back.
    pub(super) async fn begin(&mut self) -> Result<&mut PgConnection, StoreError> {
        let known = self.state.connection.is_some();
        self.ready().await?;
        self.in_use = true;
        if let Err(error) = self.execute("BEGIN").await {
            self.break_off();
            if !known {
                return Err(error);
            }
            // The connection broke while nobody used it.
            self.ready().await?;
            self.in_use = true;
            self.execute("BEGIN").await?;
        }
        self.state.connection.as_mut().ok_or_else(closed)
    }

    /// How long the statements of a transaction may take together.
    pub(super) const fn limit(&self) -> Duration {
        self.writer.statement_timeout
    }

    /// Commits. Without an answer it asks, once, over another connection.
    pub(super) async fn commit(&mut self, doubt: Doubt) -> Result<(), StoreError> {
        self.state.doubt = Some(doubt);
        self.writer.in_doubt.store(true, Ordering::Release);
        let Err(error) = self.execute("COMMIT").await else {
            self.in_use = false;
            self.certain();
            return Ok(());
        };
        self.break_off();
        tracing::warn!(%error, "the database did not say how a commit ended");
        let lost = || StoreError::Unavailable("the commit was lost".to_owned());
        let newer = || StoreError::Conflict("a newer process owns the markets".to_owned());
        match self.resolve().await {
            Ok(Some(Outcome::Written)) => Ok(()),
            Ok(Some(Outcome::Lost) | None) => Err(lost()),
            Ok(Some(Outcome::Superseded)) => Err(newer()),
            Err(unknown) => Err(StoreError::InDoubt(unknown.to_string())),
        }
    }

    pub(super) async fn roll_back(&mut self) {
        match self.execute("ROLLBACK").await {
            Ok(()) => self.in_use = false,
            Err(_broken) => self.break_off(),
        }
    }

    /// Closes the connection, which rolls back what it has not committed.
    pub(super) fn break_off(&mut self) {
        self.in_use = false;
        self.state.connection = None;
    }

    /// Closes the connection in good order.
    pub(super) async fn close(&mut self) {
        if let Some(connection) = self.state.connection.take() {
            // A server that does not answer notices by itself.
            let _closed = timeout(self.writer.connect_timeout, connection.close()).await;
        }
    }

    /// A connection, and nothing in doubt.
    async fn ready(&mut self) -> Result<(), StoreError> {
        self.resolve().await.map(|_| ())
    }

    /// How the commit in doubt ended, if there is one.
    async fn resolve(&mut self) -> Result<Option<Outcome>, StoreError> {
        self.connect().await?;
        let State { connection, doubt, .. } = &mut *self.state;
        let (Some(connection), Some(doubt)) = (connection, doubt.as_ref()) else { return Ok(None) };
        self.in_use = true;
        let settling = timeout(self.writer.statement_timeout, doubt.settle(connection)).await;
        match settling.unwrap_or_else(|_| Err(too_late())) {
            Ok(outcome) => {
                self.in_use = false;
                tracing::info!(?outcome, "it is known how the commit ended");
                self.certain();
                Ok(Some(outcome))
            }
            Err(error) => {
                self.break_off();
                self.state.retry.failed(Instant::now());
                Err(error)
            }
        }
    }

    fn certain(&mut self) {
        self.state.doubt = None;
        self.writer.in_doubt.store(false, Ordering::Release);
    }

    /// Opens the connection if there is none. While the database is down, attempts have pauses
    /// between them; in a pause everybody is refused at once.
    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.state.connection.is_some() {
            return Ok(());
        }
        if let Some(rest) = self.state.retry.rests(Instant::now()) {
            let fact = format!("the database is down, asked again in {} ms", rest.as_millis());
            return Err(StoreError::Unavailable(fact));
        }
        match connect(&self.writer.options, self.writer.connect_timeout).await {
            Ok(connection) => {
                if self.state.retry.has_failed() {
                    tracing::info!("the database answers again");
                }
                self.state.retry.succeeded();
                self.state.connection = Some(connection);
                Ok(())
            }
            Err(error) => {
                if !self.state.retry.has_failed() {
                    tracing::warn!(%error, "the database is down");
                }
                self.state.retry.failed(Instant::now());
                Err(error)
            }
        }
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), StoreError> {
        let connection = self.state.connection.as_mut().ok_or_else(closed)?;
        let executing = timeout(self.writer.statement_timeout, connection.execute(sql)).await;
        executing.map_err(|_| too_late())?.map(|_| ()).map_err(from_sql)
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("the connection is closed".to_owned())
}
