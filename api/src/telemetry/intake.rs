//! Metrics of what is taken in from Kafka.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// `{topic}`; topics are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
}

/// `{topic, outcome}`
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicOutcomeLabels {
    topic: String,
    outcome: &'static str,
}

/// What is counted of the intake.
#[derive(Default)]
pub(crate) struct IntakeMetrics {
    messages: Family<TopicOutcomeLabels, Counter>,
    lag: Family<TopicLabels, Gauge>,
    in_flight: Family<TopicLabels, Gauge>,
    paused: Family<TopicLabels, Gauge>,
    commits: Family<TopicOutcomeLabels, Counter>,
}

impl IntakeMetrics {
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Messages from Kafka by what became of them: taken, repeated, dead_letter, abandoned \
            (left to the partition's next reader), and retried, once per try";
        r.register("kafka_messages", help, self.messages.clone());
        let help = "Messages in the topic that are not done, of the partitions read here";
        r.register("kafka_consumer_lag", help, self.lag.clone());
        let help = "Messages from Kafka that are worked on";
        r.register("kafka_in_flight", help, self.in_flight.clone());
        let help = "Whether a topic is paused because too many of its messages are worked on";
        r.register("kafka_paused", help, self.paused.clone());
        let help = "Commits of offsets: done or failed";
        r.register("kafka_commits", help, self.commits.clone());
    }

    /// So many messages of a topic came to this end.
    pub(crate) fn messages(&self, topic: &str, outcome: &'static str, count: u64) {
        let labels = TopicOutcomeLabels { topic: topic.to_owned(), outcome };
        self.messages.get_or_create(&labels).inc_by(count);
    }

    /// A topic has so many messages that are not done.
    pub(crate) fn lag(&self, topic: &str, messages: i64) {
        self.lag.get_or_create(&TopicLabels { topic: topic.to_owned() }).set(messages);
    }

    /// So many messages of a topic are worked on, and whether it is paused.
    pub(crate) fn in_flight(&self, topic: &str, messages: usize, paused: bool) {
        let labels = TopicLabels { topic: topic.to_owned() };
        let messages = i64::try_from(messages).unwrap_or(i64::MAX);
        self.in_flight.get_or_create(&labels).set(messages);
        self.paused.get_or_create(&labels).set(i64::from(paused));
    }

    /// A commit of offsets was answered.
    pub(crate) fn committed(&self, topic: &str, outcome: &'static str) {
        let labels = TopicOutcomeLabels { topic: topic.to_owned(), outcome };
        self.commits.get_or_create(&labels).inc();
    }
}
