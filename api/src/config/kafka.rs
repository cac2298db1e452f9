//! `[kafka]`: the platform's message broker.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::kafka_relay::KafkaRelayConfig;

/// `[kafka]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// `host:port`, several apart by commas; empty: no bridge.
    pub brokers: String,
    /// The name the brokers know this process by.
    pub client_id: String,
    /// The consumer group of what is taken in.
    pub group: String,
    /// Further properties of librdkafka, as it names them.
    pub properties: BTreeMap<String, String>,
    /// The names of the topics.
    pub topics: KafkaTopics,
    /// What the platform is told.
    pub relay: KafkaRelayConfig,
}

/// `[kafka.topics]`; an empty name leaves the topic out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaTopics {
    /// In: positions.
    pub location_updates: String,
    /// In: ride requests and cancels.
    pub ride_requests: String,
    /// In: profiles of drivers.
    pub driver_profiles: String,
    /// Out: offers and withdrawals, for push services.
    pub driver_offers: String,
    /// Out: every transition of every ride.
    pub ride_events: String,
    /// Out: the same in Namma Yatri's envelope.
    pub namma_yatri_events: String,
    /// Out: one row per driver considered.
    pub allocation_decisions: String,
    /// What follows the name of a topic whose messages could not be taken in.
    pub dlq_suffix: String,
}

impl KafkaConfig {
    /// Whether there is a broker.
    pub const fn is_on(&self) -> bool {
        !self.brokers.is_empty()
    }

    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if !self.is_on() {
            return None;
        }
        let ported = |broker: &str| {
            let port = broker.trim().rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            matches!(port, Some(Ok(1..)))
        };
        let brokers = self.brokers.split(',').all(ported);
        let checks = [
            (brokers, "brokers", self.brokers.clone(), "host:port, several apart by commas"),
            (!self.client_id.is_empty(), "client_id", String::new(), "a name"),
            (!self.group.is_empty(), "group", String::new(), "a name"),
            (!self.topics.dlq_suffix.is_empty(), "topics.dlq_suffix", String::new(), "a suffix"),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        let own = broken.map(|(_, key, value, allowed)| (key, value, allowed));
        own.or_else(|| self.relay.fault())
    }
}
