//! Rings of cells around a cell: ring `k` is every cell exactly `k` steps away.
//!
//! The fast ring walk of H3 goes wrong when a pentagon lies on or inside the ring, at times without
//! saying so. Rings that may touch a pentagon are therefore taken from a breadth-first disk.

use std::sync::LazyLock;

use h3o::Resolution;

use super::cell::{Cell, unit};
use super::position::UnitVector;

/// The first disk that is searched breadth first; each further one is twice as wide.
const DISK_STEPS_MIN: u32 = 8;

/// The twelve pentagon centres, which are the same at every resolution.
static PENTAGONS: LazyLock<Vec<UnitVector>> = LazyLock::new(|| {
    Resolution::Zero.pentagons().map(|pentagon| unit(h3o::LatLng::from(pentagon))).collect()
});

/// Walks outwards from a cell, one ring after the other, until the sphere is covered.
#[derive(Debug)]
pub struct Rings {
    origin: Cell,
    next: u32,
    /// Rings below this number are clear of pentagons.
    clear_below: u32,
    /// Rings found breadth first, by ring number.
    disk: Vec<Vec<Cell>>,
}

impl Rings {
    /// The rings around `origin`, beginning with ring 0, the cell itself.
    pub fn around(origin: Cell) -> Self {
        Self { origin, next: 0, clear_below: clear_rings(origin), disk: Vec::new() }
    }

    /// Cells in the rings `0..=k` when no pentagon is among them; an upper bound otherwise.
    pub const fn disk_len(k: u32) -> u64 {
        let k = k as u64;
        3 * k * (k + 1) + 1
    }

    fn ring_by_disk(&mut self, k: u32) -> Option<Vec<Cell>> {
        if self.disk.len() <= k as usize {
            let steps = DISK_STEPS_MIN.max(k.saturating_mul(2));
            self.disk = vec![Vec::new(); steps as usize + 1];
            for (cell, distance) in self.origin.index().grid_disk_distances_safe(steps) {
                self.disk[distance as usize].push(Cell::from_index(cell));
            }
        }
        let ring = std::mem::take(&mut self.disk[k as usize]);
        (!ring.is_empty()).then_some(ring)
    }
}

impl Iterator for Rings {
    type Item = Vec<Cell>;

    fn next(&mut self) -> Option<Vec<Cell>> {
        let k = self.next;
        self.next += 1;
        if k < self.clear_below {
            // Collecting stops at the first `None`: beyond it the walk is undefined.
            let ring: Option<Vec<_>> = self
                .origin
                .index()
                .grid_ring_fast(k)
                .map(|cell| cell.map(Cell::from_index))
                .collect();
            if ring.is_some() {
                return ring;
            }
        }
        self.ring_by_disk(k)
    }
}

/// How many rings around `origin` cannot reach a pentagon, by distance alone.
fn clear_rings(origin: Cell) -> u32 {
    let centre = origin.centre_unit();
    let chord = PENTAGONS.iter().map(|p| p.chord_squared(centre)).fold(4.0, f64::min);
    let distance = UnitVector::chord_squared_to_distance(chord).get();
    let rings = distance / origin.resolution().spacing_max().get();
    (rings.floor() as u32).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::geo::{CellResolution, Position};

    fn pentagon(resolution: u8) -> Cell {
        let resolution = CellResolution::new(resolution).unwrap();
        let pentagon = Resolution::Zero.pentagons().next().unwrap();
        Cell::at(Cell::from_index(pentagon).centre(), resolution)
    }

    /// Rings by stepping from neighbour to neighbour.
    fn stepped(origin: Cell, rings: usize) -> Vec<BTreeSet<Cell>> {
        let mut seen = BTreeSet::from([origin]);
        let mut found = vec![seen.clone()];
        while found.len() < rings {
            let neighbours = found[found.len() - 1]
                .iter()
                .flat_map(|cell| cell.index().grid_disk_safe(1).map(Cell::from_index));
            let ring: BTreeSet<Cell> = neighbours.filter(|cell| !seen.contains(cell)).collect();
            seen.extend(&ring);
            found.push(ring);
        }
        found
    }

    #[test]
    fn rings_equal_a_walk_from_neighbour_to_neighbour() {
        let plain = Cell::at(
            Position::from_degrees(40.75, -73.98).unwrap(),
            CellResolution::new(9).unwrap(),
        );
        let five = pentagon(7);
        let near: Vec<Cell> = Rings::around(five).nth(3).unwrap();
        let beside = Rings::around(five).nth(14).unwrap();
        for origin in [plain, five, near[0], near[7], beside[0], beside[33]] {
            let walked: Vec<BTreeSet<Cell>> =
                Rings::around(origin).take(20).map(|ring| ring.into_iter().collect()).collect();
            assert_eq!(walked, stepped(origin, 20), "around {origin}");
        }
    }

    #[test]
    fn rings_end_when_the_sphere_is_covered() {
        let origin =
            Cell::at(Position::from_degrees(10.0, 20.0).unwrap(), CellResolution::new(1).unwrap());
        assert_eq!(Rings::around(origin).map(|ring| ring.len()).sum::<usize>(), 842);
    }

    #[test]
    fn a_disk_away_from_pentagons_has_the_announced_size() {
        let origin = Cell::at(
            Position::from_degrees(37.77, -122.42).unwrap(),
            CellResolution::new(9).unwrap(),
        );
        let cells: usize = Rings::around(origin).take(11).map(|ring| ring.len()).sum();
        assert_eq!(cells as u64, Rings::disk_len(10));
    }
}
