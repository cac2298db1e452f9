//! Which migrations a store has seen.

use std::collections::BTreeMap;

use muster_actors::StoreError;
use sqlx::migrate::Migrator;

/// A migration of this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its number; they are applied in this order.
    pub version: i64,
    /// What it is about.
    pub description: String,
    /// Whether the store had it already.
    pub applied: bool,
}

/// Reads what a store has seen, in the order of versions.
pub(super) const APPLIED: &str =
    "SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version";

/// A row of [`APPLIED`].
pub(super) type Applied = (i64, Vec<u8>, bool);

/// The migrations of `migrator` against those that were `applied`.
pub(super) fn compare(
    migrator: &Migrator,
    applied: &[Applied],
) -> Result<Vec<MigrationStatus>, StoreError> {
    let mut seen: BTreeMap<i64, (&[u8], bool)> = BTreeMap::new();
    for (version, checksum, success) in applied {
        seen.insert(*version, (checksum, *success));
    }
    let mut found = Vec::new();
    for migration in migrator.iter() {
        let version = migration.version;
        let applied = match seen.remove(&version) {
            None => false,
            Some((_, false)) => {
                return Err(StoreError::Corrupt(format!("migration {version} ended half-way")));
            }
            Some((checksum, true)) if *checksum != *migration.checksum => {
                let fact = format!("migration {version} is not the one that was applied");
                return Err(StoreError::Corrupt(fact));
            }
            Some(_) => true,
        };
        let description = migration.description.to_string();
        found.push(MigrationStatus { version, description, applied });
    }
    match seen.into_keys().next() {
        Some(newer) => {
            let fact = format!("migration {newer} was applied by a newer version of Muster");
            Err(StoreError::Corrupt(fact))
        }
        None => Ok(found),
    }
}
