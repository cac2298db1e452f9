//! Where drivers are, side by side in memory, so that a search reads positions in a row instead of
//! following a pointer to each driver.
//!
//! A seat is one word that holds a position in the plane that touches the cell at its centre. The slot
//! writes it with every fix, without a lock; the grid gives seats out and takes them back under the
//! slot's lock, so a seat has one writer at any time. What a seat tells is good to a few centimetres:
//! it sorts out who is too far away, and the slot itself tells of the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::geo::UnitVector;

/// Seats that lie in a row: four cache lines.
pub(super) const SEATS_PER_BLOCK: usize = 32;

const SEATS_PER_LINE: usize = 8;

/// Nobody sits here: two NaNs, nearer to nothing than any limit.
const VACANT: u64 = u64::MAX;

/// Rounding of coordinates in the plane, in earth radii per earth radius: some units in the last place
/// of an `f32` for a place, for a driver and for their difference.
const ROUNDING: f64 = 3e-7;

/// The plane that touches a cell at its centre.
#[derive(Debug)]
pub(super) struct Plane {
    centre: UnitVector,
    east: UnitVector,
    north: UnitVector,
    /// A position farther from the centre, in earth radii, is not written: the driver is about to get
    /// a seat elsewhere.
    reach: f64,
}

/// A place in the plane, in earth radii east and north of the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PlanePoint {
    east: f32,
    north: f32,
}

/// Squared distances in the plane, from just beyond the one up to the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SeatRing {
    pub(super) beyond: f32,
    pub(super) limit: f32,
}

impl SeatRing {
    /// Everything up to `limit`.
    pub(super) const fn up_to(limit: f32) -> Self {
        Self { beyond: -1.0, limit }
    }
}

impl Plane {
    /// The plane at `centre`, for positions up to `reach` earth radii from it.
    pub(super) fn at(centre: UnitVector, reach: f64) -> Self {
        let UnitVector([x, y, z]) = centre;
        let level = x.hypot(y);
        // At a pole every direction is as good.
        let (sin, cos) = if level > 0.0 { (y / level, x / level) } else { (0.0, 1.0) };
        let east = UnitVector([-sin, cos, 0.0]);
        let north = UnitVector([-z * cos, -z * sin, x * cos + y * sin]);
        Self { centre, east, north, reach }
    }

    /// The foot of the perpendicular from a place of the sphere. Two such points are no farther apart
    /// than the places are by their chord.
    pub(super) fn point(&self, at: UnitVector) -> PlanePoint {
        let [east, north] = [self.east, self.north].map(|axis| dot(axis, at) as f32);
        PlanePoint { east, north }
    }

    /// A squared distance in the plane beyond which nobody lies within a squared chord of `from`.
    pub(super) fn limit(&self, from: PlanePoint, chord_squared: f64) -> f32 {
        let largest = f64::from(from.east.abs().max(from.north.abs()));
        let limit = chord_squared.sqrt() + ROUNDING * (largest + self.reach);
        // The conversion may round down; one more unit in the last place makes up for it.
        ((limit * limit) as f32) * (1.0 + f32::EPSILON)
    }
}

fn dot(UnitVector(a): UnitVector, UnitVector(b): UnitVector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Some seats in a row.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct SeatBlock([AtomicU64; SEATS_PER_BLOCK]);

impl Default for SeatBlock {
    fn default() -> Self {
        Self([const { AtomicU64::new(VACANT) }; SEATS_PER_BLOCK])
    }
}

impl SeatBlock {
    /// Tells of each seat that is in the ring around `from`, and its squared distance in the plane.
    pub(super) fn each_within(
        &self,
        from: PlanePoint,
        ring: SeatRing,
        mut visit: impl FnMut(usize, f32),
    ) {
        // Loops of their own: loads of shared words cannot be made several at a time, arithmetic can.
        let mut words = [0; SEATS_PER_BLOCK];
        for (word, seat) in words.iter_mut().zip(&self.0) {
            *word = seat.load(Ordering::Relaxed);
        }
        let mut squared = [0.0; SEATS_PER_BLOCK];
        for (squared, word) in squared.iter_mut().zip(words) {
            let PlanePoint { east, north } = unpacked(word);
            let (east, north) = (east - from.east, north - from.north);
            *squared = east * east + north * north;
        }
        let mut inside = 0_u32;
        for (seat, squared) in squared.iter().enumerate() {
            inside |= u32::from(*squared > ring.beyond && *squared <= ring.limit) << seat;
        }
        while inside != 0 {
            let seat = inside.trailing_zeros() as usize;
            inside &= inside - 1;
            visit(seat, squared[seat]);
        }
    }

    /// Reads a word of each cache line, so that lines of many blocks are on their way at once.
    pub(super) fn touch(&self) -> u64 {
        let lines = self.0.iter().step_by(SEATS_PER_LINE);
        lines.fold(0, |words, seat| words.wrapping_add(seat.load(Ordering::Relaxed)))
    }

    /// Leaves a seat that nobody writes any more.
    pub(super) fn vacate(&self, seat: usize) {
        self.0[seat].store(VACANT, Ordering::Relaxed);
    }
}

/// A driver's seat.
#[derive(Debug)]
pub(super) struct Seat {
    block: Arc<SeatBlock>,
    place: u8,
    plane: Arc<Plane>,
}

impl Seat {
    /// A seat of `block`, with a position in it.
    pub(super) fn new(
        block: &Arc<SeatBlock>,
        place: usize,
        plane: &Arc<Plane>,
        at: UnitVector,
    ) -> Self {
        let seat = Self { block: Arc::clone(block), place: place as u8, plane: Arc::clone(plane) };
        seat.write(at);
        seat
    }

    /// Whether it is this seat.
    pub(super) fn is(&self, block: &Arc<SeatBlock>, place: usize) -> bool {
        Arc::ptr_eq(&self.block, block) && usize::from(self.place) == place
    }

    /// Takes over the driver's newest position.
    pub(super) fn take(&self, at: UnitVector) {
        if at.chord_squared(self.plane.centre) < self.plane.reach * self.plane.reach {
            self.write(at);
        }
    }

    fn write(&self, at: UnitVector) {
        let PlanePoint { east, north } = self.plane.point(at);
        let word = u64::from(east.to_bits()) << 32 | u64::from(north.to_bits());
        self.block.0[usize::from(self.place)].store(word, Ordering::Relaxed);
    }

    /// Whether the seat tells of `at`.
    pub(super) fn tells(&self, at: UnitVector) -> bool {
        let word = self.block.0[usize::from(self.place)].load(Ordering::Relaxed);
        unpacked(word) == self.plane.point(at)
    }
}

fn unpacked(word: u64) -> PlanePoint {
    // `as` keeps the low bits, which is the point.
    let (east, north) = ((word >> 32) as u32, word as u32);
    PlanePoint { east: f32::from_bits(east), north: f32::from_bits(north) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::Position;
    use proptest::prelude::*;

    #[test]
    fn a_vacant_seat_is_within_no_limit() {
        let block = SeatBlock::default();
        let from = PlanePoint { east: 0.0, north: 0.0 };
        block.each_within(from, SeatRing::up_to(f32::INFINITY), |seat, _| panic!("seat {seat}"));
    }

    proptest! {
        #[test]
        fn a_seat_never_hides_who_is_within_a_chord(
            lat in -90.0_f64..90.0,
            lng in -180.0_f64..180.0,
            off in (-0.004_f64..0.004, -0.004_f64..0.004),
            away in (-1.0_f64..1.0, -1.0_f64..1.0),
            far in prop_oneof![Just(0.000_01), Just(0.001), Just(0.02), Just(1.0), Just(60.0)],
        ) {
            let place = |north: f64, east: f64| {
                let lat = (lat + north).clamp(-90.0, 90.0);
                Position::from_degrees(lat, (lng + east).clamp(-180.0, 180.0)).unwrap().unit()
            };
            let plane = Arc::new(Plane::at(place(0.0, 0.0), 0.000_2));
            let driver = place(off.0, off.1);
            let rider = place(off.0 + away.0 * far, off.1 + away.1 * far);
            let block = Arc::new(SeatBlock::default());
            let seat = Seat::new(&block, 5, &plane, driver);
            prop_assert!(seat.tells(driver));
            let chord_squared = driver.chord_squared(rider);
            let from = plane.point(rider);
            let mut seen = Vec::new();
            let limit = plane.limit(from, chord_squared);
            let ring = SeatRing::up_to(limit);
            block.each_within(from, ring, |seat, squared| seen.push((seat, squared)));
            prop_assert!(matches!(seen[..], [(5, squared)] if squared <= limit), "{:?}", seen);
            let beyond = SeatRing { beyond: seen[0].1, limit };
            block.each_within(from, beyond, |seat, _| panic!("seat {seat} is not beyond itself"));
        }
    }
}
