//! The one place where SQL errors become [`StoreError`]s.

use muster_actors::StoreError;
use sqlx::migrate::MigrateError;

/// Primary result codes of SQLite, <https://sqlite.org/rescode.html>.
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_CONSTRAINT: u32 = 19;
const SQLITE_NOT_A_DATABASE: u32 = 26;

/// What `error` means for whoever asked the store.
///
/// A refused row is a conflict, an unreadable one corruption. All else (disk full, read-only,
/// locked, input and output) may pass, so the store is unavailable.
pub(in crate::store) fn from_sql(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return StoreError::Corrupt(text);
    }
    match primary_code(&error) {
        Some(SQLITE_CONSTRAINT) => StoreError::Conflict(text),
        Some(SQLITE_CORRUPT | SQLITE_NOT_A_DATABASE) => StoreError::Corrupt(text),
        Some(_) | None => StoreError::Unavailable(text),
    }
}

fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let extended: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// A schema of another version is as good as unreadable; a migration that could not run may pass.
pub(super) fn from_migration(error: MigrateError) -> StoreError {
    let text = error.to_string();
    if let MigrateError::Execute(sql) | MigrateError::ExecuteMigration(sql, _) = error {
        return from_sql(sql);
    }
    StoreError::Corrupt(text)
}
