//! What moves: the trait both cities implement, and the simulated car on Manhattan's streets.

use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::journey::Journey;
use crate::geo::Point;
use crate::roads::{NodeIndex, RoadNetwork};
use crate::stands::Stands;
use crate::wire::Fix;

/// City time between two fixes of a simulated driver.
pub(crate) const FIX_INTERVAL_MS: i64 = 4_000;
/// Share of idle moments spent at the kerb; the others are spent cruising.
const KERB_SHARE: f64 = 0.5;
/// Shortest and longest stay at the kerb.
const KERB_MS: (i64, i64) = (30_000, 120_000);
/// Share of idle moments near a stand in which a driver goes to wait there.
const STAND_SHARE: f64 = 0.05;
/// How long he waits there.
const STAND_MS: i64 = 900_000;
/// Fewest and most street segments of one cruise.
const CRUISE_SEGMENTS: (usize, usize) = (4, 12);

/// A drive to somewhere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Leg {
    pub(crate) arrive_at_ms: i64,
    pub(crate) length_m: f64,
}

/// A vehicle with a position sensor. All times are city milliseconds.
pub(crate) trait Vehicle: Send {
    /// When the next fix is due; `None` when there will be no more.
    fn next_fix_at(&self) -> Option<i64>;
    /// Takes the fixes that are due; returns how many deadlines were missed.
    fn take_fixes(&mut self, now_ms: i64, fixes: &mut Vec<Fix>) -> u64;
    /// Drops the fixes that fell due while there was no connection.
    fn resume(&mut self, now_ms: i64);
    /// Drives to a point.
    fn drive_to(&mut self, now_ms: i64, to: Point) -> Leg;
    /// Drives to a gate of a zone and waits there; whether it can.
    fn go_to_gate(&mut self, _now_ms: i64, _zone: &str, _gate: &str) -> bool {
        false
    }
    /// The zone whose stand the vehicle stands at without a ride.
    fn waits_at(&self, _now_ms: i64) -> Option<&str> {
        None
    }
    /// The ride is over: the vehicle is its driver's own again.
    fn release(&mut self, now_ms: i64);
    /// Carries a passenger that the engine knows nothing of.
    fn is_occupied(&self) -> bool;
}

/// A simulated car: drives the fastest route when it has a ride, cruises or waits when not.
pub(crate) struct StreetVehicle {
    network: Arc<RoadNetwork>,
    stands: Option<Arc<Stands>>,
    journey: Journey,
    engaged: bool,
    /// The zone of the stand it goes to, and when it is there.
    waits_at: Option<(String, i64)>,
    random: ChaCha8Rng,
    next_fix_at_ms: i64,
}

impl StreetVehicle {
    /// A car that stands at the node nearest to `start`, with fixes from `first_fix_at_ms` on.
    pub(crate) fn new(
        network: Arc<RoadNetwork>,
        start: Point,
        first_fix_at_ms: i64,
        random: ChaCha8Rng,
    ) -> Self {
        let (node, _) = network.snap(start);
        let journey = Journey::standing(network.point(node), node, first_fix_at_ms);
        let (stands, next_fix_at_ms) = (None, first_fix_at_ms);
        let waits_at = None;
        Self { network, stands, journey, engaged: false, waits_at, random, next_fix_at_ms }
    }

    /// The same car of a driver who knows these stands.
    pub(crate) fn with_stands(self, stands: Option<Arc<Stands>>) -> Self {
        Self { stands, ..self }
    }

    fn wait_at(&mut self, now_ms: i64, zone: &str, place: Point) {
        self.journey = self.way_to(now_ms, place);
        self.waits_at = Some((zone.to_owned(), self.journey.ends_at_ms()));
        self.journey.stay(STAND_MS);
    }

    fn way_to(&self, now_ms: i64, to: Point) -> Journey {
        let mut journey = self.journey.redirected(now_ms, &self.network);
        let (node, _) = self.network.snap(to);
        for step in self.network.route(journey.end_node(), node).steps {
            journey.extend(step, &self.network);
        }
        journey.leave_street(to);
        journey
    }

    /// What a driver without a ride does next: waits at a stand or at the kerb, or cruises some
    /// blocks.
    fn idle(&mut self, now_ms: i64) {
        self.waits_at = None;
        if let Some(stands) = self.stands.clone() {
            let stand = stands.near(self.journey.motion(now_ms).point);
            let wants = self.random.random::<f64>() < STAND_SHARE;
            if let Some(stand) = stand.filter(|_| wants) {
                return self.wait_at(now_ms, &stand.zone, stand.parking);
            }
        }
        if self.random.random::<f64>() < KERB_SHARE {
            let until_ms = now_ms + self.random.random_range(KERB_MS.0..KERB_MS.1);
            self.journey.wait_until(now_ms, until_ms);
            return;
        }
        let segments = self.random.random_range(CRUISE_SEGMENTS.0..=CRUISE_SEGMENTS.1);
        let mut journey = self.journey.redirected(now_ms, &self.network);
        let mut behind = NodeIndex::MAX;
        for _ in 0..segments {
            let node = journey.end_node();
            let streets = self.network.leaving(node);
            if streets.is_empty() {
                break;
            }
            // Any street but back, unless back is the only way.
            let offset = self.random.random_range(0..streets.len());
            let turn = (0..streets.len())
                .map(|step| streets[(offset + step) % streets.len()])
                .find(|street| street.to != behind)
                .unwrap_or(streets[offset]);
            behind = node;
            journey.extend(turn.into(), &self.network);
        }
        self.journey = journey;
    }
}

impl Vehicle for StreetVehicle {
    fn next_fix_at(&self) -> Option<i64> {
        Some(self.next_fix_at_ms)
    }

    fn take_fixes(&mut self, now_ms: i64, fixes: &mut Vec<Fix>) -> u64 {
        if now_ms < self.next_fix_at_ms {
            return 0;
        }
        // A fix tells where the car is, not where it was: late ones are skipped, and counted.
        let missed = (now_ms - self.next_fix_at_ms) / FIX_INTERVAL_MS;
        self.next_fix_at_ms += (missed + 1) * FIX_INTERVAL_MS;
        if !self.engaged && now_ms >= self.journey.ends_at_ms() {
            self.idle(now_ms);
        }
        let motion = self.journey.motion(now_ms);
        fixes.push(Fix {
            point: motion.point,
            at_ms: now_ms,
            speed_mps: Some(motion.speed_mps),
            bearing_deg: Some(motion.bearing_deg),
        });
        missed as u64
    }

    fn resume(&mut self, now_ms: i64) {
        let behind = (now_ms - self.next_fix_at_ms).max(0) / FIX_INTERVAL_MS;
        self.next_fix_at_ms += behind * FIX_INTERVAL_MS;
    }

    fn drive_to(&mut self, now_ms: i64, to: Point) -> Leg {
        let journey = self.way_to(now_ms, to);
        let leg = Leg { arrive_at_ms: journey.ends_at_ms(), length_m: journey.length_m() };
        self.journey = journey;
        self.engaged = true;
        self.waits_at = None;
        leg
    }

    fn go_to_gate(&mut self, now_ms: i64, zone: &str, gate: &str) -> bool {
        let gate = self.stands.as_ref().and_then(|stands| stands.gate(zone, gate));
        gate.map(|gate| self.wait_at(now_ms, zone, gate)).is_some()
    }

    fn waits_at(&self, now_ms: i64) -> Option<&str> {
        let (zone, from_ms) = self.waits_at.as_ref()?;
        (!self.engaged && *from_ms <= now_ms).then_some(zone)
    }

    fn release(&mut self, now_ms: i64) {
        self.engaged = false;
        self.idle(now_ms);
    }

    fn is_occupied(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn car() -> StreetVehicle {
        let network = Arc::new(RoadNetwork::manhattan().unwrap());
        let start = Point::new(40.7527, -73.9772);
        StreetVehicle::new(network, start, 1_000, ChaCha8Rng::seed_from_u64(4))
    }

    #[test]
    fn fixes_keep_absolute_pace_and_late_ones_are_counted() {
        let mut car = car();
        let mut fixes = Vec::new();
        assert_eq!(car.take_fixes(999, &mut fixes), 0);
        assert!(fixes.is_empty());
        assert_eq!(car.take_fixes(1_700, &mut fixes), 0);
        assert_eq!(car.next_fix_at(), Some(5_000), "no drift");
        assert_eq!(car.take_fixes(5_000 + 3 * FIX_INTERVAL_MS + 10, &mut fixes), 3);
        assert_eq!(car.next_fix_at(), Some(5_000 + 4 * FIX_INTERVAL_MS));
        assert_eq!(fixes.len(), 2);
        car.resume(100_000);
        assert_eq!(car.take_fixes(100_000, &mut fixes), 0, "a lost connection is no lateness");
    }

    #[test]
    fn no_car_ever_jumps() {
        let mut car = car();
        let mut fixes = Vec::new();
        let mut now_ms = 1_000;
        for ride in 0..6 {
            let to = Point::new(40.71 + 0.015 * f64::from(ride), -73.99 + 0.004 * f64::from(ride));
            let leg = car.drive_to(now_ms, to);
            while now_ms < leg.arrive_at_ms {
                now_ms += FIX_INTERVAL_MS;
                car.take_fixes(now_ms, &mut fixes);
            }
            let here = fixes.last().unwrap().point;
            assert!(here.distance_m(to) < 1.0, "arrived {} m away", here.distance_m(to));
            car.release(now_ms);
            for _ in 0..40 {
                now_ms += FIX_INTERVAL_MS;
                car.take_fixes(now_ms, &mut fixes);
            }
        }
        for pair in fixes.windows(2) {
            let seconds = (pair[1].at_ms - pair[0].at_ms) as f64 / 1_000.0;
            let speed_mps = pair[0].point.distance_m(pair[1].point) / seconds;
            assert!(speed_mps < 15.0, "{speed_mps} m/s");
        }
    }
}
