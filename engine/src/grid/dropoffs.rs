//! Drivers on a trip by where it ends, and the exact search among them.
//!
//! What counts is driver → drop-off + drop-off → pickup, which is never less than the second part: so
//! the rings of cells around the pickup, searched by drop-off, bound it from below, and the search
//! stops as the one for free drivers does (see [`rings`](super::rings)).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use super::cells::Placement;
use super::index::Grid;
use super::nearest::{BOUND_SLACK, Excluded, Found, Nearby};
use super::reading::Reading;
use super::rings::Walk;
use super::slot::DriverSlot;
use super::supply::Supply;
use crate::forward::{ForwardLink, ForwardWay};
use crate::geo::{Cell, CellResolution, Position, Rings, UnitVector};
use crate::id::DriverId;
use crate::units::Meters;

/// Drivers who may be asked for the ride after theirs, by the cell of its drop-off. Trips begin and
/// end far less often than drivers move, so that one lock does.
#[derive(Debug, Default)]
pub(super) struct Dropoffs {
    cells: RwLock<BTreeMap<u64, Vec<Arc<DriverSlot>>>>,
}

/// Which drivers on a trip to look for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardNearbyQuery {
    /// Where the next rider waits.
    pub pickup: Position,
    /// How long a driver's way there may be, by his drop-off.
    pub radius: Meters,
    /// How many drivers are wanted.
    pub limit: usize,
    /// Of how many refused drivers, those with the shortest way, it is told who they are.
    pub excluded_max: usize,
}

impl Dropoffs {
    /// Follows the change of a driver's entry.
    pub(super) fn shift(
        &self,
        old: Option<&Placement>,
        new: Option<&Placement>,
        resolution: CellResolution,
    ) {
        let dropoff = |entry: &Placement| Some(entry.supply.forward.link()?.dropoff);
        let place = |entry: Option<&Placement>| {
            entry.and_then(|entry| Some((dropoff(entry)?, Arc::clone(&entry.slot))))
        };
        let (old, new) = (place(old), place(new));
        let same = match (&old, &new) {
            (Some((at, slot)), Some((new_at, new_slot))) => {
                at == new_at && Arc::ptr_eq(slot, new_slot)
            }
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return;
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, slot)) = old {
            let cell = Cell::at(at, resolution).raw();
            if let Some(slots) = cells.get_mut(&cell) {
                slots.retain(|other| !Arc::ptr_eq(other, &slot));
                if slots.is_empty() {
                    cells.remove(&cell);
                }
            }
        }
        if let Some((at, slot)) = new {
            cells.entry(Cell::at(at, resolution).raw()).or_default().push(slot);
        }
    }

    fn occupied(&self) -> usize {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The drivers of some cells. A copy: their entries are looked up without this lock, which comes
    /// after the driver's key.
    fn of_cells(&self, cells_to_see: &[u64]) -> Vec<Arc<DriverSlot>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells_to_see.iter().filter_map(|cell| cells.get(cell)).flatten().cloned().collect()
    }

    /// The drivers of all cells but those of `seen`.
    fn of_the_rest(&self, seen: &BTreeSet<u64>) -> Vec<Arc<DriverSlot>> {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        let unseen = cells.iter().filter(|(cell, _)| !seen.contains(cell));
        unseen.flat_map(|(_, slots)| slots).cloned().collect()
    }
}

impl Grid {
    /// The drivers on a trip with the shortest way to the next pickup that `admit` lets pass, with what
    /// it keeps of their facts; it must not touch the grid. Distances are those of the whole way. In a
    /// grid at rest the answer is exact.
    pub fn nearest_by_dropoff<V, R: Copy + Ord>(
        &self,
        query: &ForwardNearbyQuery,
        admit: impl FnMut(&DriverId, &Supply, &Reading, ForwardWay) -> Result<V, R>,
    ) -> Nearby<DriverId, V, R> {
        let mut search =
            Search { query, admit, within: query.radius, found: Vec::new(), refused: Vec::new() };
        if query.limit > 0 {
            self.search_dropoffs(&mut search);
        }
        search.finish()
    }

    fn search_dropoffs<V, R: Copy + Ord, A>(&self, search: &mut Search<'_, V, R, A>)
    where
        A: FnMut(&DriverId, &Supply, &Reading, ForwardWay) -> Result<V, R>,
    {
        let origin = self.cells.number_near(search.query.pickup);
        let centre = self.cells.bucket(origin).centre;
        let off_centre = search.query.pickup.unit().chord_squared(centre).sqrt();
        let mut walk = Walk::around(&self.cells, origin);
        let mut seen = BTreeSet::new();
        for k in 0_u32.. {
            let Some(ring) = walk.next_ring() else { return };
            let within = UnitVector::distance_to_chord_squared(search.within).sqrt();
            if ring.floor - off_centre - BOUND_SLACK > within {
                return;
            }
            if Rings::disk_len(k) > self.dropoffs.occupied() as u64 {
                for slot in self.dropoffs.of_the_rest(&seen) {
                    self.consider_dropoff(&slot, search);
                }
                return;
            }
            let cells: Vec<u64> =
                ring.cells.iter().map(|number| self.cells.bucket(*number).cell.raw()).collect();
            for slot in self.dropoffs.of_cells(&cells) {
                self.consider_dropoff(&slot, search);
            }
            seen.extend(cells);
        }
    }

    fn consider_dropoff<V, R: Copy + Ord, A>(
        &self,
        slot: &Arc<DriverSlot>,
        search: &mut Search<'_, V, R, A>,
    ) where
        A: FnMut(&DriverId, &Supply, &Reading, ForwardWay) -> Result<V, R>,
    {
        let Some(supply) = self.supply_of(slot.driver()) else { return };
        // The trip may have ended since the cell was read.
        let Some(link) = supply.forward.link().cloned() else { return };
        if let Some(reading) = slot.read() {
            search.consider(slot, &supply, &link, reading);
        }
    }

    /// Drivers whose entries by drop-off are not exactly the one that their supply facts ask for,
    /// while nothing moves.
    pub(super) fn misplaced_dropoffs(&self) -> Vec<DriverId> {
        let mut entries = BTreeMap::<DriverId, Vec<u64>>::new();
        let cells = self.dropoffs.cells.read().unwrap_or_else(PoisonError::into_inner).clone();
        for (cell, slots) in &cells {
            for slot in slots {
                entries.entry(slot.driver().clone()).or_default().push(*cell);
            }
        }
        self.each_bucket(|bucket| {
            let occupants = bucket.read();
            let on_trip = occupants.all().filter(|one| one.supply.forward.link().is_some());
            for one in on_trip {
                entries.entry(one.slot.driver().clone()).or_default();
            }
        });
        let expected = |driver: &DriverId| {
            let dropoff = self.supply_of(driver)?.forward.link()?.dropoff;
            Some(Cell::at(dropoff, self.resolution()).raw())
        };
        entries.retain(|driver, cells| *cells != Vec::from_iter(expected(driver)));
        entries.into_keys().collect()
    }
}

struct Search<'q, V, R, A> {
    query: &'q ForwardNearbyQuery,
    admit: A,
    /// Only ways so long matter; shrinks once as many as wanted are found.
    within: Meters,
    /// Admitted, shortest way first, at most as many as wanted.
    found: Vec<Found<DriverId, V>>,
    refused: Vec<Excluded<R>>,
}

impl<V, R: Copy + Ord, A> Search<'_, V, R, A>
where
    A: FnMut(&DriverId, &Supply, &Reading, ForwardWay) -> Result<V, R>,
{
    fn consider(
        &mut self,
        slot: &Arc<DriverSlot>,
        supply: &Supply,
        link: &ForwardLink,
        reading: Reading,
    ) {
        let way = link.way(reading.position, self.query.pickup);
        // Who moves to a cell farther out during the search is met twice.
        if way.distance > self.within || self.found.iter().any(|f| f.driver == *slot.driver()) {
            return;
        }
        match (self.admit)(slot.driver(), supply, &reading, way) {
            Ok(kept) => {
                let (driver, distance) = (slot.driver().clone(), way.distance);
                self.keep(Found { driver, distance, reading, kept });
            }
            Err(reason) => self.refused.push(Excluded {
                driver: slot.driver().clone(),
                distance: way.distance,
                reason,
            }),
        }
    }

    fn keep(&mut self, admitted: Found<DriverId, V>) {
        let key = |found: &Found<DriverId, V>| (found.distance.get(), found.driver.clone());
        let (distance, driver) = key(&admitted);
        let before = |found: &Found<DriverId, V>| {
            let by_distance = found.distance.get().total_cmp(&distance);
            by_distance.then_with(|| found.driver.cmp(&driver)).is_lt()
        };
        let place = self.found.partition_point(before);
        self.found.insert(place, admitted);
        self.found.truncate(self.query.limit);
        if let Some(last) = self.found.get(self.query.limit - 1) {
            self.within = last.distance;
        }
    }

    fn finish(mut self) -> Nearby<DriverId, V, R> {
        let within = self.within;
        self.refused.retain(|refused| refused.distance <= within);
        let mut excluded_counts = BTreeMap::new();
        for refused in &self.refused {
            *excluded_counts.entry(refused.reason).or_insert(0) += 1;
        }
        self.refused.sort_by(|one, other| {
            let by_distance = one.distance.get().total_cmp(&other.distance.get());
            by_distance.then_with(|| one.driver.cmp(&other.driver))
        });
        self.refused.truncate(self.query.excluded_max);
        let complete = self.found.len() < self.query.limit;
        Nearby { found: self.found, excluded: self.refused, excluded_counts, complete }
    }
}
