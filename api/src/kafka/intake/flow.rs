//! One topic's consumer on a thread of its own: polls, pauses, commits.
//!
//! ```text
//! poll → handler ──done at once──────────────┐
//!           └──ticket──→ task → done, or dead ├→ watermark → commit
//! in_flight_max tickets: paused; half of them: resumed
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::BorrowedMessage;

use super::context::IntakeContext;
use super::partitions::Partitions;
use crate::config::KafkaConfig;
use crate::kafka::client::{QuietContext, client_config};
use crate::telemetry::Metrics;

/// How long one poll waits for a message.
const POLL: Duration = Duration::from_millis(100);
/// How soon a topic that could not be paused is paused again; it is not polled meanwhile.
const UNPAUSED: Duration = Duration::from_millis(10);
/// How long a consumer that failed for good rests before another one takes its place.
const REST: Duration = Duration::from_secs(5);
/// How soon a group misses a process that died; the brokers' default is 45 s.
const SESSION_TIMEOUT_MS: &str = "10000";
/// How soon a topic that is made after the start is found.
const METADATA_EVERY_MS: &str = "10000";
const STATISTICS_EVERY_MS: &str = "1000";
/// How long a partition whose fetched messages reached their bound rests before it fetches again. With
/// librdkafka's second a thread that reads 100,000 positions a second waits most of the time.
const FETCH_REST_MS: &str = "10";

/// What is done with the messages of a topic.
pub(super) trait Handler: Send + 'static {
    /// Takes a message in. It counts as done when this returns, unless a ticket is out for it.
    fn take(&mut self, message: &BorrowedMessage<'_>, partitions: &Arc<Partitions>);

    /// The thread is about to wait or to end, or a while has passed.
    fn rest(&mut self) {}
}

/// What the consumer of one topic is made of.
pub(super) struct Flow {
    pub(super) kafka: KafkaConfig,
    pub(super) topic: Arc<str>,
    /// Where a group without offsets begins.
    pub(super) from: &'static str,
    pub(super) partitions: Arc<Partitions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) stop: Arc<AtomicBool>,
}

type IntakeConsumer = BaseConsumer<IntakeContext>;

impl Flow {
    /// A consumer that reads the topic.
    ///
    /// # Errors
    /// When librdkafka refuses a property.
    pub(super) fn consumer(&self) -> KafkaResult<IntakeConsumer> {
        let intake = &self.kafka.intake;
        let mut client = client_config(&self.kafka);
        // What the configuration does not say.
        for (key, value) in [
            ("session.timeout.ms", SESSION_TIMEOUT_MS),
            ("topic.metadata.refresh.interval.ms", METADATA_EVERY_MS),
            ("statistics.interval.ms", STATISTICS_EVERY_MS),
            ("fetch.queue.backoff.ms", FETCH_REST_MS),
            ("auto.offset.reset", self.from),
        ] {
            if client.get(key).is_none() {
                client.set(key, value);
            }
        }
        client.set("group.id", &self.kafka.group);
        client.set("enable.auto.commit", "false");
        client.set("enable.auto.offset.store", "false");
        client.set("queued.max.messages.kbytes", intake.fetched_kb_max.to_string());
        if !intake.instance_id.is_empty() {
            client.set("group.instance.id", format!("{}-{}", intake.instance_id, self.topic));
        }
        let context = IntakeContext {
            topic: Arc::clone(&self.topic),
            partitions: Arc::clone(&self.partitions),
            metrics: Arc::clone(&self.metrics),
            settle_within: Duration::from_millis(intake.settle_ms),
            assigned: AtomicBool::new(false),
            quiet: QuietContext::default(),
        };
        let consumer: IntakeConsumer = client.create_with_context(context)?;
        consumer.subscribe(&[&self.topic])?;
        Ok(consumer)
    }

    /// Reads until told to stop; a consumer that fails for good is replaced.
    pub(super) fn run(&self, first: IntakeConsumer, handler: &mut impl Handler) {
        let mut consumer = Some(first);
        while !self.stopping() {
            match consumer.take().map_or_else(|| self.consumer(), Ok) {
                Ok(consumer) => self.read(&consumer, handler),
                Err(error) => tracing::error!(topic = %self.topic, %error, "no consumer"),
            }
            let since = Instant::now();
            while !self.stopping() && since.elapsed() < REST {
                thread::park_timeout(POLL);
            }
        }
    }

    fn read(&self, consumer: &IntakeConsumer, handler: &mut impl Handler) {
        let commit_every = Duration::from_millis(self.kafka.intake.commit_ms);
        let (mut paused, mut committed) = (false, Instant::now());
        while !self.stopping() {
            if !self.balance(consumer, &mut paused) {
                handler.rest();
                thread::park_timeout(UNPAUSED);
                continue;
            }
            let message = consumer.poll(Duration::ZERO).or_else(|| {
                handler.rest();
                consumer.poll(POLL)
            });
            match message {
                Some(Ok(message)) => handler.take(&message, &self.partitions),
                Some(Err(KafkaError::MessageConsumptionFatal(error))) => {
                    tracing::error!(topic = %self.topic, %error, "a consumer failed for good");
                    handler.rest();
                    return;
                }
                Some(Err(error)) => consumer.context().quiet.fail(&error, "a poll failed"),
                None => {}
            }
            if committed.elapsed() >= commit_every {
                committed = Instant::now();
                handler.rest();
                consumer.context().commit(consumer, None, CommitMode::Async);
                self.show(paused);
            }
        }
        handler.rest();
        self.end(consumer);
        self.show(false);
    }

    /// Pauses the topic when too much of it is under way, and resumes it at half of that. Tells whether
    /// a poll brings no more than there is room for.
    ///
    /// Partitions that come are told what holds, whatever it is: one that was paused when it was given
    /// away is still paused when it comes back.
    fn balance(&self, consumer: &IntakeConsumer, paused: &mut bool) -> bool {
        let (most, now) = (self.kafka.intake.in_flight_max, self.partitions.in_flight());
        let pause = if *paused { now > most / 2 } else { now >= most };
        let came = &consumer.context().assigned;
        if !came.swap(false, Ordering::Relaxed) && pause == *paused {
            return true;
        }
        let assignment = consumer.assignment();
        let done = assignment
            .and_then(|all| if pause { consumer.pause(&all) } else { consumer.resume(&all) });
        match &done {
            Ok(()) => *paused = pause,
            Err(error) => {
                came.store(true, Ordering::Relaxed);
                consumer.context().quiet.fail(error, "a topic is not paused or resumed");
            }
        }
        self.show(*paused);
        done.is_ok() || now < most
    }

    /// What is under way ends, or is left to the next reader; then the offsets are committed.
    fn end(&self, consumer: &IntakeConsumer) {
        self.partitions.stop();
        let settled = self.partitions.idle(Duration::from_millis(self.kafka.intake.settle_ms));
        consumer.context().commit(consumer, None, CommitMode::Sync);
        tracing::info!(topic = %self.topic, settled, "intake stopped");
    }

    fn show(&self, paused: bool) {
        let in_flight = self.partitions.in_flight();
        self.metrics.intake().in_flight(&self.topic, in_flight, paused);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}
