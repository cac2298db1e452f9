//! What every client of the brokers is made with.

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, consumer::ConsumerContext};

use super::hush::Hush;
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

/// Says what librdkafka says, now and then: brokers that are down are a line per second and broker.
#[derive(Debug, Default)]
pub(super) struct QuietContext {
    hush: Hush,
}

impl QuietContext {
    pub(super) fn say(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                if let Some(unsaid) = self.hush.due() {
                    tracing::warn!(facility, text, unsaid, "kafka");
                }
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, text, "kafka");
            }
        }
    }

    pub(super) fn fail(&self, error: &KafkaError, reason: &str) {
        if let Some(unsaid) = self.hush.due() {
            tracing::warn!(%error, reason, unsaid, "kafka");
        }
    }
}

impl ClientContext for QuietContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.say(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.fail(&error, reason);
    }
}

impl ConsumerContext for QuietContext {}
