//! Places on the sphere: positions, unit vectors, distances.

mod cell;
mod position;
mod raster;
mod rings;

pub use cell::{Cell, CellError, CellResolution};
pub use position::{EARTH_RADIUS_M, Position, PositionError, UnitVector};
pub use raster::CellRaster;
pub use rings::Rings;
