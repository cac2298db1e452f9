//! How fast the history is published: a store full of rides that are over, the real server, a real broker.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use muster_actors::{Durable, Store};
use muster_api::store::{Database, SqliteStore};
use muster_engine::ride::{RideCommit, RideEventKind, RideRecord, WaveDecision};
use muster_engine::time::Timestamp;
use muster_figures::{Better, Suite, grouped};
use muster_services::Kafka;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::http::Pool;
use crate::process::{Usage, stolen_time};
use crate::scrape::Scrape;
use crate::server::Launch;

/// The life of a ride: what happens, and where it stands then.
const LIFE: [(RideEventKind, &str); 6] = [
    (RideEventKind::RideRequested, "searching"),
    (RideEventKind::WaveSent, "searching"),
    (RideEventKind::DriverAssigned, "assigned"),
    (RideEventKind::DriverArrived, "arrived"),
    (RideEventKind::RideStarted, "in_progress"),
    (RideEventKind::RideCompleted, "completed"),
];
/// What is told of such a ride: transitions, offers and their ends, envelopes, drivers considered.
const MESSAGES: u64 = 6 + 6 + 7 + ASKED + LEFT_OUT;
/// Rides of one commit while the store is filled.
const RIDES_PER_COMMIT: u64 = 300;
/// Drivers that each wave asks, and drivers it leaves out by name.
const ASKED: u64 = 3;
const LEFT_OUT: u64 = 5;
const PUBLISHED: &str = "muster_outbox_events_total";
const LAG: &str = "muster_outbox_lag_seconds";
const POLL: Duration = Duration::from_millis(50);
/// How long a scrape may take on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A relay that has published nothing more for this long is stuck.
const STUCK_AFTER: Duration = Duration::from_secs(60);

/// Publishes a history and prints how long it took.
#[derive(Debug, Parser)]
#[command(name = "relay")]
pub struct RelayArgs {
    /// Rides in the history; each has six transitions, offers to three drivers and a decision about eight.
    #[arg(long, default_value_t = 30_000)]
    pub rides: u64,
    /// Partitions of each topic.
    #[arg(long, default_value_t = 12)]
    pub partitions: u32,
    /// How often all of it is done.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub rounds: usize,
    /// Keeps the figures in benches/results of the tree in this folder.
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// The server [default: the one beside this tool].
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct RelayReport {
    transitions: u64,
    messages: f64,
    by_topic: Vec<String>,
    seconds: f64,
    server: Duration,
    broker: Duration,
    stolen: Duration,
    resident: u64,
}

impl fmt::Display for RelayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transitions, messages, seconds, .. } = self;
        writeln!(f, "{transitions} transitions, {messages} messages in {seconds:.1} s")?;
        for topic in &self.by_topic {
            writeln!(f, "  {topic}")?;
        }
        let rate = |count: f64| count / seconds;
        writeln!(f, "transitions/s  {:>10.0}", rate(*transitions as f64))?;
        writeln!(f, "messages/s     {:>10.0}", rate(*messages))?;
        let cores = |time: Duration| time.as_secs_f64() / seconds;
        writeln!(f, "server         {:>10.2} cores", cores(self.server))?;
        writeln!(f, "broker         {:>10.2} cores", cores(self.broker))?;
        writeln!(f, "given away     {:>10.2} cores by the host", cores(self.stolen))?;
        write!(f, "server memory  {:>10} MiB", self.resident >> 20)
    }
}

/// All rounds as a suite.
pub fn suite(args: &RelayArgs, rounds: &[RelayReport]) -> Suite {
    let command =
        format!("target/release/relay --rides {} --partitions {}", args.rides, args.partitions);
    let mut suite = Suite::new("relay", "The history to Kafka", &command);
    let transitions = args.rides * LIFE.len() as u64;
    let (transitions, messages) = (grouped(transitions), grouped(args.rides * MESSAGES));
    let path = format!("{transitions} transitions as {messages} messages");
    let mut add = |unit, better, of: fn(&RelayReport) -> f64| {
        let values: Vec<f64> = rounds.iter().map(of).collect();
        suite.add(&path, "muster", unit, better, &values);
    };
    add("transitions/s", Better::Higher, |round| round.transitions as f64 / round.seconds);
    add("messages/s", Better::Higher, |round| round.messages / round.seconds);
    add("cores of the server", Better::Lower, |round| round.server.as_secs_f64() / round.seconds);
    add("cores of the broker", Better::Lower, |round| round.broker.as_secs_f64() / round.seconds);
    add("MiB of the server", Better::Lower, |round| (round.resident >> 20) as f64);
    suite.notes.push(
        "Apache Kafka on the same cores; the server starts with a store full of rides that are over, \
         and all time counts until nothing is left to publish."
            .to_owned(),
    );
    suite
}

/// Fills a store, starts broker and server, and waits until all is published.
///
/// # Errors
/// When one of them does not start, or publishing comes to a stand.
pub async fn run(args: &RelayArgs, say: &dyn Fn(&str)) -> anyhow::Result<RelayReport> {
    let folder = tempfile::tempdir()?;
    say("filling the store");
    fill(&folder.path().join("muster.db"), args.rides).await?;
    say("starting the broker");
    let kafka = Kafka::start()?;
    let binary = args.server.clone().map_or_else(Launch::default_binary, Ok)?;
    let binary = std::path::absolute(binary)?;
    let env = vec![
        ("MUSTER__KAFKA__BROKERS".to_owned(), kafka.bootstrap()),
        ("MUSTER__KAFKA__RELAY__START".to_owned(), "oldest".to_owned()),
    ];
    let mut init = Command::new(&binary);
    init.args(["kafka", "init", "--partitions", &args.partitions.to_string()]);
    let made = init.current_dir(folder.path()).envs(env.iter().cloned()).output().await?;
    ensure!(made.status.success(), "no topics: {}", String::from_utf8_lossy(&made.stderr));
    say("publishing");
    let launch = Launch { binary, data: folder.path().to_owned(), env };
    let (stolen, broker) = (stolen_time()?, Usage::of(kafka.pid())?.cpu());
    let began = Instant::now();
    let server = launch.start().await?;
    let pool = Pool::new(server.address, 1, ANSWER_WITHIN);
    let scrape = publish(&pool).await?;
    let seconds = began.elapsed().as_secs_f64();
    let (messages, expected) = (scrape.sum(PUBLISHED), args.rides * MESSAGES);
    ensure!(messages == expected as f64, "{messages} messages were published, not {expected}");
    let usage = Usage::of(server.pid)?;
    Ok(RelayReport {
        transitions: args.rides * LIFE.len() as u64,
        messages,
        by_topic: scrape.not_zero(PUBLISHED),
        seconds,
        server: usage.cpu(),
        broker: Usage::of(kafka.pid())?.cpu().saturating_sub(broker),
        stolen: stolen_time()?.saturating_sub(stolen),
        resident: usage.resident,
    })
}

/// Waits until messages were published and none is left.
async fn publish(pool: &Pool) -> anyhow::Result<Scrape> {
    let (mut seen, mut grown_at) = (0.0, Instant::now());
    let mut poll = tokio::time::interval(POLL);
    loop {
        poll.tick().await;
        let scrape = Scrape::of(pool).await?;
        let published = scrape.sum(PUBLISHED);
        if published > seen {
            (seen, grown_at) = (published, Instant::now());
        } else if published > 0.0 && scrape.sum(LAG) == 0.0 {
            return Ok(scrape);
        }
        ensure!(grown_at.elapsed() < STUCK_AFTER, "the relay stands at {published} messages");
    }
}

async fn fill(path: &Path, rides: u64) -> anyhow::Result<()> {
    let store = SqliteStore::open(path).await?;
    store.begin_epoch().await?;
    let mut first = 0;
    while first < rides {
        let last = rides.min(first + RIDES_PER_COMMIT);
        let batch: Result<Vec<Vec<Durable>>, _> = (first..last).map(life).collect();
        let batch: Vec<Durable> = batch?.into_iter().flatten().collect();
        for verdict in store.commit(&batch).await {
            verdict?;
        }
        first = last;
    }
    store.close().await?;
    Ok(())
}

/// Rides begin a tenth of a second apart, long enough ago.
const fn began(number: u64) -> u64 {
    1_764_547_200_000 + number * 100
}

/// Ride number `number`, from its request to its end.
///
/// # Errors
/// Never, for any number.
pub fn life(number: u64) -> serde_json::Result<Vec<Durable>> {
    let began = began(number);
    let request = json!({
        "ride": format!("0193e0a0-7c1e-7000-8000-{number:012x}"), "rider": format!("rider-{number}"),
        "market": "nyc", "pickup": {"lat_e7": 407_484_000, "lng_e7": -739_857_000},
        "dropoff": {"lat_e7": 407_300_000, "lng_e7": -739_900_000}, "service_tiers": ["standard"],
        "fare": {"amount": 1_250, "currency": "USD"}, "tip": null, "pickup_at": null,
        "attributes": {"payment": "cash"}, "require_tags": [], "blocked_drivers": [],
        "favourite_drivers": [], "requested_at": began, "entropy": 7, "request_key": null,
        "origin": {"correlation_id": format!("0193e0a0-7c1e-7000-9000-{number:012x}"),
            "traceparent": format!("00-{number:032x}-00f067aa0ba902b7-01")}
    });
    let step = |(place, (kind, status)): (usize, (RideEventKind, &str))| {
        let version = place as u64 + 1;
        let record: RideRecord = serde_json::from_value(state(number, version, status, &request))?;
        let wave = kind == RideEventKind::WaveSent;
        let decision = wave.then(|| decision(number, began)).transpose()?;
        let origin = record.request.origin.clone();
        let at = Timestamp::from_millis(began + version * 10);
        let record = Arc::new(record);
        Ok(Durable::Ride(Box::new(RideCommit { record, kind, at, decision, origin })))
    };
    LIFE.into_iter().enumerate().map(step).collect()
}

fn state(number: u64, version: u64, status: &str, request: &Value) -> Value {
    let driver = driver_of(number, 0);
    let began = began(number);
    let assignment = (version >= 3).then(|| {
        json!({"offer": offer_id(number, 0), "distance": 250.5, "pickup_eta": 60,
            "driver": {"id": driver, "service_tier": "standard",
                "vehicle": "{\"plate\":\"T604011C\",\"model\":\"Camry\"}"},
            "assigned_at": began})
    });
    let offers: serde_json::Map<String, Value> = match version {
        2 => offers(number, began).collect(),
        _ => serde_json::Map::new(),
    };
    json!({
        "request": request, "version": version, "status": status, "attempt": 1,
        "wave": u64::from(version > 1), "search_radius_m": 1_500, "search_began_at": 0,
        "search_deadline": 0, "service_tiers": ["standard"], "offers": offers,
        "offer_counts": {"sent": ASKED, "accepted": 0, "declined": 0, "expired": 0, "withdrawn": 0},
        "asked": (0..ASKED).map(|place| driver_of(number, place)).collect::<Vec<_>>(),
        "gave_back": [], "assignment": assignment, "otp": "0042", "reallocations": 0
    })
}

fn driver_of(number: u64, place: u64) -> String {
    format!("driver-{}", (number * 7 + place) % 5_000)
}

fn offer_id(number: u64, place: u64) -> String {
    format!("0193e0a0-7c1e-7000-a{place:03x}-{number:012x}")
}

fn offers(number: u64, at: u64) -> impl Iterator<Item = (String, Value)> {
    (0..ASKED).map(move |place| {
        let offer = json!({"driver": driver_of(number, place), "service_tier": "standard",
            "distance": 250.5, "pickup_eta": 60, "offered_at": at, "visible_at": at,
            "expires_at": at + 15_000});
        (offer_id(number, place), offer)
    })
}

fn decision(number: u64, at: u64) -> serde_json::Result<WaveDecision> {
    let offered: Vec<(String, Value)> = offers(number, at).collect();
    let left_out =
        (0..LEFT_OUT).map(|place| json!([driver_of(number, ASKED + place), 400.5, "on_ride"]));
    serde_json::from_value(json!({
        "attempt": 1, "wave": 1, "at": at, "radius_m": 1_500, "offered": offered,
        "excluded": left_out.collect::<Vec<_>>(), "excluded_counts": {"on_ride": LEFT_OUT}
    }))
}
