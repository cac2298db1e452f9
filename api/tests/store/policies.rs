//! The audit of policies on disk.

use muster_actors::StoreError;
use muster_api::policy::{BookDocument, ChangeCause, PolicyChange};
use muster_engine::id::MarketId;
use muster_engine::policy::{DispatchPolicy, PolicyBook};

use crate::fixtures::{World, at, in_both_stores};

in_both_stores!(
    changes_come_back_newest_first_from_the_file,
    a_version_is_given_once_and_only_by_the_newest_process,
);

pub(crate) fn change(version: u64) -> PolicyChange {
    let book = |wave_size| {
        let policy = DispatchPolicy { wave_size, ..DispatchPolicy::default() };
        BookDocument::of(&PolicyBook::of(policy))
    };
    PolicyChange {
        market: MarketId::new("nyc").unwrap(),
        version,
        at: at(version),
        cause: ChangeCause::Api,
        correlation_id: format!("change-{version}"),
        configured: "00ff".to_owned(),
        before: book(3),
        after: book(4),
    }
}

async fn changes_come_back_newest_first_from_the_file(world: World) {
    for version in 1..=3 {
        world.store.append_policy(&change(version)).await.unwrap();
    }
    let again = world.open_again().await;
    let nyc = MarketId::new("nyc").unwrap();
    assert_eq!(again.policy_changes(&nyc, 2).await, Ok(vec![change(3), change(2)]));
    let sf = MarketId::new("sf").unwrap();
    assert_eq!(again.policy_changes(&sf, 2).await, Ok(Vec::new()));
}

async fn a_version_is_given_once_and_only_by_the_newest_process(world: World) {
    world.store.append_policy(&change(1)).await.unwrap();
    let twice = world.store.append_policy(&change(1)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let newer = world.open_again().await;
    newer.begin_epoch().await.unwrap();
    let late = world.store.append_policy(&change(2)).await;
    assert!(matches!(late, Err(StoreError::Conflict(_))), "{late:?}");
    assert_eq!(newer.append_policy(&change(2)).await, Ok(()));
}
