//! Dead letters: messages that can never be taken in, kept as they came with the reason why not.
//!
//! The letter is written before the offset of its source is committed, and tried until it is: a
//! message is in the source topic or among the dead letters, never nowhere.

mod command;
mod headers;
mod read;

use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

pub use self::command::run;
use self::headers::letter_headers;
use super::client::{QuietContext, client_config};
use super::hush::Hush;
use super::intake::{Backoff, Fault};
use crate::config::KafkaConfig;

/// How long one try to write waits for the brokers.
const WRITE_WITHIN_MS: u64 = 10_000;
/// The largest message that the client hands to the brokers, in bytes; how large they take one is
/// their own.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Where dead letters are written.
pub(super) struct DeadLetters {
    producer: FutureProducer<QuietContext>,
    suffix: String,
    pauses: Backoff,
    hush: Hush,
}

impl DeadLetters {
    /// A writer for the brokers of the configuration.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub(super) fn open(kafka: &KafkaConfig) -> KafkaResult<Arc<Self>> {
        let least = Duration::from_millis(kafka.intake.retry_ms_min);
        let most = Duration::from_millis(kafka.intake.retry_ms_max);
        Ok(Arc::new(Self {
            producer: producer(kafka)?,
            suffix: kafka.topics.dlq_suffix.clone(),
            pauses: Backoff::new(least, most),
            hush: Hush::default(),
        }))
    }

    /// Writes a letter, again and again until it is acknowledged; gives up when `abandoned`. Tells
    /// whether it is written.
    pub(super) async fn write(
        &self,
        message: &OwnedMessage,
        fault: &Fault,
        failed_at: &str,
        abandoned: impl Fn() -> bool,
    ) -> bool {
        let topic = format!("{}{}", message.topic(), self.suffix);
        let mut pauses = self.pauses;
        let mut with_payload = true;
        while !abandoned() {
            let headers = letter_headers(message, fault, failed_at, with_payload);
            let mut record = record(&topic, message, headers);
            record.payload = message.payload().filter(|_| with_payload);
            let Err((error, _)) = self.producer.send(record, Timeout::Never).await else {
                return true;
            };
            if is_too_large(&error) && with_payload {
                // With its reason it is larger than it was; where it stands in its source is kept.
                with_payload = false;
                continue;
            }
            if let Some(unsaid) = self.hush.due() {
                tracing::error!(topic, %error, unsaid, "a dead letter is not written and tried again");
            }
            tokio::time::sleep(pauses.pause()).await;
        }
        false
    }
}

fn producer(kafka: &KafkaConfig) -> KafkaResult<FutureProducer<QuietContext>> {
    let mut client = client_config(kafka);
    client.set("enable.idempotence", "true");
    client.set("message.timeout.ms", WRITE_WITHIN_MS.to_string());
    client.set("message.max.bytes", MESSAGE_BYTES_MAX.to_string());
    client.create_with_context(QuietContext::default())
}

/// A record for `topic` with the key of `message`.
fn record<'a>(
    topic: &'a str,
    message: &'a OwnedMessage,
    headers: OwnedHeaders,
) -> FutureRecord<'a, [u8], [u8]> {
    let record = FutureRecord::to(topic).headers(headers);
    match message.key() {
        Some(key) => record.key(key),
        None => record,
    }
}

fn is_too_large(error: &KafkaError) -> bool {
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidMessageSize)
    )
}
