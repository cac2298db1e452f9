//! A store as a file, and a file as a store.

use muster_actors::Durable;
use muster_api::kafka::RelayStart;
use muster_api::store::{Database, Location, Retention, TransferError};
use muster_engine::ride::{RideEventKind, RideStatus};
use muster_engine::zone::ZoneEventKind;

use crate::fixtures::{
    World, at, driver, full_record, in_both_stores, is_conflict, patient, ride_id, server, step,
    transition,
};
use crate::{policies, recovery, relay, upkeep, zones};

in_both_stores!(
    nothing_is_imported_into_a_store_that_holds_something,
    a_file_that_is_cut_off_or_spoilt_leaves_the_store_empty,
    an_import_fences_off_the_process_that_owned_the_store,
);

/// Every kind of row, some of them pruned, so that the newest ids are of rows that are gone.
async fn fill(store: &dyn Database) {
    let commit_all = async |batch: &[Durable]| {
        assert!(store.commit(batch).await.iter().all(Result::is_ok));
    };
    for i in 0..40 {
        commit_all(&upkeep::ride(i, RideStatus::Completed)).await;
    }
    let old = Retention {
        answers_before: at(0),
        decisions_before: at(0),
        rides_before: at(10),
        unpublished_before: at(u64::MAX / 4),
    };
    while store.prune(&old, 100).await.unwrap().total() > 0 {}
    // The newest of each kind is gone as well.
    commit_all(&upkeep::ride(5, RideStatus::Completed)).await;
    while store.prune(&old, 100).await.unwrap().total() > 0 {}
    commit_all(&upkeep::ride(41, RideStatus::Completed)).await;
    let open = full_record("r-open", 1, RideStatus::Searching);
    commit_all(&[transition(open, RideEventKind::RideRequested, 50)]).await;
    commit_all(&[step("r-1", 1, Some("d-1")), driver("d-1", true), driver("d-2", false)]).await;
    commit_all(&[zones::commit(1, &["d-1"], ZoneEventKind::Joined)]).await;
    store.save_positions(&[recovery::snapshot("d-1", 40.7, 5)]).await.unwrap();
    store.save_answer("a key", upkeep::answer("an answer", 60)).await.unwrap();
    store.append_policy(&policies::change(1)).await.unwrap();
    commit_all(&[relay::wave("r-2", 1, "asked", "own")]).await;
    assert!(store.begin_relay("kafka", RelayStart::Now).await.unwrap() > 0);
}

async fn export(location: &Location) -> Vec<u8> {
    let mut file = Vec::new();
    let rows = location.export(&mut file).await.unwrap();
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count() as u64, rows + 2);
    file
}

async fn import(location: &Location, file: &[u8]) -> Result<u64, TransferError> {
    location.import(&mut &file[..]).await
}

fn empty_file(folder: &tempfile::TempDir) -> Location {
    Location::Sqlite { path: folder.path().join("new/muster.db"), thread_nice: 0 }
}

fn empty_database() -> Location {
    Location::Postgres(Box::new(patient(&server().database().unwrap())))
}

#[tokio::test]
async fn a_store_goes_to_the_other_kind_and_back_without_a_change() {
    let world = World::sqlite().await;
    fill(world.store.as_ref()).await;
    let first = export(&world.location()).await;
    let tables = [
        "ride",
        "ride_event",
        "decision",
        "driver",
        "position",
        "answer",
        "policy",
        "queue",
        "queue_event",
        "relay",
    ];
    for table in tables {
        let begin = format!("{{\"{table}\":");
        let found =
            first.split(|byte| *byte == b'\n').any(|line| line.starts_with(begin.as_bytes()));
        assert!(found, "no {table} in the file");
    }
    let (folder, database) = (tempfile::tempdir().unwrap(), empty_database());
    let rows = import(&database, &first).await.unwrap();
    let second = export(&database).await;
    assert_eq!(
        String::from_utf8(second.clone()).unwrap(),
        String::from_utf8(first.clone()).unwrap()
    );
    let file = empty_file(&folder);
    assert_eq!(import(&file, &second).await.unwrap(), rows);
    assert_eq!(export(&file).await, first);

    // What was moved is alive: it recovers the same, and the next commit follows.
    let before = world.store.recover().await.unwrap();
    let newest = newest_event(world.store.as_ref()).await;
    for moved in [database, file] {
        let store = moved.open().await.unwrap();
        let after = store.recover().await.unwrap();
        assert_eq!((&after.drivers, &after.open_rides), (&before.drivers, &before.open_rides));
        assert_eq!((&after.zones, &after.positions), (&before.zones, &before.positions));
        assert!(is_conflict(&store.commit(&[step("r-1", 2, Some("d-1"))]).await[0]), "no epoch");
        assert_eq!(store.begin_epoch().await, Ok(2));
        assert_eq!(store.commit(&[step("r-1", 2, Some("d-1"))]).await, vec![Ok(())]);
        assert!(newest_event(store.as_ref()).await > newest, "no id is given out twice");
    }
}

async fn newest_event(store: &dyn Database) -> u64 {
    store.ride_events(&ride_id("r-1"), 0, 100).await.unwrap().last().unwrap().event_id
}

async fn nothing_is_imported_into_a_store_that_holds_something(world: World) {
    world.commit_all(&[driver("d-1", true)]).await;
    let before = export(&world.location()).await;
    let other = World::sqlite().await;
    fill(other.store.as_ref()).await;
    let refused = import(&world.location(), &export(&other.location()).await).await;
    assert!(matches!(refused, Err(TransferError::NotEmpty)), "{refused:?}");
    assert_eq!(export(&world.location()).await, before);
}

async fn a_file_that_is_cut_off_or_spoilt_leaves_the_store_empty(world: World) {
    let other = World::sqlite().await;
    fill(other.store.as_ref()).await;
    let (file, empty) = (export(&other.location()).await, export(&world.location()).await);
    let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
    let cut_off = [file[..file.len() - 3].to_vec(), lines[..lines.len() - 1].concat()];
    for cut in &cut_off {
        let refused = import(&world.location(), cut).await;
        assert!(matches!(refused, Err(TransferError::CutOff { .. })), "{refused:?}");
    }
    let without_a_row = [&lines[..9], &lines[10..]].concat().concat();
    let spoilt = [&lines[..9], &[b"{\"ride\":{}}\n"], &lines[10..]].concat().concat();
    let twice = [&lines[..9], &lines[8..9], &lines[9..]].concat().concat();
    for spoilt in [without_a_row, spoilt, twice, b"{}\n".to_vec(), Vec::new()] {
        assert!(import(&world.location(), &spoilt).await.is_err());
    }
    assert_eq!(export(&world.location()).await, empty);
}

async fn an_import_fences_off_the_process_that_owned_the_store(world: World) {
    let other = World::sqlite().await;
    other.commit_all(&[step("r-1", 1, None)]).await;
    import(&world.location(), &export(&other.location()).await).await.unwrap();
    assert!(is_conflict(&world.store.commit(&[step("r-1", 2, None)]).await[0]));
    let newer = world.open_again().await;
    newer.begin_epoch().await.unwrap();
    assert_eq!(newer.commit(&[step("r-1", 2, None)]).await, vec![Ok(())]);
}
