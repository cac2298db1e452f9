//! The street network of a market: travel times by the streets, one-way streets respected.
//!
//! `build.rs` takes directed street segments, keeps the largest part in which every place can be
//! driven to from every other (`connected.rs`), and contracts it (`contraction.rs`) into a
//! hierarchy: two search graphs that only lead upwards. `sweep.rs` answers for many
//! drivers and a pickup in one sweep over them, `snap.rs` finds the street a position is on,
//! `file.rs` is the network as bytes, and `travel.rs` is what a market asks.
//!
//! Turns cost nothing and are never forbidden; times are those of an empty street at the speed of
//! its class, by the hour's factor of the [profile](HourProfile).

mod build;
mod connected;
mod contraction;
mod cost;
mod file;
mod hierarchy;
mod network;
mod profile;
mod snap;
mod sweep;
#[cfg(test)]
mod tests;
mod travel;

pub use build::{EDGES_MAX, NODES_MAX, RoadError, Street, Streets};
pub use file::{FILE_BYTES_MAX, FileError};
pub use network::{RoadLeg, RoadNetwork, RoadSize};
pub use profile::{HourProfile, ProfileError};
pub use travel::RoadTravelTime;
