//! The edges of Muster: HTTP and WebSocket, the store, configuration, telemetry.

pub mod cli;
pub mod config;
pub mod explain;
pub mod http;
pub mod kafka;
pub mod policy;
pub mod record;
pub mod redis;
pub mod replay;
pub mod roads;
pub mod serve;
pub mod shadow;
pub mod simulate;
pub mod store;
pub mod store_command;
pub mod telemetry;
pub mod travel_time;
pub mod values;
pub mod version;
pub mod wire;
pub mod ws;
