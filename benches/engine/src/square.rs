//! As little as an index can do: squares of 250 m in one array, positions in a plane, a lock a square.
//!
//! The ceiling that Muster's figures are to be read against. It knows one city whose bounds are compiled in,
//! and of a driver that he is free or not: no order of fixes, no age, no tier, no offers, no borders.

use std::sync::{Mutex, PoisonError, RwLock};

use muster_engine::geo::{EARTH_RADIUS_M, Position};

use crate::contender::{Contender, is_free};
use crate::workload::{Move, NEAREST, RADIUS_M};

/// The side of a square, metres; not tuned.
const SIDE_M: f32 = 250.0;
/// The south-west corner of what is indexed, degrees.
const CORNER: [f64; 2] = [40.5, -74.2];
/// Squares from west to east and from south to north: 42 by 67 km.
const SQUARES: [usize; 2] = [170, 268];

/// Who is in a square, and where, metres from the corner: east, north.
type Square = Vec<(u32, [f32; 2])>;

/// Squares in an array.
#[derive(Debug)]
pub struct SquareGrid {
    squares: Vec<RwLock<Square>>,
    /// The square of each driver.
    homes: Vec<Mutex<Option<usize>>>,
}

impl SquareGrid {
    /// Of so many drivers.
    pub fn new(drivers: usize) -> Self {
        let squares = (0..SQUARES[0] * SQUARES[1]).map(|_| RwLock::default()).collect();
        Self { squares, homes: (0..drivers).map(|_| Mutex::new(None)).collect() }
    }
}

/// Metres east and north of the corner, in the plane of New York's latitude.
fn flat(place: Position) -> [f32; 2] {
    let metres = EARTH_RADIUS_M.to_radians();
    let east = (place.lng() - CORNER[1]) * metres * 40.75_f64.to_radians().cos();
    [east as f32, ((place.lat() - CORNER[0]) * metres) as f32]
}

/// The column and the row of the square around a place; of one at the edge, for who is beyond it.
fn square([east, north]: [f32; 2]) -> [usize; 2] {
    let along = |metres: f32, squares: usize| ((metres / SIDE_M) as usize).min(squares - 1);
    [along(east, SQUARES[0]), along(north, SQUARES[1])]
}

const fn number([column, row]: [usize; 2]) -> usize {
    row * SQUARES[0] + column
}

/// The nearest so far, nearest first, with the squares of their distances.
struct Nearest {
    found: [(f32, u32); NEAREST],
    count: usize,
    /// Nobody who is as far is looked for, metres squared.
    beyond: f32,
}

impl Nearest {
    const fn within(metres: f32) -> Self {
        Self { found: [(0.0, 0); NEAREST], count: 0, beyond: metres * metres }
    }

    fn offer(&mut self, distance: f32, driver: u32) {
        if distance >= self.beyond {
            return;
        }
        let mut at = self.count.min(NEAREST - 1);
        while at > 0 && self.found[at - 1].0 > distance {
            self.found[at] = self.found[at - 1];
            at -= 1;
        }
        self.found[at] = (distance, driver);
        self.count = (self.count + 1).min(NEAREST);
        if self.count == NEAREST {
            self.beyond = self.found[NEAREST - 1].0;
        }
    }
}

/// The squared distance from a place to the nearest point of a square, metres.
fn to_square([east, north]: [f32; 2], [column, row]: [usize; 2]) -> f32 {
    let off = |metres: f32, place: usize| {
        let low = place as f32 * SIDE_M;
        (low - metres).max(metres - low - SIDE_M).max(0.0)
    };
    off(east, column).powi(2) + off(north, row).powi(2)
}

impl SquareGrid {
    fn read(&self, at: [f32; 2], place: [usize; 2], nearest: &mut Nearest) {
        if to_square(at, place) >= nearest.beyond {
            return;
        }
        let square = &self.squares[number(place)];
        for (driver, [east, north]) in square.read().unwrap_or_else(PoisonError::into_inner).iter()
        {
            let distance = (east - at[0]).powi(2) + (north - at[1]).powi(2);
            if distance < nearest.beyond && is_free(*driver as usize) {
                nearest.offer(distance, *driver);
            }
        }
    }
}

impl Contender for SquareGrid {
    fn name(&self) -> &'static str {
        "bare squares"
    }

    fn apply(&self, step: &Move) -> anyhow::Result<()> {
        let (driver, at) = (u32::try_from(step.driver)?, flat(step.to));
        let to = number(square(at));
        let mut home = self.homes[step.driver].lock().unwrap_or_else(PoisonError::into_inner);
        let from = home.replace(to);
        if let Some(from) = from {
            let mut square = self.squares[from].write().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = square.iter().position(|(other, _)| *other == driver) {
                if from == to {
                    square[place].1 = at;
                    return Ok(());
                }
                square.swap_remove(place);
            }
        }
        let mut square = self.squares[to].write().unwrap_or_else(PoisonError::into_inner);
        square.push((driver, at));
        Ok(())
    }

    fn nearest(&self, to: Position, answer: &mut Vec<usize>) {
        let at = flat(to);
        let [column, row] = square(at).map(|place| place as isize);
        let mut nearest = Nearest::within(RADIUS_M as f32);
        for ring in 0_isize.. {
            // All of this ring and those around it are at least so far away.
            let inner_m = (ring - 1) as f32 * SIDE_M;
            if ring > 1 && inner_m * inner_m >= nearest.beyond {
                break;
            }
            for north in -ring..=ring {
                let step = if north.abs() == ring { 1 } else { (2 * ring).max(1) };
                for east in (-ring..=ring).step_by(step.unsigned_abs()) {
                    let place = [column + east, row + north].map(usize::try_from);
                    let [Ok(column), Ok(row)] = place else { continue };
                    if column < SQUARES[0] && row < SQUARES[1] {
                        self.read(at, [column, row], &mut nearest);
                    }
                }
            }
        }
        answer.clear();
        answer.extend(nearest.found[..nearest.count].iter().map(|(_, driver)| *driver as usize));
    }
}
