//! The cells of a grid, each with a number, so that what is looked up often is a place in a list.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::bucket::{Bucket, Occupant, Place};
use super::rings::RingRoom;
use super::seat::Seat;
use super::slot::DriverSlot;
use super::supply::Supply;
use crate::geo::{Cell, CellRaster, CellResolution, Position, UnitVector};

/// Where a driver's one entry is, with which slot and which facts.
#[derive(Debug, Clone)]
pub(super) struct Placement {
    /// The number of the cell.
    pub(super) number: u32,
    pub(super) place: Place,
    pub(super) slot: Arc<DriverSlot>,
    pub(super) supply: Arc<Supply>,
}

/// Every cell that a driver or a search has been to; none is ever taken out.
#[derive(Debug)]
pub(super) struct Cells {
    raster: Arc<CellRaster>,
    numbers: DashMap<Cell, u32, FxBuildHasher>,
    buckets: boxcar::Vec<Bucket>,
    occupied: AtomicUsize,
    pub(super) room: RingRoom,
}

impl Cells {
    /// No cell yet.
    pub(super) fn new(raster: Arc<CellRaster>) -> Self {
        Self {
            raster,
            numbers: DashMap::default(),
            buckets: boxcar::Vec::new(),
            occupied: AtomicUsize::new(0),
            room: RingRoom::default(),
        }
    }

    /// The resolution of the cells.
    pub(super) fn resolution(&self) -> CellResolution {
        self.raster.resolution()
    }

    /// The number of the cell that holds `position`.
    pub(super) fn number_at(&self, position: Position) -> u32 {
        self.number_of(self.raster.cell_at(position))
    }

    /// The number of a cell that holds `position` or lies beside it: where a search begins.
    pub(super) fn number_near(&self, position: Position) -> u32 {
        self.number_of(self.raster.cell_near(position))
    }

    /// The number of a cell.
    pub(super) fn number_of(&self, cell: Cell) -> u32 {
        if let Some(number) = self.numbers.get(&cell) {
            return *number;
        }
        let new = || u32::try_from(self.buckets.push(Bucket::new(cell))).unwrap_or(u32::MAX);
        *self.numbers.entry(cell).or_insert_with(new)
    }

    /// The cell with a number that these cells gave out.
    #[inline]
    pub(super) fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[number as usize]
    }

    /// All cells with their numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Bucket)> {
        self.buckets.iter().map(|(number, bucket)| (number as u32, bucket))
    }

    /// How many cells have occupants.
    pub(super) fn occupied(&self) -> usize {
        self.occupied.load(Ordering::Relaxed)
    }

    /// Adds a driver to a cell where he is not, and gives him a seat.
    pub(super) fn put(
        &self,
        number: u32,
        entry: &Occupant,
        at: UnitVector,
        seat: &mut Option<Seat>,
    ) -> Place {
        let (place, new, first) = self.bucket(number).put(entry.clone(), at);
        if first {
            self.occupied.fetch_add(1, Ordering::Relaxed);
        }
        *seat = Some(new);
        place
    }

    /// Takes a driver out of his cell. His slot must have let go of the seat: another driver gets it.
    pub(super) fn take(&self, old: &Placement) {
        if self.bucket(old.number).take(old.place) {
            self.occupied.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Makes the slot of an entry let go of its seat, if it is the one here.
    pub(super) fn unseat(&self, old: &Placement) {
        old.slot.seated(|_, seat| {
            let bucket = self.bucket(old.number);
            if seat.as_ref().is_some_and(|seat| bucket.is_seat(old.place, seat)) {
                *seat = None;
            }
        });
    }
}
