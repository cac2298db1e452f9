//! Durable truth and history in memory, with a gate before every commit and faults on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use muster_actors::{Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_api::http::history::{Read, RideHistory};
use muster_api::policy::{PolicyChange, PolicyLog};
use muster_api::store::{
    DriverDecisions, FirstCall, RideCursor, RideFilter, RidePage, SavedAnswer, StoredRideEvent,
};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::{RideCommit, RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;
use tokio::sync::watch;

#[derive(Default)]
struct Rows {
    rides: BTreeMap<RideId, RideRecord>,
    events: BTreeMap<RideId, Vec<StoredRideEvent>>,
    decisions: BTreeMap<RideId, Vec<WaveDecision>>,
    drivers: BTreeMap<DriverId, DriverRecord>,
    answers: BTreeMap<String, SavedAnswer>,
    policies: Vec<PolicyChange>,
    zones: BTreeMap<(MarketId, ZoneId), QueueRecord>,
    epoch: u64,
}

/// The store.
pub(crate) struct MemoryStore {
    rows: Mutex<Rows>,
    open: watch::Sender<bool>,
    failing: AtomicBool,
    forgetful: AtomicBool,
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            rows: Mutex::default(),
            open: watch::Sender::new(true),
            failing: AtomicBool::new(false),
            forgetful: AtomicBool::new(false),
        })
    }

    /// Commits wait while the gate is shut.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Commits and reads fail while this is set.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Answers are not saved while this is set, as if the process had ended before.
    pub(crate) fn set_forgetful(&self, forgetful: bool) {
        self.forgetful.store(forgetful, Ordering::SeqCst);
    }

    pub(crate) fn ride_count(&self) -> usize {
        self.rows.lock().unwrap().rides.len()
    }

    fn check(&self) -> Result<(), StoreError> {
        let failing = self.failing.load(Ordering::SeqCst);
        let error = || StoreError::Unavailable("disk full".to_owned());
        if failing { Err(error()) } else { Ok(()) }
    }

    fn read<'a, T: Send + 'a>(&self, read: impl FnOnce(&Rows) -> T) -> Read<'a, T> {
        let result = self.check().map(|()| read(&self.rows.lock().unwrap()));
        Box::pin(std::future::ready(result))
    }
}

impl Rows {
    fn keep(&mut self, commit: &RideCommit) -> Result<(), StoreError> {
        let (record, ride) = (RideRecord::clone(&commit.record), &commit.record.request.ride);
        let key = record.request.request_key.as_ref().map(|key| &key.key);
        let taken = |other: &RideRecord| {
            let other_key = other.request.request_key.as_ref().map(|key| &key.key);
            other.request.ride != *ride && key.is_some() && key == other_key
        };
        let newer = self.rides.get(ride).is_some_and(|known| known.version >= record.version);
        if newer || self.rides.values().any(taken) {
            return Err(StoreError::Conflict("the ride or its key is known".to_owned()));
        }
        self.events.entry(ride.clone()).or_default().push(StoredRideEvent {
            event_id: record.version,
            seq: record.version,
            at: commit.at,
            kind: commit.kind,
            record: record.clone(),
        });
        let decisions = self.decisions.entry(ride.clone()).or_default();
        decisions.extend(commit.decision.clone());
        self.rides.insert(ride.clone(), record);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        Box::pin(async move {
            let mut open = self.open.subscribe();
            open.wait_for(|open| *open).await.unwrap();
            if let Err(error) = self.check() {
                return batch.iter().map(|_| Err(error.clone())).collect();
            }
            let mut rows = self.rows.lock().unwrap();
            let mut keep = |item: &Durable| match item {
                Durable::Ride(commit) => rows.keep(commit),
                Durable::Driver(record) => {
                    rows.drivers.insert(record.driver.clone(), DriverRecord::clone(record));
                    Ok(())
                }
                Durable::Zone(commit) => {
                    let record = QueueRecord::clone(&commit.record);
                    rows.zones.insert((record.market.clone(), record.zone.clone()), record);
                    Ok(())
                }
            };
            batch.iter().map(&mut keep).collect()
        })
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        let mut rows = self.rows.lock().unwrap();
        rows.epoch += 1;
        Box::pin(std::future::ready(Ok(rows.epoch)))
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        self.read(|rows| {
            let open = rows.rides.values().filter(|ride| !ride.status.is_terminal());
            Recovered {
                drivers: rows.drivers.values().cloned().collect(),
                open_rides: open.cloned().collect(),
                zones: rows.zones.values().cloned().collect(),
                ..Recovered::default()
            }
        })
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        self.read(|rows| rows.rides.get(ride).cloned())
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        self.read(|rows| rows.drivers.get(driver).cloned())
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        self.read(|rows| rows.zones.get(&(market.clone(), zone.clone())).cloned())
    }

    fn save_positions<'a>(
        &'a self,
        _: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        self.read(|_| ())
    }
}

impl RideHistory for MemoryStore {
    fn list_rides<'a>(
        &'a self,
        filter: &'a RideFilter,
        limit: u32,
        cursor: Option<&'a RideCursor>,
    ) -> Read<'a, RidePage> {
        self.read(|rows| {
            let key = |ride: &RideRecord| (ride.request.requested_at, ride.request.ride.clone());
            let fits = |ride: &&RideRecord| {
                filter.market.as_ref().is_none_or(|market| *market == ride.request.market)
                    && filter.status.is_none_or(|status| status == ride.status)
                    && cursor.is_none_or(|c| key(ride) < (c.requested_at, c.ride.clone()))
            };
            let mut rides: Vec<RideRecord> = rows.rides.values().filter(fits).cloned().collect();
            rides.sort_by_key(|ride| std::cmp::Reverse(key(ride)));
            RidePage::of(rides, limit as usize)
        })
    }

    fn ride_events<'a>(
        &'a self,
        ride: &'a RideId,
        after_seq: u64,
        limit: u32,
    ) -> Read<'a, Vec<StoredRideEvent>> {
        self.read(|rows| {
            let events = rows.events.get(ride).into_iter().flatten();
            events.filter(|row| row.seq > after_seq).take(limit as usize).cloned().collect()
        })
    }

    fn decisions_naming<'a>(
        &'a self,
        driver: &'a DriverId,
        since: Timestamp,
    ) -> Read<'a, DriverDecisions> {
        self.read(|rows| {
            let all = rows.decisions.iter();
            let each = all.flat_map(|(ride, of)| of.iter().map(|one| (ride.clone(), one.clone())));
            let mut newest: Vec<_> = each.filter(|(_, one)| one.at >= since).collect();
            newest.sort_by_key(|(_, one)| std::cmp::Reverse(one.at));
            DriverDecisions::of(driver, newest.into_iter(), true)
        })
    }

    fn decisions<'a>(&'a self, ride: &'a RideId) -> Read<'a, Vec<WaveDecision>> {
        self.read(|rows| rows.decisions.get(ride).cloned().unwrap_or_default())
    }

    fn first_call<'a>(&'a self, key: &'a str) -> Read<'a, Option<FirstCall>> {
        self.read(|rows| {
            let has_key = |event: &&StoredRideEvent| {
                event.record.request.request_key.as_ref().is_some_and(|own| own.key == key)
            };
            let firsts = rows.events.values().filter_map(|events| events.first());
            match firsts.filter(has_key).max_by_key(|event| event.at) {
                Some(event) => Some(FirstCall::Requested(Box::new(event.record.clone()))),
                None => rows.answers.get(key).cloned().map(FirstCall::Answered),
            }
        })
    }

    fn may_have_answered(&self, key: &str) -> bool {
        self.rows.lock().unwrap().answers.contains_key(key)
    }

    fn release_key<'a>(&'a self, key: &'a str) -> Read<'a, ()> {
        let _ = key;
        Box::pin(std::future::ready(self.check()))
    }

    fn save_answer<'a>(&'a self, key: &'a str, answer: SavedAnswer) -> Read<'a, ()> {
        let result = self.check();
        if result.is_ok() && !self.forgetful.load(Ordering::SeqCst) {
            self.rows.lock().unwrap().answers.insert(key.to_owned(), answer);
        }
        Box::pin(std::future::ready(result))
    }
}

impl PolicyLog for MemoryStore {
    fn append_policy<'a>(
        &'a self,
        change: &'a PolicyChange,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        let result = self.check();
        if result.is_ok() {
            self.rows.lock().unwrap().policies.push(change.clone());
        }
        Box::pin(std::future::ready(result))
    }

    fn policy_changes<'a>(
        &'a self,
        market: &'a MarketId,
        limit: u32,
    ) -> PortFuture<'a, Result<Vec<PolicyChange>, StoreError>> {
        self.read(|rows| {
            let newest = rows.policies.iter().rev().filter(|change| change.market == *market);
            newest.take(limit as usize).cloned().collect()
        })
    }
}
