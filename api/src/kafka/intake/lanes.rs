//! Messages whose effect waits for a commit: one after the other for one key, side by side for others.
//!
//! A key's messages all go through the same lane, a task that takes the next one when the last is
//! done. A lane that cannot get on (the store is down, a dead letter is not taken) stays where it is;
//! what waits behind it counts against `in_flight_max`, and at that the topic is paused.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::{Dispatch, on_behalf};
use rdkafka::message::{BorrowedMessage, Message, OwnedHeaders, OwnedMessage};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::backoff::Backoff;
use super::envelope::{Envelope, header};
use super::fault::{Fault, Verdict};
use super::flow::Handler;
use super::partitions::{Partitions, Ticket};
use super::{profiles, rides};
use crate::config::KafkaIntake;
use crate::http::origin;
use crate::kafka::dlq::DeadLetters;
use crate::kafka::hush::Hush;
use crate::telemetry::Metrics;
use crate::wire::rfc3339;

/// Names a message in the logs of every service it passes.
const CORRELATION: &str = "correlation_id";
/// The trace that a message belongs to.
const TRACEPARENT: &str = "traceparent";

/// A message with the right to end it.
struct Job {
    message: OwnedMessage,
    ticket: Ticket,
}

/// What the messages of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Rides,
    Profiles,
}

/// The lanes of one topic, as its consumer's thread sees them.
pub(super) struct Lanes(Vec<mpsc::Sender<Job>>);

/// What a lane works with.
pub(super) struct Bench {
    pub(super) work: Work,
    pub(super) dispatch: Dispatch,
    pub(super) dead: Arc<DeadLetters>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) envelope: Envelope,
    pub(super) pauses: Backoff,
    pub(super) hush: Hush,
}

impl Lanes {
    /// Starts the lanes as tasks of this thread; they end with the consumer's thread.
    pub(super) fn start(intake: &KafkaIntake, bench: Bench) -> Self {
        let bench = Rc::new(bench);
        let lane = |_| {
            // All messages under way may be of one key; more than these there are not.
            let (sender, jobs) = mpsc::channel(intake.in_flight_max + 1);
            actix_web::rt::spawn(lane(jobs, Rc::clone(&bench)));
            sender
        };
        Self((0..intake.lanes).map(lane).collect())
    }
}

impl Handler for Lanes {
    fn take(&mut self, message: &BorrowedMessage<'_>, partitions: &Arc<Partitions>) {
        let ticket = partitions.begin(message.partition(), message.offset());
        let mut hash = DefaultHasher::new();
        match message.key() {
            Some(key) => key.hash(&mut hash),
            // Messages without a key have no order but that of their partition.
            None => message.partition().hash(&mut hash),
        }
        let lane = (hash.finish() % self.0.len() as u64) as usize;
        // A lane that is full or gone drops the ticket: the offset is not committed.
        let _sent = self.0[lane].try_send(Job { message: message.detach(), ticket });
    }
}

async fn lane(mut jobs: mpsc::Receiver<Job>, bench: Rc<Bench>) {
    while let Some(job) = jobs.recv().await {
        let headers = job.message.headers().map(OwnedHeaders::as_borrowed);
        let text = |name| header(headers, name).and_then(|value| std::str::from_utf8(value).ok());
        let origin = Arc::new(origin(text(CORRELATION), text(TRACEPARENT)));
        let correlation_id = &origin.correlation_id;
        let span = tracing::debug_span!("kafka_message", correlation_id);
        on_behalf(Some(origin), bench.done(job)).instrument(span).await;
    }
}

impl Bench {
    /// Works on a message until it has had its effect or is among the dead letters.
    async fn done(&self, job: Job) {
        let Job { message, ticket } = job;
        let (topic, counts) = (message.topic(), self.metrics.intake());
        let mut pauses = self.pauses;
        let fault = loop {
            if ticket.is_abandoned() {
                return counts.messages(topic, "abandoned", 1);
            }
            match self.attempt(&message).await {
                Verdict::Done(outcome) => {
                    counts.messages(topic, outcome, 1);
                    return ticket.finish();
                }
                Verdict::Refused(fault) => break fault,
                Verdict::Again(why) => {
                    counts.messages(topic, "retried", 1);
                    if let Some(unsaid) = self.hush.due() {
                        tracing::warn!(topic, why, unsaid, "a message is tried again");
                    }
                    tokio::time::sleep(pauses.pause()).await;
                }
            }
        };
        let failed_at = rfc3339(self.dispatch.now());
        if bury(&self.dead, &self.metrics, &message, &fault, &failed_at, &ticket).await {
            ticket.finish();
        }
    }

    async fn attempt(&self, message: &OwnedMessage) -> Verdict {
        let headers = message.headers().map(OwnedHeaders::as_borrowed);
        let json = message.payload().map(|payload| self.envelope.open(payload, headers));
        let json = match json.transpose() {
            Ok(json) => json,
            Err(fault) => return fault.into(),
        };
        match self.work {
            Work::Rides => rides::take(&self.dispatch, message.key(), json).await,
            Work::Profiles => profiles::take(&self.dispatch, message.key(), json).await,
        }
    }
}

/// Puts a message among the dead letters; tells whether it is there.
pub(super) async fn bury(
    dead: &DeadLetters,
    metrics: &Metrics,
    message: &OwnedMessage,
    fault: &Fault,
    failed_at: &str,
    ticket: &Ticket,
) -> bool {
    let abandoned = || ticket.is_abandoned();
    let written = dead.write(message, fault, failed_at, abandoned).await;
    let outcome = if written { "dead_letter" } else { "abandoned" };
    metrics.intake().messages(message.topic(), outcome, 1);
    written
}

impl Bench {
    /// The pauses of the configuration.
    pub(super) const fn pauses(intake: &KafkaIntake) -> Backoff {
        let least = Duration::from_millis(intake.retry_ms_min);
        Backoff::new(least, Duration::from_millis(intake.retry_ms_max))
    }
}
