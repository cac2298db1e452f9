//! A broker, topics of a test's own on it, and servers that tell them.

use std::path::Path;
use std::process::Output;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use muster_services::Kafka;

use crate::kcat::{Message, read};
use crate::server::{Server, muster};

/// How long a busy machine may take for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The topics that go out, as the configuration names them.
pub(crate) const OUT: [&str; 4] =
    ["ride_events", "driver_offers", "namma_yatri_events", "allocation_decisions"];

/// The broker of all tests that leave it alone.
pub(crate) fn shared_broker() -> String {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| Kafka::start().unwrap()).bootstrap()
}

/// The topics of one test.
pub(crate) struct Bridge {
    pub(crate) brokers: String,
    test: &'static str,
    more: Vec<(String, String)>,
}

impl Bridge {
    pub(crate) fn new(brokers: String, test: &'static str) -> Self {
        Self { brokers, test, more: Vec::new() }
    }

    /// One more key of the configuration.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.more.push((format!("MUSTER__{key}"), value.to_owned()));
        self
    }

    /// The name of a topic that goes out.
    pub(crate) fn topic(&self, topic: &str) -> String {
        format!("{}.{topic}", self.test)
    }

    fn env(&self) -> Vec<(String, String)> {
        let mut env = vec![("MUSTER__KAFKA__BROKERS".to_owned(), self.brokers.clone())];
        for topic in OUT {
            let key = format!("MUSTER__KAFKA__TOPICS__{}", topic.to_uppercase());
            env.push((key, self.topic(topic)));
        }
        // What comes in is no business of these tests.
        for topic in ["LOCATION_UPDATES", "RIDE_REQUESTS", "DRIVER_PROFILES"] {
            env.push((format!("MUSTER__KAFKA__TOPICS__{topic}"), String::new()));
        }
        env.extend(self.more.iter().cloned());
        env
    }

    /// `muster kafka init` with these arguments.
    pub(crate) fn init(&self, folder: &Path, args: &[&str]) -> Output {
        let mut command = muster(folder);
        command.args(["kafka", "init"]).args(args).envs(self.env());
        command.output().unwrap()
    }

    /// Creates the topics.
    pub(crate) fn create(&self, folder: &Path) {
        let output = self.init(folder, &["--partitions", "4"]);
        assert!(output.status.success(), "{output:?}");
    }

    pub(crate) async fn serve(&self, folder: &Path) -> Server {
        let env = self.env();
        let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        Server::start(folder, &env).await
    }

    /// Everything in a topic, as kcat reads it.
    pub(crate) fn read(&self, topic: &str) -> Vec<Message> {
        read(&self.brokers, &self.topic(topic))
    }

    /// Reads a topic until `holds` of what is in it.
    pub(crate) fn read_until(
        &self,
        topic: &str,
        holds: impl Fn(&[Message]) -> bool,
    ) -> Vec<Message> {
        let began = Instant::now();
        loop {
            let messages = self.read(topic);
            if holds(&messages) {
                return messages;
            }
            assert!(began.elapsed() < PATIENCE, "{topic} stays at {} messages", messages.len());
        }
    }
}

/// Ends a server in good order: it tells the platform what is left.
pub(crate) async fn drain(server: Server) {
    let end = tokio::task::spawn_blocking(move || server.terminate());
    assert!(end.await.unwrap().success());
}
