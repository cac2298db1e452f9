//! The drivers of a market by cell.
//!
//! **Invariant M6**: a driver sits in exactly one cell, that of its newest applied position. Every
//! change of a driver's entry happens under the driver's key in `drivers`, so changes of one driver
//! take turns. Lock order: a driver's key, then one shard of cells. Queries take shards only, one
//! at a time, so nobody waits in a circle.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use dashmap::{DashMap, Entry};

use super::bucket::{Bucket, Occupant};
use super::dropoffs::Dropoffs;
use super::reach::ReachTable;
use super::slot::{DriverSlot, Reading};
use super::supply::{DriverStatus, Supply, TierSet};
use crate::geo::{Cell, CellResolution};
use crate::id::{DriverId, ZoneId};
use crate::time::Timestamp;
use crate::travel::TravelSlot;
use crate::zone::QueueOrder;

/// How many locks the cells are spread over.
const SHARDS: usize = 64;

/// Cells that share a parent this many resolutions up share a shard: 343 neighbours.
const SHARD_STEPS: u8 = 3;

/// Occupied cells by raw index. A cell without occupants is not in the map.
type Shard = BTreeMap<u64, Bucket>;

/// Where a driver's one entry is, and with which slot.
#[derive(Debug)]
pub(super) struct Placement {
    cell: Cell,
    pub(super) entry: Occupant,
}

/// Drivers of one status each, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusCounts {
    /// Drivers with [`DriverStatus::Offline`].
    pub offline: u32,
    /// Drivers with [`DriverStatus::Available`].
    pub available: u32,
    /// Drivers with [`DriverStatus::Reserved`].
    pub reserved: u32,
    /// Drivers with [`DriverStatus::EnRoute`].
    pub en_route: u32,
    /// Drivers with [`DriverStatus::AtPickup`].
    pub at_pickup: u32,
    /// Drivers with [`DriverStatus::OnTrip`].
    pub on_trip: u32,
}

/// Drivers of one cell, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellCounts {
    /// By status.
    pub drivers: StatusCounts,
    /// Those with [`DriverStatus::Available`] by the index of each tier they serve.
    pub available_by_tier: [u32; TierSet::TIERS_MAX],
}

impl StatusCounts {
    fn add(&mut self, status: DriverStatus) {
        let count = match status {
            DriverStatus::Offline => &mut self.offline,
            DriverStatus::Available => &mut self.available,
            DriverStatus::Reserved => &mut self.reserved,
            DriverStatus::EnRoute => &mut self.en_route,
            DriverStatus::AtPickup => &mut self.at_pickup,
            DriverStatus::OnTrip => &mut self.on_trip,
        };
        *count += 1;
    }
}

/// The grid of one market. All methods may be called from any thread.
#[derive(Debug)]
pub struct Grid {
    resolution: CellResolution,
    shard_resolution: CellResolution,
    shards: Vec<RwLock<Shard>>,
    pub(super) drivers: DashMap<DriverId, Placement, BuildHasherDefault<DefaultHasher>>,
    occupied: AtomicUsize,
    /// Drivers on a trip by where it ends; follows `drivers`, under the driver's key.
    pub(super) dropoffs: Dropoffs,
    queues: DashMap<ZoneId, Arc<QueueOrder>, BuildHasherDefault<DefaultHasher>>,
    pub(super) reach: ReachTable,
    pub(super) travel: TravelSlot,
}

impl Grid {
    /// An empty grid with cells of `resolution`.
    pub fn new(resolution: CellResolution) -> Self {
        Self {
            resolution,
            shard_resolution: resolution.coarser(SHARD_STEPS),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            drivers: DashMap::default(),
            occupied: AtomicUsize::new(0),
            dropoffs: Dropoffs::default(),
            queues: DashMap::default(),
            reach: ReachTable::default(),
            travel: TravelSlot::default(),
        }
    }

    /// The resolution of the cells.
    pub const fn resolution(&self) -> CellResolution {
        self.resolution
    }

    /// Puts the driver into the cell of the slot's newest position and sets its supply facts; moves
    /// the entry when there is one. Returns the cell, or `None` when the slot has no position,
    /// which leaves the driver out of the grid.
    pub fn place(&self, slot: &Arc<DriverSlot>, supply: Supply) -> Option<Cell> {
        let entry = Occupant { slot: Arc::clone(slot), supply };
        match self.drivers.entry(slot.driver().clone()) {
            // The position is read under the driver's key: of two calls the later sees the newer.
            Entry::Vacant(vacant) => {
                let cell = self.cell_of_reading(&slot.read()?);
                self.put(cell, &entry);
                self.dropoffs.shift(None, Some(&entry), self.resolution);
                vacant.insert(Placement { cell, entry });
                Some(cell)
            }
            Entry::Occupied(mut placed) => {
                let Some(reading) = slot.read() else {
                    self.take(placed.get());
                    self.dropoffs.shift(Some(&placed.get().entry), None, self.resolution);
                    placed.remove();
                    return None;
                };
                let cell = self.cell_of_reading(&reading);
                self.shift(placed.get(), cell, &entry);
                self.dropoffs.shift(Some(&placed.get().entry), Some(&entry), self.resolution);
                placed.insert(Placement { cell, entry });
                Some(cell)
            }
        }
    }

    /// Counts an offer on its way to a driver, so that others who search meanwhile see the slot
    /// taken; void at `until`, or with the driver's next [`place`](Self::place).
    pub fn hold(&self, driver: &DriverId, now: Timestamp, until: Timestamp) {
        if let Entry::Occupied(mut placed) = self.drivers.entry(driver.clone()) {
            let cell = placed.get().cell;
            let mut entry = placed.get().entry.clone();
            entry.supply.hold_slot(now, until);
            self.shift(placed.get(), cell, &entry);
            placed.insert(Placement { cell, entry });
        }
    }

    /// Takes the driver out; returns whether it was in.
    pub fn remove(&self, driver: &DriverId) -> bool {
        match self.drivers.entry(driver.clone()) {
            Entry::Vacant(_) => false,
            Entry::Occupied(placed) => {
                self.take(placed.get());
                self.dropoffs.shift(Some(&placed.get().entry), None, self.resolution);
                placed.remove();
                true
            }
        }
    }

    /// The supply facts of a driver in the grid.
    pub fn supply_of(&self, driver: &DriverId) -> Option<Supply> {
        self.drivers.get(driver).map(|placement| placement.entry.supply.clone())
    }

    /// The supply facts and the newest position of a driver in the grid.
    pub fn supply_and_reading(&self, driver: &DriverId) -> Option<(Supply, Reading)> {
        let placement = self.drivers.get(driver)?;
        Some((placement.entry.supply.clone(), placement.entry.slot.read()?))
    }

    /// Replaces what is known of the order of a zone's queue, unless that is newer already.
    pub fn publish_queue(&self, zone: &ZoneId, order: Arc<QueueOrder>) {
        let mut known = self.queues.entry(zone.clone()).or_insert_with(|| Arc::clone(&order));
        if known.record().version <= order.record().version {
            *known = order;
        }
    }

    /// The durable order of a zone's queue.
    pub fn queue(&self, zone: &ZoneId) -> Option<Arc<QueueOrder>> {
        self.queues.get(zone).map(|order| Arc::clone(order.value()))
    }

    /// The cell a driver's entry is in.
    pub fn cell_of(&self, driver: &DriverId) -> Option<Cell> {
        self.drivers.get(driver).map(|placement| placement.cell)
    }

    /// How many drivers are in the grid.
    pub fn len(&self) -> usize {
        self.drivers.len()
    }

    /// Whether no driver is in the grid.
    pub fn is_empty(&self) -> bool {
        self.drivers.is_empty()
    }

    /// Drivers by cell, status and tier, in cells of `resolution`, or of the grid where that is
    /// finer.
    pub fn counts_by_cell(&self, resolution: CellResolution) -> BTreeMap<Cell, CellCounts> {
        let mut counts = BTreeMap::<Cell, CellCounts>::new();
        for driver in &self.drivers {
            let cell = driver.cell.parent(resolution).unwrap_or(driver.cell);
            let (counts, supply) = (counts.entry(cell).or_default(), &driver.entry.supply);
            counts.drivers.add(supply.status);
            if supply.status == DriverStatus::Available {
                for tier in supply.tiers.indices() {
                    counts.available_by_tier[usize::from(tier)] += 1;
                }
            }
        }
        counts
    }

    /// Checks M6 while nothing moves: the drivers whose entries are not exactly one, in the cell of
    /// the slot's newest position. Reads the whole grid.
    pub fn misplaced(&self) -> Vec<DriverId> {
        let mut entries = BTreeMap::<DriverId, Vec<bool>>::new();
        self.each_bucket(|cell, bucket| {
            for Occupant { slot, .. } in bucket.all() {
                let here = slot.read().map(|reading| self.cell_of_reading(&reading).raw());
                entries.entry(slot.driver().clone()).or_default().push(here == Some(cell));
            }
        });
        for driver in &self.drivers {
            entries.entry(driver.key().clone()).or_default();
        }
        // A shard is never held while a driver's key is asked for: that is the other lock order.
        entries.retain(|driver, fits| *fits != [true] || self.cell_of(driver).is_none());
        entries.into_keys().chain(self.misplaced_dropoffs()).collect()
    }

    /// How many cells have occupants.
    pub(super) fn occupied(&self) -> usize {
        self.occupied.load(Ordering::Relaxed)
    }

    /// Visits the occupied of `cells`. Holds one shard at a time; `visit` must not touch the grid.
    pub(super) fn each_in(&self, cells: &[Cell], mut visit: impl FnMut(&Bucket)) {
        for run in cells.chunk_by(|a, b| self.shard_of(*a) == self.shard_of(*b)) {
            let Some(first) = run.first() else { continue };
            let shard = self.shard_to_read(self.shard_of(*first));
            for cell in run {
                shard.get(&cell.raw()).into_iter().for_each(&mut visit);
            }
        }
    }

    /// Visits every occupied cell. Holds one shard at a time.
    pub(super) fn each_bucket(&self, mut visit: impl FnMut(u64, &Bucket)) {
        for shard in 0..SHARDS {
            self.shard_to_read(shard).iter().for_each(|(cell, bucket)| visit(*cell, bucket));
        }
    }

    /// A slot of another market's resolution still finds its place.
    fn cell_of_reading(&self, reading: &Reading) -> Cell {
        if reading.cell.resolution() == self.resolution {
            return reading.cell;
        }
        Cell::at(reading.position, self.resolution)
    }

    /// Puts an entry into a cell where the driver has none.
    fn put(&self, cell: Cell, entry: &Occupant) {
        let mut shard = self.shard_to_write(cell);
        let bucket = shard.entry(cell.raw()).or_insert_with(|| Bucket::new(cell));
        if bucket.is_empty() {
            self.occupied.fetch_add(1, Ordering::Relaxed);
        }
        bucket.put(entry.clone());
    }

    /// Replaces the driver's entry by a new one in `cell`.
    fn shift(&self, old: &Placement, cell: Cell, entry: &Occupant) {
        if old.cell != cell {
            // In before out: a query meanwhile may see the driver twice, which it can tell.
            self.put(cell, entry);
            self.take(old);
            return;
        }
        if let Some(bucket) = self.shard_to_write(cell).get_mut(&cell.raw()) {
            bucket.take(&old.entry);
            bucket.put(entry.clone());
        }
    }

    fn take(&self, old: &Placement) {
        let mut shard = self.shard_to_write(old.cell);
        let Some(bucket) = shard.get_mut(&old.cell.raw()) else { return };
        bucket.take(&old.entry);
        if bucket.is_empty() {
            shard.remove(&old.cell.raw());
            self.occupied.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn shard_of(&self, cell: Cell) -> usize {
        let parent = cell.parent(self.shard_resolution).unwrap_or(cell).raw();
        // Fibonacci hashing: the upper bits of the product depend on all bits of the index.
        (parent.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % SHARDS
    }

    fn shard_to_read(&self, shard: usize) -> RwLockReadGuard<'_, Shard> {
        self.shards[shard].read().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard_to_write(&self, cell: Cell) -> RwLockWriteGuard<'_, Shard> {
        self.shards[self.shard_of(cell)].write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    use crate::geo::Position;
    use crate::grid::slot::tests::{fix_at, roomy, world};
    use crate::grid::{NearbyQuery, TierSet};
    use crate::units::Meters;

    fn supply(status: DriverStatus) -> Supply {
        Supply { status, ..Supply::free(TierSet::EMPTY.with(0)) }
    }

    fn slot(name: &str) -> Arc<DriverSlot> {
        Arc::new(DriverSlot::new(DriverId::new(name).unwrap()))
    }

    fn drive(slot: &DriverSlot, lat: f64, lng: f64, at_ms: u64) {
        let now = Timestamp::from_millis(at_ms);
        slot.apply(&fix_at(lat, lng, at_ms), now, &roomy(), &world()).unwrap();
    }

    fn grid() -> Grid {
        Grid::new(CellResolution::new(9).unwrap())
    }

    /// Entries in all cells, not drivers.
    fn entries(grid: &Grid) -> usize {
        let mut count = 0;
        grid.each_bucket(|_, bucket| count += bucket.all().count());
        count
    }

    #[test]
    fn a_driver_without_a_position_is_not_in_the_grid() {
        let (grid, slot) = (grid(), slot("d"));
        assert_eq!(grid.place(&slot, supply(DriverStatus::Available)), None);
        assert!(grid.is_empty());
        assert!(!grid.remove(slot.driver()));
    }

    #[test]
    fn placing_again_moves_the_entry_and_refreshes_the_supply() {
        let (grid, slot) = (grid(), slot("d"));
        drive(&slot, 40.75, -73.98, 1_000);
        let first = grid.place(&slot, supply(DriverStatus::Available));
        assert_eq!(grid.place(&slot, supply(DriverStatus::Available)), first);
        drive(&slot, 40.80, -73.90, 2_000);
        let second = grid.place(&slot, supply(DriverStatus::EnRoute));
        assert_ne!(first, second);
        assert_eq!(grid.cell_of(slot.driver()), second);
        assert_eq!(grid.supply_of(slot.driver()), Some(supply(DriverStatus::EnRoute)));
        assert_eq!((grid.len(), entries(&grid), grid.occupied()), (1, 1, 1));
        assert!(grid.remove(slot.driver()));
        assert_eq!((grid.len(), entries(&grid), grid.occupied()), (0, 0, 0));
    }

    #[test]
    fn a_new_slot_of_the_same_driver_takes_the_place_of_the_old_one() {
        let (grid, old, new) = (grid(), slot("d"), slot("d"));
        drive(&old, 40.75, -73.98, 1_000);
        drive(&new, 40.75, -73.98, 2_000);
        grid.place(&old, supply(DriverStatus::Available));
        grid.place(&new, supply(DriverStatus::Available));
        assert_eq!((grid.len(), entries(&grid)), (1, 1));
    }

    #[test]
    fn an_entry_that_was_not_moved_after_its_slot_is_misplaced() {
        let (grid, slot) = (grid(), slot("d"));
        drive(&slot, 40.75, -73.98, 1_000);
        grid.place(&slot, supply(DriverStatus::Available));
        assert_eq!(grid.misplaced(), vec![]);
        drive(&slot, 40.80, -73.90, 2_000);
        assert_eq!(grid.misplaced(), vec![slot.driver().clone()]);
    }

    #[test]
    fn counts_add_up_by_status_in_coarser_cells() {
        let grid = grid();
        for i in 0..20_u32 {
            let slot = slot(&format!("d{i}"));
            drive(&slot, 40.75 + f64::from(i) * 0.0001, -73.98, 1_000);
            let status = if i % 2 == 0 { DriverStatus::Available } else { DriverStatus::OnTrip };
            grid.place(&slot, supply(status));
        }
        let counts = grid.counts_by_cell(CellResolution::new(5).unwrap());
        let whole = StatusCounts { available: 10, on_trip: 10, ..StatusCounts::default() };
        let drivers: Vec<_> = counts.into_values().map(|cell| cell.drivers).collect();
        assert_eq!(drivers, vec![whole]);
    }

    #[test]
    fn a_driver_is_in_one_cell_after_threads_raced_to_move_and_remove_it() {
        let grid = grid();
        let slots: Vec<_> = (0..8).map(|i| slot(&format!("d{i}"))).collect();
        thread::scope(|scope| {
            for thread in 0..4_u32 {
                let (grid, slots) = (&grid, &slots);
                scope.spawn(move || {
                    for i in 0..2_000_u32 {
                        let slot = &slots[((i * 7 + thread) % 8) as usize];
                        let lat = 40.5 + f64::from((i * 31 + thread * 17) % 97) * 0.005;
                        let now = Timestamp::from_millis(u64::from(i) * 10 + u64::from(thread));
                        let fix = fix_at(lat, -73.98, now.as_millis());
                        // Threads overtake one another, so some fixes are out of order.
                        let _ = slot.apply(&fix, now, &roomy(), &world());
                        if i % 5 == 0 {
                            grid.remove(slot.driver());
                        } else {
                            grid.place(slot, supply(DriverStatus::Available));
                        }
                        if i % 50 == 0 {
                            let at = Position::from_degrees(lat, -73.98).unwrap();
                            let radius = Meters::new(3e4);
                            let query = NearbyQuery {
                                at,
                                radius,
                                limit: 5,
                                excluded_max: 0,
                                live_offers_max: 2,
                                now,
                                explains: true,
                            };
                            let near = grid.nearest(&query, |_| (), |_, _, _| Ok::<(), ()>(()));
                            assert!(near.found.len() <= 5);
                        }
                    }
                });
            }
        });
        assert_eq!(entries(&grid), grid.len());
        for slot in &slots {
            grid.place(slot, supply(DriverStatus::Available));
        }
        assert_eq!(grid.misplaced(), vec![]);
        assert_eq!((grid.len(), entries(&grid)), (8, 8));
        for slot in &slots {
            assert!(grid.remove(slot.driver()));
        }
        assert_eq!((entries(&grid), grid.occupied()), (0, 0));
    }

    #[test]
    fn a_held_slot_counts_until_it_is_void_or_the_driver_is_placed_again() {
        let (grid, world) = (Grid::new(CellResolution::new(9).unwrap()), world());
        let slot = slot("a");
        slot.apply(&fix_at(0.5, 0.5, 1_000), Timestamp::from_millis(1_000), &roomy(), &world)
            .unwrap();
        grid.place(&slot, supply(DriverStatus::Available));
        let ms = Timestamp::from_millis;
        let taken = |at| grid.supply_of(slot.driver()).unwrap().slots_taken(ms(at));
        grid.hold(slot.driver(), ms(10), ms(100));
        grid.hold(slot.driver(), ms(20), ms(120));
        assert_eq!((taken(50), taken(119), taken(120)), (2, 2, 0));
        grid.hold(slot.driver(), ms(130), ms(200));
        assert_eq!(taken(150), 1, "a void hold is not counted on");
        grid.place(&slot, supply(DriverStatus::Available));
        assert_eq!(taken(150), 0);
    }
}
