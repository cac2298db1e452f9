//! A write that is given up, and a row that nobody understands.

use std::time::Duration;

use muster_actors::StoreError;

use crate::fixtures::{World, in_both_stores, large_batch, ride_id, step};

in_both_stores!(
    a_commit_that_is_given_up_half_way_leaves_nothing_and_blocks_nobody,
    a_row_that_cannot_be_read_is_corrupt,
);

async fn a_commit_that_is_given_up_half_way_leaves_nothing_and_blocks_nobody(world: World) {
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

async fn a_row_that_cannot_be_read_is_corrupt(world: World) {
    world.commit_all(&[step("r-1", 1, None)]).await;
    world.sql("UPDATE ride_events SET state = '{}'").await;
    let loaded = world.store.load_ride(&ride_id("r-1")).await;
    assert!(matches!(loaded, Err(StoreError::Corrupt(_))), "{loaded:?}");
    assert!(matches!(world.store.recover().await, Err(StoreError::Corrupt(_))));
}
