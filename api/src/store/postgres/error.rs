//! The one place where errors of PostgreSQL become [`StoreError`]s.

use muster_actors::StoreError;
use sqlx::migrate::MigrateError;

/// Classes and codes of errors, <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
const CLASS_CONSTRAINT: &str = "23";
/// Tables or columns that are not there: the schema is of another version.
const CLASS_UNKNOWN_NAME: &str = "42";
const DATA_CORRUPTED: &str = "XX001";

/// What `error` means for whoever asked the store.
///
/// A refused row is a conflict, an unreadable one corruption. All else (connection lost, disk full,
/// time over, shutting down) may pass, so the store is unavailable.
pub(in crate::store) fn from_sql(error: sqlx::Error) -> StoreError {
    let text = error.to_string();
    if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
        return StoreError::Corrupt(text);
    }
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(code) if code.starts_with(CLASS_CONSTRAINT) => StoreError::Conflict(text),
        Some(code) if code.starts_with(CLASS_UNKNOWN_NAME) || code == DATA_CORRUPTED => {
            StoreError::Corrupt(text)
        }
        Some(_) | None => StoreError::Unavailable(text),
    }
}

/// A schema of another version is as good as unreadable; a migration that could not run may pass.
pub(super) fn from_migration(error: MigrateError) -> StoreError {
    let text = error.to_string();
    if let MigrateError::Execute(sql) | MigrateError::ExecuteMigration(sql, _) = error {
        return from_sql(sql);
    }
    StoreError::Corrupt(text)
}

pub(super) fn too_late() -> StoreError {
    StoreError::Unavailable("the database did not answer in time".to_owned())
}
