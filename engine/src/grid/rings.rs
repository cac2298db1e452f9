//! The rings of cells around a cell, and how near the cells of a ring can be: the bound that lets a
//! search stop.
//!
//! Two neighbouring cells differ by at most one in their distance from an origin, so whoever walks
//! from the origin to a cell of ring `k` or beyond passes through ring `k`. Nothing out there is
//! nearer to the origin's centre than the nearest point of ring `k`, which is at least
//!
//! ```text
//! floor(k) = min over the cells c of ring k of  |centre(origin), centre(c)| - circumradius(c)
//! ```
//!
//! in chords, which obey the triangle inequality. This holds on the whole sphere: pentagons, poles and
//! the antimeridian are no special cases. The rings of an origin never change and are kept, each with
//! the one around it, so that a walk through known rings takes no lock.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::cells::Cells;
use crate::geo::Rings;

/// Cells in all known rings of a grid together, at most: 4 bytes each.
const RING_CELLS_MAX: usize = 16_000_000;

/// One ring around an origin.
#[derive(Debug)]
pub(super) struct Ring {
    /// The chord from the origin's centre, in earth radii, within which no point of this ring or beyond
    /// lies.
    pub(super) floor: f64,
    /// The numbers of its cells.
    pub(super) cells: Box<[u32]>,
    /// The ring around this one.
    next: KnownRings,
}

/// The rings from one on outwards, as far as a search has been.
#[derive(Debug, Default)]
pub(super) struct KnownRings(OnceLock<Box<Ring>>);

impl KnownRings {
    /// Keeps a ring for the walks to come, unless there is no room: then it comes back.
    fn keep(&self, ring: Ring, room: &RingRoom) -> Option<Ring> {
        if !room.take(ring.cells.len()) {
            return Some(ring);
        }
        // Another walk may have been faster, with the same ring.
        if let Err(ring) = self.0.set(Box::new(ring)) {
            room.give_back(ring.cells.len());
        }
        None
    }
}

/// Walks outwards from a cell, through known rings and beyond.
pub(super) struct Walk<'g> {
    cells: &'g Cells,
    origin: u32,
    /// How many rings were passed.
    passed: usize,
    known: &'g KnownRings,
    /// The rings themselves, and how many of them were taken, once the walk needs them.
    beyond: Option<(Rings, usize)>,
    /// The newest ring, when there is no room to keep rings any more.
    unkept: Option<Ring>,
}

impl<'g> Walk<'g> {
    /// A walk around the cell with the number `origin`.
    pub(super) fn around(cells: &'g Cells, origin: u32) -> Self {
        let known = &cells.bucket(origin).rings;
        Self { cells, origin, passed: 0, known, beyond: None, unkept: None }
    }

    /// The next ring; nothing once the sphere is covered.
    pub(super) fn next_ring(&mut self) -> Option<&Ring> {
        let known = self.known;
        if self.unkept.is_some() || known.0.get().is_none() {
            let ring = self.work_out()?;
            // Beyond a ring that was not kept none can be: it is what leads there.
            let kept = self.unkept.is_none();
            self.unkept = if kept { known.keep(ring, &self.cells.room) } else { Some(ring) };
        }
        self.passed += 1;
        if self.unkept.is_some() {
            return self.unkept.as_ref();
        }
        let ring = known.0.get()?;
        self.known = &ring.next;
        Some(ring)
    }

    fn work_out(&mut self) -> Option<Ring> {
        let bucket = self.cells.bucket(self.origin);
        let (rings, taken) = self.beyond.get_or_insert_with(|| (Rings::around(bucket.cell), 0));
        // Other walks may have made rings known since this one needed them last.
        let ring = rings.nth(self.passed - *taken)?;
        *taken = self.passed + 1;
        let cells: Box<[u32]> = ring.into_iter().map(|cell| self.cells.number_of(cell)).collect();
        let nearest = |number: &u32| {
            let other = self.cells.bucket(*number);
            bucket.centre.chord_squared(other.centre).sqrt() - other.circumradius
        };
        let floor = cells.iter().map(nearest).fold(2.0, f64::min);
        Some(Ring { floor, cells, next: KnownRings::default() })
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
        self.give_back(cells);
        false
    }

    /// Gives back room that was taken.
    pub(super) fn give_back(&self, cells: usize) {
        self.0.fetch_sub(cells, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::geo::{Cell, CellRaster, CellResolution, Position};

    fn walk(cells: &Cells, origin: u32, rings: usize) -> Vec<(f64, Vec<Cell>)> {
        let mut walk = Walk::around(cells, origin);
        let cells_of = |ring: &Ring| -> Vec<Cell> {
            ring.cells.iter().map(|number| cells.bucket(*number).cell).collect()
        };
        let ring = |_| walk.next_ring().map(|ring| (ring.floor, cells_of(ring))).unwrap();
        (0..rings).map(ring).collect()
    }

    #[test]
    fn no_corner_of_a_ring_or_beyond_is_nearer_than_the_floor() {
        let resolution = CellResolution::new(8).unwrap();
        let cells = Cells::new(Arc::new(CellRaster::empty(resolution)));
        for (lat, lng) in [(40.75, -73.98), (64.7, 10.536), (-17.0, 180.0), (89.99, 0.0)] {
            let place = Position::from_degrees(lat, lng).unwrap();
            let origin = cells.number_of(Cell::at(place, resolution));
            let centre = cells.bucket(origin).centre;
            // The first walk ends early, the second goes on from what it left, the third knows all.
            let walked = [3, 12, 12].map(|rings| walk(&cells, origin, rings));
            assert_eq!(walked[0][..], walked[1][..3]);
            assert_eq!(walked[1], walked[2]);
            let (floors, rings): (Vec<f64>, Vec<Vec<Cell>>) = walked[1].iter().cloned().unzip();
            let plain: Vec<Vec<Cell>> = Rings::around(cells.bucket(origin).cell).take(12).collect();
            assert_eq!(rings, plain);
            for (k, floor) in floors.into_iter().enumerate() {
                for corner in rings[k..].iter().flatten().flat_map(|cell| cell.corners()) {
                    let chord = corner.chord_squared(centre).sqrt();
                    assert!(chord >= floor, "ring {k}: {chord} < {floor}");
                }
            }
        }
    }

    #[test]
    fn a_walk_goes_on_beyond_the_rings_that_there_is_room_for() {
        let resolution = CellResolution::new(8).unwrap();
        let cells = Cells::new(Arc::new(CellRaster::empty(resolution)));
        let home = Cell::at(Position::from_degrees(40.75, -73.98).unwrap(), resolution);
        let origin = cells.number_of(home);
        // Room for the first four rings: 1, 6, 12 and 18 cells.
        assert!(cells.room.take(RING_CELLS_MAX - 40));
        let walked = [(); 2].map(|()| walk(&cells, origin, 8));
        assert_eq!(walked[0], walked[1]);
        let plain: Vec<Vec<Cell>> = Rings::around(home).take(8).collect();
        assert_eq!(walked[0].iter().map(|(_, cells)| cells.clone()).collect::<Vec<_>>(), plain);
        assert!(cells.room.take(3) && !cells.room.take(1), "37 of 40 are in use");
    }

    #[test]
    fn walks_that_overtake_one_another_find_the_same_rings() {
        let resolution = CellResolution::new(8).unwrap();
        let cells = Cells::new(Arc::new(CellRaster::empty(resolution)));
        let home = Cell::at(Position::from_degrees(40.75, -73.98).unwrap(), resolution);
        let origin = cells.number_of(home);
        let plain: Vec<Vec<Cell>> = Rings::around(home).take(12).collect();
        let mut walks = [(); 2].map(|()| Walk::around(&cells, origin));
        let mut seen = [const { Vec::new() }; 2];
        for (who, rings) in [(0, 2), (1, 5), (0, 6), (1, 7), (0, 4)] {
            for _ in 0..rings {
                let ring = walks[who].next_ring().unwrap();
                seen[who].push(Vec::from_iter(ring.cells.iter().map(|n| cells.bucket(*n).cell)));
            }
        }
        assert_eq!(seen, [plain.clone(), plain]);
    }

    #[test]
    fn rings_are_forgotten_when_there_is_no_room() {
        let room = RingRoom::default();
        assert!(room.take(RING_CELLS_MAX - 5) && !room.take(6) && room.take(5) && !room.take(1));
    }
}
