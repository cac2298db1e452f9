//! Durable truth in PostgreSQL: the tables of one schema, shared with nobody but later processes.
//!
//! One connection commits, in groups of one transaction each; a pool reads and writes what is no
//! transition. While the database is down everything is refused at once; how a commit ended that it
//! did not answer is found out before anything else is written (`docs/store.md`).

mod answers;
mod commit;
mod connection;
mod doubt;
mod error;
mod judge;
mod policies;
mod reads;
mod recover;
mod relay;
mod retry;
mod upkeep;
mod write;

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_actors::{Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::{RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::watch;

use self::answers::Answers;
pub(super) use self::connection::patient;
use self::connection::{Readers, Writer};
pub(super) use self::error::from_sql;
use self::error::{from_migration, too_late};
pub(super) use self::recover::SNAPSHOT;
use super::Database;
use super::answers::{AnsweredKeys, FirstCall, SavedAnswer};
use super::migrations::{self, MigrationStatus};
use super::past::{DriverDecisions, RideCursor, RideFilter, RidePage, StoredRideEvent};
use super::retention::{Pruned, Retention};
use crate::http::history::{Read, RideHistory};
use crate::policy::{PolicyChange, PolicyLog};

/// Where a database is, and how patient to be with it.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Server, database, user, password, encryption.
    pub connect: PgConnectOptions,
    /// The schema that holds the tables: a lower-case identifier. Made if absent.
    pub schema: String,
    /// Connections that read, besides the one that commits.
    pub connections_max: u32,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a read, or the statements of a commit, or its end may take.
    pub statement_timeout: Duration,
    /// The longest pause between attempts to reach a database that is down.
    pub reconnect_max: Duration,
}

impl PostgresOptions {
    /// The database at `url` with the limits of the shipped configuration.
    ///
    /// # Errors
    /// When `url` is none of PostgreSQL; without the URL, which may hold a password.
    pub fn new(url: &str, schema: &str) -> Result<Self, StoreError> {
        let unusable = || StoreError::Unavailable("the database's URL cannot be read".to_owned());
        Ok(Self {
            connect: url.parse::<PgConnectOptions>().map_err(|_| unusable())?,
            schema: schema.to_owned(),
            connections_max: 8,
            connect_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(5),
            reconnect_max: Duration::from_secs(2),
        })
    }
}

/// Without the password.
impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connect = &self.connect;
        let database = connect.get_database().unwrap_or(connect.get_username());
        let (host, port) = (connect.get_host(), connect.get_port());
        write!(f, "postgres://{host}:{port}/{database}, schema {}", self.schema)
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Durable truth in one schema of a PostgreSQL database.
pub struct PostgresStore {
    options: PostgresOptions,
    writer: Writer,
    readers: Readers,
    answers: Answers,
    answered: AnsweredKeys,
    /// The epoch this process took; 0 before it took one.
    epoch: AtomicU64,
    /// Batches committed so far.
    commits: watch::Sender<u64>,
}

impl PostgresStore {
    /// Opens the store, and makes schema and tables where they are missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer, [`StoreError::Corrupt`] when the
    /// tables are of a newer version.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let mut connection = patient(&options).await?;
        migrate(&mut connection, &options, true).await?;
        let answered = answers::answered(&mut connection).await?;
        Ok(Self {
            writer: Writer::new(&options),
            readers: Readers::new(&options),
            options,
            answers: Answers::default(),
            answered,
            epoch: AtomicU64::new(0),
            commits: watch::Sender::new(0),
        })
    }

    /// What migrations there are, and which the database lacked; with `apply` it lacks none
    /// afterwards. Processes that do that at the same time wait for each other.
    ///
    /// # Errors
    /// As [`PostgresStore::open`].
    pub async fn migrate(
        options: &PostgresOptions,
        apply: bool,
    ) -> Result<Vec<MigrationStatus>, StoreError> {
        migrate(&mut patient(options).await?, options, apply).await
    }

    /// `work`, unless it takes longer than a statement may.
    fn bounded<'a, T: Send + 'a>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'a,
    ) -> PortFuture<'a, Result<T, StoreError>> {
        let limit = self.options.connect_timeout + self.options.statement_timeout;
        Box::pin(async move {
            tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(too_late()))
        })
    }
}

/// A text as PostgreSQL takes it: without the character NUL, which its texts cannot hold.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

fn migrator(schema: &str) -> Migrator {
    let mut migrator = sqlx::migrate!("migrations/postgres");
    migrator.create_schema(schema.to_owned());
    migrator
}

async fn migrate(
    connection: &mut PgConnection,
    options: &PostgresOptions,
    apply: bool,
) -> Result<Vec<MigrationStatus>, StoreError> {
    let migrator = migrator(&options.schema);
    let select = sqlx::query_scalar("SELECT TO_REGCLASS('_sqlx_migrations') IS NOT NULL");
    let any: bool = select.fetch_one(&mut *connection).await.map_err(from_sql)?;
    let applied = if any {
        let select = sqlx::query_as(migrations::APPLIED).fetch_all(&mut *connection);
        select.await.map_err(from_sql)?
    } else {
        Vec::new()
    };
    let found = migrations::compare(&migrator, &applied)?;
    // Who needs none needs no right to make tables either.
    if apply && found.iter().any(|migration| !migration.applied) {
        migrator.run(connection).await.map_err(from_migration)?;
    }
    Ok(found)
}

impl Store for PostgresStore {
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
            let epoch = recover::begin_epoch(&self.options).await?;
            self.epoch.store(epoch, Ordering::Release);
            Ok(epoch)
        })
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(recover::recover(&self.options))
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        Box::pin(async {
            self.writer.settled().await?;
            self.bounded(recover::load_ride(&self.readers, ride)).await
        })
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        Box::pin(async {
            self.writer.settled().await?;
            self.bounded(recover::load_driver(&self.readers, driver)).await
        })
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        Box::pin(async {
            self.writer.settled().await?;
            self.bounded(recover::load_queue(&self.readers, market, zone)).await
        })
    }

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        self.bounded(recover::save_positions(&self.readers, positions))
    }
}

impl RideHistory for PostgresStore {
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: u32,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, RidePage> {
        self.bounded(reads::list_rides(&self.readers, filter, limit, cursor))
    }

    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: u32,
    ) -> Read<'a, Vec<StoredRideEvent>> {
        self.bounded(reads::ride_events(&self.readers, ride, after_seq, limit))
    }

    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>> {
        self.bounded(reads::decisions(&self.readers, ride))
    }

    fn decisions_naming<'a>(
        &'a self,
        driver: &'a DriverId,
        since: Timestamp,
    ) -> Read<'a, DriverDecisions> {
        self.bounded(reads::decisions_naming(&self.readers, driver, since))
    }

    fn first_call<'a>(&'a self, key: &'a str) -> Read<'a, Option<FirstCall>> {
        self.bounded(answers::first_call(&self.readers, key))
    }

    fn may_have_answered(&self, key: &str) -> bool {
        self.answered.may_hold(key)
    }

    fn release_key<'a>(&'a self, key: &'a str) -> Read<'a, ()> {
        self.bounded(answers::release_key(&self.readers, key))
    }

    fn save_answer<'a>(&'a self, key: &'a str, answer: SavedAnswer) -> Read<'a, ()> {
        self.answered.add(key);
        self.bounded(answers::save(&self.readers, &self.answers, key, answer))
    }
}

impl PolicyLog for PostgresStore {
    fn append_policy<'a>(
        &'a self,
        change: &'a PolicyChange,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        Box::pin(policies::append(&self.writer, epoch, change))
    }

    fn policy_changes<'a>(
        &'a self,
        market: &'a MarketId,
        limit: u32,
    ) -> PortFuture<'a, Result<Vec<PolicyChange>, StoreError>> {
        self.bounded(policies::newest(&self.readers, market, limit))
    }
}

impl Database for PostgresStore {
    fn prune<'a>(
        &'a self,
        retention: &'a Retention,
        rows: u32,
    ) -> PortFuture<'a, Result<Pruned, StoreError>> {
        self.bounded(upkeep::prune(&self.readers, retention, rows))
    }

    /// Comes back to a database that was lost; the rest is the server's own affair.
    fn tidy(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            self.writer.reconnect().await;
            Ok(())
        })
    }

    fn database_bytes(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        self.bounded(upkeep::database_bytes(&self.readers))
    }

    fn check_writable(&self) -> PortFuture<'_, Result<(), StoreError>> {
        self.bounded(upkeep::check_writable(&self.readers))
    }

    fn close(&self) -> PortFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let closing = async {
                self.readers.close().await;
                self.writer.lock().await.close().await;
                Ok(())
            };
            self.bounded(closing).await
        })
    }
}
