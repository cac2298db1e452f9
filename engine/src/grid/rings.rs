//! The rings of cells around a cell, and how near the cells of a ring can be: the bound that lets a
//! search stop.
//!
//! Two neighbouring cells differ by at most one in their distance from an origin, so whoever walks
//! from the origin to a cell of ring `k` or beyond passes through ring `k`. Nothing out there is
//! nearer to the origin's centre than the nearest point of ring `k`, which is at least
//!
//! ```text
//! floor(k) = min over the cells c of ring k of  |centre(origin), centre(c)| - circumradius
//! ```
//!
//! This holds on the whole sphere: pentagons, poles and the antimeridian are no special cases. The
//! rings of an origin never change and are kept.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::cells::Cells;
use crate::geo::{Cell, Rings, UnitVector};

/// Cells in all known rings of a grid together, at most: 4 bytes each.
const RING_CELLS_MAX: usize = 16_000_000;

/// One ring around an origin.
#[derive(Debug)]
pub(super) struct Ring {
    /// Metres from the origin's centre within which no point of this ring or beyond lies.
    pub(super) floor_m: f64,
    /// The numbers of its cells.
    pub(super) cells: Box<[u32]>,
}

/// The rings around one cell that are known so far, from the innermost.
#[derive(Debug, Default)]
pub(super) struct KnownRings {
    rings: RwLock<Arc<Vec<Arc<Ring>>>>,
}

impl KnownRings {
    fn get(&self) -> Arc<Vec<Arc<Ring>>> {
        Arc::clone(&self.rings.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Walks outwards from a cell, through known rings and beyond.
pub(super) struct Walk<'g> {
    cells: &'g Cells,
    origin: u32,
    known: Arc<Vec<Arc<Ring>>>,
    next: usize,
    /// Rings beyond the known ones, once the walk needs them.
    beyond: Option<Rings>,
    found: Vec<Arc<Ring>>,
}

impl<'g> Walk<'g> {
    /// A walk around the cell with the number `origin`.
    pub(super) fn around(cells: &'g Cells, origin: u32) -> Self {
        let known = cells.bucket(origin).rings.get();
        Self { cells, origin, known, next: 0, beyond: None, found: Vec::new() }
    }

    /// The next ring; nothing once the sphere is covered.
    pub(super) fn next_ring(&mut self) -> Option<&Ring> {
        let place = self.next;
        self.next += 1;
        let known = self.known.len();
        if place >= known && self.found.len() <= place - known {
            let ring = self.work_out()?;
            self.found.push(Arc::new(ring));
        }
        let ring = self.known.get(place).or_else(|| self.found.get(place - known));
        ring.map(AsRef::as_ref)
    }

    fn work_out(&mut self) -> Option<Ring> {
        let bucket = self.cells.bucket(self.origin);
        let known = self.known.len();
        let rings = self.beyond.get_or_insert_with(|| {
            let mut rings = Rings::around(bucket.cell);
            if known > 0 {
                rings.nth(known - 1);
            }
            rings
        });
        let ring = rings.next()?;
        let chord = |cell: &Cell| bucket.centre.chord_squared(cell.centre_unit());
        let nearest = ring.iter().map(chord).fold(4.0, f64::min);
        let nearest_m = UnitVector::chord_squared_to_distance(nearest).get();
        let floor_m = nearest_m - bucket.cell.resolution().circumradius_max().get();
        let cells = ring.into_iter().map(|cell| self.cells.number_of(cell)).collect();
        Some(Ring { floor_m, cells })
    }
}

impl Drop for Walk<'_> {
    /// Leaves what was worked out to the walks to come.
    fn drop(&mut self) {
        let cells = self.found.iter().map(|ring| ring.cells.len()).sum::<usize>();
        if cells == 0 || !self.cells.has_room_for(cells) {
            return;
        }
        let rings = &self.cells.bucket(self.origin).rings.rings;
        let mut rings = rings.write().unwrap_or_else(PoisonError::into_inner);
        // Another walk may have been as far meanwhile.
        if rings.len() == self.known.len() {
            Arc::make_mut(&mut rings).append(&mut self.found);
        }
    }
}

/// How many cells all known rings have.
#[derive(Debug, Default)]
pub(super) struct RingRoom(AtomicUsize);

impl RingRoom {
    /// Whether there is room for so many cells more, which is then taken.
    pub(super) fn take(&self, cells: usize) -> bool {
        let before = self.0.fetch_add(cells, Ordering::Relaxed);
        if before + cells <= RING_CELLS_MAX {
            return true;
        }
        self.0.fetch_sub(cells, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{CellRaster, CellResolution, Position};

    #[test]
    fn no_corner_of_a_ring_or_beyond_is_nearer_than_the_floor() {
        let resolution = CellResolution::new(8).unwrap();
        let cells = Cells::new(Arc::new(CellRaster::empty(resolution)));
        for (lat, lng) in [(40.75, -73.98), (64.7, 10.536), (-17.0, 180.0), (89.99, 0.0)] {
            let place = Position::from_degrees(lat, lng).unwrap();
            let origin = cells.number_of(Cell::at(place, resolution));
            let centre = cells.bucket(origin).centre;
            // The first walk ends early, the second goes on from what it left, the third knows all.
            let walked = [3, 12, 12].map(|rings| {
                let mut walk = Walk::around(&cells, origin);
                let cells_of = |ring: &Ring| -> Vec<Cell> {
                    ring.cells.iter().map(|number| cells.bucket(*number).cell).collect()
                };
                let ring = |_| walk.next_ring().map(|ring| (ring.floor_m, cells_of(ring))).unwrap();
                (0..rings).map(ring).collect::<Vec<_>>()
            });
            assert_eq!(walked[0][..], walked[1][..3]);
            assert_eq!(walked[1], walked[2]);
            let (floors, rings): (Vec<f64>, Vec<Vec<Cell>>) = walked[1].iter().cloned().unzip();
            let plain: Vec<Vec<Cell>> = Rings::around(cells.bucket(origin).cell).take(12).collect();
            assert_eq!(rings, plain);
            for (k, floor) in floors.into_iter().enumerate() {
                for corner in rings[k..].iter().flatten().flat_map(|cell| cell.corners()) {
                    let distance = corner.distance(centre).get();
                    assert!(distance >= floor, "ring {k}: {distance} < {floor}");
                }
            }
        }
    }

    #[test]
    fn rings_are_forgotten_when_there_is_no_room() {
        let room = RingRoom::default();
        assert!(room.take(RING_CELLS_MAX - 5) && !room.take(6) && room.take(5) && !room.take(1));
    }
}
