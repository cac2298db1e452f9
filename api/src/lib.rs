//! Edges.

pub mod http;
pub mod wire;
