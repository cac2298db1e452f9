//! What a consumer tells besides messages: partitions that come and go, commits, how far behind it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::Offset;

use super::partitions::Partitions;
use crate::kafka::client::QuietContext;
use crate::telemetry::Metrics;

/// The context of one topic's consumer.
pub(super) struct IntakeContext {
    pub(super) topic: Arc<str>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settle_within: Duration,
    /// Partitions came, which may be paused while the others are not, or the other way round.
    pub(super) assigned: AtomicBool,
    pub(super) quiet: QuietContext,
}

impl IntakeContext {
    /// Commits what is done of these partitions, or of all.
    pub(super) fn commit(
        &self,
        consumer: &BaseConsumer<Self>,
        only: Option<&[i32]>,
        mode: CommitMode,
    ) {
        let commits = self.partitions.take_commits(only);
        if commits.is_empty() {
            return;
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in commits {
            // Partition and offset are those of messages.
            let _taken =
                offsets.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
        }
        if let Err(error) = consumer.commit(&offsets, mode) {
            self.commit_failed(&error);
        } else if matches!(mode, CommitMode::Sync) {
            self.metrics.intake().committed(&self.topic, "done");
        }
    }

    fn commit_failed(&self, error: &KafkaError) {
        self.metrics.intake().committed(&self.topic, "failed");
        self.quiet.fail(error, "offsets were not committed");
        self.partitions.commit_again();
    }

    fn own(&self, list: &TopicPartitionList) -> Vec<i32> {
        list.elements_for_topic(&self.topic).iter().map(|element| element.partition()).collect()
    }
}

impl ClientContext for IntakeContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.quiet.say(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.quiet.fail(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(&*self.topic) else { return };
        let ends = topic.partitions.iter().filter(|(_, known)| known.hi_offset >= 0);
        let ends = ends.map(|(id, known)| (*id, known.hi_offset, known.consumer_lag));
        self.metrics.intake().lag(&self.topic, self.partitions.lag(ends));
    }
}

impl ConsumerContext for IntakeContext {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let own = self.own(list);
                tracing::info!(topic = %self.topic, partitions = ?own, "partitions are read");
                self.partitions.assign(&own);
                self.assigned.store(true, Ordering::Relaxed);
            }
            Rebalance::Revoke(list) => {
                let own = self.own(list);
                let lost = consumer.assignment_lost();
                // Whoever reads them next begins where this commit says.
                let settled = !lost && self.partitions.settle(&own, self.settle_within);
                self.commit(consumer, Some(&own), CommitMode::Sync);
                self.partitions.revoke(&own);
                let topic = &self.topic;
                tracing::info!(%topic, partitions = ?own, settled, lost, "partitions are given away");
            }
            Rebalance::Error(error) => self.quiet.fail(error, "the group was not rebalanced"),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => self.metrics.intake().committed(&self.topic, "done"),
            Err(error) => self.commit_failed(&error),
        }
    }
}
