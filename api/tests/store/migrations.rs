//! Migrations: told before they are applied, applied once, refused when they are of a newer version.

use futures_util::future::join_all;
use muster_actors::StoreError;
use muster_api::store::{Location, PostgresStore};

use crate::fixtures::{World, in_both_stores, patient, server};

in_both_stores!(
    a_migration_of_a_newer_version_is_refused,
    a_store_that_is_up_to_date_lacks_nothing
);

async fn lacks(location: &Location) -> usize {
    let found = location.migrate(false).await.unwrap();
    found.iter().filter(|migration| !migration.applied).count()
}

#[tokio::test]
async fn what_is_missing_is_told_first_and_applied_then() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    let database = Location::Postgres(Box::new(patient(&server().database().unwrap())));
    for location in [Location::Sqlite { path: path.clone(), thread_nice: 0 }, database] {
        let all = location.migrate(false).await.unwrap();
        assert_eq!(lacks(&location).await, all.len(), "asking changes nothing");
        assert!(location.migrate(true).await.unwrap().iter().all(|migration| !migration.applied));
        assert_eq!(lacks(&location).await, 0);
    }
}

async fn a_store_that_is_up_to_date_lacks_nothing(world: World) {
    assert_eq!(lacks(&world.location()).await, 0);
}

async fn a_migration_of_a_newer_version_is_refused(world: World) {
    world.sql("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1").await;
    let refused = world.location().migrate(true).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    let opened = world.location().open().await.map(drop);
    assert!(matches!(opened, Err(StoreError::Corrupt(_))), "{opened:?}");
}

#[tokio::test]
async fn processes_that_start_together_make_the_tables_once() {
    let url = server().database().unwrap();
    let opening = (0..8).map(|_| PostgresStore::open(patient(&url)));
    assert!(join_all(opening).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn two_schemas_of_one_database_know_nothing_of_each_other() {
    let url = server().database().unwrap();
    for schema in ["muster", "other_city"] {
        let mut options = patient(&url);
        options.schema = schema.to_owned();
        let location = Location::Postgres(Box::new(options));
        let all = location.migrate(false).await.unwrap().len();
        assert_eq!(lacks(&location).await, all);
        let store = location.open().await.unwrap();
        assert_eq!(store.begin_epoch().await, Ok(1));
    }
}
