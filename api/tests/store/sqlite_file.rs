//! What holds of the SQLite file alone: full disks, locks, read-only files, crashes.

use std::path::Path;
use std::time::Duration;

use muster_actors::{Durable, Store, StoreError};
use muster_api::http::history::RideHistory;
use muster_api::store::{Database, Retention, SqliteOptions, SqliteStore};
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::{World, at, driver, is_unavailable, large_batch, ride_id, step};

fn impatient() -> SqliteOptions {
    SqliteOptions { busy_timeout: Duration::from_millis(50), ..SqliteOptions::default() }
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
    let world = World::sqlite().await;
    world.commit_all(&[step("r-1", 1, None)]).await;
    let options = SqliteOptions { bytes_max: Some(2_000_000), ..impatient() };
    let store = world.open_file(&options).await;
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
    let world = World::sqlite().await;
    let options = SqliteOptions { bytes_max: Some(2_000_000), ..impatient() };
    let store = world.open_file(&options).await;
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
    let world = World::sqlite().await;
    world.commit_all(&[step("r-1", 1, None)]).await;
    let reader = world.open_file(&SqliteOptions { read_only: true, ..impatient() }).await;
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
    let world = World::sqlite().await;
    let store = world.open_file(&impatient()).await;
    store.begin_epoch().await.unwrap();
    let mut other = SqliteConnection::connect(&world.url()).await.unwrap();
    let lock = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();

    let batch = [step("r-1", 1, None), step("r-2", 1, None)];
    assert!(store.commit(&batch).await.iter().all(is_unavailable));
    assert!(store.load_ride(&ride_id("r-1")).await.unwrap().is_none());
    lock.rollback().await.unwrap();
    assert_eq!(store.commit(&batch).await, vec![Ok(()), Ok(())]);
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

/// Copies what a process that is killed now would leave behind.
fn copy_files(from: &Path, to: &Path) {
    for suffix in ["", "-wal"] {
        let name = |path: &Path| format!("{}{suffix}", path.display());
        std::fs::copy(name(from), name(to)).unwrap();
    }
}

#[tokio::test]
async fn a_process_that_dies_loses_no_commit() {
    let world = World::sqlite().await;
    for version in 1..=20 {
        // A file of its own each time: a dropped connection closes, and tidies up, a little later.
        let copy = world.folder().join(format!("copy-{version}.db"));
        let batch = [step("r-1", version, Some("d-1")), step(&format!("n-{version}"), 1, None)];
        world.commit_all(&batch).await;
        copy_files(&world.path(), &copy);
        let store = SqliteStore::open(&copy).await.unwrap();
        let ride = store.load_ride(&ride_id("r-1")).await.unwrap().unwrap();
        assert_eq!(ride.version, version);
        let events = store.ride_events(&ride_id("r-1"), 0, 100).await.unwrap();
        assert_eq!(events.len() as u64, version);
        assert_eq!(store.recover().await.unwrap().open_rides.len() as u64, version + 1);
        store.close().await.unwrap();
        assert_eq!(store.check_writable().await, Ok(()), "a closed writer opens again");
    }
}

/// Pages of the write-ahead log since it last began anew.
async fn log_pages(connection: &mut SqliteConnection) -> i64 {
    let folded = sqlx::query_as("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await;
    let (_busy, log, _folded): (i64, i64, i64) = folded.unwrap();
    log
}

#[tokio::test]
async fn a_long_log_begins_anew_although_commits_follow_one_another() {
    let world = World::sqlite().await;
    let store = world.open_file(&SqliteOptions::default()).await;
    store.begin_epoch().await.unwrap();
    let mut other = SqliteConnection::connect(&world.url()).await.unwrap();
    // 68 MiB: more than the 64 from which the log is folded to its end.
    for sql in [
        "PRAGMA wal_autocheckpoint = 0",
        "INSERT INTO write_probe (body) VALUES (zeroblob(71303168))",
    ] {
        sqlx::query(sql).execute(&mut other).await.unwrap();
    }
    let batch = |round: u32| large_batch(&format!("r-{round}"), 4);
    let commits = async {
        for round in 1_u32.. {
            assert!(store.commit(&batch(round)).await.iter().all(Result::is_ok));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        folded = store.tidy() => folded.unwrap(),
        () = commits => unreachable!("there is always one more"),
    }
    assert!(store.commit(&batch(0)).await.iter().all(Result::is_ok));
    let pages = log_pages(&mut other).await;
    assert!(pages < 1_000, "the log goes on with {pages} pages");
}
