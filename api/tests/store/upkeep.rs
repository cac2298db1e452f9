//! Idempotent answers, retention, size.

use std::sync::Arc;

use futures_util::future::join_all;
use muster_actors::Durable;
use muster_api::store::{ANSWER_KEPT_MS, FirstCall, Pruned, Retention, SavedAnswer};
use muster_engine::ride::{RideCommit, RideEventKind, RideStatus};

use crate::fixtures::{World, at, decision, full_record, in_both_stores, ride_id, transition};

in_both_stores!(
    the_first_answer_is_given_again,
    answers_that_come_together_are_all_saved,
    a_ride_is_found_by_the_key_of_its_request,
    pruning_goes_in_bounded_steps_and_leaves_what_is_open_or_young,
    the_size_grows_with_what_is_stored,
);

pub(crate) fn answer(body: &str, ms: u64) -> SavedAnswer {
    SavedAnswer {
        fingerprint: format!("print of {body}"),
        status: 202,
        content_type: "application/json".to_owned(),
        body: [body.as_bytes(), &[0, 255]].concat(),
        at: at(ms),
    }
}

async fn the_first_answer_is_given_again(world: World) {
    let store = &world.store;
    assert_eq!(store.first_call("k").await, Ok(None));
    store.save_answer("k", answer("first", 1)).await.unwrap();
    store.save_answer("k", answer("second", 2)).await.unwrap();
    let first = Some(FirstCall::Answered(answer("first", 1)));
    assert_eq!(store.first_call("k").await, Ok(first));
    store.save_answer("k", answer("a day later", 1 + ANSWER_KEPT_MS)).await.unwrap();
    let later = Some(FirstCall::Answered(answer("a day later", 1 + ANSWER_KEPT_MS)));
    assert_eq!(store.first_call("k").await, Ok(later));
}

async fn answers_that_come_together_are_all_saved(world: World) {
    let saves = (0..500).map(|i| {
        let store = &world.store;
        async move { store.save_answer(&format!("k-{i}"), answer(&i.to_string(), i)).await }
    });
    assert!(join_all(saves).await.iter().all(Result::is_ok));
    for i in 0..500 {
        let found = world.store.first_call(&format!("k-{i}")).await;
        assert_eq!(found, Ok(Some(FirstCall::Answered(answer(&i.to_string(), i)))));
    }
}

async fn a_ride_is_found_by_the_key_of_its_request(world: World) {
    let first = full_record("r-1", 1, RideStatus::Searching);
    let second = full_record("r-1", 2, RideStatus::Cancelled);
    world.commit_all(&[transition(first.clone(), RideEventKind::RideRequested, 0)]).await;
    world.commit_all(&[transition(second, RideEventKind::RideCancelled, 1)]).await;
    let found = world.store.first_call("key of r-1").await;
    assert_eq!(found, Ok(Some(FirstCall::Requested(Box::new(first)))), "as it was first told");
    assert_eq!(world.store.first_call("another").await, Ok(None));
}

/// Ride `i` ends at `i` after three transitions with a decision each.
pub(crate) fn ride(i: u64, status: RideStatus) -> Vec<Durable> {
    let transition = |version| {
        let last = version == 3;
        let status = if last { status } else { RideStatus::Searching };
        let record = Arc::new(full_record(&format!("r-{i:03}"), version, status));
        let kind = RideEventKind::WaveSent;
        Durable::Ride(Box::new(RideCommit {
            record,
            kind,
            at: at(i),
            decision: Some(decision(1)),
            origin: None,
        }))
    };
    (1..=3).map(transition).collect()
}

async fn pruning_goes_in_bounded_steps_and_leaves_what_is_open_or_young(world: World) {
    for i in 0..20 {
        world.commit_all(&ride(i, RideStatus::Completed)).await;
    }
    world.commit_all(&ride(20, RideStatus::Searching)).await;
    for i in 0..20 {
        world.store.save_answer(&format!("k-{i}"), answer("x", i)).await.unwrap();
    }
    let retention = Retention {
        answers_before: at(12),
        decisions_before: at(2),
        rides_before: at(10),
        unpublished_before: at(u64::MAX / 4),
    };
    let mut all = Pruned::default();
    loop {
        let pruned = world.store.prune(&retention, 7).await.unwrap();
        let most = [pruned.answers, pruned.decisions, pruned.ride_events, pruned.rides];
        assert!(most.iter().all(|rows| *rows <= 7), "{pruned:?}");
        if pruned.total() == 0 {
            break;
        }
        all.answers += pruned.answers;
        all.decisions += pruned.decisions;
        all.ride_events += pruned.ride_events;
        all.rides += pruned.rides;
    }
    // Every decision was taken at 1, the default instant of the fixture.
    assert_eq!(
        all,
        Pruned { answers: 12, decisions: 63, ride_events: 30, rides: 10, zone_events: 0 }
    );
    assert_eq!(world.store.first_call("k-11").await, Ok(None));
    assert!(world.store.first_call("k-12").await.unwrap().is_some());
    assert_eq!(world.store.load_ride(&ride_id("r-009")).await, Ok(None));
    for kept in ["r-010", "r-020"] {
        assert!(world.store.load_ride(&ride_id(kept)).await.unwrap().is_some());
        assert_eq!(world.store.ride_events(&ride_id(kept), 0, 10).await.unwrap().len(), 3);
    }
}

async fn the_size_grows_with_what_is_stored(world: World) {
    let before = world.store.database_bytes().await.unwrap();
    assert!(before > 0);
    for i in 0..200 {
        world.commit_all(&ride(i, RideStatus::Completed)).await;
    }
    assert!(world.store.database_bytes().await.unwrap() > before + 200 * 3 * 1_000);
    world.store.check_writable().await.unwrap();
}
