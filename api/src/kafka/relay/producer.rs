//! The producer of one flight: idempotent, in order, patient without end.

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, Message};
use tokio::sync::mpsc;

use crate::config::KafkaConfig;
use crate::kafka::client_config;
use crate::kafka::out::OutMessage;

/// The end of a message.
#[derive(Debug)]
pub(super) struct Delivered {
    /// The transition that it tells.
    pub(super) event: u64,
    /// Where it went.
    pub(super) topic: String,
    /// Why it did not arrive.
    pub(super) error: Option<KafkaError>,
}

/// Hands the ends of messages on.
pub(super) struct Deliveries(mpsc::UnboundedSender<Delivered>);

/// Sends messages; what became of each comes back by the channel beside it.
pub(super) type Producer = ThreadedProducer<Deliveries>;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        tracing::debug!(?level, fac, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "the brokers are not at hand");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<u64>;

    fn delivery(&self, result: &DeliveryResult<'_>, event: Box<u64>) {
        let (topic, error) = match result {
            Ok(message) => (message.topic().to_owned(), None),
            Err((error, message)) => (message.topic().to_owned(), Some(error.clone())),
        };
        // A flight that is over does not wait for the rest.
        let _over = self.0.send(Delivered { event: *event, topic, error });
    }
}

/// The settings of the producer: whatever the configuration adds, these hold.
pub(crate) fn producer_config(kafka: &KafkaConfig) -> ClientConfig {
    let mut client = client_config(kafka);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // A message that is given up would be a gap, so none is, and if one must be all stops.
        .set("message.timeout.ms", "0")
        .set("enable.gapless.guarantee", "true")
        // As Java's clients choose, so that topics of both can be joined by partition.
        .set("partitioner", "murmur2_random")
        .set("linger.ms", kafka.relay.linger_ms.to_string())
        .set("queue.buffering.max.messages", kafka.relay.in_flight_max.max(100_000).to_string());
    client
}

/// A producer, and where its messages' ends come in.
pub(super) fn start(
    kafka: &KafkaConfig,
) -> KafkaResult<(Producer, mpsc::UnboundedReceiver<Delivered>)> {
    // Bounded by the messages in flight.
    let (sender, receiver) = mpsc::unbounded_channel();
    let producer = producer_config(kafka).create_with_context(Deliveries(sender))?;
    Ok((producer, receiver))
}

/// What goes beside a message.
pub(super) struct Envelope<'a> {
    pub(super) event: u64,
    pub(super) topic: &'a str,
    pub(super) correlation_id: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
}

/// Queues `message` for the brokers; false when the queue is full and has to be tried again.
pub(super) fn send(
    producer: &Producer,
    message: &OutMessage,
    payload: &[u8],
    envelope: &Envelope<'_>,
) -> KafkaResult<bool> {
    let headers = [
        ("correlation_id", envelope.correlation_id),
        ("traceparent", envelope.traceparent),
        ("event_id", Some(message.event_id.as_str())),
        ("schema", Some(message.topic.schema())),
    ];
    let known = headers.into_iter().filter(|(_, value)| value.is_some());
    let headers = known.fold(OwnedHeaders::new_with_capacity(4), |headers, (key, value)| {
        headers.insert(Header { key, value })
    });
    let record = BaseRecord::with_opaque_to(envelope.topic, Box::new(envelope.event))
        .key(message.key.as_str())
        .payload(payload)
        .headers(headers);
    match producer.send(record) {
        Ok(()) => Ok(true),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
        Err((error, _)) => Err(error),
    }
}
