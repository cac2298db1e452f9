//! The real binary as a child process: its command line, its driver stream, its end and its return.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod metrics;
mod modes;
mod phone;
mod policies;
mod postgres;
mod process;
mod record;
mod redis;
mod replay;
mod roads;
mod server;
mod shadow;
mod standby;
mod store_command;
mod stream;
mod traces;
mod values;
mod zones;
