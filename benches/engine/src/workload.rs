//! Drivers who drive around their homes, and places where riders wait.

use std::f64::consts::TAU;

use muster_city::trips::manhattan;
use muster_engine::geo::Position;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How far a question looks, metres.
pub const RADIUS_M: f64 = 3_000.0;
/// How many drivers a question wants.
pub const NEAREST: usize = 10;
/// Milliseconds between two fixes of a driver: a phone's usual interval.
pub const STEP_MS: u64 = 4_000;
/// Where the clock of the workload begins.
pub const BEGIN_MS: u64 = 1_764_547_200_000;

/// Metres between two fixes: 7 m/s, a car in a city.
const STEP_M: f64 = 28.0;
/// Positions of a driver's round: the larger, the rounder.
const STEPS_MAX: usize = 56;
/// Positions kept for all drivers together: 64 MB.
const POSITIONS_MAX: usize = 8_000_000;
/// Homes lie so far around a recorded pickup, metres: many drivers share one.
const HOME_SPREAD_M: f64 = 40.0;
/// Places where riders wait.
const RIDERS: usize = 4_096;
/// Degrees of latitude in a metre, and of longitude at New York's latitude.
const LAT_OF_M: f64 = 1.0 / 111_195.0;
const LNG_OF_M: f64 = LAT_OF_M / 0.758;
/// The rectangle of New York: south, west, north, east.
const NEW_YORK: [f64; 4] = [40.55, -74.10, 40.90, -73.80];

/// How drivers lie in the city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// As the 16,010 taxi pickups of a real hour in Manhattan: most of the city is empty, its centre
    /// full.
    Clustered,
    /// Evenly over a rectangle of 25 by 39 km.
    Uniform,
}

impl Spread {
    /// How people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clustered => "clustered",
            Self::Uniform => "uniform",
        }
    }
}

/// Places in the city, one after the other.
#[derive(Debug)]
pub struct Places {
    spread: Spread,
    pickups: Vec<(f64, f64)>,
    dice: ChaCha8Rng,
}

impl Places {
    /// The same for the same `seed`.
    ///
    /// # Errors
    /// When the bundled trips cannot be read.
    pub fn new(spread: Spread, seed: u64) -> anyhow::Result<Self> {
        let trips = manhattan(1)?;
        let pickups = trips.iter().map(|trip| (trip.pickup.lat, trip.pickup.lng)).collect();
        Ok(Self { spread, pickups, dice: ChaCha8Rng::seed_from_u64(seed) })
    }

    /// The next so many.
    ///
    /// # Errors
    /// Never: all are on the globe.
    pub fn positions(&mut self, count: usize) -> anyhow::Result<Vec<Position>> {
        let place = |_| {
            let (lat, lng) = self.next();
            Ok(Position::from_degrees(lat, lng)?)
        };
        (0..count).map(place).collect()
    }

    /// The latitude and the longitude of the next.
    fn next(&mut self) -> (f64, f64) {
        let dice = &mut self.dice;
        match self.spread {
            Spread::Clustered => {
                let (lat, lng) = self.pickups[dice.random_range(0..self.pickups.len())];
                let mut off = || dice.random_range(-HOME_SPREAD_M..HOME_SPREAD_M);
                (lat + off() * LAT_OF_M, lng + off() * LNG_OF_M)
            }
            Spread::Uniform => {
                let [south, west, north, east] = NEW_YORK;
                (dice.random_range(south..north), dice.random_range(west..east))
            }
        }
    }
}

/// A driver's next fix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Which driver, from 0.
    pub driver: usize,
    /// Where.
    pub to: Position,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
}

/// All drivers of the workload and where they go, ready before anything is timed.
#[derive(Debug)]
pub struct Drivers {
    /// By step and then by driver, in the order in which fixes arrive.
    positions: Vec<Position>,
    /// Drivers in the order in which their fixes arrive: not that of memory.
    order: Vec<u32>,
    riders: Vec<Position>,
}

impl Drivers {
    /// So many of them, the same for the same `seed`.
    ///
    /// # Errors
    /// When the bundled trips cannot be read.
    pub fn new(drivers: usize, spread: Spread, seed: u64) -> anyhow::Result<Self> {
        let mut places = Places::new(spread, seed)?;
        let steps = (POSITIONS_MAX / drivers.max(1)).clamp(2, STEPS_MAX);
        let circle_m = steps as f64 * STEP_M / TAU;
        let homes: Vec<(f64, f64, f64)> = (0..drivers)
            .map(|_| {
                let (lat, lng) = places.next();
                (lat, lng, places.dice.random_range(0.0..TAU))
            })
            .collect();
        let mut order: Vec<u32> = (0..u32::try_from(drivers)?).collect();
        for last in (1..order.len()).rev() {
            order.swap(last, places.dice.random_range(0..=last));
        }
        let mut positions = Vec::with_capacity(steps * drivers);
        for step in 0..steps {
            for driver in &order {
                let (lat, lng, phase) = homes[*driver as usize];
                let turn = phase + step as f64 / steps as f64 * TAU;
                let (north, east) = (circle_m * turn.sin(), circle_m * turn.cos());
                positions
                    .push(Position::from_degrees(lat + north * LAT_OF_M, lng + east * LNG_OF_M)?);
            }
        }
        let riders = places.positions(RIDERS)?;
        Ok(Self { positions, order, riders })
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// The fix with this number: all drivers report once, then all again.
    pub fn nth(&self, number: usize) -> Move {
        let driver = self.order[number % self.order.len()] as usize;
        let step = (number / self.order.len()) as u64;
        let to = self.positions[number % self.positions.len()];
        Move { driver, to, at_ms: BEGIN_MS + step * STEP_MS }
    }

    /// Where the rider with this number waits; they repeat.
    pub fn rider(&self, number: usize) -> Position {
        self.riders[number % self.riders.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_move_as_far_as_a_car_in_the_time_between_two_fixes() {
        for spread in [Spread::Clustered, Spread::Uniform] {
            let drivers = Drivers::new(50, spread, 1).unwrap();
            for number in 0..50 * 200 {
                let (one, next) = (drivers.nth(number), drivers.nth(number + 50));
                assert_eq!((one.driver, one.at_ms + STEP_MS), (next.driver, next.at_ms));
                let metres = one.to.distance(next.to).get();
                assert!((20.0..35.0).contains(&metres), "{metres} m");
            }
        }
    }
}
