//! A driver's reported fix, and the rules that need no map: rate, order of time, plausible motion.

use crate::geo::Position;
use crate::time::Timestamp;

/// This many implausible fixes in a row that agree with one another move the driver after all: the
/// place believed before was the wrong one, or the driver really is elsewhere.
pub const AGREEING_FIXES: u32 = 3;

/// What a driver's device reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// Where the device is.
    pub position: Position,
    /// When the device was there, by the device's clock.
    pub at: Timestamp,
    /// Radius the device claims to be right within; carried along, never a reason to refuse.
    pub accuracy_m: Option<f32>,
    /// Speed over ground.
    pub speed_mps: Option<f32>,
    /// Direction of travel, clockwise from north.
    pub bearing_deg: Option<f32>,
}

/// Why a fix was not applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FixRejection {
    /// The coordinates are no position; found at the edge, before there is a [`Fix`].
    OutOfRange,
    /// A fix as new or newer was applied before.
    OutOfOrder,
    /// The device's clock is too far ahead.
    InFuture,
    /// The position is outside the market.
    OutsideMarket,
    /// Nobody drives that fast.
    ImplausibleJump,
    /// The driver sends more fixes than allowed.
    RateLimited,
}

impl FixRejection {
    /// The stable name of this reason, for clients and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OutOfRange => "out_of_range",
            Self::OutOfOrder => "out_of_order",
            Self::InFuture => "in_future",
            Self::OutsideMarket => "outside_market",
            Self::ImplausibleJump => "implausible_jump",
            Self::RateLimited => "rate_limited",
        }
    }
}

/// The limits a fix is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FixLimits {
    /// How far a device's clock may be ahead.
    pub future_ms_max: u64,
    /// A jump is implausible when it was faster than this and longer than `jump_m_min`.
    pub speed_mps_max: f64,
    /// Shorter jumps are always plausible: the noise of a receiver among tall buildings.
    pub jump_m_min: f64,
    /// Fixes per second of one driver, also the size of a burst. 0 refuses every fix.
    pub fixes_per_s_max: u32,
}

impl Default for FixLimits {
    fn default() -> Self {
        Self { future_ms_max: 10_000, speed_mps_max: 70.0, jump_m_min: 500.0, fixes_per_s_max: 10 }
    }
}

/// A place and the time the device was there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sighting {
    pub(super) position: Position,
    pub(super) at: Timestamp,
}

impl Sighting {
    /// Whether a driver can have come from here to `next` within the limits.
    fn reaches(&self, next: &Self, limits: &FixLimits) -> bool {
        let elapsed_s = next.at.millis_since(self.at) as f64 / 1000.0;
        let reach_m = (limits.speed_mps_max * elapsed_s).max(limits.jump_m_min);
        // Nearly all fixes are near the one before: most are settled without the distance.
        self.position.distance_max(next.position).get() <= reach_m
            || self.position.distance(next.position).get() <= reach_m
    }
}

/// Follows a driver's motion and refuses jumps, but not for ever.
#[derive(Debug, Default)]
pub(super) struct MotionGate {
    newest: Option<Sighting>,
    /// Few drivers ever jump.
    suspect: Option<Box<(Sighting, u32)>>,
}

impl MotionGate {
    /// Judges a fix by time and motion, and remembers it when it is a suspicious one.
    #[inline]
    pub(super) fn admit(&mut self, next: Sighting, limits: &FixLimits) -> Result<(), FixRejection> {
        let Some(newest) = self.newest else { return Ok(()) };
        if next.at <= newest.at {
            return Err(FixRejection::OutOfOrder);
        }
        if newest.reaches(&next, limits) {
            return Ok(());
        }
        let agreeing = match self.suspect.as_deref() {
            Some((last, count)) if last.at < next.at && last.reaches(&next, limits) => count + 1,
            Some(_) | None => 1,
        };
        self.suspect = Some(Box::new((next, agreeing)));
        if agreeing >= AGREEING_FIXES { Ok(()) } else { Err(FixRejection::ImplausibleJump) }
    }

    /// Takes a fix as the driver's place from which the next one is judged.
    #[inline]
    pub(super) fn settle(&mut self, next: Sighting) {
        self.newest = Some(next);
        self.suspect = None;
    }

    /// The newest fix that was applied.
    pub(super) const fn newest(&self) -> Option<Sighting> {
        self.newest
    }
}

/// A token bucket over the time fixes are received.
#[derive(Debug, Default)]
pub(super) struct RateGate {
    /// When the bucket was last filled.
    since: Timestamp,
    /// Thousandths of a fix that it lacks to be full.
    lacking: u64,
}

impl RateGate {
    /// Takes one fix out of the bucket.
    #[inline]
    pub(super) fn admit(&mut self, now: Timestamp, limits: &FixLimits) -> Result<(), FixRejection> {
        let rate = u64::from(limits.fixes_per_s_max);
        let refill = now.millis_since(self.since).saturating_mul(rate);
        self.lacking = self.lacking.saturating_sub(refill);
        self.since = now.max(self.since);
        if self.lacking + 1_000 > rate * 1_000 {
            return Err(FixRejection::RateLimited);
        }
        self.lacking += 1_000;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(lat: f64, at_ms: u64) -> Sighting {
        Sighting {
            position: Position::from_degrees(lat, -73.98).unwrap(),
            at: Timestamp::from_millis(at_ms),
        }
    }

    #[test]
    fn a_burst_passes_and_then_fixes_pass_at_the_allowed_rate() {
        let limits = FixLimits { fixes_per_s_max: 4, ..FixLimits::default() };
        let mut gate = RateGate::default();
        let start = Timestamp::from_millis(1_000_000);
        let burst = (0..10).filter(|_| gate.admit(start, &limits).is_ok()).count();
        assert_eq!(burst, 4);
        let passed =
            (1..=100).filter(|i| gate.admit(start.plus_millis(i * 100), &limits).is_ok()).count();
        assert_eq!(passed, 40);
        assert_eq!(gate.admit(start, &limits), Err(FixRejection::RateLimited));
    }

    #[test]
    fn a_jump_is_judged_by_speed_only_beyond_the_noise() {
        let limits = FixLimits { speed_mps_max: 50.0, jump_m_min: 300.0, ..FixLimits::default() };
        let mut gate = MotionGate::default();
        gate.settle(sighting(40.75, 1_000));
        assert_eq!(gate.admit(sighting(40.752, 2_000), &limits), Ok(()));
        let far = gate.admit(sighting(40.76, 2_000), &limits);
        assert_eq!(far, Err(FixRejection::ImplausibleJump));
        assert_eq!(gate.admit(sighting(40.76, 30_000), &limits), Ok(()));
    }

    #[test]
    fn a_driver_is_believed_after_three_fixes_that_agree() {
        let limits = FixLimits::default();
        let mut gate = MotionGate::default();
        gate.settle(sighting(40.75, 1_000));
        assert!(gate.admit(sighting(41.75, 2_000), &limits).is_err());
        assert!(gate.admit(sighting(41.7501, 3_000), &limits).is_err());
        assert!(gate.admit(sighting(41.7502, 4_000), &limits).is_ok());
    }

    #[test]
    fn jumps_that_contradict_one_another_or_repeat_themselves_are_never_believed() {
        let limits = FixLimits::default();
        let mut gate = MotionGate::default();
        gate.settle(sighting(40.75, 1_000));
        for i in 1..50 {
            let lat = if i % 2 == 0 { 41.75 } else { 42.75 };
            assert!(gate.admit(sighting(lat, 1_000 + i * 1_000), &limits).is_err());
        }
        let mut gate = MotionGate::default();
        gate.settle(sighting(40.75, 1_000));
        for _ in 0..10 {
            assert!(gate.admit(sighting(41.75, 2_000), &limits).is_err());
        }
    }
}
