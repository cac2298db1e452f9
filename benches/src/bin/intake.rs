//! Positions per second from Kafka into the grid; see `intake --help`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use muster_benches::http::{Pool, Request};
use muster_benches::process::{cpu_time, resident_bytes};
use muster_benches::scrape::Scrape;
use muster_benches::server::{Launch, Server};
use muster_figures::{Better, Suite, grouped};
use muster_services::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const TOPIC: &str = "location-updates";
/// Between two positions of one driver, in milliseconds.
const POSITION_EVERY_MS: u64 = 1_000;
const POLL: Duration = Duration::from_millis(50);

/// Fills a topic of a real broker with positions as Namma Yatri's location tracking service writes
/// them, and measures how fast a server takes them in.
#[derive(Debug, Parser)]
struct Args {
    /// Positions in the topic.
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    messages: u64,
    /// Drivers they are of, all online.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    drivers: u64,
    /// Partitions of the topic.
    #[arg(long, value_name = "N", default_value_t = 4)]
    partitions: i32,
    /// How often all of it is done.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Keeps the figures in benches/results of the tree in this folder.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// The server [default: muster beside this binary].
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

/// What was seen in a round.
struct Seen {
    positions_per_s: f64,
    server_cores: f64,
    broker_cores: f64,
    server_mib: u64,
    bytes_each: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut rounds = Vec::new();
    for _ in 0..args.rounds {
        rounds.push(run(&args).await?);
    }
    args.save.as_ref().map_or(Ok(()), |root| suite(&args, &rounds).save(root))
}

fn suite(args: &Args, rounds: &[Seen]) -> Suite {
    let Args { messages, drivers, partitions, .. } = args;
    let command = format!(
        "target/release/intake --messages {messages} --drivers {drivers} --partitions {partitions}"
    );
    let mut suite = Suite::new("intake", "Positions from Kafka", &command);
    let bytes = rounds.last().map_or(0, |round| round.bytes_each);
    let path = format!(
        "{} positions of {} drivers, {bytes} bytes each",
        grouped(*messages),
        grouped(*drivers)
    );
    let mut add = |unit, better, of: fn(&Seen) -> f64| {
        let values: Vec<f64> = rounds.iter().map(of).collect();
        suite.add(&path, "muster", unit, better, &values);
    };
    add("positions/s", Better::Higher, |round| round.positions_per_s);
    add("cores of the server", Better::Lower, |round| round.server_cores);
    add("cores of the broker", Better::Lower, |round| round.broker_cores);
    add("MiB of the server", Better::Lower, |round| round.server_mib as f64);
    suite.notes.push(
        "Apache Kafka on the same cores, its topic full before the server starts; from the topic into \
         the grid, in the form that Namma Yatri's location service writes."
            .to_owned(),
    );
    suite
}

async fn run(args: &Args) -> anyhow::Result<Seen> {
    let broker = Kafka::start()?;
    let folder = tempfile::tempdir()?;
    let binary = args.server.clone().map_or_else(Launch::default_binary, Ok)?;
    let launch = |more: &[(&str, &str)]| Launch {
        binary: binary.clone(),
        data: folder.path().to_owned(),
        env: more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    let server = launch(&[]).start().await?;
    register(&server, args.drivers).await?;
    server.kill().await?;
    make_topic(&broker.bootstrap(), args.partitions).await?;
    let bytes = fill(&broker.bootstrap(), args)?;

    let bootstrap = broker.bootstrap();
    let server = launch(&[
        ("MUSTER__KAFKA__BROKERS", &bootstrap),
        ("MUSTER__KAFKA__TOPICS__RIDE_REQUESTS", ""),
        ("MUSTER__KAFKA__TOPICS__DRIVER_PROFILES", ""),
        ("MUSTER__KAFKA__INTAKE__POSITIONS_FROM", "earliest"),
        ("MUSTER__KAFKA__INTAKE__POSITION_AGE_MS_MAX", "0"),
    ]);
    let server = server.start().await?;
    measure(&server, broker.pid(), args, bytes).await
}

/// Drivers with a profile, online.
async fn register(server: &Server, drivers: u64) -> anyhow::Result<()> {
    let pool = Pool::new(server.address, 32, Duration::from_secs(30));
    let profile = r#"{"market":"nyc","service_tiers":["standard"]}"#;
    let call = async |driver: u64| -> anyhow::Result<()> {
        let path = format!("/v1/drivers/d-{driver}");
        pool.call(&Request::put(&path, profile)).await?;
        let path = format!("{path}/status");
        pool.call(&Request::post(&path, r#"{"status":"online"}"#)).await?;
        Ok(())
    };
    for first in (0..drivers).step_by(256) {
        let some = first..(first + 256).min(drivers);
        futures_util::future::try_join_all(some.map(&call)).await?;
    }
    Ok(())
}

async fn make_topic(bootstrap: &str, partitions: i32) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", bootstrap).create()?;
    let dead = format!("{TOPIC}.dlq");
    let topics = [
        NewTopic::new(TOPIC, partitions, TopicReplication::Fixed(1)),
        NewTopic::new(&dead, 1, TopicReplication::Fixed(1)),
    ];
    let made = admin.create_topics(&topics, &AdminOptions::new()).await?;
    anyhow::ensure!(made.iter().all(Result::is_ok), "topics are not made: {made:?}");
    Ok(())
}

/// Writes the positions, driver by driver and second by second; tells how many bytes they have.
fn fill(bootstrap: &str, args: &Args) -> anyhow::Result<u64> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("linger.ms", "20");
    config.set("batch.num.messages", "10000").set("queue.buffering.max.messages", "200000");
    let producer: BaseProducer = config.create()?;
    let rounds = args.messages.div_ceil(args.drivers);
    let began_ms = jiff::Timestamp::now().as_millisecond() as u64 - rounds * POSITION_EVERY_MS;
    let mut bytes = 0;
    for message in 0..args.messages {
        let (round, driver) = (message / args.drivers, message % args.drivers);
        let at = i64::try_from(began_ms + round * POSITION_EVERY_MS)?;
        let value = position(driver, round, jiff::Timestamp::from_millisecond(at)?);
        bytes += value.len() as u64;
        let key = format!("d-{driver}");
        let mut record = BaseRecord::to(TOPIC).key(&key).payload(&value);
        while let Err((error, same)) = producer.send(record) {
            anyhow::ensure!(
                error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull),
                "a position is not written: {error}"
            );
            producer.poll(POLL);
            record = same;
        }
    }
    producer.flush(Duration::from_secs(120))?;
    Ok(bytes)
}

/// A driver who goes 10 m a second on a street of his own in Manhattan.
fn position(driver: u64, round: u64, at: jiff::Timestamp) -> String {
    let lat = 40.70 + (driver % 200) as f64 * 0.000_5 + round as f64 * 0.000_09;
    let lon = -74.01 + (driver / 200) as f64 * 0.000_6;
    format!(
        r#"{{"r_id":null,"m_id":"7f7896dd-787e-4a0b-8675-e9e6fe93bb8f","mocid":"6bc154f2-2097-fbb0-7aa0-969ced5962d5","rid":null,"ts":"{at:.3}","st":"{at:.3}","pt":{{"lat":{lat:.6},"lon":{lon:.6}}},"da":true,"lat":{lat:.6},"lon":{lon:.6},"acc":8.5,"speed":10.0,"bear":12.5,"ride_status":"IDLE","active":true,"on_ride":false,"mode":"ONLINE","vehicle_variant":"AUTO_RICKSHAW","is_stop_detected":null,"stop_lat":null,"stop_lon":null}}"#
    )
}

/// Watches the counters from the first position to the last.
#[expect(clippy::print_stdout, reason = "the figures are what the tool is for")]
async fn measure(server: &Server, broker: u32, args: &Args, bytes: u64) -> anyhow::Result<Seen> {
    let pool = Pool::new(server.address, 1, Duration::from_secs(30));
    let taken = async || -> anyhow::Result<f64> {
        let scrape = Scrape::of(&pool).await?;
        Ok(scrape.sum_where("muster_kafka_messages_total", r#"outcome="taken""#))
    };
    let mut first = taken().await?;
    while first == 0.0 {
        tokio::time::sleep(POLL).await;
        first = taken().await?;
    }
    let (began, cpu) = (Instant::now(), (cpu_time(server.pid)?, cpu_time(broker)?));
    let mut last = first;
    while last < args.messages as f64 {
        tokio::time::sleep(POLL).await;
        last = taken().await?;
        anyhow::ensure!(began.elapsed() < Duration::from_secs(600), "{last} taken after 10 min");
    }
    let elapsed = began.elapsed().as_secs_f64();
    let used = (cpu_time(server.pid)? - cpu.0, cpu_time(broker)? - cpu.1);
    let scrape = Scrape::of(&pool).await?;
    let seen = Seen {
        positions_per_s: (last - first) / elapsed,
        server_cores: used.0.as_secs_f64() / elapsed,
        broker_cores: used.1.as_secs_f64() / elapsed,
        server_mib: resident_bytes(server.pid).context("memory of the server")? >> 20,
        bytes_each: bytes / args.messages,
    };
    let Seen { positions_per_s, server_cores, broker_cores, server_mib, bytes_each } = seen;
    println!(
        "positions        {} of {} drivers, {bytes_each} bytes each",
        args.messages, args.drivers
    );
    println!(
        "per second       {positions_per_s:.0} over {elapsed:.2} s, after the first {first:.0}"
    );
    println!("server           {server_cores:.2} of a core, {server_mib} MiB");
    println!("broker           {broker_cores:.2} of a core");
    for line in scrape.not_zero("muster_position_fixes_total") {
        println!("fixes            {line}");
    }
    Ok(seen)
}
