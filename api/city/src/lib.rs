//! What replays and simulations of a city share: recorded trips, streets, and a seeded model of how
//! people behave. No clock, no sockets.

pub mod behaviour;
mod error;
pub mod geo;
pub mod roads;
pub mod trip_file;
pub mod trips;

pub use error::CityError;
