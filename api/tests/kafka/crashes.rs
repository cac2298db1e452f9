//! kill -9 of the server while it publishes: nothing is lost, order is kept.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::bridge::{Bridge, drain, shared_broker};
use crate::checker::{compare, history};
use crate::city::City;
use crate::kcat::Message;

/// Deaths in a row on the same data.
const KILLS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_minus_nine_under_load_leaves_no_gap_and_keeps_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let bridge = Bridge::new(shared_broker(), "killed");
    bridge.create(folder.path());
    let next = Arc::new(AtomicU64::new(0));
    let mut told = 0;
    for round in 0..KILLS {
        let server = bridge.serve(folder.path()).await;
        let city = City::begin(server.url(), &next).await;
        // It dies at another place of its work each time: some transitions further on.
        let enough = told + 20 + 7 * round;
        told = distinct(&bridge.read_until("ride_events", |read| distinct(read) >= enough));
        server.kill();
        city.end().await;
    }
    let server = bridge.serve(folder.path()).await;
    drain(server).await;
    let history = history(folder.path()).await;
    let found = compare(&history, &bridge.read("ride_events"));
    assert!(found.transitions >= KILLS * 20, "{found:?}");
    // The cursor is saved twice a second at most, so the last messages before a death come again.
    assert!(found.duplicates > 0, "no death came between messages and cursor: {found:?}");
}

/// Transitions that were told: what comes again after a death is no progress.
fn distinct(messages: &[Message]) -> usize {
    messages.iter().map(Message::event_id).collect::<HashSet<_>>().len()
}
