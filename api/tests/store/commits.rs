//! Group commit: order, completeness, and conflicts that harm nobody else.

use std::sync::Arc;

use muster_actors::Durable;
use muster_engine::ride::{RideCommit, RideEventKind, RideStatus};
use proptest::prelude::*;

use crate::fixtures::{
    World, assignment, at, decision, driver, driver_id, driver_record, ended, forward_link,
    full_record, in_both_stores, is_conflict, kept, plain_record, ride_id, step, transition,
};

in_both_stores!(
    every_field_of_every_record_comes_back_as_it_was_written,
    every_kind_of_event_and_status_has_a_name_that_is_read_back,
    a_batch_keeps_every_transition_in_order_and_the_last_state,
    an_empty_batch_has_no_results,
    a_stale_version_fails_with_the_later_items_of_its_ride_only,
    a_driver_cannot_serve_two_rides,
    drivers_may_be_swapped_and_passed_on_within_a_batch,
    a_driver_who_serves_two_rides_for_a_moment_is_noticed,
    two_rides_cannot_come_from_one_request,
    a_process_that_lost_ownership_can_commit_nothing,
    a_driver_has_one_ride_and_one_that_waits,
    a_ride_that_took_its_driver_again_hides_no_ride_that_took_him_in_between,
);

async fn every_field_of_every_record_comes_back_as_it_was_written(world: World) {
    let record = full_record("r-1", 1, RideStatus::InProgress);
    let commit = RideCommit {
        record: Arc::new(record.clone()),
        kind: RideEventKind::RideReallocated,
        at: at(77),
        decision: Some(decision(3)),
        origin: None,
    };
    world.commit_all(&[Durable::Ride(Box::new(commit)), driver("d-1", true)]).await;

    assert_eq!(world.store.load_ride(&ride_id("r-1")).await.unwrap(), Some(record.clone()));
    let events = world.store.ride_events(&ride_id("r-1"), 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    let event = events.first().unwrap();
    assert_eq!((event.seq, event.at, event.kind), (1, at(77), RideEventKind::RideReallocated));
    assert_eq!(event.record, record);
    assert_eq!(world.store.decisions(&ride_id("r-1")).await.unwrap(), vec![decision(3)]);
    let recovered = world.store.recover().await.unwrap();
    assert_eq!(recovered.drivers, vec![driver_record("d-1", true)]);
    assert_eq!(recovered.open_rides, vec![record]);
}

async fn every_kind_of_event_and_status_has_a_name_that_is_read_back(world: World) {
    use RideEventKind as K;
    let kinds = [
        K::RideRequested,
        K::SearchStarted,
        K::WaveSent,
        K::NoCandidates,
        K::OffersEnded,
        K::DriverAssigned,
        K::DriverArrived,
        K::RideStarted,
        K::RideCompleted,
        K::RideCancelled,
        K::RideReallocated,
        K::RideUnfulfilled,
        K::OtpEntered,
        K::OtpDrawn,
    ];
    let status = |index: usize| RideStatus::ALL[index % RideStatus::ALL.len()];
    let batch: Vec<Durable> = kinds
        .iter()
        .enumerate()
        .map(|(i, kind)| transition(full_record("r", i as u64 + 1, status(i)), *kind, 0))
        .collect();
    world.commit_all(&batch).await;
    let events = world.store.ride_events(&ride_id("r"), 0, 100).await.unwrap();
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), kinds);
    let statuses: Vec<RideStatus> = events.iter().map(|event| event.record.status).collect();
    assert_eq!(statuses, (0..kinds.len()).map(status).collect::<Vec<_>>());
}

async fn a_batch_keeps_every_transition_in_order_and_the_last_state(world: World) {
    let mut batch = Vec::new();
    for version in 1..=7 {
        for ride in 0..53 {
            batch.push(step(&format!("r-{ride}"), version, None));
        }
    }
    batch.extend([driver("d-1", true), driver("d-1", false)]);
    world.commit_all(&batch).await;

    let mut newest_id = 0;
    for version in 1..=7 {
        for ride in 0..53 {
            let ride = ride_id(&format!("r-{ride}"));
            let event = world.store.ride_events(&ride, version - 1, 1).await.unwrap().remove(0);
            assert_eq!((event.seq, event.record.version), (version, version));
            assert!(event.event_id > newest_id, "history is in the order of the batch");
            newest_id = event.event_id;
        }
    }
    let last = world.store.load_ride(&ride_id("r-52")).await.unwrap().unwrap();
    assert_eq!(last.version, 7);
    assert_eq!(world.store.recover().await.unwrap().drivers, vec![driver_record("d-1", false)]);
}

async fn an_empty_batch_has_no_results(world: World) {
    assert!(world.store.commit(&[]).await.is_empty());
}

async fn a_stale_version_fails_with_the_later_items_of_its_ride_only(world: World) {
    world.commit_all(&[step("r-1", 1, None), step("r-1", 2, None)]).await;
    let batch = [
        step("r-0", 1, None),
        step("r-1", 2, None),
        step("r-2", 1, Some("d-2")),
        step("r-1", 3, None),
        driver("d-1", true),
        step("r-2", 2, Some("d-2")),
    ];
    let results = world.store.commit(&batch).await;
    assert_eq!(kept(&results), [true, false, true, false, true, true]);
    let stored = |id: &'static str| async {
        let id = ride_id(id);
        (
            world.store.load_ride(&id).await.unwrap().unwrap().version,
            world.store.ride_events(&id, 0, 10).await.unwrap().len(),
        )
    };
    assert_eq!(stored("r-1").await, (2, 2));
    assert_eq!(stored("r-2").await, (2, 2));
    assert_eq!(stored("r-0").await, (1, 1));
    world.commit_all(&[step("r-1", 3, None)]).await;
}

async fn a_driver_cannot_serve_two_rides(world: World) {
    let batch = [step("r-1", 1, Some("d")), step("r-2", 1, Some("d")), step("r-3", 1, None)];
    let results = world.store.commit(&batch).await;
    assert_eq!(kept(&results), [true, false, true]);
    assert!(is_conflict(&world.store.commit(&[step("r-2", 1, Some("d"))]).await[0]));

    let over = ended(plain_record("r-1", 2, Some("d")), RideStatus::Completed);
    let over = transition(over, RideEventKind::RideCompleted, 9);
    world.commit_all(&[over, step("r-2", 1, Some("d"))]).await;
}

async fn drivers_may_be_swapped_and_passed_on_within_a_batch(world: World) {
    world.commit_all(&[step("r-1", 1, Some("d-1")), step("r-2", 1, Some("d-2"))]).await;
    let batch = [
        step("r-1", 2, None),
        step("r-3", 1, Some("d-1")),
        step("r-2", 2, None),
        step("r-1", 3, Some("d-2")),
        step("r-3", 2, None),
        step("r-2", 3, Some("d-1")),
    ];
    world.commit_all(&batch).await;
}

async fn a_driver_who_serves_two_rides_for_a_moment_is_noticed(world: World) {
    world.commit_all(&[step("r-1", 1, Some("d"))]).await;
    let batch = [step("r-2", 1, Some("d")), step("r-2", 2, None), step("r-3", 1, None)];
    assert_eq!(kept(&world.store.commit(&batch).await), [false, false, true]);
}

async fn two_rides_cannot_come_from_one_request(world: World) {
    let mut second = full_record("r-2", 1, RideStatus::Searching);
    let mut request = (*second.request).clone();
    request.request_key = full_record("r-1", 1, RideStatus::Searching).request.request_key.clone();
    second.request = Arc::new(request);
    let batch = [
        transition(full_record("r-1", 1, RideStatus::Searching), RideEventKind::RideRequested, 0),
        transition(second, RideEventKind::RideRequested, 0),
    ];
    assert_eq!(kept(&world.store.commit(&batch).await), [true, false]);
}

async fn a_process_that_lost_ownership_can_commit_nothing(world: World) {
    let newer = world.open_again().await;
    assert!(is_conflict(&newer.commit(&[driver("d-0", true)]).await[0]), "it has no epoch");
    world.commit_all(&[step("r-1", 1, None)]).await;
    assert_eq!(newer.begin_epoch().await, Ok(2));

    let results = world.store.commit(&[step("r-1", 2, None), driver("d-1", true)]).await;
    assert_eq!(kept(&results), [false, false]);
    assert_eq!(newer.commit(&[step("r-1", 2, None)]).await, vec![Ok(())]);
    assert!(newer.recover().await.unwrap().drivers.is_empty());
}

async fn a_driver_has_one_ride_and_one_that_waits(world: World) {
    let waits = |ride: &str, version| waiting_step(ride, version, "d");
    world.commit_all(&[step("r-1", 1, Some("d")), waits("r-2", 1)]).await;
    let more = [step("r-3", 1, Some("d")), waits("r-4", 1), waiting_step("r-5", 1, "e")];
    assert_eq!(kept(&world.store.commit(&more).await), [false, false, true]);
    let early = [step("r-2", 2, Some("d"))];
    assert_eq!(kept(&world.store.commit(&early).await), [false], "the one before has not ended");
    world.commit_all(&[step("r-1", 2, None), step("r-2", 2, Some("d"))]).await;
    world.commit_all(&[waits("r-4", 1)]).await;
    let again = world.open_again().await;
    let open = again.recover().await.unwrap().open_rides;
    let mut held: Vec<_> = open
        .iter()
        .filter(|ride| ride.status.has_driver())
        .map(|ride| (ride.request.ride.as_str(), ride.forward().is_some()))
        .collect();
    held.sort_unstable();
    assert_eq!(held, [("r-2", false), ("r-4", true), ("r-5", true)]);
}

fn waiting_step(ride: &str, version: u64, driver: &str) -> Durable {
    let mut record = plain_record(ride, version, Some(driver));
    record.assignment.as_mut().unwrap().forward = Some(forward_link());
    transition(record, RideEventKind::DriverAssigned, version)
}

async fn a_ride_that_took_its_driver_again_hides_no_ride_that_took_him_in_between(world: World) {
    world.commit_all(&[waiting_step("r-2", 1, "d-1"), step("r-3", 1, None)]).await;
    let batch = [
        waiting_step("r-3", 2, "d-1"),
        step("r-2", 2, None),
        // No longer waiting for him but his ride: what the other wanted is free by now, too late.
        step("r-2", 3, Some("d-1")),
    ];
    assert_eq!(kept(&world.store.commit(&batch).await), [false, true, true]);
}

/// What the store must do, said simply: one item after the other. A place is twice the number of a
/// driver, and one more where the ride waits for him.

#[derive(Default)]
struct OneByOne {
    rides: std::collections::BTreeMap<u8, (u64, Option<u8>)>,
}

impl OneByOne {
    fn commit(&mut self, batch: &[(u8, u64, Option<u8>)]) -> Vec<bool> {
        let mut failed = std::collections::BTreeSet::new();
        let mut verdicts = Vec::new();
        for (ride, version, driver) in batch {
            let (stored, held) = self.rides.get(ride).copied().unwrap_or_default();
            // A ride gets another driver only by way of a state without one.
            let of = |place: Option<u8>| place.map(|place| place / 2);
            let lawful = held.is_none() || driver.is_none() || of(held) == of(*driver);
            let newer = stored + 1 == *version && lawful;
            let others = self.rides.iter().filter(|(id, _)| *id != ride);
            let free = driver.is_none() || !others.map(|(_, r)| r.1).any(|d| d == *driver);
            let kept = newer && free && !failed.contains(ride);
            if kept {
                self.rides.insert(*ride, (*version, *driver));
            } else {
                failed.insert(*ride);
            }
            verdicts.push(kept);
        }
        verdicts
    }
}

type Batch = Vec<(u8, u64, Option<u8>)>;

/// Commits `batches`, whose numbers say by how much versions grow, and compares with the model.
async fn commit_and_compare(world: World, batches: Vec<Batch>) {
    let mut model = OneByOne::default();
    let mut versions = [0_u64; 4];
    for batch in batches {
        let batch: Batch = batch
            .into_iter()
            .map(|(ride, grows, driver)| {
                versions[usize::from(ride)] += grows;
                (ride, versions[usize::from(ride)], driver)
            })
            .collect();
        let items: Vec<Durable> = batch
            .iter()
            .map(|(ride, version, place)| {
                let driver = place.map(|place| format!("d-{}", place / 2));
                let ride = format!("r-{ride}");
                match (&driver, place.is_some_and(|place| place % 2 == 1)) {
                    (Some(driver), true) => waiting_step(&ride, *version, driver),
                    (driver, _) => step(&ride, *version, driver.as_deref()),
                }
            })
            .collect();
        let results = world.store.commit(&items).await;
        assert_eq!(kept(&results), model.commit(&batch), "{batch:?}");
    }
    for (ride, (version, driver)) in &model.rides {
        let ride = ride_id(&format!("r-{ride}"));
        let stored = world.store.load_ride(&ride).await.unwrap().unwrap();
        assert_eq!(stored.version, *version);
        let stored = stored.assignment.map(|assigned| assigned.driver.id);
        assert_eq!(stored, driver.map(|place| driver_id(&format!("d-{}", place / 2))));
        let events = world.store.ride_events(&ride, 0, 100).await.unwrap();
        assert_eq!(events.len() as u64, *version, "history has no gap");
    }
}

fn in_runtime(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_do_what_single_commits_would_do(
        batches in proptest::collection::vec(
            proptest::collection::vec(
                (0_u8..4, prop_oneof![4 => Just(1_u64), 1 => 0_u64..3], proptest::option::of(0_u8..6)),
                1..12,
            ),
            1..4,
        )
    ) {
        in_runtime(async {
            commit_and_compare(World::sqlite().await, batches.clone()).await;
            commit_and_compare(World::postgres().await, batches).await;
        });
    }

    #[test]
    fn numbers_and_texts_of_any_value_come_back(
        lat in -90.0_f64..=90.0,
        lng in -180.0_f64..=180.0,
        meters in 0.0_f64..1e9,
        entropy in any::<u64>(),
        text in any::<String>(),
    ) {
        let mut record = full_record("r-1", 1, RideStatus::Assigned);
        let mut request = (*record.request).clone();
        request.pickup = crate::fixtures::position(lat, lng);
        request.entropy = entropy;
        request.attributes.insert(text.clone(), text.clone());
        record.request = Arc::new(request);
        record.reason = Some(text);
        let mut assigned = assignment("d-1");
        assigned.distance = muster_engine::units::Meters::new(meters);
        record.assignment = Some(assigned);
        in_runtime(async {
            for world in [World::sqlite().await, World::postgres().await] {
                let kind = RideEventKind::DriverAssigned;
                world.commit_all(&[transition(record.clone(), kind, 1)]).await;
                let stored = world.store.load_ride(&ride_id("r-1")).await.unwrap();
                assert_eq!(stored, Some(record.clone()));
            }
        });
    }
}
