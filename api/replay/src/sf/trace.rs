//! A recorded cab: its fixes at their times, and a timetable for the rides it wins.

use crate::driver::vehicle::{FIX_INTERVAL_MS, Leg, Vehicle};
use crate::geo::Point;
use crate::wire::Fix;

/// Straight lines become this much longer on streets.
const DETOUR: f64 = 1.3;
/// 20 km/h, the median of the recorded cabs.
const SPEED_MPS: f64 = 20.0 / 3.6;

/// One recorded fix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TraceFix {
    /// City milliseconds after the start of the window.
    pub(crate) after_ms: i64,
    pub(crate) point: Point,
    pub(crate) occupied: bool,
}

/// A cab of the recording.
pub(crate) struct TraceVehicle {
    fixes: Vec<TraceFix>,
    next: usize,
    window_starts_at_ms: i64,
    /// Where the ride being carried out has got to.
    ride_at: Option<Point>,
}

impl TraceVehicle {
    /// A cab whose window starts at a city time.
    pub(crate) fn new(fixes: Vec<TraceFix>, window_starts_at_ms: i64) -> Self {
        Self { fixes, next: 0, window_starts_at_ms, ride_at: None }
    }

    fn last(&self) -> Option<&TraceFix> {
        self.fixes[..self.next].last()
    }
}

impl Vehicle for TraceVehicle {
    fn next_fix_at(&self) -> Option<i64> {
        self.fixes.get(self.next).map(|fix| self.window_starts_at_ms + fix.after_ms)
    }

    fn take_fixes(&mut self, now_ms: i64, fixes: &mut Vec<Fix>) -> u64 {
        let mut missed = 0;
        while let Some(fix) = self.fixes.get(self.next) {
            let at_ms = self.window_starts_at_ms + fix.after_ms;
            if at_ms > now_ms {
                break;
            }
            missed += u64::from(now_ms - at_ms > FIX_INTERVAL_MS && fix.after_ms > 0);
            fixes.push(Fix { point: fix.point, at_ms, speed_mps: None, bearing_deg: None });
            self.next += 1;
        }
        missed
    }

    fn resume(&mut self, now_ms: i64) {
        let due = |fix: &TraceFix| self.window_starts_at_ms + fix.after_ms <= now_ms;
        let past = self.fixes.partition_point(due);
        // The newest fix of the past is kept: it tells where the cab is.
        self.next = self.next.max(past.saturating_sub(1));
    }

    fn drive_to(&mut self, now_ms: i64, to: Point) -> Leg {
        let from = self.ride_at.or_else(|| self.last().map(|fix| fix.point)).unwrap_or(to);
        self.ride_at = Some(to);
        let length_m = from.distance_m(to) * DETOUR;
        let arrive_at_ms = now_ms + (length_m / SPEED_MPS * 1_000.0) as i64;
        Leg { arrive_at_ms, length_m }
    }

    fn release(&mut self, _now_ms: i64) {
        self.ride_at = None;
    }

    fn is_occupied(&self) -> bool {
        self.last().is_some_and(|fix| fix.occupied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cab() -> TraceVehicle {
        let fix = |after_ms, occupied| TraceFix {
            after_ms,
            point: Point::new(37.77 + after_ms as f64 * 1e-7, -122.42),
            occupied,
        };
        TraceVehicle::new(vec![fix(-5_000, false), fix(0, false), fix(60_000, true)], 1_000_000)
    }

    #[test]
    fn fixes_go_out_at_their_own_times_and_tell_whether_the_cab_is_taken() {
        let (mut cab, mut fixes) = (cab(), Vec::new());
        assert_eq!(cab.next_fix_at(), Some(995_000));
        assert_eq!(cab.take_fixes(1_000_500, &mut fixes), 0);
        assert_eq!(fixes.iter().map(|fix| fix.at_ms).collect::<Vec<_>>(), [995_000, 1_000_000]);
        assert!(!cab.is_occupied());
        assert_eq!(cab.take_fixes(1_066_000, &mut fixes), 1, "six seconds late");
        assert!(cab.is_occupied());
        assert_eq!(cab.next_fix_at(), None, "and silent ever after");
    }

    #[test]
    fn rides_run_on_a_timetable_from_where_the_cab_was() {
        let (mut cab, mut fixes) = (cab(), Vec::new());
        cab.resume(1_000_000);
        cab.take_fixes(1_000_000, &mut fixes);
        assert_eq!(fixes.len(), 1, "of the past only the newest fix is sent");
        let pickup = Point::new(37.78, -122.42);
        let leg = cab.drive_to(1_000_000, pickup);
        assert!((leg.length_m - fixes[0].point.distance_m(pickup) * 1.3).abs() < 1.0);
        assert!((leg.arrive_at_ms - 1_000_000 - (leg.length_m * 180.0) as i64).abs() <= 1);
        let onward = cab.drive_to(leg.arrive_at_ms, Point::new(37.77, -122.42));
        assert!((onward.length_m - 1_445.5).abs() < 2.0, "{}", onward.length_m);
    }
}
