//! `muster kafka init`: the topics of the bridge.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResource, NewTopic, OwnedResourceSpecifier, ResourceSpecifier,
    TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::cli::{KafkaInitArgs, config_file};
use crate::config::{Config, ConfigError, KafkaConfig};
use crate::kafka::client_config;

/// How long the brokers may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const HOUR_MS: u64 = 3_600_000;
/// Positions are worth nothing the day after, and are most of all bytes.
const POSITIONS_KEPT_H_MAX: u64 = 24;

/// Why topics could not be made or looked at.
#[derive(Debug, thiserror::Error)]
enum InitError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("kafka.brokers is empty, allowed is host:port: there is no broker to ask")]
    Off,
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("topic {topic} was not created: {error}")]
    Topic { topic: String, error: String },
}

/// A topic as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    name: String,
    partitions: i32,
    /// -1: as the brokers do by default.
    replication: i32,
    /// Its settings as Kafka names them.
    settings: BTreeMap<&'static str, String>,
}

/// Creates the topics, or says what it would create.
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
pub fn run(args: &KafkaInitArgs) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(init(args)),
        Err(error) => {
            eprintln!("muster kafka init: {error}");
            return ExitCode::FAILURE;
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("muster kafka init: {error}");
            let bad = matches!(error, InitError::Config(_) | InitError::Off);
            ExitCode::from(if bad { 2 } else { 1 })
        }
    }
}

/// Whether all topics are as wanted now.
#[expect(clippy::print_stdout, reason = "a command says what it did")]
async fn init(args: &KafkaInitArgs) -> Result<bool, InitError> {
    let config = Config::load(config_file(args.config.as_ref()).as_deref())?;
    if !config.kafka.is_on() {
        return Err(InitError::Off);
    }
    let admin: AdminClient<DefaultClientContext> = client_config(&config.kafka).create()?;
    let existing = existing(&admin)?;
    let mut as_wanted = true;
    for wanted in wanted(&config.kafka, args) {
        let told = match existing.get(&wanted.name) {
            Some(found) => {
                let differences = differences(&admin, &wanted, *found).await?;
                as_wanted &= differences.is_empty();
                if differences.is_empty() {
                    "exists".to_owned()
                } else {
                    format!("exists and differs: {}", differences.join("; "))
                }
            }
            None if args.dry_run => format!("would be created: {}", wanted.described()),
            None if create(&admin, &wanted).await? => format!("created: {}", wanted.described()),
            None => "exists".to_owned(),
        };
        println!("{}: {told}", wanted.name);
    }
    Ok(as_wanted)
}

/// Every topic that is not left out.
fn wanted(kafka: &KafkaConfig, args: &KafkaInitArgs) -> Vec<Wanted> {
    let topics = &kafka.topics;
    let topic = |name: &str, settings: &[(&'static str, String)]| Wanted {
        name: name.to_owned(),
        partitions: args.partitions,
        replication: args.replication.map_or(-1, i32::from),
        settings: settings.iter().cloned().collect(),
    };
    let kept = |name, hours: u64| {
        let ms = hours.saturating_mul(HOUR_MS).to_string();
        topic(name, &[("cleanup.policy", "delete".to_owned()), ("retention.ms", ms)])
    };
    let positions_h = args.retention_h.min(POSITIONS_KEPT_H_MAX);
    let sources = [&topics.location_updates, &topics.ride_requests, &topics.driver_profiles];
    let dead = sources.map(|name| match name.as_str() {
        "" => String::new(),
        name => format!("{name}{}", topics.dlq_suffix),
    });
    let out = [
        &topics.driver_offers,
        &topics.ride_events,
        &topics.namma_yatri_events,
        &topics.allocation_decisions,
    ];
    let compacted = topic(&topics.driver_profiles, &[("cleanup.policy", "compact".to_owned())]);
    let mut all = vec![kept(&topics.location_updates, positions_h), compacted];
    all.push(kept(&topics.ride_requests, args.retention_h));
    all.extend(out.map(|name| kept(name, args.retention_h)));
    all.extend(dead.iter().map(|name| kept(name, args.retention_h)));
    all.retain(|wanted| !wanted.name.is_empty());
    all
}

impl Wanted {
    fn described(&self) -> String {
        let replication = match self.replication {
            -1 => "the brokers' replication".to_owned(),
            copies => format!("replication {copies}"),
        };
        let settings = self.settings.iter().map(|(key, value)| format!("{key}={value}"));
        let settings: Vec<String> = settings.collect();
        format!("{} partitions, {replication}, {}", self.partitions, settings.join(", "))
    }
}

/// Partitions and copies of a topic that exists.
#[derive(Debug, Clone, Copy)]
struct Found {
    partitions: usize,
    replication: usize,
}

fn existing(
    admin: &AdminClient<DefaultClientContext>,
) -> Result<BTreeMap<String, Found>, InitError> {
    let metadata = admin.inner().fetch_metadata(None, ANSWER_WITHIN)?;
    let found = metadata.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| {
        let partitions = topic.partitions();
        let replication = partitions.first().map_or(0, |partition| partition.replicas().len());
        (topic.name().to_owned(), Found { partitions: partitions.len(), replication })
    });
    Ok(found.collect())
}

/// What is not as wanted, in words; nothing is changed, for data may hang on it.
async fn differences(
    admin: &AdminClient<DefaultClientContext>,
    wanted: &Wanted,
    found: Found,
) -> Result<Vec<String>, InitError> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, is: String, wants: String| {
        if is != wants {
            differences.push(format!("{what} is {is}, wanted is {wants}"));
        }
    };
    compare("partitions", found.partitions.to_string(), wanted.partitions.to_string());
    if wanted.replication > 0 {
        compare("replication", found.replication.to_string(), wanted.replication.to_string());
    }
    let asked = [ResourceSpecifier::Topic(&wanted.name)];
    for answer in admin.describe_configs(&asked, &options()).await? {
        let settings = answer.map_err(KafkaError::AdminOp)?;
        for (key, wants) in &wanted.settings {
            compare(key, value_of(&settings, key), wants.clone());
        }
    }
    Ok(differences)
}

fn value_of(settings: &ConfigResource, key: &str) -> String {
    debug_assert!(matches!(settings.specifier, OwnedResourceSpecifier::Topic(_)));
    let value = settings.get(key).and_then(|entry| entry.value.clone());
    value.unwrap_or_else(|| "not set".to_owned())
}

/// Creates a topic; false when it exists after all: somebody else created it a moment ago.
async fn create(
    admin: &AdminClient<DefaultClientContext>,
    wanted: &Wanted,
) -> Result<bool, InitError> {
    let replication = TopicReplication::Fixed(wanted.replication);
    let topic = NewTopic::new(&wanted.name, wanted.partitions, replication);
    let topic = wanted.settings.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
    let answers = admin.create_topics([&topic], &options()).await?;
    let created = |answer: TopicResult| match answer {
        Ok(_) => Ok(true),
        Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(false),
        Err((topic, code)) => Err(InitError::Topic { topic, error: code.to_string() }),
    };
    answers.into_iter().try_fold(true, |all, answer| Ok(created(answer)? && all))
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ANSWER_WITHIN)).operation_timeout(Some(ANSWER_WITHIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> KafkaInitArgs {
        KafkaInitArgs {
            config: None,
            dry_run: false,
            partitions: 12,
            replication: None,
            retention_h: 168,
        }
    }

    #[test]
    fn a_topic_that_is_left_out_is_not_wanted_nor_is_its_dead_letter_topic() {
        let mut kafka = Config::load(None).unwrap().kafka;
        let names = |kafka: &KafkaConfig| -> Vec<String> {
            wanted(kafka, &args()).into_iter().map(|wanted| wanted.name).collect()
        };
        assert_eq!(names(&kafka).len(), 10);
        assert!(names(&kafka).contains(&"location-updates.dlq".to_owned()));
        kafka.topics.location_updates = String::new();
        assert!(!names(&kafka).iter().any(|name| name.starts_with("location") || name == ".dlq"));
    }

    #[test]
    fn profiles_are_compacted_and_positions_kept_for_a_day_at_most() {
        let kafka = Config::load(None).unwrap().kafka;
        let all = wanted(&kafka, &args());
        let settings = |name: &str| &all.iter().find(|one| one.name == name).unwrap().settings;
        assert_eq!(settings("driver-profiles")["cleanup.policy"], "compact");
        assert!(!settings("driver-profiles").contains_key("retention.ms"));
        assert_eq!(settings("location-updates")["retention.ms"], "86400000");
        assert_eq!(settings("ride-events")["retention.ms"], "604800000");
    }
}
