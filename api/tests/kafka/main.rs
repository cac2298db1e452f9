//! What the platform is told, by the real binary over a real broker, read by kcat.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod bridge;
mod brokers;
mod checker;
mod city;
mod crashes;
mod init;
mod kcat;
mod registry;
mod schemas;
#[expect(dead_code, reason = "it serves the tests of the server as well")]
#[path = "../serve/server.rs"]
mod server;
mod topics;
