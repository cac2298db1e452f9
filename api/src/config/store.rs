//! `[store]`: where everything durable is.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::{Location, PostgresOptions, THREAD_NICE_MIN};

/// The database inside the data folder.
const DATABASE: &str = "muster.db";
/// The longest name that PostgreSQL keeps whole.
const NAME_BYTES_MAX: usize = 63;

/// `[store]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `postgres://user@host:port/database`; empty: SQLite in the data folder.
    pub url: DatabaseUrl,
    /// The schema of PostgreSQL that holds the tables.
    pub schema: String,
    /// Connections to PostgreSQL that read, besides the one that commits.
    pub connections_max: u32,
    /// Milliseconds that a connection to PostgreSQL may take to be made.
    pub connect_timeout_ms: u64,
    /// Milliseconds that PostgreSQL may take for a read, or for a commit.
    pub statement_timeout_ms: u64,
    /// Milliseconds between two attempts to reach PostgreSQL while it is down, at most.
    pub reconnect_ms_max: u64,
    /// Milliseconds between position snapshots; 0 never.
    pub position_snapshot_ms: u64,
    /// Hours that decisions are kept.
    pub decisions_kept_h: u64,
    /// Hours that finished rides are kept.
    pub history_kept_h: u64,
    /// Nice value of the threads of SQLite.
    pub thread_nice: i32,
}

/// The URL of a database. It may hold a password, so it is never shown.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "\"postgres://…\"" })
    }
}

impl StoreConfig {
    /// Where the store is, for a process whose data folder is `data`.
    ///
    /// `None` when the URL cannot be read, which a configuration that was checked excludes.
    pub fn location(&self, data: &Path) -> Option<Location> {
        if self.url.0.is_empty() {
            let (path, thread_nice) = (data.join(DATABASE), self.thread_nice);
            return Some(Location::Sqlite { path, thread_nice });
        }
        let options = PostgresOptions::new(&self.url.0, &self.schema).ok()?;
        Some(Location::Postgres(Box::new(PostgresOptions {
            connections_max: self.connections_max,
            connect_timeout: Duration::from_millis(self.connect_timeout_ms),
            statement_timeout: Duration::from_millis(self.statement_timeout_ms),
            reconnect_max: Duration::from_millis(self.reconnect_ms_max),
            ..options
        })))
    }

    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let url = self.url.0.is_empty()
            || (["postgres://", "postgresql://"].iter().any(|name| self.url.0.starts_with(name))
                && PostgresOptions::new(&self.url.0, &self.schema).is_ok());
        let within = |ms: u64| (50..=60_000).contains(&ms);
        let checks = [
            (
                (THREAD_NICE_MIN..=0).contains(&self.thread_nice),
                "thread_nice",
                self.thread_nice.to_string(),
                "-20..=0",
            ),
            (url, "url", "no such URL".to_owned(), "empty or postgres://user@host:port/database"),
            (
                is_name(&self.schema),
                "schema",
                self.schema.clone(),
                "a name of a-z, 0-9 and _ that begins with a letter, not with pg_, of 63 at most",
            ),
            (
                (1..=1_000).contains(&self.connections_max),
                "connections_max",
                self.connections_max.to_string(),
                "1..=1000",
            ),
            (
                within(self.connect_timeout_ms),
                "connect_timeout_ms",
                self.connect_timeout_ms.to_string(),
                "50..=60000",
            ),
            (
                within(self.statement_timeout_ms),
                "statement_timeout_ms",
                self.statement_timeout_ms.to_string(),
                "50..=60000",
            ),
            (
                within(self.reconnect_ms_max),
                "reconnect_ms_max",
                self.reconnect_ms_max.to_string(),
                "50..=60000",
            ),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        broken.map(|(_, key, value, allowed)| (key, value, allowed))
    }
}

/// Whether `name` needs no quotes anywhere, so that it can stand in statements as it is.
fn is_name(name: &str) -> bool {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(letters)
        && !name.starts_with("pg_")
        && name.len() <= NAME_BYTES_MAX
}
