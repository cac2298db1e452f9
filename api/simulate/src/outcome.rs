//! What came of one run: figures, why riders were not served, and where.

use std::collections::BTreeMap;

use muster_engine::geo::{Cell, CellResolution};
use serde::Serialize;

use crate::city;
use crate::figures::{Figures, Sample, share_pct};
use crate::ledger::{Ledger, RideEntry};
use crate::world::Plan;

/// Resolution of the cells in which service is compared: about 0.7 km² each.
const CELL_RESOLUTION: u8 = 8;

/// Requests from which on a cell says something.
const CELL_REQUESTS_MIN: usize = 20;

/// Points that a distribution is told by.
pub(crate) const QUANTILES: usize = 101;

/// Riders of one cell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellOutcome {
    /// The H3 cell of their pickups.
    pub cell: Cell,
    /// How many asked.
    pub requested: usize,
    /// How many were not served.
    pub unserved: usize,
    /// How long nine in ten waited at most for a driver, or until they left, in seconds.
    pub wait_s_p90: f64,
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunOutcome {
    /// The column.
    pub policy: String,
    /// Size of the fleet.
    pub drivers: usize,
    /// Seed of trips and people.
    pub seed: u64,
    /// Figures by name.
    pub figures: BTreeMap<&'static str, f64>,
    /// Riders who were not served, by reason; `waiting_at_end` had no driver yet.
    pub unserved: BTreeMap<String, usize>,
    /// What must never happen, by name, and how often it did.
    pub violations: BTreeMap<String, u64>,
    /// Quantiles 0, 1, …, 100 % of the way to the pickup, in seconds.
    pub pickup_eta_s: Vec<f64>,
    /// Quantiles 0, 1, …, 100 % of the wait of all riders, in seconds.
    pub wait_s: Vec<f64>,
    /// Riders by cell.
    pub cells: Vec<CellOutcome>,
}

/// The measured rides, and who of them was served.
struct Riders<'l> {
    rides: Vec<(usize, &'l RideEntry)>,
    until_ms: u64,
}

impl Riders<'_> {
    fn is_served(&self, ride: &RideEntry) -> bool {
        ride.boarded_ms.is_some() && ride.last_assigned_ms <= self.until_ms
    }

    /// How long a rider waited for a driver, or until he left or it was over, in seconds.
    fn wait_s(&self, ride: &RideEntry, left_ms: Option<u64>) -> f64 {
        let requested_ms = ride.requested_ms.unwrap_or(0);
        let until_ms = ride.assigned_ms.or(left_ms).unwrap_or(self.until_ms).min(self.until_ms);
        seconds(until_ms.saturating_sub(requested_ms))
    }

    fn served(&self) -> impl Iterator<Item = &RideEntry> {
        self.rides.iter().map(|(_, ride)| *ride).filter(|ride| self.is_served(ride))
    }
}

impl RunOutcome {
    pub(crate) fn of(policy: &str, plan: &Plan<'_>, ledger: &Ledger) -> Self {
        let riders = Riders { rides: ledger.measured().collect(), until_ms: ledger.until_ms() };
        let waits = |ride: &RideEntry| riders.wait_s(ride, ride.left_ms());
        let wait = Sample::of(riders.rides.iter().map(|(_, ride)| waits(ride)));
        let pickup = Sample::of(riders.served().map(|ride| seconds(ride.pickup_ms)));
        let cells = cells(plan, &riders);
        let mut figures = Figures::new();
        service(&mut figures, &riders, &wait, &pickup);
        places(&mut figures, &cells);
        fleet(&mut figures, ledger);
        figures.insert("windows", ledger.windows.matched as f64);
        figures.insert("windows_not_optimal", ledger.windows.not_optimal as f64);
        figures.insert("violations", ledger.violations.values().sum::<u64>() as f64);
        let quantiles = |sample: &Sample| {
            let shares = (0..QUANTILES).map(|n| n as f64 / (QUANTILES - 1) as f64);
            shares.map(|share| rounded(sample.quantile(share))).collect()
        };
        Self {
            policy: policy.to_owned(),
            drivers: plan.drivers,
            seed: plan.seed,
            unserved: unserved(&riders),
            violations: ledger.violations.clone(),
            pickup_eta_s: quantiles(&pickup),
            wait_s: quantiles(&wait),
            cells,
            figures,
        }
    }
}

fn service(figures: &mut Figures, riders: &Riders<'_>, wait: &Sample, pickup: &Sample) {
    let (all, served) = (riders.rides.len(), riders.served().count());
    let assign = Sample::of(riders.served().map(|ride| riders.wait_s(ride, None)));
    let total =
        |ride: &RideEntry| seconds(ride.arrived_ms) - seconds(ride.requested_ms.unwrap_or(0));
    let total = Sample::of(riders.served().map(total));
    let ended = || riders.rides.iter().filter_map(|(_, ride)| ride.ended.as_ref());
    let per_ride = |sum: u32| f64::from(sum) / all.max(1) as f64;
    figures.extend([
        ("requested", all as f64),
        ("served", served as f64),
        ("served_pct", share_pct(served, all)),
        ("assign_s_mean", assign.mean()),
        ("assign_s_p50", assign.quantile(0.5)),
        ("assign_s_p90", assign.quantile(0.9)),
        ("assign_s_p99", assign.quantile(0.99)),
        ("pickup_eta_s_mean", pickup.mean()),
        ("pickup_eta_s_p50", pickup.quantile(0.5)),
        ("pickup_eta_s_p90", pickup.quantile(0.9)),
        ("total_s_mean", total.mean()),
        ("total_s_p90", total.quantile(0.9)),
        ("wait_s_p90", wait.quantile(0.9)),
        ("waited_60_s_pct", wait.above_pct(60.0)),
        ("waited_120_s_pct", wait.above_pct(120.0)),
        ("waited_240_s_pct", wait.above_pct(240.0)),
        ("offers_per_ride", per_ride(ended().map(|ended| ended.offers).sum())),
        ("refused_per_ride", per_ride(ended().map(|ended| ended.refused).sum())),
        (
            "reallocated_pct",
            share_pct(ended().filter(|ended| ended.reallocations > 0).count(), all),
        ),
    ]);
}

fn places(figures: &mut Figures, cells: &[CellOutcome]) {
    let telling = || cells.iter().filter(|cell| cell.requested >= CELL_REQUESTS_MIN);
    let served_pct = |cell: &CellOutcome| share_pct(cell.requested - cell.unserved, cell.requested);
    let wait = telling().map(|cell| cell.wait_s_p90).fold(0.0, f64::max);
    figures.insert("cell_wait_s_p90_max", wait);
    figures.insert("cell_served_pct_min", telling().map(served_pct).fold(100.0, f64::min));
}

fn fleet(figures: &mut Figures, ledger: &Ledger) {
    let sum =
        |of: fn(&crate::ledger::DriverEntry) -> u64| ledger.drivers.iter().map(of).sum::<u64>();
    let (idle, to_pickup) = (sum(|d| d.idle_ms), sum(|d| d.to_pickup_ms));
    let (at_pickup, on_trip) = (sum(|d| d.at_pickup_ms), sum(|d| d.on_trip_ms));
    let all = (idle + to_pickup + at_pickup + on_trip).max(1) as f64;
    let earned = Sample::of(ledger.drivers.iter().map(|driver| driver.earned_cents as f64));
    let idled = Sample::of(ledger.drivers.iter().map(|driver| driver.idle_ms as f64));
    figures.extend([
        ("on_trip_pct", on_trip as f64 / all * 100.0),
        ("to_pickup_pct", to_pickup as f64 / all * 100.0),
        ("idle_pct", idle as f64 / all * 100.0),
        ("earnings_gini", earned.gini()),
        ("idle_gini", idled.gini()),
    ]);
}

fn unserved(riders: &Riders<'_>) -> BTreeMap<String, usize> {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for (_, ride) in riders.rides.iter().filter(|(_, ride)| !riders.is_served(ride)) {
        let late =
            ride.boarded_ms.is_some() || ride.left_ms().is_some_and(|ms| ms > riders.until_ms);
        let reason = ride.ended.as_ref().filter(|_| !late).map(|ended| ended.reason.clone());
        *reasons.entry(reason.unwrap_or_else(|| "waiting_at_end".to_owned())).or_default() += 1;
    }
    reasons
}

fn cells(plan: &Plan<'_>, riders: &Riders<'_>) -> Vec<CellOutcome> {
    let Ok(resolution) = CellResolution::new(CELL_RESOLUTION) else { return Vec::new() };
    let mut by_cell: BTreeMap<Cell, Vec<(f64, bool)>> = BTreeMap::new();
    for (number, ride) in &riders.rides {
        let cell = Cell::at(city::position(plan.trips[*number].pickup), resolution);
        let wait_s = riders.wait_s(ride, ride.left_ms());
        by_cell.entry(cell).or_default().push((wait_s, riders.is_served(ride)));
    }
    let outcome = |(cell, riders): (Cell, Vec<(f64, bool)>)| CellOutcome {
        cell,
        requested: riders.len(),
        unserved: riders.iter().filter(|(_, served)| !served).count(),
        wait_s_p90: rounded(Sample::of(riders.iter().map(|(wait_s, _)| *wait_s)).quantile(0.9)),
    };
    by_cell.into_iter().map(outcome).collect()
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
