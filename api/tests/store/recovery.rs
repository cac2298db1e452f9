//! What a restarted process finds.

use std::sync::Arc;

use muster_actors::{Durable, PositionSnapshot};
use muster_engine::driver::Departure;
use muster_engine::ride::{RideEventKind, RideStatus};
use muster_engine::time::Timestamp;

use crate::fixtures::{
    World, at, driver, driver_id, driver_record, full_record, in_both_stores, position, ride_id,
    step, transition,
};

in_both_stores!(
    a_new_store_recovers_nothing,
    exactly_the_open_rides_are_recovered,
    the_newest_instant_is_that_of_the_newest_ride_or_position,
    a_driver_who_is_gone_is_forgotten_with_his_position,
    the_newest_position_of_each_driver_is_kept,
    opening_twice_migrates_once_and_keeps_everything,
);

pub(crate) fn snapshot(driver: &str, lat: f64, recorded_ms: u64) -> PositionSnapshot {
    PositionSnapshot {
        driver: driver_id(driver),
        position: position(lat, -73.9),
        recorded_at: at(recorded_ms),
        received_at: at(recorded_ms + 40),
    }
}

async fn a_new_store_recovers_nothing(world: World) {
    let recovered = world.store.recover().await.unwrap();
    assert!(recovered.drivers.is_empty() && recovered.open_rides.is_empty());
    assert!(recovered.positions.is_empty());
    assert_eq!(recovered.newest_at, Timestamp::default());
}

async fn exactly_the_open_rides_are_recovered(world: World) {
    let mut open = Vec::new();
    for status in RideStatus::ALL {
        let record = full_record(&format!("r-{}", status.name()), 1, status);
        world.commit_all(&[transition(record.clone(), RideEventKind::OffersEnded, 5)]).await;
        if !status.is_terminal() {
            open.push(record);
        }
    }
    open.sort_by(|a, b| a.request.ride.cmp(&b.request.ride));
    world.commit_all(&[driver("d-2", false), driver("d-1", true)]).await;
    let recovered = world.store.recover().await.unwrap();
    assert_eq!(recovered.open_rides, open);
    let drivers = vec![driver_record("d-1", true), driver_record("d-2", false)];
    assert_eq!(recovered.drivers, drivers);
    assert_eq!(recovered.newest_at, at(5));
}

async fn the_newest_instant_is_that_of_the_newest_ride_or_position(world: World) {
    let over = full_record("r-1", 1, RideStatus::Completed);
    world.commit_all(&[transition(over, RideEventKind::RideCompleted, 900)]).await;
    world.commit_all(&[step("r-2", 1, None)]).await;
    assert_eq!(world.store.recover().await.unwrap().newest_at, at(900));
    world.store.save_positions(&[snapshot("d-1", 40.7, 1_000)]).await.unwrap();
    assert_eq!(world.store.recover().await.unwrap().newest_at, at(1_040));
}

async fn a_driver_who_is_gone_is_forgotten_with_his_position(world: World) {
    let with = |departure: Departure| {
        let mut record = driver_record("d-1", false);
        record.profile.departure = departure;
        record
    };
    let durable = |departure| Durable::Driver(Arc::new(with(departure)));
    world.commit_all(&[driver("d-2", true), durable(Departure::Pending)]).await;
    let saved = [snapshot("d-1", 40.7, 1_000), snapshot("d-2", 40.8, 1_000)];
    world.store.save_positions(&saved).await.unwrap();
    // A removal that waits for a ride's end outlives the process.
    let recovered = world.store.recover().await.unwrap();
    assert_eq!(recovered.drivers, [with(Departure::Pending), driver_record("d-2", true)]);
    world.commit_all(&[driver("d-3", true), durable(Departure::Done)]).await;
    let recovered = world.store.recover().await.unwrap();
    assert_eq!(recovered.drivers, [driver_record("d-2", true), driver_record("d-3", true)]);
    assert_eq!(recovered.positions, [saved[1].clone()]);
    // In one batch the last word holds.
    world.commit_all(&[durable(Departure::Done), driver("d-1", true)]).await;
    assert_eq!(world.store.recover().await.unwrap().drivers.len(), 3);
}

async fn the_newest_position_of_each_driver_is_kept(world: World) {
    let many: Vec<_> = (0..300).map(|d| snapshot(&format!("d-{d:03}"), 40.7, 10)).collect();
    world.store.save_positions(&many).await.unwrap();
    let newer = snapshot("d-007", 40.8, 20);
    let older = snapshot("d-007", 40.6, 15);
    world.store.save_positions(&[newer.clone(), older.clone()]).await.unwrap();
    world.store.save_positions(&[older]).await.unwrap();
    world.store.save_positions(&[]).await.unwrap();
    let recovered = world.store.recover().await.unwrap().positions;
    assert_eq!(recovered.len(), 300);
    assert_eq!(recovered[7], newer);
    assert_eq!(recovered[8], many[8]);
}

async fn opening_twice_migrates_once_and_keeps_everything(world: World) {
    world.commit_all(&[step("r-1", 1, None)]).await;
    world.store.close().await.unwrap();
    for epoch in 2..5 {
        let store = world.open_again().await;
        assert_eq!(store.begin_epoch().await, Ok(epoch));
        let version = epoch;
        assert_eq!(store.commit(&[step("r-1", version, None)]).await, vec![Ok(())]);
        store.close().await.unwrap();
    }
    let store = world.open_again().await;
    assert_eq!(store.ride_events(&ride_id("r-1"), 0, 10).await.unwrap().len(), 4);
}
