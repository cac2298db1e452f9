//! Cells of the H3 grid: the hexagons (and twelve pentagons) that tile the sphere.

use std::fmt;
use std::str::FromStr;

use h3o::{CellIndex, LatLng, Resolution};

use super::position::{EARTH_RADIUS_M, Position, UnitVector};
use crate::units::Meters;

/// Why a text or a number names no cell or resolution.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CellError {
    /// The resolution is above 15.
    #[error("an H3 resolution is within 0..=15, got {0}")]
    Resolution(u8),
    /// The text is not the hexadecimal index of a cell.
    #[error("{0:?} is not an H3 cell index")]
    Index(String),
}

/// How fine a grid is: 0 (continents) to 15 (a square metre). Each step divides an area by 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellResolution(Resolution);

impl CellResolution {
    /// The resolution with this H3 number.
    ///
    /// # Errors
    /// [`CellError::Resolution`] when `number` is above 15.
    pub fn new(number: u8) -> Result<Self, CellError> {
        Resolution::try_from(number).map(Self).map_err(|_| CellError::Resolution(number))
    }

    /// The H3 number of this resolution.
    pub fn number(self) -> u8 {
        self.0.into()
    }

    /// The resolution `steps` coarser than this one; 0 when there is none.
    #[must_use]
    pub fn coarser(self, steps: u8) -> Self {
        Self(Resolution::try_from(self.number().saturating_sub(steps)).unwrap_or(Resolution::Zero))
    }

    /// No two neighbouring cells of this resolution have their centres farther apart.
    ///
    /// H3 lays a regular hexagonal lattice on the gnomonic plane of each icosahedron face. Its
    /// spacing at resolution 0 is a constant of H3, and from plane to sphere lengths only shrink.
    pub fn spacing_max(self) -> Meters {
        const SPACING_RESOLUTION_0: f64 = 0.381_966_011_250_105;
        let spacing = SPACING_RESOLUTION_0 / 7_f64.sqrt().powi(self.number().into());
        Meters::new(spacing * EARTH_RADIUS_M * ROUNDING_MARGIN)
    }

    /// No point of a cell of this resolution is farther from the cell's centre.
    pub fn circumradius_max(self) -> Meters {
        Meters::new(self.spacing_max().get() / 3_f64.sqrt())
    }
}

/// Covers floating point error in bounds that are exact on paper.
const ROUNDING_MARGIN: f64 = 1.001;

/// How much of a cell's inscribed circle counts as inside: the rest covers floating point error.
const INSCRIBED_SHARE: f64 = 0.99;

/// One H3 cell. Its text is the index in hexadecimal, as other H3 tools print it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
pub struct Cell(CellIndex);

impl Cell {
    /// The cell of `resolution` that holds `position`.
    pub fn at(position: Position, resolution: CellResolution) -> Self {
        let point = LatLng::new(position.lat(), position.lng()).expect("a position is finite");
        Self(point.to_cell(resolution.0))
    }

    /// The cell with this index, if it is one.
    pub fn from_raw(index: u64) -> Option<Self> {
        CellIndex::try_from(index).ok().map(Self)
    }

    /// The 64-bit H3 index.
    pub fn raw(self) -> u64 {
        self.0.into()
    }

    /// The resolution of this cell.
    pub fn resolution(self) -> CellResolution {
        CellResolution(self.0.resolution())
    }

    /// The cell of `resolution` this one belongs to; `None` when `resolution` is finer.
    pub fn parent(self, resolution: CellResolution) -> Option<Self> {
        self.0.parent(resolution.0).map(Self)
    }

    /// The centre, rounded to the resolution of a [`Position`].
    pub fn centre(self) -> Position {
        let centre = LatLng::from(self.0);
        let lng = centre.lng().clamp(-180.0, 180.0);
        Position::from_degrees(centre.lat().clamp(-90.0, 90.0), lng).expect("clamped to range")
    }

    /// The point of the unit sphere at the centre, not rounded.
    pub fn centre_unit(self) -> UnitVector {
        unit(LatLng::from(self.0))
    }

    /// The corners, counter-clockwise, with the points where an edge crosses an icosahedron edge.
    pub fn corners(self) -> Vec<UnitVector> {
        self.0.boundary().iter().map(|corner| unit(*corner)).collect()
    }

    /// A squared chord from the centre within which every point lies in this cell.
    pub fn inscribed_chord_squared(self) -> f64 {
        let (centre, corners) = (self.centre_unit(), self.corners());
        let following = corners.iter().cycle().skip(1);
        let nearest = corners.iter().zip(following).map(|(a, b)| height_above(*a, *b, centre));
        // The sine of an angle is shorter than its chord, so the circle can only come out small.
        let sine = nearest.fold(1.0, f64::min) * INSCRIBED_SHARE;
        sine * sine
    }

    /// The outward normals, of length one, of the planes through the centre of the earth and each side: the
    /// scalar product with a point of this cell is not positive. None where the cell has not six sides;
    /// H3 draws cells on gnomonic planes, where a straight line is a great circle.
    pub fn sides(self) -> Option<[UnitVector; 6]> {
        let corners: [UnitVector; 6] = self.corners().try_into().ok()?;
        Some(std::array::from_fn(|i| {
            // Corners run counter-clockwise, seen from outside.
            let UnitVector(inward) = normal(corners[i], corners[(i + 1) % 6]);
            UnitVector(inward.map(|x| -x))
        }))
    }

    /// The index for h3o, which only `geo` names.
    pub(super) const fn index(self) -> CellIndex {
        self.0
    }

    /// The cell of an h3o index.
    pub(super) const fn from_index(index: CellIndex) -> Self {
        Self(index)
    }
}

/// The sine of the angle between `point` and the great circle through `a` and `b`.
fn height_above(a: UnitVector, b: UnitVector, point: UnitVector) -> f64 {
    normal(a, b).dot(point).abs()
}

/// The vector of length one at right angles to `a` and `b`, on the left of who walks from `a` to `b`; zero
/// where they are the same.
fn normal(a: UnitVector, b: UnitVector) -> UnitVector {
    let (UnitVector([ax, ay, az]), UnitVector([bx, by, bz])) = (a, b);
    let across = [ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx];
    let length = across.iter().map(|x| x * x).sum::<f64>().sqrt();
    UnitVector(across.map(|x| if length > 0.0 { x / length } else { 0.0 }))
}

/// The point of the unit sphere at an h3o coordinate.
pub(super) fn unit(point: LatLng) -> UnitVector {
    let (sin_lat, cos_lat) = point.lat_radians().sin_cos();
    let (sin_lng, cos_lng) = point.lng_radians().sin_cos();
    UnitVector([cos_lat * cos_lng, cos_lat * sin_lng, sin_lat])
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for Cell {
    type Err = CellError;
    fn from_str(text: &str) -> Result<Self, CellError> {
        text.parse().map(Self).map_err(|_| CellError::Index(text.to_owned()))
    }
}

impl TryFrom<String> for Cell {
    type Error = CellError;
    fn try_from(text: String) -> Result<Self, CellError> {
        text.parse()
    }
}

impl From<Cell> for String {
    fn from(cell: Cell) -> String {
        cell.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Positions spread evenly over the sphere, the poles among them.
    fn everywhere(count: u32) -> impl Iterator<Item = Position> {
        (0..=count).map(move |i| {
            let z = 1.0 - 2.0 * f64::from(i) / f64::from(count);
            let lng = (f64::from(i) * 137.507_764).rem_euclid(360.0) - 180.0;
            Position::from_degrees(z.asin().to_degrees(), lng).unwrap()
        })
    }

    fn resolution(number: u8) -> CellResolution {
        CellResolution::new(number).unwrap()
    }

    #[test]
    fn a_cell_reads_back_from_its_text_and_its_raw_index() {
        let position = Position::from_degrees(40.7484, -73.9857).unwrap();
        let cell = Cell::at(position, resolution(9));
        assert_eq!(cell.to_string().parse(), Ok(cell));
        assert_eq!(Cell::from_raw(cell.raw()), Some(cell));
        assert_eq!("zzz".parse::<Cell>(), Err(CellError::Index("zzz".to_owned())));
        assert_eq!(Cell::from_raw(0), None);
        assert_eq!(CellResolution::new(16), Err(CellError::Resolution(16)));
    }

    #[test]
    fn a_cell_holds_its_centre_and_belongs_to_one_coarser_cell() {
        for position in everywhere(500) {
            let cell = Cell::at(position, resolution(9));
            assert_eq!(Cell::at(cell.centre(), resolution(9)), cell);
            assert_eq!(cell.parent(resolution(5)).map(Cell::resolution), Some(resolution(5)));
            assert_eq!(cell.parent(resolution(10)), None);
        }
    }

    #[test]
    fn no_point_of_a_cell_lies_beyond_its_sides() {
        for number in [1, 2, 5, 6, 8, 9, 12] {
            let (mut sided, mut outside) = (0, 0);
            for position in everywhere(5_000) {
                let (cell, at) = (Cell::at(position, resolution(number)), position.unit());
                let Some(sides) = cell.sides() else { continue };
                sided += 1;
                let beyond = |at: UnitVector| {
                    sides.map(|side| side.dot(at)).into_iter().fold(-1.0, f64::max)
                };
                assert!(beyond(at) <= 1e-12, "{cell} {position:?}: {}", beyond(at));
                assert!(beyond(cell.centre_unit()) < 0.0, "{cell}");
                // Whatever is near and not beyond a side is in the cell.
                let off = resolution(number).circumradius_max().get() / EARTH_RADIUS_M;
                for (north, east) in [(0.7, 0.3), (-0.6, 0.5), (0.1, -0.9), (-0.4, -0.4)] {
                    let lat = position.lat() + (north * off).to_degrees();
                    let lng = position.lng()
                        + (east * off).to_degrees() / position.lat().to_radians().cos();
                    let Ok(beside) = Position::from_degrees(lat, lng) else { continue };
                    let inside = Cell::at(beside, resolution(number)) == cell;
                    assert_eq!(inside, beyond(beside.unit()) <= 0.0, "{cell} {beside:?}");
                    outside += u32::from(!inside);
                }
            }
            assert!(sided > 2_000 && outside > 2_000, "{number}: {sided}, {outside}");
        }
    }

    #[test]
    fn no_cell_is_larger_than_the_bound_of_its_resolution() {
        for number in [0, 1, 2, 5, 7, 8, 9, 12] {
            let bound = resolution(number).circumradius_max().get();
            let mut largest: f64 = 0.0;
            for position in everywhere(2_000) {
                let cell = Cell::at(position, resolution(number));
                for corner in cell.corners() {
                    largest = largest.max(corner.distance(cell.centre_unit()).get());
                }
            }
            assert!(largest <= bound, "resolution {number}: {largest} > {bound}");
            assert!(largest > 0.9 * bound, "resolution {number}: {largest} is far below {bound}");
        }
    }

    #[test]
    fn every_point_of_the_inscribed_circle_is_in_the_cell() {
        for position in everywhere(1_000) {
            let cell = Cell::at(position, resolution(9));
            let centre = cell.centre();
            let inscribed = cell.inscribed_chord_squared();
            for (north, east) in [(1.0, 0.0), (0.6, 0.8), (-0.8, 0.6), (-0.3, -0.9), (0.5, -0.8)] {
                let lat = centre.lat() + north * 0.0017;
                let lng = centre.lng() + east * 0.0017 / centre.lat().to_radians().cos().max(0.01);
                let Ok(point) = Position::from_degrees(lat, lng) else { continue };
                if point.unit().chord_squared(cell.centre_unit()) <= inscribed {
                    assert_eq!(Cell::at(point, resolution(9)), cell);
                }
            }
            let radius = UnitVector::chord_squared_to_distance(inscribed).get();
            assert!(radius > 80.0, "{cell} at {position:?}: inscribed radius {radius}");
        }
    }
}
