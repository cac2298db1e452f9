//! What happened to riders and drivers in one run, as they would tell it.

use std::collections::BTreeMap;

use muster_city::trips::fare_cents;
use muster_engine::matching::WindowFacts;

use crate::world::Plan;

/// What a car that is online does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Idle,
    ToPickup,
    AtPickup,
    OnTrip,
}

/// How a ride came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) at_ms: u64,
    /// The reason, or else the last status.
    pub(crate) reason: String,
    pub(crate) offers: u32,
    /// Offers declined or left to run out.
    pub(crate) refused: u32,
    pub(crate) reallocations: u32,
}

/// A ride; all times in milliseconds after the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct RideEntry {
    pub(crate) requested_ms: Option<u64>,
    pub(crate) assigned_ms: Option<u64>,
    /// The newest assignment: when it was, and how long its driver needs to the pickup.
    pub(crate) last_assigned_ms: u64,
    pub(crate) pickup_ms: u64,
    pub(crate) driver: Option<usize>,
    pub(crate) arrived_ms: u64,
    pub(crate) boarded_ms: Option<u64>,
    pub(crate) ended: Option<Ended>,
}

impl RideEntry {
    /// When a rider without a driver left, or the search for one ended.
    pub(crate) fn left_ms(&self) -> Option<u64> {
        self.ended.as_ref().map(|ended| ended.at_ms)
    }
}

/// A driver; spans are clipped to what is measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DriverEntry {
    pub(crate) idle_ms: u64,
    pub(crate) to_pickup_ms: u64,
    pub(crate) at_pickup_ms: u64,
    pub(crate) on_trip_ms: u64,
    pub(crate) earned_cents: u64,
}

/// Dispatch windows in what is measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WindowCounts {
    pub(crate) matched: u64,
    pub(crate) not_optimal: u64,
}

/// The book of one run.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) rides: Vec<RideEntry>,
    pub(crate) drivers: Vec<DriverEntry>,
    pub(crate) windows: WindowCounts,
    /// What must never happen, by name.
    pub(crate) violations: BTreeMap<String, u64>,
    span_ms: (u64, u64),
}

impl Ledger {
    pub(crate) fn new(plan: &Plan<'_>) -> Self {
        Self {
            rides: vec![RideEntry::default(); plan.trips.len()],
            drivers: vec![DriverEntry::default(); plan.drivers],
            windows: WindowCounts::default(),
            violations: BTreeMap::new(),
            span_ms: (plan.measured_from_ms, plan.measured_until_ms),
        }
    }

    pub(crate) fn violated(&mut self, what: &str) {
        *self.violations.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn requested(&mut self, ride: usize, at_ms: u64) {
        self.rides[ride].requested_ms = Some(at_ms);
    }

    pub(crate) fn was_assigned(&self, ride: usize) -> bool {
        self.rides[ride].assigned_ms.is_some()
    }

    pub(crate) fn is_on_board(&self, ride: usize) -> bool {
        self.rides[ride].boarded_ms.is_some()
    }

    /// A driver begins his way to the pickup; tells whether he is the ride's first.
    pub(crate) fn assigned(
        &mut self,
        ride: usize,
        driver: usize,
        at_ms: u64,
        pickup_ms: u64,
    ) -> bool {
        let entry = &mut self.rides[ride];
        let first = entry.assigned_ms.is_none();
        entry.assigned_ms.get_or_insert(at_ms);
        entry.last_assigned_ms = at_ms;
        entry.pickup_ms = pickup_ms;
        entry.driver = Some(driver);
        first
    }

    pub(crate) fn arrived(&mut self, ride: usize, at_ms: u64) {
        self.rides[ride].arrived_ms = at_ms;
    }

    /// A rider gets in, once at most.
    pub(crate) fn boarded(&mut self, ride: usize, at_ms: u64) {
        if self.rides[ride].boarded_ms.replace(at_ms).is_some() {
            self.violated("boarded_twice");
        }
    }

    pub(crate) fn completed(&mut self, driver: usize, at_ms: u64, way_m: f64) {
        let (from_ms, until_ms) = self.span_ms;
        if (from_ms..until_ms).contains(&at_ms) {
            self.drivers[driver].earned_cents += fare_cents(way_m);
        }
    }

    pub(crate) fn spent(&mut self, driver: usize, what: Activity, (from_ms, to_ms): (u64, u64)) {
        let clip = |ms: u64| ms.clamp(self.span_ms.0, self.span_ms.1);
        let ms = clip(to_ms).saturating_sub(clip(from_ms));
        let entry = &mut self.drivers[driver];
        match what {
            Activity::Idle => entry.idle_ms += ms,
            Activity::ToPickup => entry.to_pickup_ms += ms,
            Activity::AtPickup => entry.at_pickup_ms += ms,
            Activity::OnTrip => entry.on_trip_ms += ms,
        }
    }

    pub(crate) fn window_matched(&mut self, facts: WindowFacts) {
        self.windows.matched += 1;
        self.windows.not_optimal += u64::from(!facts.optimal);
    }

    pub(crate) fn ended(&mut self, ride: usize, ended: Ended) {
        self.rides[ride].ended = Some(ended);
    }

    /// The rides whose figures count, by their place among the trips.
    pub(crate) fn measured(&self) -> impl Iterator<Item = (usize, &RideEntry)> {
        let (from_ms, until_ms) = self.span_ms;
        let counts = move |at_ms: u64| (from_ms..until_ms).contains(&at_ms);
        let rides = self.rides.iter().enumerate();
        rides.filter(move |(_, ride)| ride.requested_ms.is_some_and(counts))
    }

    pub(crate) const fn until_ms(&self) -> u64 {
        self.span_ms.1
    }
}
