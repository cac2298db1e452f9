//! What every client of the brokers is made with.

use rdkafka::ClientConfig;

use crate::config::KafkaConfig;

/// A client's settings before its own: brokers, name, and the properties of the configuration.
pub(crate) fn client_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", &kafka.brokers);
    client.set("client.id", &kafka.client_id);
    for (key, value) in &kafka.properties {
        client.set(key, value);
    }
    client
}
