//! Drivers clustered like a city's, who drive around their homes, and places where riders wait.

use crate::city::{Place, Route, dice, place};

/// Milliseconds between two moves of a driver: a phone's usual interval.
const STEP_MS: u64 = 4_000;
/// Where the clock of the workload begins.
const BEGIN_MS: u64 = 1_764_547_200_000;
/// Seeds of riders are apart from those of drivers.
const RIDERS_FROM: u64 = 1 << 40;

/// How far a question looks.
pub(super) const RADIUS_M: f64 = 3_000.0;
/// How many drivers a question wants.
pub(super) const NEAREST: usize = 10;

/// A driver's next position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Move {
    /// Which driver, from 0.
    pub driver: usize,
    /// Where.
    pub to: Place,
    /// When, in unix milliseconds.
    pub at_ms: u64,
}

/// Moves until a driver is where he began.
const STEPS: usize = 56;

/// All drivers of the workload and where they go, ready before anything is timed.
#[derive(Debug)]
pub struct Drivers {
    drivers: usize,
    /// By step and then by driver.
    places: Vec<Place>,
}

impl Drivers {
    /// So many of them.
    pub fn new(drivers: usize) -> Self {
        let routes: Vec<Route> = (0..drivers as u64).map(Route::new).collect();
        let at_ms = |step: usize| BEGIN_MS + step as u64 * STEP_MS;
        let places =
            (0..STEPS).flat_map(|step| routes.iter().map(move |route| route.at(at_ms(step))));
        Self { drivers, places: places.collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.drivers
    }

    /// The move with this number: all drivers move once, then all move again.
    pub fn nth(&self, number: usize) -> Move {
        let (driver, step) = (number % self.drivers, number / self.drivers);
        let at_ms = BEGIN_MS + step as u64 * STEP_MS;
        Move { driver, to: self.places[number % self.places.len()], at_ms }
    }

    /// Where everybody begins.
    pub fn first(&self) -> impl Iterator<Item = Move> {
        (0..self.drivers).map(|number| self.nth(number))
    }

    /// Where the rider with this number waits.
    pub fn rider(&self, number: u64) -> Place {
        place(&mut dice(RIDERS_FROM + number))
    }
}
