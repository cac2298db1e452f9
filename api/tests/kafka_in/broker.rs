//! A broker, topics of a test's own in it, and clients that are not ours.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use muster_services::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use serde_json::Value;

/// How long a busy machine may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The broker of all tests that leave it alone.
fn shared() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| Kafka::start().unwrap())
}

/// The incoming topics of one test, with their dead letters.
pub(crate) struct Topics {
    pub(crate) bootstrap: String,
    prefix: String,
    producer: FutureProducer,
}

impl Topics {
    /// On the shared broker.
    pub(crate) async fn shared() -> Self {
        Self::on(shared(), 4).await
    }

    pub(crate) async fn on(broker: &Kafka, partitions: i32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let bootstrap = broker.bootstrap();
        // A producer of another platform keeps trying as long as it must.
        let mut config = client(&bootstrap);
        config.set("enable.idempotence", "true").set("message.timeout.ms", "300000");
        let topics = Self { bootstrap, prefix, producer: config.create().unwrap() };
        for topic in [topics.locations(), topics.rides(), topics.profiles()] {
            topics.make(&topic, partitions).await;
            topics.make(&format!("{topic}.dlq"), 1).await;
        }
        topics
    }

    /// Makes a topic.
    pub(crate) async fn make(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = client(&self.bootstrap).create().unwrap();
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }

    pub(crate) fn locations(&self) -> String {
        format!("{}-locations", self.prefix)
    }

    pub(crate) fn rides(&self) -> String {
        format!("{}-rides", self.prefix)
    }

    pub(crate) fn profiles(&self) -> String {
        format!("{}-profiles", self.prefix)
    }

    pub(crate) fn group(&self) -> String {
        format!("{}-group", self.prefix)
    }

    /// The environment of a server that takes these topics in. It keeps its name in the group, so
    /// that nobody waits for the group to miss it after it was killed.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let of = |key: &str, value: String| (format!("MUSTER__KAFKA__{key}"), value);
        vec![
            of("BROKERS", self.bootstrap.clone()),
            of("GROUP", self.group()),
            of("TOPICS__LOCATION_UPDATES", self.locations()),
            of("TOPICS__RIDE_REQUESTS", self.rides()),
            of("TOPICS__DRIVER_PROFILES", self.profiles()),
            of("INTAKE__INSTANCE_ID", "one".to_owned()),
            of("INTAKE__POSITIONS_FROM", "earliest".to_owned()),
            of("INTAKE__COMMIT_MS", "50".to_owned()),
        ]
    }

    /// Sends one message and waits until the broker has it.
    pub(crate) async fn send(&self, topic: &str, key: &str, value: Option<&[u8]>) {
        let mut record = FutureRecord::<str, [u8]>::to(topic).key(key);
        record.payload = value;
        self.producer.send(record, Timeout::Never).await.unwrap();
    }

    /// Sends a message as kcat does.
    pub(crate) fn kcat(&self, topic: &str, key: &str, value: &str, headers: &[&str]) {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.bootstrap, "-P", "-t", topic, "-k", key]);
        for header in headers {
            kcat.args(["-H", header]);
        }
        let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat is installed");
        kcat.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
        assert!(kcat.wait().unwrap().success());
    }

    /// All messages of a topic, as kcat sees them.
    pub(crate) fn read(&self, topic: &str) -> Vec<Value> {
        let output = Command::new("kcat")
            .args(["-b", &self.bootstrap, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J"])
            .output()
            .expect("kcat is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Reads a topic until it holds so many messages.
    pub(crate) async fn until_read(&self, topic: &str, many: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let messages = self.read(topic);
            if messages.len() >= many {
                return messages;
            }
            assert!(began.elapsed() < PATIENCE, "{topic} has {} messages", messages.len());
            tokio::task::yield_now().await;
        }
    }

    /// How many messages of a topic the group has not committed.
    pub(crate) fn uncommitted(&self, topic: &str) -> i64 {
        let mut config = client(&self.bootstrap);
        let group: BaseConsumer = config.set("group.id", self.group()).create().unwrap();
        let within = Duration::from_secs(30);
        let metadata = group.fetch_metadata(Some(topic), within).unwrap();
        let partitions = metadata.topics()[0].partitions();
        let mut wanted = TopicPartitionList::new();
        for partition in partitions {
            wanted.add_partition(topic, partition.id());
        }
        let committed = group.committed_offsets(wanted, within).unwrap();
        let left = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            let end = group.fetch_watermarks(topic, element.partition(), within).unwrap().1;
            if let Offset::Offset(offset) = element.offset() { end - offset } else { end }
        };
        committed.elements().iter().map(left).sum()
    }

    /// Is a member of the group until it has partitions of a topic.
    pub(crate) async fn share(&self, topic: &str) {
        let mut config = client(&self.bootstrap);
        let member: BaseConsumer = config.set("group.id", self.group()).create().unwrap();
        member.subscribe(&[topic]).unwrap();
        let began = Instant::now();
        while member.assignment().unwrap().count() == 0 {
            assert!(began.elapsed() < PATIENCE, "no partition of {topic} is shared");
            assert!(member.poll(Duration::from_millis(10)).is_none_or(|polled| polled.is_ok()));
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the group has committed everything.
    pub(crate) async fn until_committed(&self, topic: &str) {
        let began = Instant::now();
        while self.uncommitted(topic) > 0 {
            assert!(began.elapsed() < PATIENCE, "{topic} is not committed");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// A header of a message as kcat prints it.
pub(crate) fn header<'m>(message: &'m Value, name: &str) -> Option<&'m str> {
    let pairs = message["headers"].as_array()?;
    let found = pairs.chunks(2).find(|pair| pair[0] == name)?;
    found[1].as_str()
}
