//! Where a store is, and how it is opened.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use muster_actors::StoreError;

use super::migrations::MigrationStatus;
use super::{Database, PostgresOptions, PostgresStore, SqliteOptions, SqliteStore};

/// Where a store is.
#[derive(Debug, Clone)]
pub enum Location {
    /// A file.
    Sqlite {
        /// Its path.
        path: PathBuf,
        /// The nice value of the threads that commit and read.
        thread_nice: i32,
    },
    /// A schema of a database.
    Postgres(Box<PostgresOptions>),
}

impl Location {
    /// Opens the store, and makes it where it is missing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when it cannot be reached or written, [`StoreError::Corrupt`] when
    /// it is none or one of a newer version.
    pub async fn open(&self) -> Result<Arc<dyn Database>, StoreError> {
        match self {
            Self::Sqlite { path, thread_nice } => {
                let options = SqliteOptions { thread_nice: *thread_nice, ..Default::default() };
                Ok(Arc::new(SqliteStore::open_with(path, &options).await?))
            }
            Self::Postgres(options) => {
                Ok(Arc::new(PostgresStore::open(PostgresOptions::clone(options)).await?))
            }
        }
    }

    /// Opens a store that exists, beside a process that may be using it.
    ///
    /// # Errors
    /// As [`Location::open`]; [`StoreError::Corrupt`] also when it lacks migrations.
    pub async fn open_to_read(&self) -> Result<Arc<dyn Database>, StoreError> {
        match self {
            Self::Sqlite { path, .. } => {
                let options = SqliteOptions { read_only: true, ..Default::default() };
                Ok(Arc::new(SqliteStore::open_with(path, &options).await?))
            }
            Self::Postgres(options) => {
                let found = PostgresStore::migrate(options, false).await?;
                if found.iter().any(|migration| !migration.applied) {
                    let fact = "the store lacks migrations: run muster migrate first";
                    return Err(StoreError::Corrupt(fact.to_owned()));
                }
                self.open().await
            }
        }
    }

    /// What migrations there are, and which the store lacked; with `apply` it lacks none afterwards.
    ///
    /// # Errors
    /// As [`Location::open`].
    pub async fn migrate(&self, apply: bool) -> Result<Vec<MigrationStatus>, StoreError> {
        match self {
            Self::Sqlite { path, .. } => SqliteStore::migrate(path, apply).await,
            Self::Postgres(options) => PostgresStore::migrate(options, apply).await,
        }
    }
}

/// For people; without a password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => write!(f, "{}", path.display()),
            Self::Postgres(options) => write!(f, "{options}"),
        }
    }
}
