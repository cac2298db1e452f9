//! Messages of `location-updates`: straight into the drivers' slots, on the consumer's thread.
//!
//! A position is not a decision and dies with the process, applied or not, so a message is done when it is
//! read: what is read is applied before the thread waits. No task and no message of its own; what cannot be read
//! becomes a dead letter like any other.

use std::sync::Arc;

use muster_actors::{Dispatch, FixTarget};
use muster_engine::grid::{Fix, FixRejection};
use rdkafka::message::{BorrowedMessage, Message};
use tokio::sync::mpsc;

use super::envelope::Envelope;
use super::fault::Fault;
use super::flow::Handler;
use super::lanes::bury;
use super::location::{Judged, is_recent, read_fixes};
use super::partitions::{Partitions, Ticket};
use super::rides::text;
use crate::kafka::dlq::DeadLetters;
use crate::telemetry::Metrics;
use crate::wire::rfc3339;

/// What became of fixes, in the order of [`Counts`]: the names of refusals are those of every edge.
const OUTCOMES: [&str; 9] = [
    "applied",
    "unknown_driver",
    "too_old",
    FixRejection::OutOfRange.code(),
    FixRejection::OutOfOrder.code(),
    FixRejection::InFuture.code(),
    FixRejection::OutsideMarket.code(),
    FixRejection::ImplausibleJump.code(),
    FixRejection::RateLimited.code(),
];

/// Messages between two updates of the metrics.
const COUNTED_MAX: u64 = 4_096;

/// Fixes that are looked up before the first of them is applied; see [`Dispatch::fix_target`].
const AT_HAND_MAX: usize = 32;

type Dead = (rdkafka::message::OwnedMessage, Fault, Ticket);

/// The handler of positions.
pub(super) struct PositionIntake {
    fixes: Fixes,
    metrics: Arc<Metrics>,
    envelope: Envelope,
    taken: u64,
    topic: String,
    dead: mpsc::Sender<Dead>,
}

impl PositionIntake {
    /// Starts the task that writes dead letters, on this thread.
    pub(super) fn start(
        topic: &str,
        dispatch: Dispatch,
        metrics: Arc<Metrics>,
        letters: Arc<DeadLetters>,
        (envelope, intake): (Envelope, &crate::config::KafkaIntake),
    ) -> Self {
        // With so many tickets out, the topic is paused.
        let (dead, waiting) = mpsc::channel(intake.in_flight_max + 1);
        let clock = dispatch.clone();
        actix_web::rt::spawn(bury_all(waiting, letters, Arc::clone(&metrics), clock));
        let fixes = Fixes {
            dispatch,
            age_ms_max: intake.position_age_ms_max,
            at_hand: Vec::with_capacity(AT_HAND_MAX),
            counts: [0; OUTCOMES.len()],
        };
        Self { fixes, metrics, envelope, taken: 0, topic: topic.to_owned(), dead }
    }

    fn read(&mut self, message: &BorrowedMessage<'_>) -> Result<(), Fault> {
        let payload = message.payload();
        let payload = payload.ok_or_else(|| Fault::new("no_value", "a position has a value"))?;
        let json = self.envelope.open(payload, message.headers())?;
        let key = message.key().ok_or_else(|| Fault::new("no_key", "the key names the driver"))?;
        let driver = text(key)?;
        read_fixes(json, |fix| self.fixes.take(driver, fix))
    }
}

/// Fixes on their way from messages into slots.
struct Fixes {
    dispatch: Dispatch,
    age_ms_max: u64,
    /// In the order of their messages.
    at_hand: Vec<(FixTarget, Fix)>,
    counts: [u64; OUTCOMES.len()],
}

impl Fixes {
    /// Takes a fix of the driver with this id.
    fn take(&mut self, driver: &str, fix: Judged) {
        match self.look_up(driver, fix) {
            Ok(ready) => self.at_hand.push(ready),
            Err(outcome) => self.counts[outcome] += 1,
        }
        if self.at_hand.len() == AT_HAND_MAX {
            self.apply();
        }
    }

    /// Whose slot a fix is for, or the place of what became of it in [`OUTCOMES`].
    fn look_up(&self, driver: &str, fix: Judged) -> Result<(FixTarget, Fix), usize> {
        let fix = fix.map_err(place)?;
        if !is_recent(fix.at, self.dispatch.now(), self.age_ms_max) {
            return Err(2);
        }
        let target = self.dispatch.fix_target(driver).ok_or(1_usize)?;
        Ok((target, fix))
    }

    /// Applies what is at hand.
    fn apply(&mut self) {
        for (target, fix) in self.at_hand.drain(..) {
            self.counts[self.dispatch.apply_to(&target, &fix).map_or_else(place, |()| 0)] += 1;
        }
    }
}

const fn place(rejection: FixRejection) -> usize {
    match rejection {
        FixRejection::OutOfRange => 3,
        FixRejection::OutOfOrder => 4,
        FixRejection::InFuture => 5,
        FixRejection::OutsideMarket => 6,
        FixRejection::ImplausibleJump => 7,
        FixRejection::RateLimited => 8,
    }
}

impl Handler for PositionIntake {
    fn take(&mut self, message: &BorrowedMessage<'_>, partitions: &Arc<Partitions>) {
        let (partition, offset) = (message.partition(), message.offset());
        match self.read(message) {
            Ok(()) => {
                partitions.pass(partition, offset);
                self.taken += 1;
            }
            Err(fault) => {
                let ticket = partitions.begin(partition, offset);
                // A writer that is full or gone drops the ticket: the offset is not committed.
                let _sent = self.dead.try_send((message.detach(), fault, ticket));
            }
        }
        if self.taken >= COUNTED_MAX {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.fixes.apply();
        for (outcome, count) in OUTCOMES.iter().zip(&mut self.fixes.counts) {
            let count = std::mem::take(count);
            if count > 0 {
                self.metrics.fixes(outcome, count);
            }
        }
        let taken = std::mem::take(&mut self.taken);
        if taken > 0 {
            self.metrics.intake().messages(&self.topic, "taken", taken);
        }
    }
}

/// Writes dead letters one after the other: they are rare, and if they are not, the topic is paused.
async fn bury_all(
    mut waiting: mpsc::Receiver<Dead>,
    letters: Arc<DeadLetters>,
    metrics: Arc<Metrics>,
    dispatch: Dispatch,
) {
    while let Some((message, fault, ticket)) = waiting.recv().await {
        let failed_at = rfc3339(dispatch.now());
        if bury(&letters, &metrics, &message, &fault, &failed_at, &ticket).await {
            ticket.finish();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_counted_under_its_own_name() {
        for rejection in [
            FixRejection::OutOfRange,
            FixRejection::OutOfOrder,
            FixRejection::InFuture,
            FixRejection::OutsideMarket,
            FixRejection::ImplausibleJump,
            FixRejection::RateLimited,
        ] {
            assert_eq!(OUTCOMES[place(rejection)], rejection.code());
        }
    }
}
