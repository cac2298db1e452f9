//! The stores, over real files and real connections. What both must do is tested in both.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

mod commits;
mod doubt;
mod failures;
mod fixtures;
mod migrations;
mod older_records;
mod policies;
mod reading;
mod recovery;
mod relay;
mod sqlite_file;
mod transfer;
mod upkeep;
mod zones;
