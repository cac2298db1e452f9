//! Edges.

pub mod wire;
