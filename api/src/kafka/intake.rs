//! Messages of the platform that are taken in: positions, ride requests, profiles of drivers.
//!
//! Each topic has a consumer of its own on a thread of its own, so that a backlog of one does not hold
//! up another; all are members of one group. An offset is committed once the effects of all messages
//! before it are durable (for positions: read), so after a crash some are taken again, and a repeat
//! has no second effect.

mod backoff;
mod context;
mod envelope;
mod fault;
mod flow;
mod lanes;
mod location;
mod partitions;
mod positions;
mod profiles;
mod rides;
mod watermark;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use muster_actors::Dispatch;
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;

pub(super) use self::backoff::Backoff;
use self::envelope::Envelope;
pub(super) use self::fault::Fault;
use self::flow::{Flow, Handler};
use self::lanes::{Bench, Lanes, Work};
use self::partitions::Partitions;
use self::positions::PositionIntake;
use super::dlq::DeadLetters;
use super::hush::Hush;
use crate::config::KafkaConfig;
use crate::telemetry::Metrics;

/// How long a drain waits for the brokers to take the last commit.
const COMMIT_WITHIN: Duration = Duration::from_secs(5);

/// Why nothing is taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IntakeError {
    /// A client of the brokers cannot be made: a property is refused.
    #[error("kafka: {0}")]
    Client(#[from] KafkaError),
    /// A thread cannot be made.
    #[error("kafka: {0}")]
    Thread(#[from] std::io::Error),
}

/// The running intake.
pub(crate) struct Intake {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    stop_within: Duration,
}

/// What the intake works with.
struct Parts<'a> {
    kafka: &'a KafkaConfig,
    dispatch: Dispatch,
    metrics: Arc<Metrics>,
    dead: Arc<DeadLetters>,
    stop: Arc<AtomicBool>,
}

impl Intake {
    /// Starts to take in every topic that has a name. Must run inside an actix system, which does
    /// the work that waits for commits.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub(crate) fn start(
        kafka: &KafkaConfig,
        dispatch: &Dispatch,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, IntakeError> {
        let (dispatch, metrics) = (dispatch.clone(), Arc::clone(metrics));
        let dead = DeadLetters::open(kafka)?;
        let parts = Parts { kafka, dispatch, metrics, dead, stop: Arc::default() };
        let topics = &kafka.topics;
        let mut threads = Vec::new();
        if !topics.driver_profiles.is_empty() {
            threads.push(parts.lanes(&topics.driver_profiles, Work::Profiles)?);
        }
        if !topics.ride_requests.is_empty() {
            threads.push(parts.lanes(&topics.ride_requests, Work::Rides)?);
        }
        if !topics.location_updates.is_empty() {
            threads.push(parts.positions(&topics.location_updates)?);
        }
        let stop_within = Duration::from_millis(kafka.intake.settle_ms) + COMMIT_WITHIN;
        Ok(Self { stop: parts.stop, threads, stop_within })
    }

    /// Takes nothing in any more, and waits until what is under way has ended or is left to the next
    /// reader, and the offsets are committed.
    pub(crate) async fn stop(self) {
        self.stop.store(true, Ordering::Release);
        let (tell, told) = oneshot::channel();
        // A thread of its own, which the process need not wait for when brokers do not answer.
        thread::spawn(move || {
            let ended = self.threads.into_iter().map(JoinHandle::join).all(|ended| ended.is_ok());
            let _waited_for = tell.send(ended);
        });
        match tokio::time::timeout(self.stop_within, told).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false) | Err(_)) => tracing::error!("an intake thread panicked"),
            Err(_) => tracing::warn!("brokers do not answer: offsets are not committed"),
        }
    }
}

impl Parts<'_> {
    fn envelope(&self) -> Envelope {
        let intake = &self.kafka.intake;
        Envelope { bytes_max: intake.message_bytes_max, registry_framing: intake.registry_framing }
    }

    fn lanes(&self, topic: &str, work: Work) -> Result<JoinHandle<()>, IntakeError> {
        let bench = Bench {
            work,
            dispatch: self.dispatch.clone(),
            dead: Arc::clone(&self.dead),
            metrics: Arc::clone(&self.metrics),
            envelope: self.envelope(),
            pauses: Bench::pauses(&self.kafka.intake),
            hush: Hush::default(),
        };
        self.read(topic, "earliest", Lanes::start(&self.kafka.intake, bench))
    }

    fn positions(&self, topic: &str) -> Result<JoinHandle<()>, IntakeError> {
        let (dispatch, metrics) = (self.dispatch.clone(), Arc::clone(&self.metrics));
        let rules = (self.envelope(), &self.kafka.intake);
        let dead = Arc::clone(&self.dead);
        let handler = PositionIntake::start(topic, dispatch, metrics, dead, rules);
        self.read(topic, self.kafka.intake.positions_from.name(), handler)
    }

    fn read(
        &self,
        topic: &str,
        from: &'static str,
        mut handler: impl Handler,
    ) -> Result<JoinHandle<()>, IntakeError> {
        let flow = Flow {
            kafka: self.kafka.clone(),
            topic: Arc::from(topic),
            from,
            partitions: Arc::new(Partitions::default()),
            metrics: Arc::clone(&self.metrics),
            stop: Arc::clone(&self.stop),
        };
        let consumer = flow.consumer()?;
        let thread = thread::Builder::new().name(format!("kafka {topic}"));
        Ok(thread.spawn(move || flow.run(consumer, &mut handler))?)
    }
}
