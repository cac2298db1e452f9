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

/// All drivers of the workload.
#[derive(Debug)]
pub struct Drivers {
    routes: Vec<Route>,
}

impl Drivers {
    /// So many of them.
    pub fn new(drivers: usize) -> Self {
        Self { routes: (0..drivers as u64).map(Route::new).collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.routes.len()
    }

    /// The move with this number: all drivers move once, then all move again.
    pub fn nth(&self, number: usize) -> Move {
        let (driver, step) = (number % self.routes.len(), number / self.routes.len());
        let at_ms = BEGIN_MS + step as u64 * STEP_MS;
        Move { driver, to: self.routes[driver].at(at_ms), at_ms }
    }

    /// Where everybody begins.
    pub fn first(&self) -> impl Iterator<Item = Move> {
        (0..self.routes.len()).map(|number| self.nth(number))
    }

    /// Where the rider with this number waits.
    pub fn rider(&self, number: u64) -> Place {
        place(&mut dice(RIDERS_FROM + number))
    }
}
