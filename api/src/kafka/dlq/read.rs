//! Reads the dead letters of a topic from one place to its present end.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::topic_partition_list::Offset;

use crate::config::KafkaConfig;
use crate::kafka::client::{QuietContext, client_config};

/// How long the brokers have for one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(200);

/// One partition and what of it is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    partition: i32,
    next: i64,
    end: i64,
    /// Letters before it were put back.
    replayed: i64,
}

/// The letters of one topic.
pub(super) struct Letters {
    consumer: BaseConsumer<QuietContext>,
    topic: String,
    spans: Vec<Span>,
}

/// Where the reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// With the oldest letter.
    Oldest,
    /// Behind those that were put back.
    Replayed,
}

impl Letters {
    /// The letters of `topic`, from there to the end as it is now; nothing when there is no such
    /// topic. Which were put back is kept as the offsets of a group of its own.
    ///
    /// # Errors
    /// What the brokers or librdkafka say.
    pub(super) fn open(kafka: &KafkaConfig, topic: &str, from: From) -> KafkaResult<Option<Self>> {
        let mut client = client_config(kafka);
        client.set("group.id", format!("{}-dlq-replay", kafka.group));
        client.set("enable.auto.commit", "false");
        client.set("enable.auto.offset.store", "false");
        client.set("auto.offset.reset", "earliest");
        client.set("enable.partition.eof", "true");
        let consumer: BaseConsumer<QuietContext> =
            client.create_with_context(QuietContext::default())?;
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
        let known = metadata.topics().iter().find(|known| known.name() == topic);
        let Some(known) = known.filter(|known| !known.partitions().is_empty()) else {
            return Ok(None);
        };
        let mut wanted = TopicPartitionList::new();
        for partition in known.partitions() {
            wanted.add_partition(topic, partition.id());
        }
        let replayed = consumer.committed_offsets(wanted, ANSWER_WITHIN)?;
        let mut spans = Vec::new();
        let mut assignment = TopicPartitionList::new();
        for partition in known.partitions() {
            let id = partition.id();
            let (oldest, end) = consumer.fetch_watermarks(topic, id, ANSWER_WITHIN)?;
            let replayed = match replayed.find_partition(topic, id).map(|known| known.offset()) {
                Some(Offset::Offset(offset)) => offset.max(oldest),
                Some(_) | None => oldest,
            };
            let next = if from == From::Oldest { oldest } else { replayed };
            assignment.add_partition_offset(topic, id, Offset::Offset(next))?;
            spans.push(Span { partition: id, next, end, replayed });
        }
        consumer.assign(&assignment)?;
        Ok(Some(Self { consumer, topic: topic.to_owned(), spans }))
    }

    /// The next letter, and whether it was put back before; nothing at the end.
    ///
    /// # Errors
    /// What the brokers say, or that they say nothing for long.
    pub(super) fn next(&mut self) -> KafkaResult<Option<(OwnedMessage, bool)>> {
        let until = Instant::now() + ANSWER_WITHIN;
        while self.spans.iter().any(|span| span.next < span.end) {
            match self.consumer.poll(POLL) {
                Some(Ok(message)) => {
                    let (partition, offset) = (message.partition(), message.offset());
                    let span = self.spans.iter_mut().find(|span| span.partition == partition);
                    // What came since is for the next time: it may be a letter put back just now.
                    if let Some(span) = span.filter(|span| offset < span.end) {
                        span.next = offset + 1;
                        let replayed = offset < span.replayed;
                        return Ok(Some((message.detach(), replayed)));
                    }
                }
                // The last offsets of a topic need not be messages.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let span = self.spans.iter_mut().find(|span| span.partition == partition);
                    span.into_iter().for_each(|span| span.next = span.end);
                }
                Some(Err(error)) if error.rdkafka_error_code() == FATAL => return Err(error),
                Some(Err(error)) if Instant::now() > until => return Err(error),
                None if Instant::now() > until => {
                    return Err(KafkaError::MessageConsumption(
                        RDKafkaErrorCode::OperationTimedOut,
                    ));
                }
                Some(Err(_)) | None => {}
            }
        }
        Ok(None)
    }

    /// Remembers that all letters read so far were put back.
    ///
    /// # Errors
    /// What the brokers say.
    pub(super) fn remember(&self) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::new();
        for span in self.spans.iter().filter(|span| span.next > span.replayed) {
            let next = Offset::Offset(span.next);
            offsets.add_partition_offset(&self.topic, span.partition, next)?;
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        self.consumer.commit(&offsets, CommitMode::Sync)
    }
}

const FATAL: Option<RDKafkaErrorCode> = Some(RDKafkaErrorCode::Fatal);
