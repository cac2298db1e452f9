//! Replay client.
#![allow(dead_code)]
mod behaviour;
mod clock;
mod driver;
mod error;
mod geo;
mod options;
mod roads;
mod sse;
mod trips;
mod wire;
pub use error::ReplayError;
pub use options::{City, ReplayOptions};
