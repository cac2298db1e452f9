//! The HTTP edge as a client meets it: a real server on loopback over a store in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod batched;
mod drivers;
mod events;
mod forward;
mod idempotency;
#[path = "../support/memory_store.rs"]
mod memory_store;
mod operations;
mod policies;
mod quotes;
mod refusals;
mod rides;
mod server;
mod zones;
