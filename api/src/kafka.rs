//! The bridge to the platform's Kafka: what it takes in, what it tells.

mod client;
pub mod dlq;
mod hush;
pub(crate) mod intake;
