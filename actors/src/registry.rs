//! Who lives in this process: id → actor, and what of it may be read without asking it.

use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;
use dashmap::DashMap;
use muster_engine::driver::{Departure, DriverRecord};
use muster_engine::grid::{Contact, DriverSlot, DriverStatus};
use muster_engine::id::{DriverId, OfferId, RideId};
use muster_engine::ride::RideRecord;
use tokio::sync::watch;

use crate::census::Counted;
use crate::driver_actor::DriverActor;
use crate::ride_actor::RideActor;
use crate::runtime::MarketRuntime;

/// The handles of all actors.
#[derive(Default)]
pub(crate) struct Registry {
    drivers: DashMap<DriverId, Arc<DriverHandle>>,
    rides: DashMap<RideId, Arc<RideHandle>>,
    offers: DashMap<OfferId, DriverId>,
}

/// A driver's actor and what others may see of it.
pub(crate) struct DriverHandle {
    pub(crate) addr: Addr<DriverActor>,
    pub(crate) board: Arc<DriverBoard>,
}

/// A ride's actor and what others may see of it.
pub(crate) struct RideHandle {
    pub(crate) addr: Addr<RideActor>,
    pub(crate) board: Arc<RideBoard>,
}

/// What is known of a driver without asking his actor.
pub(crate) struct DriverBoard {
    pub(crate) slot: Arc<DriverSlot>,
    pub(crate) market: Arc<MarketRuntime>,
    /// The newest durable record; nothing before the first commit.
    durable: Mutex<Option<Arc<DriverRecord>>>,
    counted: Counted,
}

/// What is known of a ride without asking its actor.
pub(crate) struct RideBoard {
    pub(crate) ride: RideId,
    pub(crate) market: Arc<MarketRuntime>,
    /// The newest durable record: what anyone may be told (M13); nothing before the first commit.
    told: watch::Sender<Option<Arc<RideRecord>>>,
    counted: Counted,
}

impl DriverBoard {
    pub(crate) fn new(
        driver: DriverId,
        market: Arc<MarketRuntime>,
        durable: Option<Arc<DriverRecord>>,
    ) -> Self {
        let board = Self {
            slot: Arc::new(DriverSlot::new(driver)),
            market,
            durable: Mutex::new(durable),
            counted: Counted::default(),
        };
        board.count(DriverStatus::Offline, Contact::Lost);
        board
    }

    pub(crate) fn driver(&self) -> &DriverId {
        self.slot.driver()
    }

    pub(crate) fn durable(&self) -> Option<Arc<DriverRecord>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether his removal waits for what he is bound to.
    pub(crate) fn is_leaving(&self) -> bool {
        self.durable().is_some_and(|record| record.profile.departure == Departure::Pending)
    }

    pub(crate) fn set_durable(&self, record: Arc<DriverRecord>) {
        *self.durable.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
    }

    /// Counts the driver where he stands now.
    pub(crate) fn count(&self, status: DriverStatus, contact: Contact) {
        self.counted.driver(&self.market.census, status, contact);
    }
}

impl Drop for DriverBoard {
    fn drop(&mut self) {
        self.counted.no_driver(&self.market.census);
    }
}

impl Drop for RideBoard {
    fn drop(&mut self) {
        self.counted.no_ride(&self.market.census);
    }
}

impl RideBoard {
    pub(crate) fn new(ride: RideId, market: Arc<MarketRuntime>, told: Option<RideRecord>) -> Self {
        let counted = Counted::default();
        if let Some(record) = &told {
            counted.ride(&market.census, record.status);
        }
        Self { ride, market, told: watch::Sender::new(told.map(Arc::new)), counted }
    }

    pub(crate) fn told(&self) -> Option<Arc<RideRecord>> {
        self.told.borrow().clone()
    }

    pub(crate) fn tell(&self, record: Arc<RideRecord>) {
        self.counted.ride(&self.market.census, record.status);
        self.told.send_replace(Some(record));
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<RideRecord>>> {
        self.told.subscribe()
    }
}

impl Registry {
    pub(crate) fn driver(&self, id: &DriverId) -> Option<Arc<DriverHandle>> {
        self.drivers.get(id).map(|entry| Arc::clone(entry.value()))
    }

    /// As [`driver`](Self::driver), without an id made of the text first.
    pub(crate) fn driver_named(&self, id: &str) -> Option<Arc<DriverHandle>> {
        self.drivers.get(id).map(|entry| Arc::clone(entry.value()))
    }

    pub(crate) fn ride(&self, id: &RideId) -> Option<Arc<RideHandle>> {
        self.rides.get(id).map(|entry| Arc::clone(entry.value()))
    }

    /// Registers what `make` makes, unless the id is taken; tells which of the two it was.
    pub(crate) fn driver_or_insert(
        &self,
        id: &DriverId,
        make: impl FnOnce() -> DriverHandle,
    ) -> (Arc<DriverHandle>, bool) {
        let mut made = false;
        let entry = self.drivers.entry(id.clone()).or_insert_with(|| {
            made = true;
            Arc::new(make())
        });
        (Arc::clone(entry.value()), made)
    }

    /// As [`driver_or_insert`](Self::driver_or_insert), for rides.
    pub(crate) fn ride_or_insert(
        &self,
        id: &RideId,
        make: impl FnOnce() -> RideHandle,
    ) -> (Arc<RideHandle>, bool) {
        let mut made = false;
        let entry = self.rides.entry(id.clone()).or_insert_with(|| {
            made = true;
            Arc::new(make())
        });
        (Arc::clone(entry.value()), made)
    }

    pub(crate) fn remove_driver(&self, id: &DriverId) {
        self.drivers.remove(id);
    }

    pub(crate) fn remove_ride(&self, id: &RideId) {
        self.rides.remove(id);
    }

    pub(crate) fn drivers(&self) -> Vec<Arc<DriverHandle>> {
        self.drivers.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    pub(crate) fn rides(&self) -> Vec<Arc<RideHandle>> {
        self.rides.iter().map(|entry| Arc::clone(entry.value())).collect()
    }

    pub(crate) fn ride_count(&self) -> usize {
        self.rides.len()
    }

    /// Open rides that hold a live offer to, or the assignment of, a driver.
    pub(crate) fn rides_of(&self, driver: &DriverId) -> Vec<Arc<RideHandle>> {
        let concerns = |record: &RideRecord| {
            let assigned = record.assignment.as_ref().is_some_and(|a| a.driver.id == *driver);
            assigned || record.offers.values().any(|live| live.driver == *driver)
        };
        let handles = self.rides();
        handles
            .into_iter()
            .filter(|h| h.board.told().is_some_and(|record| concerns(&record)))
            .collect()
    }

    pub(crate) fn index_offer(&self, offer: OfferId, driver: DriverId) {
        self.offers.insert(offer, driver);
    }

    pub(crate) fn forget_offer(&self, offer: &OfferId) {
        self.offers.remove(offer);
    }

    pub(crate) fn driver_of_offer(&self, offer: &OfferId) -> Option<DriverId> {
        self.offers.get(offer).map(|entry| entry.value().clone())
    }
}
