//! How near the cells of a ring can be: the bound that lets a search stop.
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
//! floors of an origin never change and are kept.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use dashmap::DashMap;

use crate::geo::{Cell, UnitVector};

/// How many origins the floors are kept of: 100 to 200 bytes each.
const ORIGINS_MAX: usize = 65_536;

/// Floors by origin, shared by all queries of a grid.
#[derive(Debug, Default)]
pub(super) struct ReachTable {
    floors: DashMap<Cell, Arc<Vec<f64>>, BuildHasherDefault<DefaultHasher>>,
}

/// The floors of one origin, extended as far as a search goes.
pub(super) struct Reach<'a> {
    table: &'a ReachTable,
    origin: Cell,
    centre: UnitVector,
    floors: Arc<Vec<f64>>,
    known: usize,
}

impl ReachTable {
    /// The floors around `origin` that are known so far.
    pub(super) fn of(&self, origin: Cell) -> Reach<'_> {
        let kept = self.floors.get(&origin).map(|floors| Arc::clone(&floors));
        let floors = kept.unwrap_or_default();
        let known = floors.len();
        Reach { table: self, origin, centre: origin.centre_unit(), floors, known }
    }
}

impl Reach<'_> {
    /// The centre that the floors are measured from.
    pub(super) const fn centre(&self) -> UnitVector {
        self.centre
    }

    /// Metres from the centre within which no point of ring `k` or beyond lies. Rings are asked for
    /// in order; `cells` is the whole ring.
    pub(super) fn floor(&mut self, k: usize, cells: &[Cell]) -> f64 {
        if let Some(floor) = self.floors.get(k) {
            return *floor;
        }
        let chord = cells.iter().map(|cell| self.centre.chord_squared(cell.centre_unit()));
        let nearest = UnitVector::chord_squared_to_distance(chord.fold(4.0, f64::min)).get();
        let floor = nearest - self.origin.resolution().circumradius_max().get();
        Arc::make_mut(&mut self.floors).push(floor);
        floor
    }
}

impl Drop for Reach<'_> {
    fn drop(&mut self) {
        let room = self.known > 0 || self.table.floors.len() < ORIGINS_MAX;
        if self.floors.len() > self.known && room {
            self.table.floors.insert(self.origin, Arc::clone(&self.floors));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::{CellResolution, Position, Rings};

    #[test]
    fn no_corner_of_a_ring_or_beyond_is_nearer_than_the_floor() {
        let table = ReachTable::default();
        for (lat, lng) in [(40.75, -73.98), (64.7, 10.536), (-17.0, 180.0), (89.99, 0.0)] {
            let place = Position::from_degrees(lat, lng).unwrap();
            let origin = Cell::at(place, CellResolution::new(8).unwrap());
            let rings: Vec<_> = Rings::around(origin).take(12).collect();
            let mut reach = table.of(origin);
            let floors: Vec<f64> =
                rings.iter().enumerate().map(|(k, ring)| reach.floor(k, ring)).collect();
            for (k, floor) in floors.iter().enumerate() {
                for corner in rings[k..].iter().flatten().flat_map(|cell| cell.corners()) {
                    let distance = corner.distance(reach.centre()).get();
                    assert!(distance >= *floor, "ring {k} of {origin}: {distance} < {floor}");
                }
            }
            drop(reach);
            assert_eq!(*table.of(origin).floors, floors);
        }
    }
}
