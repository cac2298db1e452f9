//! A store that cannot be written refuses cleanly, keeps nothing, and goes on being read.

use std::time::Duration;

use muster_actors::{Durable, Store, StoreError};
use muster_api::store::{Retention, SqliteOptions, SqliteStore};
use muster_engine::ride::{RideEventKind, RideStatus};
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::{World, at, driver, full_record, is_unavailable, ride_id, step, transition};

fn impatient() -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() }
}

fn large_batch(name: &str, rides: u32) -> Vec<Durable> {
    (0..rides)
        .map(|ride| {
            let record = full_record(&format!("{name}-{ride}"), 1, RideStatus::Completed);
            transition(record, RideEventKind::RideCompleted, 1)
        })
        .collect()
}

/// Commits batches of `rides` until one is refused; returns that one.
async fn fill(store: &SqliteStore, rides: u32) -> Vec<Durable> {
    for round in 0..500 {
        let batch = large_batch(&format!("full-{rides}-{round}"), rides);
        let results = store.commit(&batch).await;
        if results.iter().any(Result::is_err) {
            assert!(results.iter().all(is_unavailable), "{results:?}");
            return batch;
        }
    }
    panic!("the store never became full");
}

#[tokio::test]
async fn a_full_disk_refuses_the_whole_batch_and_leaves_reads_alone() {
    let world = World::new().await;
    world.commit_all(&[step("r-1", 1, None)]).await;
    let options = SqliteOptions { bytes_max: Some(2_000_000), ..impatient() };
    let store = world.open_again(&options).await;
    store.begin_epoch().await.unwrap();

    let (many, one) = (fill(&store, 200).await, fill(&store, 1).await);
    for item in many.iter().chain(&one) {
        let Durable::Ride(commit) = item else { unreachable!("only rides") };
        let ride = &commit.record.request.ride;
        assert_eq!(store.load_ride(ride).await.unwrap(), None);
        assert!(store.ride_events(ride, 0, 10).await.unwrap().is_empty());
    }
    assert!(is_unavailable(&store.check_writable().await));
    assert_eq!(store.recover().await.unwrap().open_rides.len(), 1);
    assert!(store.load_ride(&ride_id("r-1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_store_takes_commits_again_once_there_is_room() {
    let world = World::new().await;
    let options = SqliteOptions { bytes_max: Some(2_000_000), ..impatient() };
    let store = world.open_again(&options).await;
    store.begin_epoch().await.unwrap();
    let refused = fill(&store, 200).await;
    let all = Retention {
        answers_before: at(9),
        decisions_before: at(9),
        rides_before: at(9),
        unpublished_before: at(u64::MAX / 4),
    };
    while store.prune(&all, 100).await.unwrap().total() > 0 {}
    store.check_writable().await.unwrap();
    assert!(store.commit(&refused).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_read_only_store_is_read_but_not_written() {
    let world = World::new().await;
    world.commit_all(&[step("r-1", 1, None)]).await;
    let reader = world.open_again(&SqliteOptions { read_only: true, ..impatient() }).await;
    let results = reader.commit(&[step("r-1", 2, None), driver("d-1", true)]).await;
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(is_unavailable), "{results:?}");
    assert!(matches!(reader.begin_epoch().await, Err(StoreError::Unavailable(_))));
    assert!(is_unavailable(&reader.check_writable().await));
    assert_eq!(reader.load_ride(&ride_id("r-1")).await.unwrap().unwrap().version, 1);
    assert_eq!(reader.ride_events(&ride_id("r-1"), 0, 10).await.unwrap().len(), 1);
    world.commit_all(&[step("r-1", 2, None)]).await;
    assert_eq!(reader.load_ride(&ride_id("r-1")).await.unwrap().unwrap().version, 2);
}

#[tokio::test]
async fn a_locked_store_is_unavailable_until_the_lock_is_gone() {
    let world = World::new().await;
    let store = world.open_again(&impatient()).await;
    store.begin_epoch().await.unwrap();
    let url = format!("sqlite://{}", world.path().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let lock = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();

    let batch = [step("r-1", 1, None), step("r-2", 1, None)];
    assert!(store.commit(&batch).await.iter().all(is_unavailable));
    assert!(store.load_ride(&ride_id("r-1")).await.unwrap().is_none());
    lock.rollback().await.unwrap();
    assert_eq!(store.commit(&batch).await, vec![Ok(()), Ok(())]);
}

#[tokio::test]
async fn a_commit_that_is_given_up_half_way_leaves_nothing_and_blocks_nobody() {
    let world = World::new().await;
    let batch = large_batch("r", 200);
    for polls in 1..40_u64 {
        let given_up = tokio::time::timeout(Duration::from_micros(polls * 50), async {
            world.store.commit(&batch).await
        });
        if given_up.await.is_ok() {
            break;
        }
        let written = world.store.load_ride(&ride_id("r-0")).await.unwrap();
        let last = world.store.load_ride(&ride_id("r-199")).await.unwrap();
        assert_eq!(written.is_some(), last.is_some(), "all or nothing");
        if written.is_some() {
            break;
        }
    }
    world.commit_all(&[step("other", 1, None)]).await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster.db");
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    assert!(matches!(SqliteStore::open(&path).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_path_that_cannot_be_created_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let opened = SqliteStore::open(&file.join("muster.db")).await;
    assert!(matches!(opened, Err(StoreError::Unavailable(_))));
    let read_only = SqliteOptions { read_only: true, ..impatient() };
    let missing = SqliteStore::open_with(&folder.path().join("missing.db"), &read_only).await;
    assert!(matches!(missing, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_corrupt() {
    let world = World::new().await;
    world.commit_all(&[step("r-1", 1, None)]).await;
    let url = format!("sqlite://{}", world.path().display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE ride_events SET state = '{}'").execute(&mut other).await.unwrap();
    let loaded = world.store.load_ride(&ride_id("r-1")).await;
    assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
    assert!(matches!(world.store.recover().await, Err(StoreError::Corrupt(_))));
}
