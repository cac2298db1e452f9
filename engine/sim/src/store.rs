//! A model of the durable store: histories of rides and drivers, version check, one active and one
//! forward ride per driver, and the epoch that fences off dead processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, RideId, ZoneId};
use muster_engine::ride::{RideCommit, RideRecord};
use muster_engine::zone::{QueueRecord, ZoneCommit};

use crate::link::Actor;
use crate::sabotage::Sabotage;

/// One thing to make durable.
#[derive(Debug, Clone)]
pub(crate) enum Durable {
    Ride(Arc<RideCommit>),
    Driver(Arc<DriverRecord>),
    Zone(Arc<ZoneCommit>),
}

/// One turn's durable effects on their way to the store.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    pub(crate) from: Actor,
    /// The life of the machine that submits; one failure fails all later turns of the same life.
    pub(crate) incarnation: u64,
    pub(crate) items: Vec<Durable>,
}

/// What the store says about a submission.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) incarnation: u64,
    pub(crate) items: Vec<Durable>,
    pub(crate) kept: bool,
}

/// The transition history of one ride.
#[derive(Debug, Default)]
pub(crate) struct RideHistory {
    /// The transition to version `n` is at `n - 1`.
    pub(crate) commits: Vec<Arc<RideCommit>>,
}

impl RideHistory {
    pub(crate) fn newest(&self) -> Option<&Arc<RideRecord>> {
        self.commits.last().map(|commit| &commit.record)
    }

    pub(crate) fn version(&self) -> u64 {
        self.newest().map_or(0, |record| record.version)
    }
}

/// Durable truth.
#[derive(Debug, Default)]
pub(crate) struct StoreModel {
    pub(crate) rides: BTreeMap<RideId, RideHistory>,
    pub(crate) drivers: BTreeMap<DriverId, Vec<Arc<DriverRecord>>>,
    pub(crate) queues: BTreeMap<ZoneId, Vec<Arc<ZoneCommit>>>,
    /// The process that owns the store.
    pub(crate) epoch: u64,
    pub(crate) poisoned: BTreeSet<u64>,
    /// A planted bug: what should be refused is not.
    pub(crate) sabotage: Option<Sabotage>,
}

/// Rides and drivers that one batch has refused: their later items fail too.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    rides: BTreeSet<RideId>,
    drivers: BTreeSet<DriverId>,
    zones: BTreeSet<ZoneId>,
}

impl StoreModel {
    pub(crate) fn ride(&self, ride: &RideId) -> Option<&Arc<RideRecord>> {
        self.rides.get(ride).and_then(RideHistory::newest)
    }

    pub(crate) fn driver(&self, driver: &DriverId) -> Option<&Arc<DriverRecord>> {
        self.drivers.get(driver).and_then(|records| records.last())
    }

    /// The newest durable state of a zone's queue.
    pub(crate) fn queue(&self, zone: &ZoneId) -> Option<&Arc<QueueRecord>> {
        self.queues.get(zone).and_then(|commits| commits.last()).map(|commit| &commit.record)
    }

    /// Newest durable state of every ride.
    pub(crate) fn newest_rides(&self) -> impl Iterator<Item = &Arc<RideRecord>> {
        self.rides.values().filter_map(RideHistory::newest)
    }

    pub(crate) fn is_poisoned(&self, incarnation: u64) -> bool {
        self.poisoned.contains(&incarnation)
    }

    pub(crate) fn poison(&mut self, incarnation: u64) {
        self.poisoned.insert(incarnation);
    }

    /// Whether `item` may be kept: next version, right epoch, one active and one forward ride per
    /// driver.
    pub(crate) fn admits(&self, item: &Durable, epoch: u64, refused: &mut Refused) -> bool {
        let (owned, trusting) = (epoch == self.epoch, self.sabotage == Some(Sabotage::StaleWrites));
        match item {
            Durable::Ride(commit) => {
                let ride = &commit.record.request.ride;
                let current = self.rides.get(ride).map_or(0, RideHistory::version);
                let next = commit.record.version == current + 1;
                let fits = trusting || (owned && next && !refused.rides.contains(ride));
                let fits = fits && (trusting || !self.driver_is_taken(&commit.record));
                if !fits {
                    refused.rides.insert(ride.clone());
                }
                fits
            }
            Durable::Driver(record) => {
                let fits = trusting || (owned && !refused.drivers.contains(&record.driver));
                if !fits {
                    refused.drivers.insert(record.driver.clone());
                }
                fits
            }
            Durable::Zone(commit) => {
                let zone = &commit.record.zone;
                let current = self.queue(zone).map_or(0, |record| record.version);
                let next = commit.record.version == current + 1;
                let fits = trusting || (owned && next && !refused.zones.contains(zone));
                if !fits {
                    refused.zones.insert(zone.clone());
                }
                fits
            }
        }
    }

    fn driver_is_taken(&self, record: &RideRecord) -> bool {
        let Some(assignment) = &record.assignment else { return false };
        record.status.has_driver()
            && self.newest_rides().any(|other| {
                other.request.ride != record.request.ride
                    && other.status.has_driver()
                    && other.forward().is_some() == record.forward().is_some()
                    && other
                        .assignment
                        .as_ref()
                        .is_some_and(|a| a.driver.id == assignment.driver.id)
            })
    }

    pub(crate) fn keep(&mut self, item: &Durable) {
        match item {
            Durable::Ride(commit) => {
                let ride = commit.record.request.ride.clone();
                self.rides.entry(ride).or_default().commits.push(Arc::clone(commit));
            }
            Durable::Driver(record) => {
                self.drivers.entry(record.driver.clone()).or_default().push(Arc::clone(record));
            }
            Durable::Zone(commit) => {
                let zone = commit.record.zone.clone();
                self.queues.entry(zone).or_default().push(Arc::clone(commit));
            }
        }
    }
}
