//! The cell of a position, looked up instead of computed.
//!
//! The projection of H3 costs half a microsecond, more than everything else about a fix. So a market's
//! rectangle is divided into squares a fraction of a cell wide, and a square that lies in one cell
//! remembers which. It is filled when a position first falls into it; squares on a border between
//! cells keep computing. Squares lie in tiles, which take memory once somebody is there.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::cell::{Cell, CellResolution};
use super::position::{EARTH_RADIUS_M, Position};

/// Squares along the side of a tile, as a power of two: 32 KB a tile.
const TILE_SHIFT: u32 = 6;
/// Tiles of one raster at most: 16 bytes each, filled or not. A market that needs more is a country
/// in fine cells, and computes.
const TILES_MAX: usize = 1 << 18;
/// Tiles that may be filled: 256 MB. Beyond them cells are computed.
const FILLED_MAX: usize = 8_192;
/// A square is at most this part of a cell's circumradius high: of squares of an eighth six of seven
/// lie in one cell.
const SQUARES_PER_CIRCUMRADIUS: f64 = 8.0;
/// Beyond this latitude a degree of longitude is so short that squares become slivers.
const LAT_MAX: f64 = 80.0;
/// Nothing is known of the square. No cell has this index.
const UNKNOWN: u64 = 0;
/// More than one cell may be in the square; beside it is the index of the one in its middle, which never
/// has this bit.
const MIXED: u64 = 1 << 63;

type Tile = Box<[AtomicU64]>;

/// Cells of one resolution by position, for positions of a rectangle; others are computed.
#[derive(Debug)]
pub struct CellRaster {
    resolution: CellResolution,
    south_e7: i32,
    west_e7: i32,
    /// The side of a square is `1 << shift` in 1e-7 degrees.
    shift: u32,
    rows: u32,
    columns: u32,
    tiles: Box<[OnceLock<Tile>]>,
    filled: AtomicUsize,
}

/// A square by row and column from the south-west.
#[derive(Debug, Clone, Copy)]
struct Square {
    row: u32,
    column: u32,
}

impl CellRaster {
    /// A raster of the rectangle between two corners.
    pub fn new(south_west: Position, north_east: Position, resolution: CellResolution) -> Self {
        let high_e7 = resolution.circumradius_max().get()
            / SQUARES_PER_CIRCUMRADIUS
            / EARTH_RADIUS_M.to_radians()
            * 1e7;
        let shift = (high_e7.max(1.0) as u32).ilog2();
        let tiles = |from: i32, to: i32| (to.abs_diff(from) >> (shift + TILE_SHIFT)) + 1;
        let rows = tiles(south_west.lat_e7(), north_east.lat_e7());
        let columns = tiles(south_west.lng_e7(), north_east.lng_e7());
        let count = rows as usize * columns as usize;
        let polar = south_west.lat().abs().max(north_east.lat().abs()) > LAT_MAX;
        let (rows, columns) = if polar || count > TILES_MAX { (0, 0) } else { (rows, columns) };
        let tiles = (0..rows as usize * columns as usize).map(|_| OnceLock::new()).collect();
        let (south_e7, west_e7) = (south_west.lat_e7(), south_west.lng_e7());
        Self {
            resolution,
            south_e7,
            west_e7,
            shift,
            rows,
            columns,
            tiles,
            filled: AtomicUsize::new(0),
        }
    }

    /// A raster of nothing: every cell is computed.
    pub fn empty(resolution: CellResolution) -> Self {
        let (shift, rows, columns, tiles) = (0, 0, 0, Box::default());
        Self {
            resolution,
            south_e7: 0,
            west_e7: 0,
            shift,
            rows,
            columns,
            tiles,
            filled: AtomicUsize::new(0),
        }
    }

    /// The resolution of the cells.
    pub const fn resolution(&self) -> CellResolution {
        self.resolution
    }

    /// The cell of `position`, as [`Cell::at`] finds it.
    pub fn cell_at(&self, position: Position) -> Cell {
        let Some((square, known)) = self.square_of(position) else {
            return Cell::at(position, self.resolution);
        };
        let word = self.word_of(square, known);
        let only = if word & MIXED == 0 { Cell::from_raw(word) } else { None };
        only.unwrap_or_else(|| Cell::at(position, self.resolution))
    }

    /// A cell that holds `position` or lies no farther from it than a square is wide, for a search to begin
    /// with: also where two cells meet, and [`cell_at`](Self::cell_at) must compute, it is only looked up.
    pub fn cell_near(&self, position: Position) -> Cell {
        let known = self.square_of(position);
        let near =
            known.and_then(|(square, known)| Cell::from_raw(self.word_of(square, known) & !MIXED));
        near.unwrap_or_else(|| Cell::at(position, self.resolution))
    }

    /// What the square keeps in the word `known`, which is filled if it is not.
    fn word_of(&self, square: Square, known: &AtomicU64) -> u64 {
        // A square keeps one whole word, so there is nothing to order.
        let mut word = known.load(Ordering::Relaxed);
        if word == UNKNOWN {
            let middle = || self.middle_of(square).map_or(0, Cell::raw);
            word = self.only_cell_of(square).map_or_else(|| MIXED | middle(), Cell::raw);
            known.store(word, Ordering::Relaxed);
        }
        word
    }

    /// The cell in the middle of a square.
    fn middle_of(&self, square: Square) -> Option<Cell> {
        let side = 1_i64 << self.shift;
        let middle = |from: i32, steps: u32| i64::from(from) + i64::from(steps) * side + side / 2;
        let lat_e7 = i32::try_from(middle(self.south_e7, square.row)).ok()?;
        let lng_e7 = i32::try_from(middle(self.west_e7, square.column)).ok()?;
        Some(Cell::at(Position::from_e7(lat_e7, lng_e7).ok()?, self.resolution))
    }

    fn square_of(&self, position: Position) -> Option<(Square, &AtomicU64)> {
        let steps = |at: i32, from: i32| {
            Some(u32::try_from(i64::from(at) - i64::from(from)).ok()? >> self.shift)
        };
        let row = steps(position.lat_e7(), self.south_e7)?;
        let column = steps(position.lng_e7(), self.west_e7)?;
        let (tile_row, tile_column) = (row >> TILE_SHIFT, column >> TILE_SHIFT);
        if tile_row >= self.rows || tile_column >= self.columns {
            return None;
        }
        let tile = self.tiles.get((tile_row * self.columns + tile_column) as usize)?;
        // Threads that fill tiles at once may go over by one each.
        if tile.get().is_none() && self.filled.load(Ordering::Relaxed) >= FILLED_MAX {
            return None;
        }
        let squares = tile.get_or_init(|| {
            self.filled.fetch_add(1, Ordering::Relaxed);
            (0..1 << (2 * TILE_SHIFT)).map(|_| AtomicU64::new(UNKNOWN)).collect()
        });
        let mask = (1 << TILE_SHIFT) - 1;
        let place = (row & mask) << TILE_SHIFT | (column & mask);
        Some((Square { row, column }, squares.get(place as usize)?))
    }

    /// The cell that all of a square certainly lies in, if there is one.
    ///
    /// A cell with six corners is convex, so it holds what lies between the corners of the square. They
    /// are taken a little too far out: a side along a parallel is no great circle, and rounding.
    fn only_cell_of(&self, square: Square) -> Option<Cell> {
        let side = 1_i64 << self.shift;
        let margin = side / 16 + 1;
        let low = |from: i32, steps: u32| i64::from(from) + i64::from(steps) * side - margin;
        let (south, west) = (low(self.south_e7, square.row), low(self.west_e7, square.column));
        let across = side + 2 * margin;
        let mut only = None;
        for (lat, lng) in [
            (south, west),
            (south, west + across),
            (south + across, west),
            (south + across, west + across),
        ] {
            let corner =
                Position::from_e7(i32::try_from(lat).ok()?, i32::try_from(lng).ok()?).ok()?;
            let cell = Cell::at(corner, self.resolution);
            if *only.get_or_insert(cell) != cell {
                return None;
            }
        }
        only.filter(|cell| cell.corners().len() == 6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn position(lat: f64, lng: f64) -> Position {
        Position::from_degrees(lat, lng).unwrap()
    }

    /// A pentagon, an edge of the icosahedron, cities, the equator, the antimeridian from the west.
    const CENTRES: [(f64, f64); 8] = [
        (64.7, 10.536_199),
        (39.1, 122.3),
        (40.75, -73.98),
        (-33.87, 151.2),
        (0.0, 6.6),
        (-17.0, 179.99),
        (72.0, 25.0),
        (58.157_7, 10.0),
    ];

    proptest! {
        #[test]
        fn a_cell_that_is_looked_up_is_the_cell_that_is_computed(
            centre in 0..CENTRES.len(),
            number in 5_u8..=10,
            half in 0.01_f64..0.3,
            places in proptest::collection::vec((-1.2_f64..1.2, -1.2_f64..1.2), 600),
        ) {
            let (lat, lng) = CENTRES[centre];
            let resolution = CellResolution::new(number).unwrap();
            let raster = CellRaster::new(
                position(lat - half, lng - half),
                position(lat + half, (lng + half).min(180.0)),
                resolution,
            );
            for (north, east) in places {
                let at = position(lat + north * half, (lng + east * half).min(180.0));
                for _ in 0..2 {
                    prop_assert_eq!(raster.cell_at(at), Cell::at(at, resolution));
                }
                // A neighbour in the same square, which that look has filled.
                let beside = position((at.lat() + 0.000_07).min(90.0), at.lng());
                prop_assert_eq!(raster.cell_at(beside), Cell::at(beside, resolution));
            }
        }
    }

    #[test]
    fn most_squares_of_a_city_lie_in_one_cell() {
        let (south_west, north_east) = (position(40.70, -74.02), position(40.80, -73.93));
        let raster = CellRaster::new(south_west, north_east, CellResolution::new(9).unwrap());
        for i in 0..40_000_u32 {
            let (row, column) = (f64::from(i / 200), f64::from(i % 200));
            raster.cell_at(position(40.70 + row * 0.000_5, -74.02 + column * 0.000_45));
        }
        let squares = raster.tiles.iter().filter_map(OnceLock::get).flatten();
        let known: Vec<u64> = squares
            .map(|square| square.load(Ordering::Relaxed))
            .filter(|known| *known != UNKNOWN)
            .collect();
        let mixed = known.iter().filter(|known| **known == MIXED).count();
        assert!(known.len() > 20_000 && mixed * 4 < known.len(), "{mixed} of {}", known.len());
    }

    #[test]
    fn a_raster_of_the_world_or_of_a_pole_is_empty_and_right() {
        let resolution = CellResolution::new(9).unwrap();
        for (south, north) in [(-90.0, 90.0), (84.0, 85.0)] {
            let raster =
                CellRaster::new(position(south, -180.0), position(north, 180.0), resolution);
            assert!(raster.tiles.is_empty());
            let at = position(north - 0.5, 3.0);
            assert_eq!(raster.cell_at(at), Cell::at(at, resolution));
        }
    }

    #[test]
    fn a_raster_that_is_full_fills_no_more_tiles_and_stays_right() {
        let resolution = CellResolution::new(9).unwrap();
        let raster = CellRaster::new(position(40.0, -75.0), position(41.0, -74.0), resolution);
        let known = position(40.5, -74.5);
        raster.cell_at(known);
        raster.filled.store(FILLED_MAX, Ordering::Relaxed);
        for at in [known, position(40.9, -74.1)] {
            assert_eq!(raster.cell_at(at), Cell::at(at, resolution));
        }
        assert_eq!(raster.tiles.iter().filter(|tile| tile.get().is_some()).count(), 1);
    }
}
