//! The bridge to the platform's Kafka: what it takes in, what it tells.

mod client;
pub mod init;
mod out;
mod registry;
pub(crate) mod relay;
pub(crate) mod schemas;
mod tail;

pub(crate) use self::client::client_config;
pub(crate) use self::out::OutTopic;
pub use self::tail::{HistoryTail, RelayStart, Transition};
