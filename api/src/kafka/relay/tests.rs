//! The relay over a history in memory, with no topic to publish to and so no need of a broker.

use std::sync::Mutex;

use muster_actors::PortFuture;
use muster_engine::ride::RideEventKind;

use super::*;
use crate::config::Config;
use crate::kafka::RelayStart;
use crate::kafka::out::tests::{ride, transition};

/// Transitions with these numbers.
struct Numbers {
    events: Vec<u64>,
    saved: Mutex<Vec<u64>>,
    fenced: bool,
    commits: watch::Sender<u64>,
}

impl Numbers {
    fn new(events: impl Iterator<Item = u64>, fenced: bool) -> Arc<Self> {
        let (events, commits) = (events.collect(), watch::Sender::new(0));
        Arc::new(Self { events, saved: Mutex::default(), fenced, commits })
    }

    fn saved(&self) -> Vec<u64> {
        self.saved.lock().unwrap().clone()
    }
}

impl HistoryTail for Numbers {
    fn begin_relay<'a>(
        &'a self,
        _: &'a str,
        _: RelayStart,
    ) -> PortFuture<'a, Result<u64, StoreError>> {
        Box::pin(std::future::ready(Ok(0)))
    }

    fn after(&self, event: u64, limit: u32) -> PortFuture<'_, Result<Vec<Transition>, StoreError>> {
        let next = self.events.iter().filter(|known| **known > event).take(limit as usize);
        let state = ride(1, serde_json::json!({}));
        let transition = |event: &u64| Transition {
            event: *event,
            ..transition(RideEventKind::RideRequested, None, Arc::clone(&state))
        };
        Box::pin(std::future::ready(Ok(next.map(transition).collect())))
    }

    fn save_relay<'a>(&'a self, _: &'a str, event: u64) -> PortFuture<'a, Result<(), StoreError>> {
        let fenced = || Err(StoreError::Conflict("another process".to_owned()));
        self.saved.lock().unwrap().push(event);
        Box::pin(std::future::ready(if self.fenced { fenced() } else { Ok(()) }))
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

fn relay(tail: &Arc<Numbers>, published: u64) -> (RelayHandle, Arc<OutboxMetrics>) {
    let mut kafka = Config::load(None).unwrap().kafka;
    // Nobody listens there.
    kafka.brokers = "127.0.0.1:9".to_owned();
    let topics = &mut kafka.topics;
    for topic in [
        &mut topics.ride_events,
        &mut topics.driver_offers,
        &mut topics.namma_yatri_events,
        &mut topics.allocation_decisions,
    ] {
        topic.clear();
    }
    let metrics = Arc::new(OutboxMetrics::default());
    let (tail, told) = (Arc::clone(tail), Arc::clone(&metrics));
    (start(RelayParts { tail, kafka, metrics: told, traces: None, published }).unwrap(), metrics)
}

#[tokio::test]
async fn transitions_that_nobody_is_told_of_do_not_hold_the_cursor_up() {
    let tail = Numbers::new(1..=1_700, false);
    let (relay, metrics) = relay(&tail, 3);
    relay.finish(Duration::from_secs(60)).await;
    assert_eq!(tail.saved().last(), Some(&1_700));
    assert_eq!(metrics.pruned_so_far(), 0);
}

#[tokio::test]
async fn what_was_pruned_before_it_was_published_is_counted() {
    let tail = Numbers::new([5, 6, 9].into_iter(), false);
    let (relay, metrics) = relay(&tail, 2);
    relay.finish(Duration::from_secs(60)).await;
    assert_eq!((tail.saved(), metrics.pruned_so_far()), (vec![9], 4));
}

#[tokio::test]
async fn a_relay_whose_store_is_another_process_s_ends() {
    let tail = Numbers::new(1..=2, true);
    let (relay, _) = relay(&tail, 0);
    relay.ended.await.unwrap();
    assert_eq!(tail.saved(), [2]);
}
