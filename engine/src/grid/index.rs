//! The drivers of a market by cell.
//!
//! **Invariant M6**: a driver sits in exactly one cell, that of its newest applied position. Every
//! change of a driver's entry happens under the driver's key in `drivers`, so changes of one driver
//! take turns. Lock order: a driver's key, then his slot, then one cell. Queries take one cell at a
//! time, and fixes the slot alone, so nobody waits in a circle.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use dashmap::{DashMap, Entry};
use rustc_hash::FxBuildHasher;

use super::bucket::{Bucket, Occupant, Place};
use super::cells::{Cells, Placement};
use super::dropoffs::Dropoffs;
use super::reading::{RawReading, Reading};
use super::slot::DriverSlot;
use super::supply::{DriverStatus, Supply, TierSet};
use crate::geo::{Cell, CellRaster, CellResolution};
use crate::id::{DriverId, ZoneId};
use crate::market::Market;
use crate::time::Timestamp;
use crate::travel::TravelSlot;
use crate::zone::QueueOrder;

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
    pub(super) cells: Cells,
    pub(super) drivers: DashMap<DriverId, Placement, FxBuildHasher>,
    /// Drivers on a trip by where it ends; follows `drivers`, under the driver's key.
    pub(super) dropoffs: Dropoffs,
    queues: DashMap<ZoneId, Arc<QueueOrder>, BuildHasherDefault<DefaultHasher>>,
    pub(super) travel: TravelSlot,
}

impl Grid {
    /// An empty grid with cells of `resolution`, anywhere.
    pub fn new(resolution: CellResolution) -> Self {
        Self::with_raster(Arc::new(CellRaster::empty(resolution)))
    }

    /// An empty grid of `market`, whose cells are found fast.
    pub fn of(market: &Market) -> Self {
        Self::with_raster(market.raster())
    }

    fn with_raster(raster: Arc<CellRaster>) -> Self {
        Self {
            cells: Cells::new(raster),
            drivers: DashMap::default(),
            dropoffs: Dropoffs::default(),
            queues: DashMap::default(),
            travel: TravelSlot::default(),
        }
    }

    /// The resolution of the cells.
    pub fn resolution(&self) -> CellResolution {
        self.cells.resolution()
    }

    /// Puts the driver into the cell of the slot's newest position and sets its supply facts; moves
    /// the entry when there is one. Returns the cell, or `None` when the slot has no position,
    /// which leaves the driver out of the grid.
    ///
    /// A slot is followed in one grid at a time: another one may keep its entry, but as of then.
    pub fn place(&self, slot: &Arc<DriverSlot>, supply: impl Into<Arc<Supply>>) -> Option<Cell> {
        self.place_entry(Occupant {
            driver: slot.driver().clone(),
            slot: Arc::clone(slot),
            supply: supply.into(),
        })
    }

    fn place_entry(&self, entry: Occupant) -> Option<Cell> {
        match self.drivers.entry(entry.driver.clone()) {
            Entry::Vacant(vacant) => {
                let placed = self.enter(entry)?;
                self.dropoffs.shift(None, Some(&placed), self.resolution());
                let cell = self.cells.bucket(placed.number).cell;
                vacant.insert(placed);
                Some(cell)
            }
            Entry::Occupied(mut known) => {
                let (old, resolution) = (known.get_mut(), self.resolution());
                let before = old.clone();
                let stays = Arc::ptr_eq(&before.slot, &entry.slot);
                if !stays {
                    self.cells.unseat(old);
                }
                let placed = if stays { self.shift(old, entry) } else { self.enter(entry) };
                let Some(placed) = placed else {
                    self.cells.take(old);
                    self.dropoffs.shift(Some(&before), None, resolution);
                    known.remove();
                    return None;
                };
                if !stays {
                    self.cells.take(old);
                }
                self.dropoffs.shift(Some(&before), Some(&placed), resolution);
                let cell = self.cells.bucket(placed.number).cell;
                *old = placed;
                Some(cell)
            }
        }
    }

    /// Gives a slot that sits nowhere a place.
    fn enter(&self, entry: Occupant) -> Option<Placement> {
        let slot = Arc::clone(&entry.slot);
        slot.seated(|reading, seat| {
            let reading = reading?;
            let number = self.number_of_reading(&reading)?;
            let place = self.cells.put(number, &entry, reading.unit(), seat);
            Some(placed(number, place, entry))
        })
    }

    /// Gives a slot that sits somewhere its new place, and takes the old one from it where that is
    /// another; `None` when the slot has no position, so that only the seat is taken.
    fn shift(&self, old: &Placement, entry: Occupant) -> Option<Placement> {
        let slot = Arc::clone(&entry.slot);
        // The position is read under the driver's key: of two calls the later sees the newer.
        slot.seated(|reading, seat| {
            let number = reading.and_then(|reading| self.number_of_reading(&reading));
            let Some((reading, number)) = reading.zip(number) else {
                *seat = None;
                return None;
            };
            let bucket = self.cells.bucket(number);
            let sits = number == old.number
                && entry.supply.taken() == old.place.taken
                && seat.as_ref().is_some_and(|seat| bucket.is_seat(old.place, seat));
            if sits {
                bucket.refresh(old.place, entry.clone());
                return Some(placed(number, old.place, entry));
            }
            // In before out: a query meanwhile may see the driver twice, which it can tell.
            let place = self.cells.put(number, &entry, reading.unit(), seat);
            self.cells.take(old);
            Some(placed(number, place, entry))
        })
    }

    /// Counts an offer on its way to a driver, so that others who search meanwhile see the slot
    /// taken; void at `until`, or with the driver's next [`place`](Self::place).
    pub fn hold(&self, driver: &DriverId, now: Timestamp, until: Timestamp) {
        if let Some(mut placed) = self.drivers.get_mut(driver) {
            let mut supply = Supply::clone(&placed.supply);
            supply.hold_slot(now, until);
            placed.supply = Arc::new(supply);
            let (slot, supply) = (Arc::clone(&placed.slot), Arc::clone(&placed.supply));
            let entry = Occupant { driver: slot.driver().clone(), slot, supply };
            // A hold changes nothing that decides who may be free.
            self.cells.bucket(placed.number).refresh(placed.place, entry);
        }
    }

    /// Takes the driver out; returns whether it was in.
    pub fn remove(&self, driver: &DriverId) -> bool {
        match self.drivers.entry(driver.clone()) {
            Entry::Vacant(_) => false,
            Entry::Occupied(placed) => {
                self.cells.unseat(placed.get());
                self.cells.take(placed.get());
                self.dropoffs.shift(Some(placed.get()), None, self.resolution());
                placed.remove();
                true
            }
        }
    }

    /// The supply facts of a driver in the grid.
    pub fn supply_of(&self, driver: &DriverId) -> Option<Supply> {
        self.drivers.get(driver).map(|placement| Supply::clone(&placement.supply))
    }

    /// The supply facts and the newest position of a driver in the grid.
    pub fn supply_and_reading(&self, driver: &DriverId) -> Option<(Supply, Reading)> {
        let placement = self.drivers.get(driver)?;
        Some((Supply::clone(&placement.supply), placement.slot.read()?))
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
        self.drivers.get(driver).map(|placement| self.cells.bucket(placement.number).cell)
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
            let own = self.cells.bucket(driver.number).cell;
            let cell = own.parent(resolution).unwrap_or(own);
            let (counts, supply) = (counts.entry(cell).or_default(), &driver.supply);
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
    /// the slot's newest position, with a seat that tells it. Reads the whole grid.
    pub fn misplaced(&self) -> Vec<DriverId> {
        let mut entries = BTreeMap::<DriverId, Vec<bool>>::new();
        self.each_bucket(|bucket| {
            let here = bucket.read().all().map(|one| Arc::clone(&one.slot)).collect::<Vec<_>>();
            for slot in here {
                entries.entry(slot.driver().clone()).or_default().push(self.sits_in(bucket, &slot));
            }
        });
        for driver in &self.drivers {
            entries.entry(driver.key().clone()).or_default();
        }
        // A cell is never held while a driver's key is asked for: that is the other lock order.
        entries.retain(|driver, fits| *fits != [true] || self.cell_of(driver).is_none());
        entries.into_keys().chain(self.misplaced_dropoffs()).collect()
    }

    fn sits_in(&self, bucket: &Bucket, slot: &DriverSlot) -> bool {
        let Some(reading) = slot.read_raw() else { return false };
        let placed = self.drivers.get(slot.driver()).map(|placed| placed.place);
        let cell = self.number_of_reading(&reading).map(|number| self.cells.bucket(number).cell);
        cell == Some(bucket.cell)
            && slot.seated(|_, seat| {
                seat.as_ref().zip(placed).is_some_and(|(seat, place)| {
                    bucket.is_seat(place, seat) && seat.tells(reading.unit())
                })
            })
    }

    /// Visits every occupied cell, in the order in which cells were first needed.
    pub(super) fn each_bucket(&self, mut visit: impl FnMut(&Bucket)) {
        for (_, bucket) in self.cells.all().filter(|(_, bucket)| !bucket.is_empty()) {
            visit(bucket);
        }
    }

    /// A slot of another market's resolution still finds its place.
    fn number_of_reading(&self, reading: &RawReading) -> Option<u32> {
        let cell = reading.cell().filter(|cell| cell.resolution() == self.resolution());
        let number = cell.map(|cell| self.cells.number_of(cell));
        number.or_else(|| Some(self.cells.number_at(reading.decode()?.position)))
    }
}

fn placed(number: u32, place: Place, entry: Occupant) -> Placement {
    Placement { number, place, slot: entry.slot, supply: entry.supply }
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
        grid.each_bucket(|bucket| count += bucket.read().all().count());
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
        assert_eq!((grid.len(), entries(&grid), grid.cells.occupied()), (1, 1, 1));
        assert!(grid.remove(slot.driver()));
        assert_eq!((grid.len(), entries(&grid), grid.cells.occupied()), (0, 0, 0));
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
                            let near = grid.nearest::<DriverId, _, _>(
                                &query,
                                |_| (),
                                |_, _, _| Ok::<(), ()>(()),
                            );
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
        assert_eq!((entries(&grid), grid.cells.occupied()), (0, 0));
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
