//! How simulated cars get from place to place: the one place that knows how far and how long it is.

use muster_city::geo::Point;

/// The way of a car: a straight line with a detour, at one speed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Travel {
    /// Street distance over straight-line distance, at least 1.
    pub detour_factor: f64,
    /// Mean driving speed in metres per second, above 0.
    pub speed_mps: f64,
}

impl Travel {
    /// The driven way in metres.
    #[must_use]
    pub fn way_m(&self, from: Point, to: Point) -> f64 {
        from.distance_m(to) * self.detour_factor
    }

    /// The time it takes in milliseconds.
    #[must_use]
    pub fn time_ms(&self, from: Point, to: Point) -> u64 {
        (self.way_m(from, to) / self.speed_mps * 1_000.0).round() as u64
    }

    /// Where a car is after `share` (0 to 1) of the time.
    #[must_use]
    pub fn place(&self, from: Point, to: Point, share: f64) -> Point {
        from.toward(to, share.clamp(0.0, 1.0))
    }
}
