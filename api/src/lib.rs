//! The edges of Muster: HTTP and WebSocket, the store, configuration, telemetry.

pub mod config;
pub mod telemetry;
