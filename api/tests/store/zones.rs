//! The queues of zones: kept in order, refused when stale.

use std::sync::Arc;

use muster_actors::Durable;
use muster_engine::id::{MarketId, ZoneId};
use muster_engine::zone::{LeaveReason, QueueEntry, QueueRecord, ZoneCommit, ZoneEventKind};

use crate::fixtures::{World, at, driver_id, in_both_stores, is_conflict, tier};

in_both_stores!(
    a_queue_comes_back_in_its_order_after_a_crash,
    a_change_that_does_not_follow_is_refused_with_the_later_ones_of_its_zone,
);

fn record(version: u64, drivers: &[&str]) -> QueueRecord {
    let entry = |(n, name): (usize, &&str)| QueueEntry {
        driver: driver_id(name),
        tiers: vec![tier("standard")],
        entered_at: at(n as u64),
        ranked_at: at(n as u64),
        skips: 1,
        held: false,
        gate: None,
        call: None,
        not_called_before: at(0),
    };
    let (market, zone) = (MarketId::new("nyc").unwrap(), ZoneId::new("z").unwrap());
    let mut record = QueueRecord::new(market, zone);
    record.version = version;
    record.entries = drivers.iter().enumerate().map(entry).collect();
    record.barred.insert(driver_id("d-9"), at(7));
    record
}

pub(crate) fn commit(version: u64, drivers: &[&str], kind: ZoneEventKind) -> Durable {
    let record = Arc::new(record(version, drivers));
    let (driver, note) = (driver_id("d-1"), Some("a note".to_owned()));
    Durable::Zone(Box::new(ZoneCommit { record, kind, driver, note, at: at(version) }))
}

async fn a_queue_comes_back_in_its_order_after_a_crash(world: World) {
    let joined = ZoneEventKind::Joined;
    let left = ZoneEventKind::Left(LeaveReason::Served);
    world.commit_all(&[commit(1, &["d-2"], joined), commit(2, &["d-2", "d-1"], joined)]).await;
    world.commit_all(&[commit(3, &["d-1"], left)]).await;
    let recovered = world.store.recover().await.unwrap();
    assert_eq!(recovered.zones, vec![record(3, &["d-1"])]);
}

async fn a_change_that_does_not_follow_is_refused_with_the_later_ones_of_its_zone(world: World) {
    let joined = ZoneEventKind::Joined;
    world.commit_all(&[commit(1, &["d-1"], joined)]).await;
    let batch = [commit(1, &["d-3"], joined), commit(2, &["d-4"], joined)];
    let results = world.store.commit(&batch).await;
    assert!(results.iter().all(is_conflict), "{results:?}");
    assert_eq!(world.store.recover().await.unwrap().zones, vec![record(1, &["d-1"])]);
}
