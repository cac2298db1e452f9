//! The bridge to the platform's Kafka: what it takes in, what it tells.

mod client;

pub(crate) use self::client::client_config;
