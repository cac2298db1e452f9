//! The SQLite store, over real files and real connections.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

mod commits;
mod failures;
mod fixtures;
mod older_records;
mod policies;
mod reading;
mod recovery;
mod relay;
mod upkeep;
mod zones;
