//! `muster dlq`: look at dead letters, and put them back.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedHeaders, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;

use super::headers::{self, ATTEMPTS, DETAIL, FAILED_AT, PAYLOAD_OMITTED, REASON, replay_headers};
use super::producer;
use super::read::{From, Letters};
use crate::cli::{DlqArgs, DlqCommand, config_file};
use crate::config::{Config, ConfigError, KafkaConfig};

/// Exit code of a bad configuration or argument.
const EXIT_CONFIG: u8 = 2;
/// Letters that are put back between two commits: so many are put back twice at most, after a crash.
const REMEMBER_EVERY: u64 = 100;
/// How long one letter that is put back may take.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
enum DlqError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("kafka.brokers is empty: there is no bridge, and there are no dead letters")]
    Off,
    #[error("--topic is {named}, allowed is {allowed}")]
    Topic { named: String, allowed: String },
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// Runs `muster dlq`.
#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
pub fn run(args: &DlqArgs) -> ExitCode {
    match work(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster dlq: {error}");
            let usage =
                matches!(error, DlqError::Config(_) | DlqError::Off | DlqError::Topic { .. });
            ExitCode::from(if usage { EXIT_CONFIG } else { 1 })
        }
    }
}

fn work(args: &DlqArgs) -> Result<(), DlqError> {
    let named = match &args.command {
        DlqCommand::List(args) => &args.source,
        DlqCommand::Replay(args) => &args.source,
    };
    let config = Config::load(config_file(named.config.as_ref()).as_deref())?;
    if !config.kafka.is_on() {
        return Err(DlqError::Off);
    }
    let topics = topics(&config.kafka, named.topic.as_deref())?;
    let mut out = std::io::stdout().lock();
    match &args.command {
        DlqCommand::List(args) => list(&config.kafka, &topics, args.limit, &mut out),
        DlqCommand::Replay(args) => {
            replay(&config.kafka, &topics, args.limit, args.dry_run, &mut out)
        }
    }
}

/// The source topics whose letters are meant.
fn topics(kafka: &KafkaConfig, named: Option<&str>) -> Result<Vec<String>, DlqError> {
    let (all, suffix) = (&kafka.topics, kafka.topics.dlq_suffix.as_str());
    let all = [&all.location_updates, &all.ride_requests, &all.driver_profiles];
    let all: Vec<String> = all.into_iter().filter(|name| !name.is_empty()).cloned().collect();
    let Some(named) = named else { return Ok(all) };
    let source = named.strip_suffix(suffix).unwrap_or(named);
    if all.iter().any(|topic| topic == source) {
        return Ok(vec![source.to_owned()]);
    }
    Err(DlqError::Topic { named: named.to_owned(), allowed: all.join(", ") })
}

fn list(
    kafka: &KafkaConfig,
    topics: &[String],
    limit: u64,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    let (mut found, mut waiting) = (0, 0);
    for topic in topics {
        let dead = format!("{topic}{}", kafka.topics.dlq_suffix);
        let Some(mut letters) = Letters::open(kafka, &dead, From::Oldest)? else {
            writeln!(out, "{dead}: there is no such topic")?;
            continue;
        };
        while let Some((letter, replayed)) = letters.next()? {
            waiting += u64::from(!replayed);
            found += 1;
            if found <= limit {
                writeln!(out, "{}", line(&letter, replayed))?;
            }
        }
    }
    let more = if found > limit { format!(", {limit} shown") } else { String::new() };
    writeln!(out, "{found} dead letters{more}, {waiting} not put back")?;
    Ok(())
}

fn borrowed(letter: &OwnedMessage) -> Option<&BorrowedHeaders> {
    letter.headers().map(OwnedHeaders::as_borrowed)
}

/// One letter in one line.
fn line(letter: &OwnedMessage, replayed: bool) -> String {
    let fact = |name| headers::read(borrowed(letter), name).unwrap_or("-");
    let key = letter.key().map_or_else(|| "-".into(), String::from_utf8_lossy);
    format!(
        "{}/{}@{}  key {}  {}  attempts {}  {}  {} bytes{}  {}",
        letter.topic(),
        letter.partition(),
        letter.offset(),
        key.escape_debug(),
        fact(REASON),
        fact(ATTEMPTS),
        fact(FAILED_AT),
        letter.payload().map_or(0, <[u8]>::len),
        if replayed { "  put back" } else { "" },
        fact(DETAIL).escape_debug(),
    )
}

fn replay(
    kafka: &KafkaConfig,
    topics: &[String],
    limit: Option<u64>,
    dry_run: bool,
    out: &mut impl Write,
) -> Result<(), DlqError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let producer = producer(kafka)?;
    let limit = limit.unwrap_or(u64::MAX);
    let (mut put_back, mut left_out) = (0, 0);
    for topic in topics {
        let dead = format!("{topic}{}", kafka.topics.dlq_suffix);
        let Some(mut letters) = Letters::open(kafka, &dead, From::Replayed)? else {
            writeln!(out, "{dead}: there is no such topic")?;
            continue;
        };
        while put_back < limit {
            let Some((letter, _)) = letters.next()? else { break };
            if headers::read(borrowed(&letter), PAYLOAD_OMITTED).is_some() {
                left_out += 1;
                writeln!(out, "left out, without its payload: {}", line(&letter, false))?;
                continue;
            }
            put_back += 1;
            writeln!(out, "{}", line(&letter, false))?;
            if dry_run {
                continue;
            }
            let sent = producer.send(again(topic, &letter), WRITE_WITHIN);
            runtime.block_on(sent).map_err(|(error, _)| error)?;
            if put_back.is_multiple_of(REMEMBER_EVERY) {
                letters.remember()?;
            }
        }
        if !dry_run {
            letters.remember()?;
        }
    }
    let verb = if dry_run { "would be put back" } else { "put back" };
    writeln!(out, "{put_back} {verb}, {left_out} left out")?;
    Ok(())
}

/// The message that a letter is about, for its source: the same partition, or the order of its key
/// would be lost to a producer that places keys another way.
fn again<'a>(topic: &'a str, letter: &'a OwnedMessage) -> FutureRecord<'a, [u8], [u8]> {
    let mut record = FutureRecord::to(topic).headers(replay_headers(borrowed(letter)));
    record.key = letter.key();
    record.payload = letter.payload();
    record.partition = headers::read(borrowed(letter), headers::SOURCE_PARTITION)
        .and_then(|partition| partition.parse().ok());
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_named_by_its_source_or_by_that_of_its_letters() {
        let kafka = Config::load(None).unwrap().kafka;
        let named = |name: &str| topics(&kafka, Some(name)).map_err(|error| error.to_string());
        assert_eq!(named("ride-requests"), Ok(vec!["ride-requests".to_owned()]));
        assert_eq!(named("ride-requests.dlq"), Ok(vec!["ride-requests".to_owned()]));
        let refused = named("rides").unwrap_err();
        assert_eq!(
            refused,
            "--topic is rides, allowed is location-updates, ride-requests, driver-profiles"
        );
        assert_eq!(topics(&kafka, None).unwrap().len(), 3);
    }
}
