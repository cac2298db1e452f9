//! The drivers of one cell.
//!
//! Those who may be free are kept apart from those who are out of the question whatever the ride:
//! when a city runs out of drivers, thousands are on rides within every search's radius, and a
//! search that looked at each would cost the more the busier the city is.

use std::sync::Arc;

use super::slot::DriverSlot;
use super::supply::{Supply, Taken};
use crate::geo::{Cell, UnitVector};

/// Covers floating point error in the radius of a cell.
const ROUNDING_MARGIN: f64 = 1.001;

/// One driver in one cell.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    pub(super) slot: Arc<DriverSlot>,
    pub(super) supply: Supply,
}

/// The drivers of one cell.
#[derive(Debug)]
pub(super) struct Bucket {
    /// The centre of the cell.
    pub(super) centre: UnitVector,
    /// No place in the cell is a longer chord away from its centre, in earth radii.
    pub(super) circumradius: f64,
    /// Drivers who may be free.
    pub(super) free: Vec<Occupant>,
    /// Drivers who are not, in any order.
    pub(super) taken: Vec<Occupant>,
    /// Of `taken`, how many are so why, as in [`Taken::LASTING`].
    counts: [u32; Taken::LASTING.len()],
}

impl Bucket {
    /// An empty cell.
    pub(super) fn new(cell: Cell) -> Self {
        let centre = cell.centre_unit();
        let corners = cell.corners().into_iter().map(|corner| centre.chord_squared(corner).sqrt());
        let circumradius = corners.fold(0.0, f64::max) * ROUNDING_MARGIN;
        let counts = [0; Taken::LASTING.len()];
        Self { centre, circumradius, free: Vec::new(), taken: Vec::new(), counts }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.free.is_empty() && self.taken.is_empty()
    }

    /// Everyone.
    pub(super) fn all(&self) -> impl Iterator<Item = &Occupant> {
        self.free.iter().chain(&self.taken)
    }

    /// How many of `taken` there are, by why.
    pub(super) fn taken_counts(&self) -> impl Iterator<Item = (Taken, u32)> {
        Taken::LASTING.into_iter().zip(self.counts).filter(|(_, count)| *count > 0)
    }

    /// Adds a driver who is not here.
    pub(super) fn put(&mut self, occupant: Occupant) {
        match occupant.supply.taken() {
            None => self.free.push(occupant),
            Some(why) => {
                self.counts[why as usize] += 1;
                self.taken.push(occupant);
            }
        }
    }

    /// Takes out the entry `old`, if it is here. Slots are compared by address: looking into each
    /// would cost a cache miss.
    pub(super) fn take(&mut self, old: &Occupant) {
        let why = old.supply.taken();
        let entries = if why.is_none() { &mut self.free } else { &mut self.taken };
        let Some(place) = entries.iter().position(|other| Arc::ptr_eq(&other.slot, &old.slot))
        else {
            return;
        };
        entries.swap_remove(place);
        if let Some(why) = why {
            self.counts[why as usize] -= 1;
        }
    }
}
