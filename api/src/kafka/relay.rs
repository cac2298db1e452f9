//! The relay: publishes every transition, in order, from the history and a cursor beside it.
//!
//! ```text
//! history ── read after the cursor ─→ messages ─→ producer ─→ brokers
//!    ↑                                                │
//!    └── the cursor: all up to here has arrived ←─ acknowledgements
//! ```
//!
//! A **flight** is the life of one producer. Whatever goes wrong with it, the next one begins behind the
//! last transition all of whose messages arrived: some may come twice, none is left out.

mod producer;
#[cfg(test)]
mod tests;
mod tracker;

use std::sync::Arc;
use std::time::Duration;

use muster_actors::StoreError;
use muster_engine::time::Timestamp;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

pub(crate) use self::producer::producer_config;
use self::producer::{Delivered, Envelope, Producer};
use self::tracker::Tracker;
use crate::config::KafkaConfig;
use crate::kafka::out::{OutTopic, messages};
use crate::kafka::registry::{Framing, RegistryError};
use crate::kafka::{HistoryTail, Transition};
use crate::telemetry::{OutboxMetrics, TraceSpan, Traces};

/// The name of the relay's cursor.
pub(crate) const RELAY: &str = "kafka";
/// Transitions read at once.
const READ_ROWS_MAX: u32 = 500;
/// How often the cursor is saved while transitions arrive: each time is a commit of its own.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// How long the relay waits to be woken by a commit before it looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long it rests after a flight that failed: at first, and at most.
const REST_MIN: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(10);

/// Why a flight ended early.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the history cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("topic {topic} does not take event {event}: {error}")]
    Refused { topic: String, event: u64, error: KafkaError },
    #[error("{0}")]
    Registry(#[from] RegistryError),
    #[error("a message has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
}

impl Lost {
    /// What may help, where it is known.
    fn advice(&self) -> &'static str {
        let code = match self {
            Self::Kafka(error) | Self::Refused { error, .. } => error.rdkafka_error_code(),
            Self::Store(_) | Self::Registry(_) | Self::Json(_) => None,
        };
        match code {
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                "muster kafka init creates topics"
            }
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => "raise the topic's max.message.bytes",
            Some(_) | None => "",
        }
    }

    /// Whether a newer process owns the store: then this one has nothing more to say.
    const fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict(_)))
    }
}

/// Everything a relay is started with.
pub(crate) struct RelayParts {
    /// The history.
    pub(crate) tail: Arc<dyn HistoryTail>,
    /// The brokers.
    pub(crate) kafka: KafkaConfig,
    /// Where it counts.
    pub(crate) metrics: Arc<OutboxMetrics>,
    /// Where spans go; absent: nowhere.
    pub(crate) traces: Option<Arc<Traces>>,
    /// The last event that was published.
    pub(crate) published: u64,
}

/// A relay that runs on a thread of its own.
pub(crate) struct RelayHandle {
    stop: watch::Sender<Option<Instant>>,
    ended: oneshot::Receiver<()>,
}

impl RelayHandle {
    /// Has the relay publish what is there, `within` this time at most, and end. What is left is published
    /// after the next start.
    pub(crate) async fn finish(self, within: Duration) {
        let deadline = Instant::now() + within;
        self.stop.send_replace(Some(deadline));
        // It keeps the deadline by itself, but for its last save.
        let ended = timeout_at(deadline + Duration::from_secs(2), self.ended).await;
        if ended.is_err() {
            tracing::warn!("the relay did not end in time");
        }
    }
}

/// Starts the relay.
///
/// # Errors
/// When the system has no thread for it.
pub(crate) fn start(parts: RelayParts) -> std::io::Result<RelayHandle> {
    let (stop, stopped) = watch::channel(None);
    let (end, ended) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("kafka-relay".to_owned()).spawn(move || {
        runtime.block_on(Relay::new(parts, stopped).run());
        // Nobody waits for it outside a drain.
        let _unheard = end.send(());
    })?;
    Ok(RelayHandle { stop, ended })
}

struct Relay {
    tail: Arc<dyn HistoryTail>,
    kafka: KafkaConfig,
    metrics: Arc<OutboxMetrics>,
    traces: Option<Arc<Traces>>,
    topics: Vec<(OutTopic, String)>,
    stop: watch::Receiver<Option<Instant>>,
    /// Up to here everything has arrived.
    published: u64,
    /// ... and is known so after a crash.
    saved: u64,
}

/// One producer with what it has on its way.
struct Flight {
    producer: Producer,
    arrivals: mpsc::UnboundedReceiver<Delivered>,
    tracker: Tracker,
    framing: Framing,
    /// The last event that was read, and when it happened.
    read: u64,
    read_at: Timestamp,
    /// Whether that was the newest one there was.
    caught_up: bool,
}

impl Flight {
    /// When the oldest transition happened that has not arrived; what is not read yet is about as old as
    /// what was read last.
    fn oldest(&self) -> Option<Timestamp> {
        let unread = (!self.caught_up).then_some(self.read_at);
        self.tracker.oldest().or(unread)
    }
}

impl Relay {
    fn new(parts: RelayParts, stop: watch::Receiver<Option<Instant>>) -> Self {
        let RelayParts { tail, kafka, metrics, traces, published } = parts;
        let topics = OutTopic::enabled(&kafka.topics);
        Self { tail, kafka, metrics, traces, topics, stop, published, saved: published }
    }

    async fn run(mut self) {
        let mut rest = REST_MIN;
        loop {
            let before = self.published;
            let Err(lost) = self.fly().await else { break };
            if lost.is_fenced() {
                tracing::error!(error = %lost, "the relay ends: another process owns the store");
                return;
            }
            let (advice, event) = (lost.advice(), self.published);
            tracing::error!(error = %lost, advice, event, "the relay begins again after this event");
            self.metrics.restarted();
            rest = if self.published > before { REST_MIN } else { (rest * 2).min(REST_MAX) };
            if self.stop.borrow().is_some() {
                break;
            }
            tokio::select! {
                () = sleep(rest) => {}
                _ = self.stop.changed() => {}
            }
        }
        if let Err(error) = self.save().await {
            tracing::warn!(%error, "the relay's cursor was not saved: some messages will come twice");
        }
    }

    /// Publishes until it is told to stop, or something goes wrong.
    async fn fly(&mut self) -> Result<(), Lost> {
        let first = self.tail.after(self.published, 1).await?;
        self.metrics.waits_since(first.first().map(|first| first.at));
        let framing = Framing::agree(&self.kafka.relay.registry_url, &self.topics).await?;
        let (producer, arrivals) = producer::start(&self.kafka)?;
        let mut flight = Flight {
            producer,
            arrivals,
            tracker: Tracker::new(self.published),
            framing,
            read: self.published,
            read_at: Timestamp::default(),
            caught_up: false,
        };
        let mut commits = self.tail.commits();
        let mut save_at = Instant::now() + SAVE_EVERY;
        loop {
            let room = flight.tracker.in_flight() <= self.kafka.relay.in_flight_max / 2;
            if room && !flight.caught_up {
                commits.mark_unchanged();
                self.read_on(&mut flight).await?;
            }
            let ends_at = *self.stop.borrow_and_update();
            let idle = flight.caught_up && flight.tracker.waiting() == 0;
            if let Some(ends_at) = ends_at
                && (idle || Instant::now() >= ends_at)
            {
                let transitions = flight.tracker.waiting();
                tracing::info!(event = self.published, transitions, "the relay leaves the rest");
                return Ok(());
            }
            let look_at = Instant::now() + LOOK_EVERY;
            let wakes_at = ends_at.map_or(look_at, |ends_at| ends_at.min(look_at));
            let reads_on = room && !flight.caught_up;
            tokio::select! {
                biased;
                Some(delivered) = flight.arrivals.recv() => self.land(&mut flight, delivered)?,
                () = std::future::ready(()), if reads_on => {}
                _ = commits.changed(), if flight.caught_up => flight.caught_up = false,
                // What was committed before must be read before it ends.
                _ = self.stop.changed(), if ends_at.is_none() => flight.caught_up = false,
                () = sleep_until(save_at), if self.published > self.saved => {}
                () = sleep_until(wakes_at) => flight.caught_up = false,
            }
            if Instant::now() >= save_at && self.published > self.saved {
                match self.save().await {
                    Ok(()) => {}
                    Err(error @ StoreError::Conflict(_)) => return Err(error.into()),
                    Err(error) => tracing::warn!(%error, "the relay's cursor was not saved"),
                }
                save_at = Instant::now() + SAVE_EVERY;
            }
        }
    }

    /// Reads and sends a batch.
    async fn read_on(&mut self, flight: &mut Flight) -> Result<(), Lost> {
        let batch = self.tail.after(flight.read, READ_ROWS_MAX).await?;
        flight.caught_up = batch.len() < READ_ROWS_MAX as usize;
        for transition in &batch {
            let missing = transition.event - flight.read - 1;
            if missing > 0 {
                let (first, last) = (flight.read + 1, transition.event - 1);
                tracing::error!(first, last, "transitions were pruned before they were published");
                self.metrics.pruned(missing);
            }
            self.send(flight, transition).await?;
            (flight.read, flight.read_at) = (transition.event, transition.at);
        }
        self.settle(flight);
        Ok(())
    }

    async fn send(&self, flight: &mut Flight, transition: &Transition) -> Result<(), Lost> {
        let mut all = Vec::new();
        for (topic, name) in &self.topics {
            for message in messages(*topic, transition, &self.kafka.relay.merchant_id)? {
                all.push((message, name));
            }
        }
        flight.tracker.begin(transition.event, transition.at, all.len());
        let origin = transition.origin.as_deref();
        let span = origin.zip(self.traces.as_ref()).and_then(|(origin, traces)| {
            traces.publication(&origin.traceparent).filter(|_| !all.is_empty())
        });
        let own = span.as_ref().map(TraceSpan::traceparent);
        let above = origin.map(|origin| origin.traceparent.as_str());
        if let Some(span) = span {
            flight.tracker.trace(transition.event, span);
        }
        for (message, topic) in &all {
            let envelope = Envelope {
                event: transition.event,
                topic,
                correlation_id: origin.map(|origin| origin.correlation_id.as_str()),
                traceparent: own.as_deref().or(above),
            };
            let payload = flight.framing.framed(message.topic, &message.payload);
            while !producer::send(&flight.producer, message, &payload, &envelope)? {
                let Some(delivered) = flight.arrivals.recv().await else { break };
                self.count(flight, delivered)?;
            }
        }
        Ok(())
    }

    /// Takes in this arrival and those behind it.
    fn land(&mut self, flight: &mut Flight, first: Delivered) -> Result<(), Lost> {
        self.count(flight, first)?;
        while let Ok(delivered) = flight.arrivals.try_recv() {
            self.count(flight, delivered)?;
        }
        self.settle(flight);
        Ok(())
    }

    fn settle(&mut self, flight: &Flight) {
        self.published = flight.tracker.published();
        self.metrics.waits_since(flight.oldest());
    }

    fn count(&self, flight: &mut Flight, delivered: Delivered) -> Result<(), Lost> {
        let Delivered { event, topic, error } = delivered;
        if let Some(error) = error {
            self.metrics.failed(&topic);
            flight.tracker.refused(event, &error.to_string());
            return Err(Lost::Refused { topic, event, error });
        }
        self.metrics.published(&topic);
        flight.tracker.arrived(event);
        Ok(())
    }

    async fn save(&mut self) -> Result<(), StoreError> {
        if self.published > self.saved {
            self.tail.save_relay(RELAY, self.published).await?;
            self.saved = self.published;
        }
        Ok(())
    }
}
