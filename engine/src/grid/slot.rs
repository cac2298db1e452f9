//! A driver's position, shared between the session that receives fixes and the grid's queries.
//!
//! The session judges and writes a fix without a message to anyone; queries read the newest one
//! without waiting. What the fix changes elsewhere is told by [`Applied`].
//!
//! **Invariant M7**: an older fix never overwrites a newer one.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::applied::{Applied, AppliedAll};
use super::fix::{Fix, FixLimits, FixRejection};
use super::reading::{CELL, RawReading, Reading, WORDS, encode};
use super::seat::Seat;
use super::seqlock::SeqLock;
use super::writer::Writer;
use crate::geo::{Cell, Position, UnitVector};
use crate::id::DriverId;
use crate::market::Market;
use crate::time::Timestamp;
use crate::zone::{Presence, Whereabouts};

/// The facts of a position that outlive the process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PositionSnapshot {
    /// The fix as it was applied.
    pub fix: Fix,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// One driver's shared position.
///
/// The first cache line is all that searches read; a fix in the same cell needs two more, and
/// zones the last.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct DriverSlot {
    newest: SeqLock<WORDS>,
    writer: Mutex<Writer>,
    attention: AtomicBool,
    /// Locked under the writer, where a fix counts for zones.
    presence: Mutex<Presence>,
    driver: DriverId,
}

impl DriverSlot {
    /// A slot without a position.
    pub fn new(driver: DriverId) -> Self {
        Self {
            newest: SeqLock::new([0; WORDS]),
            writer: Mutex::default(),
            attention: AtomicBool::new(false),
            presence: Mutex::default(),
            driver,
        }
    }

    /// Whose slot this is.
    pub const fn driver(&self) -> &DriverId {
        &self.driver
    }

    /// Has the memory that a fix needs fetched, for fixes of many drivers that are at hand: with a word of
    /// each cache line read for all of them first, their ways from memory overlap, which those of fixes
    /// applied one by one do not because each takes its driver's lock.
    pub fn touch(&self) {
        let attention = self.attention.load(Ordering::Relaxed);
        black_box((self.newest.sequence(), self.writer.is_poisoned(), attention));
    }

    /// Judges a fix that arrived at `now` and makes it the newest position.
    ///
    /// # Errors
    /// [`FixRejection`] tells why the slot keeps the position it had.
    pub fn apply(
        &self,
        fix: &Fix,
        now: Timestamp,
        limits: &FixLimits,
        market: &Market,
    ) -> Result<Applied, FixRejection> {
        let mut refused = Ok(());
        let fixes = std::iter::once(Ok(*fix));
        let done = self.apply_all(fixes, now, limits, market, |_, why| refused = Err(why));
        refused.map(|()| done.applied)
    }

    /// Judges fixes that arrived together at `now`, in their order and each by what the ones before it
    /// left; the last that passes becomes the newest position. Those that do not pass, or were no fix to
    /// begin with, are told to `refused` with their index.
    pub fn apply_all(
        &self,
        fixes: impl Iterator<Item = Result<Fix, FixRejection>>,
        now: Timestamp,
        limits: &FixLimits,
        market: &Market,
        mut refused: impl FnMut(usize, FixRejection),
    ) -> AppliedAll {
        let mut writer = self.writer();
        // It is on its way while the fix is judged; giving the lock back waits for what was written.
        if let Some(seat) = &writer.seat {
            seat.touch();
        }
        let (mut done, mut newest) = (AppliedAll::default(), None);
        for fix in fixes {
            let before = newest.map(|(_, unit)| unit);
            let judged = fix.and_then(|fix| {
                let before = || before.or_else(|| Some(self.read_raw()?.unit()));
                Ok((fix, writer.admit(&fix, now, limits, market, before)?))
            });
            match judged {
                Ok((fix, unit)) => {
                    newest = Some((fix, unit));
                    done.fixes += 1;
                    done.applied.zone_changed |=
                        self.observe_zone(&writer, fix.position, now, market);
                }
                Err(why) => refused(done.seen, why),
            }
            done.seen += 1;
        }
        if let Some((fix, unit)) = newest {
            done.applied.cell_changed = self.publish(&writer, &fix, unit, now);
            done.applied.attention = self.take_attention();
        }
        done
    }

    /// Takes a position from before a restart, unless the slot has one as new. Returns whether it
    /// was taken. The position is not judged again.
    pub fn restore(&self, snapshot: &PositionSnapshot, market: &Market) -> bool {
        let fix = &snapshot.fix;
        let mut writer = self.writer();
        if writer.motion.newest().is_some_and(|newest| fix.at <= newest.at) {
            return false;
        }
        let unit = fix.position.unit();
        let locale = writer.locate(fix.position, unit, market);
        writer.settle(fix, locale);
        self.publish(&writer, fix, unit, snapshot.received_at);
        true
    }

    /// The newest position, if there is one.
    pub fn read(&self) -> Option<Reading> {
        self.read_raw()?.decode()
    }

    /// The cell of the newest position, at the resolution of the market's grid.
    pub fn cell(&self) -> Option<Cell> {
        self.read_raw()?.cell()
    }

    /// In which watched zone the driver is, as far as his fixes tell.
    pub fn whereabouts(&self) -> Whereabouts {
        self.presence().whereabouts()
    }

    /// The newest position in the form it is stored, for scans that use few of many readings.
    #[inline]
    pub(super) fn read_raw(&self) -> Option<RawReading> {
        RawReading::of(self.newest.read())
    }

    /// Changes with every position.
    #[inline]
    pub(super) fn sequence(&self) -> u64 {
        self.newest.sequence()
    }

    /// Asks that the next applied fix says so in [`Applied::attention`].
    pub fn request_attention(&self) {
        self.attention.store(true, Ordering::Release);
    }

    /// A slot with the newest position of this one, which follows it no longer.
    pub(super) fn copied(&self) -> Self {
        let copy = Self::new(self.driver.clone());
        let (mut theirs, writer) = (copy.writer(), self.writer());
        let words = self.newest.read();
        copy.newest.write(words);
        theirs.locale.clone_from(&writer.locale);
        if let Some(newest) = writer.motion.newest() {
            theirs.motion.settle(newest);
        }
        drop(theirs);
        copy
    }

    /// Changes the slot's place in a grid while no fix changes its position.
    pub(super) fn seated<T>(
        &self,
        change: impl FnOnce(Option<RawReading>, &mut Option<Seat>) -> T,
    ) -> T {
        let mut writer = self.writer();
        change(self.read_raw(), &mut writer.seat)
    }

    fn take_attention(&self) -> bool {
        self.attention.load(Ordering::Relaxed) && self.attention.swap(false, Ordering::AcqRel)
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        // No rule panics half way through a change, so a poisoned writer is still whole.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn presence(&self) -> MutexGuard<'_, Presence> {
        self.presence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a fix for the zones. Drivers far from all of them pay for one comparison: which cells
    /// are near is looked up when the cell changes.
    fn observe_zone(
        &self,
        writer: &Writer,
        at: Position,
        received_at: Timestamp,
        market: &Market,
    ) -> bool {
        let near = writer.locale.as_ref().is_some_and(|locale| locale.watched);
        if !near && !market.zones().are_watched() {
            return false;
        }
        let mut presence = self.presence();
        (near || presence.is_open()) && presence.observe(at, received_at, market.zones())
    }

    /// Makes the fix that the writer settled on visible to readers; returns whether the cell is another
    /// one.
    fn publish(
        &self,
        writer: &Writer,
        fix: &Fix,
        unit: UnitVector,
        received_at: Timestamp,
    ) -> bool {
        let before = self.newest.read()[CELL];
        if let Some(seat) = &writer.seat {
            seat.take(unit);
        }
        let cell = writer.locale.as_ref().map_or(0, |locale| locale.cell.raw());
        self.newest.write(encode(fix, unit, received_at, cell));
        cell != before
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::{Arc, LazyLock};
    use std::thread;

    use super::*;
    use crate::geo::CellResolution;
    use crate::id::{MarketId, ServiceTierId};
    use crate::market::{Boundary, MarketConfig};

    fn market(ring: &str) -> Market {
        let text = format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#);
        let tier = ServiceTierId::new("economy").unwrap();
        Market::new(MarketConfig {
            id: MarketId::new("m").unwrap(),
            name: "M".to_owned(),
            boundary: Boundary::from_geojson(&text).unwrap(),
            tiers: vec![tier.clone()],
            default_tier: tier,
            resolution: CellResolution::new(9).unwrap(),
        })
        .unwrap()
    }

    /// A market without an outside.
    pub(in crate::grid) fn world() -> Arc<Market> {
        static WORLD: LazyLock<Arc<Market>> = LazyLock::new(|| {
            Arc::new(market("[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]"))
        });
        Arc::clone(&WORLD)
    }

    /// Limits that refuse nothing but disorder.
    pub(in crate::grid) fn roomy() -> FixLimits {
        FixLimits { jump_m_min: 1e9, fixes_per_s_max: u32::MAX, ..FixLimits::default() }
    }

    pub(in crate::grid) fn fix_at(lat: f64, lng: f64, at_ms: u64) -> Fix {
        Fix {
            position: Position::from_degrees(lat, lng).unwrap(),
            at: Timestamp::from_millis(at_ms),
            accuracy_m: None,
            speed_mps: None,
            bearing_deg: None,
        }
    }

    fn slot() -> DriverSlot {
        DriverSlot::new(DriverId::new("d").unwrap())
    }

    fn apply(slot: &DriverSlot, fix: Fix) -> Result<Applied, FixRejection> {
        slot.apply(&fix, fix.at, &FixLimits::default(), &world())
    }

    #[test]
    fn a_slot_reads_back_what_was_applied() {
        let slot = slot();
        assert_eq!(slot.read(), None);
        let mut fix = fix_at(-33.8688, 151.2093, 5_000);
        (fix.speed_mps, fix.bearing_deg) = (Some(12.345), Some(-90.0));
        let now = Timestamp::from_millis(5_250);
        slot.apply(&fix, now, &FixLimits::default(), &world()).unwrap();
        let reading = slot.read().unwrap();
        assert_eq!(reading.position, fix.position);
        assert_eq!(reading.unit, fix.position.unit());
        assert_eq!((reading.recorded_at, reading.received_at), (fix.at, now));
        assert_eq!((reading.speed_mps, reading.bearing_deg), (Some(12.35), Some(270.0)));
        assert_eq!(slot.cell(), Some(Cell::at(fix.position, CellResolution::new(9).unwrap())));
        assert_eq!(
            apply(&slot, fix_at(-33.8688, 151.2093, 6_000)).map(|a| a.cell_changed),
            Ok(false)
        );
        assert_eq!(slot.read().map(|r| (r.speed_mps, r.bearing_deg)), Some((None, None)));
        assert_eq!(slot.read().unwrap().unit, fix.position.unit(), "he stands still");
    }

    #[test]
    fn an_older_fix_never_overwrites_a_newer_one() {
        let slot = slot();
        apply(&slot, fix_at(40.75, -73.98, 5_000)).unwrap();
        for at in [4_999, 5_000] {
            let late = apply(&slot, fix_at(40.751, -73.98, at));
            assert_eq!(late, Err(FixRejection::OutOfOrder));
        }
        assert_eq!(slot.read().unwrap().recorded_at, Timestamp::from_millis(5_000));
    }

    #[test]
    fn a_fix_from_too_far_in_the_future_is_refused() {
        let (slot, limits) = (slot(), FixLimits::default());
        let now = Timestamp::from_millis(100_000);
        let refused = slot.apply(&fix_at(1.0, 1.0, 110_001), now, &limits, &world());
        assert_eq!(refused, Err(FixRejection::InFuture));
        assert!(slot.apply(&fix_at(1.0, 1.0, 110_000), now, &limits, &world()).is_ok());
    }

    #[test]
    fn a_fix_outside_the_market_is_refused_even_beside_a_cell_that_is_half_inside() {
        let market = market("[[-74,40],[-73,40],[-73,41],[-74,41],[-74,40]]");
        let (slot, limits) = (slot(), roomy());
        let mut refused = 0;
        for i in 0..4_000_u32 {
            let lat = 41.0 + (f64::from(i % 41) - 20.0) * 0.000_2;
            let lng = -73.99 + f64::from(i) * 0.000_2;
            let fix = fix_at(lat, lng, u64::from(i + 1) * 1_000);
            let result = slot.apply(&fix, fix.at, &limits, &market);
            assert_eq!(result.is_ok(), market.contains(fix.position), "{lat},{lng}");
            refused += u32::from(result == Err(FixRejection::OutsideMarket));
        }
        assert!(refused > 1_000);
    }

    #[test]
    fn the_cell_of_a_slot_is_always_the_cell_of_its_position() {
        let (slot, market) = (slot(), world());
        let mut cell = None;
        for i in 1..20_000_u32 {
            let (turn, reach) = (f64::from(i) * 0.01, f64::from(i % 700) * 0.000_02);
            let (lat, lng) = (40.75 + turn.sin() * reach, -73.98 + turn.cos() * reach);
            let fix = fix_at(lat, lng, u64::from(i) * 1_000);
            let applied = slot.apply(&fix, fix.at, &roomy(), &market).unwrap();
            let now = slot.cell();
            assert_eq!(now, Some(Cell::at(fix.position, market.resolution())));
            assert_eq!(applied.cell_changed, cell != now);
            cell = now;
        }
    }

    #[test]
    fn a_teleported_driver_is_refused_twice_and_then_believed() {
        let slot = slot();
        apply(&slot, fix_at(40.75, -73.98, 1_000)).unwrap();
        let there = |at| apply(&slot, fix_at(40.90, -73.80, at));
        assert_eq!(there(2_000), Err(FixRejection::ImplausibleJump));
        assert_eq!(there(3_000), Err(FixRejection::ImplausibleJump));
        assert!(there(4_000).unwrap().cell_changed);
        assert!(there(5_000).is_ok());
        assert_eq!(apply(&slot, fix_at(40.75, -73.98, 6_000)), Err(FixRejection::ImplausibleJump));
    }

    #[test]
    fn attention_is_given_once_by_the_next_applied_fix() {
        let slot = slot();
        slot.request_attention();
        assert!(apply(&slot, fix_at(40.75, -73.98, 2_000)).unwrap().attention);
        assert!(!apply(&slot, fix_at(40.75, -73.98, 3_000)).unwrap().attention);
        slot.request_attention();
        assert!(apply(&slot, fix_at(40.75, -73.98, 1_000)).is_err());
        assert!(apply(&slot, fix_at(40.75, -73.98, 4_000)).unwrap().attention);
    }

    #[test]
    fn a_snapshot_restores_a_position_but_not_over_a_newer_one() {
        let slot = slot();
        let received_at = Timestamp::from_millis(1_100);
        let old = PositionSnapshot { fix: fix_at(40.75, -73.98, 1_000), received_at };
        assert!(slot.restore(&old, &world()));
        assert_eq!(slot.read().unwrap().received_at, received_at);
        apply(&slot, fix_at(40.7501, -73.98, 2_000)).unwrap();
        assert!(!slot.restore(&old, &world()));
        assert_eq!(slot.read().unwrap().recorded_at, Timestamp::from_millis(2_000));
    }

    #[test]
    fn readers_never_see_parts_of_two_fixes_while_writers_race() {
        let (slot, done) = (slot(), AtomicBool::new(false));
        // Time, latitude, longitude and speed all tell the same number.
        let told = |i: u32| {
            let mut fix = fix_at(f64::from(i) / 1e4, f64::from(i) / -1e4, u64::from(i));
            fix.speed_mps = Some(f32::from((i % 600) as u16));
            fix
        };
        thread::scope(|scope| {
            let writers: Vec<_> = (0..2_u32)
                .map(|writer| {
                    let slot = &slot;
                    scope.spawn(move || {
                        for i in 1..20_000 {
                            let fix = told(i * 2 + writer);
                            let _ = slot.apply(&fix, fix.at, &roomy(), &world());
                        }
                    })
                })
                .collect();
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while !done.load(Ordering::Relaxed) {
                        let Some(reading) = slot.read() else { continue };
                        let at = u32::try_from(reading.recorded_at.as_millis()).unwrap();
                        assert_eq!(reading.position, told(at).position);
                        assert_eq!(reading.unit, reading.position.unit());
                        assert_eq!(reading.speed_mps, told(at).speed_mps);
                        assert!(at >= last, "an older fix came back");
                        last = at;
                    }
                });
            }
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        assert_eq!(slot.read().unwrap().recorded_at, Timestamp::from_millis(39_999));
    }
}
