//! A store in memory with a gate before every commit and faults on demand.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use muster_actors::{
    Durable, EventSink, Meter, PortFuture, PositionSnapshot, Recovered, Store, StoreError,
};
use muster_engine::driver::DriverRecord;
use muster_engine::event::{Event, EventKind};
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::RideRecord;
use muster_engine::zone::QueueRecord;
use tokio::sync::watch;

#[derive(Default)]
struct Rows {
    rides: BTreeMap<RideId, RideRecord>,
    drivers: BTreeMap<DriverId, DriverRecord>,
    positions: BTreeMap<DriverId, PositionSnapshot>,
    zones: BTreeMap<(MarketId, ZoneId), QueueRecord>,
    epoch: u64,
}

impl Rows {
    fn keep(&mut self, item: &Durable) -> Result<(), StoreError> {
        match item {
            Durable::Ride(commit) => {
                let record = RideRecord::clone(&commit.record);
                let ride = record.request.ride.clone();
                let kept = self.rides.get(&ride).map_or(0, |kept| kept.version);
                if record.version != kept + 1 {
                    return Err(StoreError::Conflict(format!("{ride} is at version {kept}")));
                }
                self.rides.insert(ride, record);
            }
            Durable::Driver(record) => {
                self.drivers.insert(record.driver.clone(), DriverRecord::clone(record));
            }
            Durable::Zone(commit) => {
                let record = QueueRecord::clone(&commit.record);
                self.zones.insert((record.market.clone(), record.zone.clone()), record);
            }
        }
        Ok(())
    }
}

/// The store.
pub(crate) struct MemoryStore {
    rows: Mutex<Rows>,
    open: watch::Sender<bool>,
    failing: AtomicBool,
    lying: AtomicBool,
    /// Whether the store is in doubt, and what it does with a commit then.
    doubt: Mutex<Option<Kept>>,
}

/// What becomes of a commit that nobody hears the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    No,
}

impl MemoryStore {
    pub(crate) fn new() -> Arc<Self> {
        let (rows, open) = (Mutex::default(), watch::Sender::new(true));
        Arc::new(Self {
            rows,
            open,
            failing: AtomicBool::new(false),
            lying: AtomicBool::new(false),
            doubt: Mutex::default(),
        })
    }

    /// Commits wait while the gate is shut.
    pub(crate) fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }

    /// Commits fail while this is set.
    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }

    /// Commits are kept and reported as failed while this is set: the answer was lost on the way.
    pub(crate) fn set_lying(&self, lying: bool) {
        self.lying.store(lying, Ordering::SeqCst);
    }

    /// Commits end in doubt while this is set, and nothing can be read.
    pub(crate) fn set_doubt(&self, doubt: Option<Kept>) {
        *self.doubt.lock().unwrap() = doubt;
    }

    fn readable(&self) -> Result<(), StoreError> {
        let doubt = *self.doubt.lock().unwrap();
        doubt.map_or(Ok(()), |_| Err(StoreError::Unavailable("no answer".to_owned())))
    }

    pub(crate) fn ride(&self, ride: &RideId) -> Option<RideRecord> {
        self.rows.lock().unwrap().rides.get(ride).cloned()
    }
}

impl Store for MemoryStore {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        Box::pin(async move {
            let mut open = self.open.subscribe();
            open.wait_for(|open| *open).await.unwrap();
            if self.failing.load(Ordering::SeqCst) {
                let error = StoreError::Unavailable("disk full".to_owned());
                return batch.iter().map(|_| Err(error.clone())).collect();
            }
            let doubt = *self.doubt.lock().unwrap();
            let in_doubt = || vec![Err(StoreError::InDoubt("no answer".to_owned())); batch.len()];
            if doubt == Some(Kept::No) {
                return in_doubt();
            }
            let mut rows = self.rows.lock().unwrap();
            let results = batch.iter().map(|item| rows.keep(item)).collect();
            if self.lying.load(Ordering::SeqCst) {
                let error = StoreError::Unavailable("the answer was lost".to_owned());
                return batch.iter().map(|_| Err(error.clone())).collect();
            }
            if doubt == Some(Kept::Yes) { in_doubt() } else { results }
        })
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut rows = self.rows.lock().unwrap();
            rows.epoch += 1;
            Ok(rows.epoch)
        })
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(async move {
            let rows = self.rows.lock().unwrap();
            let open = rows.rides.values().filter(|ride| !ride.status.is_terminal());
            Ok(Recovered {
                drivers: rows.drivers.values().cloned().collect(),
                open_rides: open.cloned().collect(),
                positions: rows.positions.values().cloned().collect(),
                zones: rows.zones.values().cloned().collect(),
                ..Recovered::default()
            })
        })
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        Box::pin(async move { self.readable().map(|()| self.ride(ride)) })
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        let found = || self.rows.lock().unwrap().drivers.get(driver).cloned();
        Box::pin(std::future::ready(self.readable().map(|()| found())))
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        let place = (market.clone(), zone.clone());
        let found = || self.rows.lock().unwrap().zones.get(&place).cloned();
        Box::pin(std::future::ready(self.readable().map(|()| found())))
    }

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut rows = self.rows.lock().unwrap();
            for position in positions {
                rows.positions.insert(position.driver.clone(), position.clone());
            }
            Ok(())
        })
    }
}

/// Counts restarts, and panics when told to: the fault injection of these tests.
#[derive(Default)]
pub(crate) struct Observer {
    pub(crate) restarts: AtomicU64,
    pub(crate) assigned: AtomicU64,
    panic_on_next_wave: AtomicBool,
    panic_on_next_search: AtomicBool,
}

impl Observer {
    pub(crate) fn panic_on_next_wave(&self) {
        self.panic_on_next_wave.store(true, Ordering::SeqCst);
    }

    pub(crate) fn panic_on_next_search(&self) {
        self.panic_on_next_search.store(true, Ordering::SeqCst);
    }
}

impl EventSink for Observer {
    fn publish(&self, event: &Event) {
        if matches!(event.kind, EventKind::RideAssigned { .. }) {
            self.assigned.fetch_add(1, Ordering::SeqCst);
        }
        let wave = matches!(event.kind, EventKind::WaveSent { .. });
        if wave && self.panic_on_next_wave.swap(false, Ordering::SeqCst) {
            panic!("injected");
        }
    }
}

impl Meter for Observer {
    fn first_offer(&self, _: f64) {}
    fn match_duration(&self, _: &'static str, _: f64) {
        if self.panic_on_next_search.swap(false, Ordering::SeqCst) {
            panic!("injected");
        }
    }
    fn store_commit(&self, _: usize, _: f64) {}
    fn store_refused(&self, _: &'static str) {}
    fn mailbox_full(&self, _: &'static str) {}
    fn actor_restarted(&self, _: &'static str) {
        self.restarts.fetch_add(1, Ordering::SeqCst);
    }
}
