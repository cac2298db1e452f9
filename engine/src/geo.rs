//! Places on the sphere: positions, unit vectors, distances.

mod position;

pub use position::{EARTH_RADIUS_M, Position, PositionError, UnitVector};
