//! The drivers of one cell.
//!
//! Those who may be free are kept apart from those who are out of the question whatever the ride:
//! when a city runs out of drivers, thousands are on rides within every search's radius, and a
//! search that looked at each would cost the more the busier the city is.

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::rings::KnownRings;
use super::seat::{Plane, PlanePoint, SEATS_PER_BLOCK, Seat, SeatBlock, SeatRing};
use super::slot::DriverSlot;
use super::supply::{Supply, Taken};
use crate::geo::{Cell, UnitVector};
use crate::id::DriverId;

/// Covers floating point error in the radius of a cell.
const ROUNDING_MARGIN: f64 = 1.001;

/// A driver so many circumradii from the centre sits in a cell that is no longer his.
const REACH_CIRCUMRADII: f64 = 4.0;

/// One driver in one cell.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    /// As the slot knows him: here a search need not look at more of the slot than the position.
    pub(super) driver: DriverId,
    pub(super) slot: Arc<DriverSlot>,
    pub(super) supply: Arc<Supply>,
}

/// Which of a cell's occupants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) taken: Option<Taken>,
    pub(super) index: u32,
}

/// One cell of a grid. It stays when its last driver leaves.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) cell: Cell,
    /// The centre of the cell.
    pub(super) centre: UnitVector,
    /// No place in the cell is a longer chord away from its centre, in earth radii.
    pub(super) circumradius: f64,
    /// See [`Cell::sides`]; zeros where the cell has others.
    sides: [UnitVector; 6],
    /// How many drivers there are, to pass by without the lock.
    count: AtomicU32,
    occupants: RwLock<Occupants>,
    pub(super) plane: Arc<Plane>,
    /// The cells around, for searches that begin here.
    pub(super) rings: KnownRings,
}

/// The drivers of a cell.
#[derive(Debug, Default)]
pub(super) struct Occupants {
    /// Drivers who may be free.
    pub(super) free: Row,
    /// Drivers who are not.
    pub(super) taken: Row,
    /// Of `taken`, how many are so why, as in [`Taken::LASTING`].
    counts: [u32; Taken::LASTING.len()],
}

/// Drivers and their seats, by the same index. Nobody moves up when one leaves: a seat has a writer.
#[derive(Debug, Default)]
pub(super) struct Row {
    blocks: Vec<Arc<SeatBlock>>,
    occupants: Vec<Option<Occupant>>,
    vacant: Vec<u32>,
}

impl Bucket {
    /// An empty cell.
    pub(super) fn new(cell: Cell) -> Self {
        let centre = cell.centre_unit();
        let corners = cell.corners().into_iter().map(|corner| centre.chord_squared(corner).sqrt());
        let circumradius = corners.fold(0.0, f64::max) * ROUNDING_MARGIN;
        Self {
            cell,
            centre,
            circumradius,
            sides: cell.sides().unwrap_or([UnitVector([0.0; 3]); 6]),
            count: AtomicU32::new(0),
            occupants: RwLock::default(),
            plane: Arc::new(Plane::at(centre, circumradius * REACH_CIRCUMRADII)),
            rings: KnownRings::default(),
        }
    }

    /// How far `at` is beyond one of the sides, in earth radii: no place in the cell is nearer by its chord.
    #[inline]
    pub(super) fn beyond_side(&self, at: UnitVector) -> f64 {
        self.sides.iter().map(|side| side.dot(at)).fold(0.0, f64::max)
    }

    /// Whether nobody is here.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Who is here.
    #[inline]
    pub(super) fn read(&self) -> RwLockReadGuard<'_, Occupants> {
        self.occupants.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Occupants> {
        self.occupants.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a driver who is not here, at the position `at`; tells whether he is the first.
    pub(super) fn put(&self, occupant: Occupant, at: UnitVector) -> (Place, Seat, bool) {
        let taken = occupant.supply.taken();
        let mut occupants = self.write();
        if let Some(why) = taken {
            occupants.counts[why as usize] += 1;
        }
        let row = if taken.is_none() { &mut occupants.free } else { &mut occupants.taken };
        let (index, seat) = row.put(occupant, &self.plane, at);
        let first = self.count.fetch_add(1, Ordering::Relaxed) == 0;
        (Place { taken, index }, seat, first)
    }

    /// Replaces the facts of a driver who stays where he is.
    pub(super) fn refresh(&self, place: Place, occupant: Occupant) {
        let mut occupants = self.write();
        let row = occupants.row_mut(place);
        if let Some(known) = row.occupants.get_mut(place.index as usize) {
            *known = Some(occupant);
        }
    }

    /// Takes out the driver at `place`, whose slot has let go of his seat; tells whether he was the
    /// last.
    pub(super) fn take(&self, place: Place) -> bool {
        let mut occupants = self.write();
        if !occupants.row_mut(place).take(place.index) {
            return false;
        }
        if let Some(why) = place.taken {
            occupants.counts[why as usize] -= 1;
        }
        self.count.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Whether `seat` is the one at `place`.
    pub(super) fn is_seat(&self, place: Place, seat: &Seat) -> bool {
        let occupants = self.read();
        let (block, within) = split(place.index);
        occupants.row(place).blocks.get(block).is_some_and(|block| seat.is(block, within))
    }
}

impl Occupants {
    fn row(&self, place: Place) -> &Row {
        if place.taken.is_none() { &self.free } else { &self.taken }
    }

    fn row_mut(&mut self, place: Place) -> &mut Row {
        if place.taken.is_none() { &mut self.free } else { &mut self.taken }
    }

    /// Everyone.
    pub(super) fn all(&self) -> impl Iterator<Item = &Occupant> {
        self.free.iter().chain(self.taken.iter())
    }

    /// How many of `taken` there are, by why.
    pub(super) fn taken_counts(&self) -> impl Iterator<Item = (Taken, u32)> {
        Taken::LASTING.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }
}

impl Row {
    fn iter(&self) -> impl Iterator<Item = &Occupant> {
        self.occupants.iter().flatten()
    }

    /// The driver at an index.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Occupant> {
        self.occupants.get(index)?.as_ref()
    }

    /// How many are here.
    pub(super) fn len(&self) -> usize {
        self.occupants.len() - self.vacant.len()
    }

    /// Tells of each index whose seat is in the ring around `from`, and the squared distance.
    pub(super) fn each_within(
        &self,
        from: PlanePoint,
        ring: SeatRing,
        mut visit: impl FnMut(usize, f32),
    ) {
        for (block, seats) in self.blocks.iter().enumerate() {
            seats.each_within(from, ring, |seat, squared| {
                visit(block * SEATS_PER_BLOCK + seat, squared);
            });
        }
    }

    /// Fetches all seats: one block after the other would wait for each in turn.
    #[inline]
    pub(super) fn fetch_seats(&self) {
        black_box(self.blocks.iter().fold(0, |words, block| block.touch() ^ words));
    }

    fn put(&mut self, occupant: Occupant, plane: &Arc<Plane>, at: UnitVector) -> (u32, Seat) {
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.occupants.push(None);
            (self.occupants.len() - 1) as u32
        });
        let (block, within) = split(index);
        if self.blocks.len() <= block {
            self.blocks.push(Arc::default());
        }
        self.occupants[index as usize] = Some(occupant);
        (index, Seat::new(&self.blocks[block], within, plane, at))
    }

    fn take(&mut self, index: u32) -> bool {
        let known = self.occupants.get_mut(index as usize).and_then(Option::take);
        if known.is_none() {
            return false;
        }
        if self.vacant.len() + 1 == self.occupants.len() {
            // The last one out: what a full cell took is given back.
            *self = Self::default();
            return true;
        }
        let (block, within) = split(index);
        self.blocks[block].vacate(within);
        self.vacant.push(index);
        true
    }
}

/// The block of an index, and the seat in it.
const fn split(index: u32) -> (usize, usize) {
    (index as usize / SEATS_PER_BLOCK, index as usize % SEATS_PER_BLOCK)
}
