//! Edges.

pub mod store;
