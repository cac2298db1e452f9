//! `[kafka.relay]`: what the platform is told.

use serde::{Deserialize, Serialize};

use crate::kafka::RelayStart;

/// `[kafka.relay]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaRelayConfig {
    /// Where a relay begins on a database that had none.
    pub start: RelayStart,
    /// Messages that may be on their way to the brokers.
    pub in_flight_max: usize,
    /// Milliseconds that a message waits for others to share its request.
    pub linger_ms: u64,
    /// Hours that what is not published is kept although it is due.
    pub unpublished_kept_h: u64,
    /// Whose rides these are, in Namma Yatri's envelope.
    pub merchant_id: String,
    /// A Schema Registry; empty: plain JSON.
    pub registry_url: String,
}

impl KafkaRelayConfig {
    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let url = self.registry_url.as_str();
        let registry = url.is_empty() || url.starts_with("http://") || url.starts_with("https://");
        let checks = [
            (
                (100..=1_000_000).contains(&self.in_flight_max),
                "relay.in_flight_max",
                self.in_flight_max.to_string(),
                "100..=1000000",
            ),
            (self.linger_ms <= 1_000, "relay.linger_ms", self.linger_ms.to_string(), "0..=1000"),
            (!self.merchant_id.is_empty(), "relay.merchant_id", String::new(), "an id"),
            (registry, "relay.registry_url", url.to_owned(), "http://host:port"),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        broken.map(|(_, key, value, allowed)| (key, value, allowed))
    }
}
