//! The edges of Muster: HTTP and WebSocket, the store, configuration, telemetry.

pub mod config;
pub mod http;
pub mod telemetry;
pub mod version;
pub mod wire;
pub mod ws;
