//! The history as a relay reads it, its cursor, and what pruning leaves alone for it.

use std::sync::Arc;

use muster_actors::{Durable, Store};
use muster_api::kafka::{HistoryTail, RelayStart};
use muster_api::store::Retention;
use muster_engine::origin::Origin;
use muster_engine::ride::{RideCommit, RideEventKind, RideRecord, RideStatus};
use muster_engine::time::Timestamp;

use crate::fixtures::{World, at, decision, ended, is_conflict, plain_record, step, transition};

fn origin(id: &str) -> Option<Arc<Origin>> {
    let (correlation_id, traceparent) = (id.to_owned(), format!("trace of {id}"));
    Some(Arc::new(Origin { correlation_id, traceparent }))
}

/// A transition with a decision, of a ride that was asked for by the call `asked`, caused by `own`.
fn wave(ride: &str, version: u64, asked: &str, own: &str) -> Durable {
    let mut record: RideRecord = plain_record(ride, version, None);
    Arc::make_mut(&mut record.request).origin = origin(asked);
    Durable::Ride(Box::new(RideCommit {
        record: Arc::new(record),
        kind: RideEventKind::WaveSent,
        at: at(version),
        decision: Some(decision(u32::try_from(version).unwrap())),
        origin: origin(own),
    }))
}

#[tokio::test]
async fn transitions_are_read_in_order_with_the_state_before_and_what_belongs_to_them() {
    let world = World::new().await;
    world.commit_all(&[step("r-1", 1, None), wave("r-2", 1, "asked", "asked")]).await;
    world.commit_all(&[step("r-1", 2, None), wave("r-2", 2, "asked", "own")]).await;
    let all = world.store.after(0, 100).await.unwrap();
    let facts: Vec<_> = all
        .iter()
        .map(|one| {
            let before = one.before.as_ref().map(|before| before.version);
            let decided = one.decision.as_ref().map(|decision| decision.wave);
            let origin = one.origin.as_ref().map(|origin| origin.correlation_id.as_str());
            (one.event, one.after.request.ride.as_str(), before, decided, origin)
        })
        .collect();
    assert_eq!(
        facts,
        [
            (1, "r-1", None, None, None),
            (2, "r-2", None, Some(1), Some("asked")),
            (3, "r-1", Some(1), None, None),
            (4, "r-2", Some(1), Some(2), Some("own")),
        ]
    );
    assert_eq!(
        world.store.after(3, 100).await.unwrap(),
        all[3..],
        "the state before is read as well"
    );
    assert_eq!(world.store.after(0, 2).await.unwrap(), all[..2]);
    assert_eq!(world.store.after(4, 100).await.unwrap(), []);
}

#[tokio::test]
async fn commits_wake_whoever_waits_for_them() {
    let world = World::new().await;
    let mut commits = world.store.commits();
    commits.mark_unchanged();
    world.commit_all(&[step("r-1", 1, None)]).await;
    assert!(commits.has_changed().unwrap());
}

#[tokio::test]
async fn a_cursor_begins_once_and_moves_forward_for_the_owner_of_the_store_only() {
    let world = World::new().await;
    world.commit_all(&[step("r-1", 1, None), step("r-1", 2, None), step("r-1", 3, None)]).await;
    let store = &world.store;
    assert_eq!(store.begin_relay("now", RelayStart::Now).await, Ok(3));
    assert_eq!(store.begin_relay("oldest", RelayStart::Oldest).await, Ok(0));
    assert_eq!(store.save_relay("oldest", 2).await, Ok(()));
    assert_eq!(store.begin_relay("oldest", RelayStart::Now).await, Ok(2), "it has one already");
    assert!(is_conflict(&store.save_relay("oldest", 1).await), "backwards");
    let successor = world.open_again(&Default::default()).await;
    successor.begin_epoch().await.unwrap();
    assert!(is_conflict(&store.save_relay("oldest", 3).await), "another process owns the store");
    assert_eq!(successor.save_relay("oldest", 3).await, Ok(()));
}

#[tokio::test]
async fn pruning_leaves_what_is_not_published_until_it_is_too_old() {
    let world = World::new().await;
    for ride in ["r-1", "r-2"] {
        let end = ended(plain_record(ride, 2, None), RideStatus::Cancelled);
        let end = transition(end, RideEventKind::RideCancelled, 2);
        world.commit_all(&[wave(ride, 1, "asked", "asked"), end]).await;
    }
    let store = &world.store;
    store.begin_relay("kafka", RelayStart::Oldest).await.unwrap();
    let due = |unpublished_before| Retention {
        answers_before: at(1_000),
        decisions_before: at(1_000),
        rides_before: at(1_000),
        unpublished_before,
    };
    let prune = async |before: Timestamp| {
        let mut events = 0;
        loop {
            let pruned = store.prune(&due(before), 100).await.unwrap();
            events += pruned.ride_events + pruned.decisions;
            if pruned.total() == 0 {
                return events;
            }
        }
    };
    assert_eq!(prune(at(0)).await, 0);
    // Of a ride nothing goes before its last transition is published: messages need the state before.
    store.save_relay("kafka", 1).await.unwrap();
    assert_eq!(prune(at(0)).await, 1, "the decision that was published");
    store.save_relay("kafka", 2).await.unwrap();
    assert_eq!(prune(at(0)).await, 2);
    let left = store.after(2, 100).await.unwrap();
    assert!(left.len() == 2 && left[0].decision.is_some() && left[1].before.is_some());
    assert_eq!(prune(at(500)).await, 3, "too old to wait for the brokers");
}
