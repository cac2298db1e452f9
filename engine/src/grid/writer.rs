//! What judges a driver's fixes: by the ones before, and by where his market ends.

use std::sync::Arc;

use super::fix::{Fix, FixLimits, FixRejection, MotionGate, RateGate, Sighting};
use super::seat::Seat;
use crate::geo::{Position, UnitVector};
use crate::market::{Locale, Market};
use crate::time::Timestamp;

/// What every fix needs and only writers touch, one at a time.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Writer {
    rate: RateGate,
    pub(super) motion: MotionGate,
    /// The cell the driver was last seen in.
    pub(super) locale: Option<Arc<Locale>>,
    /// His place in a grid.
    pub(super) seat: Option<Seat>,
}

impl Writer {
    /// Judges a fix and settles on it. Returns its place on the unit sphere; `before` tells the place of
    /// the last one.
    #[inline]
    pub(super) fn admit(
        &mut self,
        fix: &Fix,
        now: Timestamp,
        limits: &FixLimits,
        market: &Market,
        before: impl FnOnce() -> Option<UnitVector>,
    ) -> Result<UnitVector, FixRejection> {
        self.rate.admit(now, limits)?;
        if fix.at > now.plus_millis(limits.future_ms_max) {
            return Err(FixRejection::InFuture);
        }
        let last = self.motion.newest();
        self.motion.admit(Sighting { position: fix.position, at: fix.at }, limits)?;
        // Cars wait for minutes where they are, and their unit vector is known.
        let stays = last.is_some_and(|last| last.position == fix.position);
        let known = if stays { before() } else { None };
        let unit = known.unwrap_or_else(|| fix.position.unit());
        let locale = self.locate(fix.position, unit, market);
        let interior = locale.as_ref().or(self.locale.as_ref()).is_some_and(|l| l.interior);
        if !interior && !market.contains(fix.position) {
            return Err(FixRejection::OutsideMarket);
        }
        self.settle(fix, locale);
        Ok(unit)
    }

    /// Takes a fix as the newest; `locale` where it is in another cell than the last.
    #[inline]
    pub(super) fn settle(&mut self, fix: &Fix, locale: Option<Arc<Locale>>) {
        self.motion.settle(Sighting { position: fix.position, at: fix.at });
        if locale.is_some() {
            self.locale = locale;
        }
    }

    /// What is to be known of the cell of `position`; `None` when that is known already.
    #[inline]
    pub(super) fn locate(
        &self,
        position: Position,
        unit: UnitVector,
        market: &Market,
    ) -> Option<Arc<Locale>> {
        let known = self.locale.as_ref().filter(|known| market.knows(known));
        if known.is_some_and(|k| unit.chord_squared(k.centre) <= k.inscribed_chord_squared) {
            return None;
        }
        let cell = market.cell_at(position);
        if known.is_some_and(|known| known.cell == cell) {
            return None;
        }
        Some(market.locale(cell))
    }
}
