//! Where drivers are, side by side in memory, so that a search reads positions in a row instead of
//! following a pointer to each driver.
//!
//! A seat is one word that holds a position in the plane that touches the cell at its centre, in steps
//! that make it fit. The slot writes it with every fix, without a lock; the grid gives seats out and takes
//! them back under the slot's lock, so a seat has one writer at any time. What a seat tells is good to a
//! few centimetres where cells are some hundred metres wide: it sorts out who is too far away, and the
//! slot itself tells of the others.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::geo::UnitVector;

/// Seats that lie in a row: two cache lines.
pub(super) const SEATS_PER_BLOCK: usize = 32;

const SEATS_PER_LINE: usize = 16;

/// Nobody sits here: no coordinate is as far west or south.
const VACANT: u32 = 0x8000_8000;

/// Steps from a plane's centre to its reach: what half a word holds.
const STEPS: f64 = 32_766.0;

/// A coordinate loses less than a step, so a distance loses less than the root of two.
const STEP_ROUNDING: f64 = 1.5;

/// Rounding of coordinates in the plane, by their size: some units in the last place of an `f32` for a
/// place, for a driver and for their difference.
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
    /// Steps in an earth radius.
    scale: f64,
}

/// A place in the plane, in its steps east and north of the centre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PlanePoint {
    east: f32,
    north: f32,
}

/// Squared distances in steps of the plane, from just beyond the one up to the other.
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
        Self { centre, east, north, reach, scale: STEPS / reach }
    }

    /// The foot of the perpendicular from a place of the sphere. Two such points are no farther apart
    /// than the places are by their chord.
    #[inline]
    pub(super) fn point(&self, at: UnitVector) -> PlanePoint {
        let [east, north] = self.coordinates(at).map(|steps| steps as f32);
        PlanePoint { east, north }
    }

    #[inline]
    fn coordinates(&self, at: UnitVector) -> [f64; 2] {
        [self.east, self.north].map(|axis| axis.dot(at) * self.scale)
    }

    /// The word of a seat for a place within reach.
    fn word(&self, at: UnitVector) -> u32 {
        // `as` drops what is less than a step, and then keeps the low bits.
        let [east, north] = self.coordinates(at).map(|steps| (steps as i16).cast_unsigned());
        u32::from(east) << 16 | u32::from(north)
    }

    /// The square of a chord, in steps.
    pub(super) fn squared(&self, chord_squared: f64) -> f32 {
        (chord_squared * self.scale * self.scale) as f32
    }

    /// A squared distance in the plane beyond which nobody sits within a squared chord of `from`.
    #[inline]
    pub(super) fn limit(&self, from: PlanePoint, chord_squared: f64) -> f32 {
        let largest = f64::from(from.east.abs().max(from.north.abs())) + STEPS;
        let limit = chord_squared.sqrt() * self.scale + STEP_ROUNDING + ROUNDING * largest;
        // The conversion may round down; one more unit in the last place makes up for it.
        ((limit * limit) as f32) * (1.0 + f32::EPSILON)
    }
}

/// Some seats in a row.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct SeatBlock([AtomicU32; SEATS_PER_BLOCK]);

impl Default for SeatBlock {
    fn default() -> Self {
        Self([const { AtomicU32::new(VACANT) }; SEATS_PER_BLOCK])
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
            let distance: f32 = east * east + north * north;
            // All bits of a vacant seat's distance are set, which is no number and within no limit.
            let vacant = if word == VACANT { u32::MAX } else { 0 };
            *squared = f32::from_bits(distance.to_bits() | vacant);
        }
        let mut inside = 0_u32;
        for (seat, squared) in squared.iter().enumerate() {
            inside |= u32::from(*squared <= ring.limit) << seat;
        }
        while inside != 0 {
            let seat = inside.trailing_zeros() as usize;
            inside &= inside - 1;
            if squared[seat] > ring.beyond {
                visit(seat, squared[seat]);
            }
        }
    }

    /// Reads a word of each cache line, so that lines of many blocks are on their way at once.
    #[inline]
    pub(super) fn touch(&self) -> u32 {
        let lines = self.0.iter().step_by(SEATS_PER_LINE);
        lines.fold(0, |words, seat| words ^ seat.load(Ordering::Relaxed))
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

    /// Reads the word, so that its cache line is on its way.
    pub(super) fn touch(&self) {
        black_box(self.block.0[usize::from(self.place)].load(Ordering::Relaxed));
    }

    /// Takes over the driver's newest position.
    pub(super) fn take(&self, at: UnitVector) {
        if at.chord_squared(self.plane.centre) < self.plane.reach * self.plane.reach {
            self.write(at);
        }
    }

    fn write(&self, at: UnitVector) {
        self.block.0[usize::from(self.place)].store(self.plane.word(at), Ordering::Relaxed);
    }

    /// Whether the seat tells of `at`.
    pub(super) fn tells(&self, at: UnitVector) -> bool {
        self.block.0[usize::from(self.place)].load(Ordering::Relaxed) == self.plane.word(at)
    }
}

#[inline]
fn unpacked(word: u32) -> PlanePoint {
    // The shifts spread the sign of each half over the rest.
    let (east, north) = (word.cast_signed() >> 16, (word << 16).cast_signed() >> 16);
    PlanePoint { east: east as f32, north: north as f32 }
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
