//! A driver's newest position, and how it is kept in a few words.

use super::fix::Fix;
use crate::geo::{Cell, Position, UnitVector};
use crate::time::Timestamp;

/// Words of a position: with the sequence of their lock they fill a cache line.
pub(super) const WORDS: usize = 7;

/// Which word is the cell; a slot without a position has none.
pub(super) const CELL: usize = 6;

/// Speed and bearing words that stand for "not reported".
const UNKNOWN: u16 = u16::MAX;

/// A driver's newest position as one consistent whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Where the driver is.
    pub position: Position,
    /// The same place on the unit sphere.
    pub unit: UnitVector,
    /// When the device was there, by the device's clock; at most 24 days before or after it arrived.
    pub recorded_at: Timestamp,
    /// When the fix arrived.
    pub received_at: Timestamp,
    /// Speed over ground, in steps of 1 cm/s up to 655 m/s.
    pub speed_mps: Option<f32>,
    /// Direction of travel, clockwise from north, in steps of 0.01°.
    pub bearing_deg: Option<f32>,
}

/// A fix as words.
pub(super) fn encode(
    fix: &Fix,
    unit: UnitVector,
    received_at: Timestamp,
    cell: u64,
) -> [u64; WORDS] {
    let lat = u64::from(fix.position.lat_e7().cast_unsigned());
    let lng = u64::from(fix.position.lng_e7().cast_unsigned());
    let [x, y, z] = unit.coordinates().map(f64::to_bits);
    let speed = scaled(fix.speed_mps.filter(|speed| *speed >= 0.0));
    let bearing = scaled(fix.bearing_deg.map(|bearing| bearing.rem_euclid(360.0)));
    let motion = u64::from(speed) << 16 | u64::from(bearing);
    let (recorded, received) = (fix.at.as_millis(), received_at.as_millis());
    let age_ms = received.wrapping_sub(recorded).cast_signed();
    let age_ms = age_ms.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    let aged_motion = u64::from(age_ms.cast_unsigned()) << 32 | motion;
    [lat << 32 | lng, received, x, y, z, aged_motion, cell]
}

/// A position as the words of its slot.
#[derive(Clone, Copy)]
pub(super) struct RawReading([u64; WORDS]);

impl RawReading {
    /// What a slot holds; nothing where it has no position.
    #[inline]
    pub(super) fn of(words: [u64; WORDS]) -> Option<Self> {
        (words[CELL] != 0).then_some(Self(words))
    }

    /// The place on the unit sphere.
    #[inline]
    pub(super) fn unit(&self) -> UnitVector {
        UnitVector([self.0[2], self.0[3], self.0[4]].map(f64::from_bits))
    }

    /// The cell of the position, at the resolution of the market's grid. It is checked to be one, which
    /// costs more than all else that a search reads here.
    pub(super) fn cell(&self) -> Option<Cell> {
        Cell::from_raw(self.0[CELL])
    }

    /// The whole reading; `None` only for words that no slot holds.
    #[inline]
    pub(super) fn decode(&self) -> Option<Reading> {
        let [place, received_at, _, _, _, aged_motion, _] = self.0;
        // `as` keeps the low bits, which is the point.
        let (lat, lng) = ((place >> 32) as u32, place as u32);
        let (age_ms, motion) = ((aged_motion >> 32) as u32, aged_motion as u32);
        let recorded_at = received_at.wrapping_sub_signed(age_ms.cast_signed().into());
        Some(Reading {
            position: Position::from_e7(lat.cast_signed(), lng.cast_signed()).ok()?,
            unit: self.unit(),
            recorded_at: Timestamp::from_millis(recorded_at),
            received_at: Timestamp::from_millis(received_at),
            speed_mps: unscaled((motion >> 16) as u16),
            bearing_deg: unscaled(motion as u16),
        })
    }
}

/// Hundredths of `value`; what cannot be told is [`UNKNOWN`], what is too large is the largest.
fn scaled(value: Option<f32>) -> u16 {
    let finite = value.filter(|value| value.is_finite());
    finite.map_or(UNKNOWN, |value| ((value * 100.0).round() as u16).min(UNKNOWN - 1))
}

fn unscaled(word: u16) -> Option<f32> {
    (word != UNKNOWN).then(|| f32::from(word) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::slot::tests::{fix_at, world};

    #[test]
    fn values_that_make_no_sense_are_unknown_and_large_ones_are_capped() {
        let mut fix = fix_at(1.0, 2.0, 1_000);
        for (speed, kept) in [(f32::NAN, None), (-1.0, None), (9e9, Some(655.34))] {
            (fix.speed_mps, fix.bearing_deg) = (Some(speed), Some(f32::INFINITY));
            let words = encode(
                &fix,
                fix.position.unit(),
                fix.at,
                Cell::at(fix.position, world().resolution()).raw(),
            );
            let reading = RawReading(words).decode().unwrap();
            assert_eq!((reading.speed_mps, reading.bearing_deg), (kept, None));
        }
    }

    #[test]
    fn the_time_of_a_fix_is_kept_to_24_days_from_its_arrival() {
        let days = |days: u64| days * 86_400_000;
        let cell = Cell::at(fix_at(1.0, 2.0, 1).position, world().resolution()).raw();
        for (recorded, received, kept) in [
            (days(100) + 7, days(100) + 90, days(100) + 7),
            (days(120), days(100), days(120)),
            (days(80), days(100), days(80)),
            (days(10), days(100), days(100) - i32::MAX as u64),
        ] {
            let fix = fix_at(1.0, 2.0, recorded);
            let words = encode(&fix, fix.position.unit(), Timestamp::from_millis(received), cell);
            let reading = RawReading::of(words).and_then(|raw| raw.decode()).unwrap();
            assert_eq!(reading.recorded_at, Timestamp::from_millis(kept));
            assert_eq!(reading.received_at, Timestamp::from_millis(received));
        }
    }
}
