//! How soon a server serves again that was killed with a city in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use muster_figures::{Better, Suite, grouped};
use serde::Deserialize;
use tokio::sync::watch;

use crate::fleet::Fleet;
use crate::http::{Pool, Request};
use crate::net::unix_ms;
use crate::riders::{Outcomes, RiderPlan, Riders, request_body};
use crate::scrape::Scrape;
use crate::server::{Launch, Server};
use crate::witness::Witness;

/// Rides stay open until somebody does something about them, drivers without a phone stay around, and
/// positions are saved soon.
const PATIENT: [(&str, &str); 5] = [
    ("MUSTER__POLICY__SEARCH_LIMIT_MS", "3600000"),
    ("MUSTER__POLICY__WAVE_COUNT_MAX", "1000"),
    ("MUSTER__POLICY__STALE_AFTER_MS", "3600000"),
    ("MUSTER__POLICY__LOST_AFTER_MS", "7200000"),
    ("MUSTER__STORE__POSITION_SNAPSHOT_MS", "2000"),
];
/// The city is there, with its positions in the store, within this time.
const FILL_WITHIN: Duration = Duration::from_secs(180);
/// Positions are saved once more in this time.
const SAVED_WITHIN: Duration = Duration::from_secs(8);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const OFFER_WITHIN: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(1);
const SEED: u64 = 1;

/// `capacity recovery`
#[derive(Debug, Clone, Args)]
pub struct RecoveryArgs {
    /// Drivers, none with a socket.
    #[arg(long, default_value_t = 100_000)]
    pub drivers: usize,
    /// Rides that are open.
    #[arg(long, default_value_t = 10_000)]
    pub open: u64,
    /// Ride requests per second until they are.
    #[arg(long, default_value_t = 600.0)]
    pub fill_per_s: f64,
    /// The server's data folder; one that is not empty has its city already [default: a temporary one].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The server [default: muster beside this binary].
    #[arg(long, value_name = "PATH")]
    pub server: Option<PathBuf>,
}

/// Fills a server, then kills and starts it `rounds` times.
///
/// # Errors
/// When the server does not start, or has lost drivers or rides.
pub async fn measure(args: &RecoveryArgs, rounds: usize) -> anyhow::Result<Suite> {
    let scratch = tempfile::tempdir()?;
    let data = args.data.clone().unwrap_or_else(|| scratch.path().to_owned());
    let launch = Launch {
        binary: args.server.clone().map_or_else(Launch::default_binary, Ok)?,
        env: PATIENT.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        data: std::path::absolute(data)?,
    };
    let filled = has_city(&launch.data);
    let mut server = launch.start().await?;
    if !filled {
        fill(args, &server).await?;
    }
    let (mut ready, mut offered) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        server.kill().await?;
        let began = Instant::now();
        server = launch.start().await?;
        ready.push(server.ready_after.as_secs_f64());
        let pool = Pool::new(server.address, 4, ANSWER_WITHIN);
        first_offer(&pool).await?;
        offered.push(began.elapsed().as_secs_f64());
        complete(args, &pool).await?;
    }
    server.kill().await?;
    let (drivers, open) = (grouped(args.drivers as u64), grouped(args.open));
    let command = format!(
        "target/release/capacity recovery --drivers {} --open {} --save .",
        args.drivers, args.open
    );
    let mut suite = Suite::new("recovery", "Start after kill -9", &command);
    let path = format!("start after kill -9, {drivers} drivers, {open} open rides");
    suite.add(&path, "muster", "s to ready", Better::Lower, &ready);
    suite.add(&path, "muster", "s to first offer", Better::Lower, &offered);
    suite.notes.push(
        "From the start of the process to `GET /readyz` 200, and to the first offer of a ride requested \
         then. All drivers are online without a socket, all rides search, on the embedded store; every \
         start must find them all."
            .to_owned(),
    );
    Ok(suite)
}

fn has_city(data: &Path) -> bool {
    data.join("muster.db").is_file()
}

async fn fill(args: &RecoveryArgs, server: &Server) -> anyhow::Result<()> {
    let pool = Arc::new(Pool::new(server.address, 128, ANSWER_WITHIN));
    let fleet = Fleet::new(args.drivers, SEED);
    fleet.register(&pool).await?;
    fleet.go_online(&pool, 0..fleet.len()).await?;
    let (stop, stopped) = watch::channel(false);
    let riders = Arc::new(Riders {
        plan: RiderPlan {
            rate: args.fill_per_s,
            first: 0,
            count: u64::MAX / 2,
            half_unnamed: false,
            cancel: 0.0,
            seed: SEED,
        },
        pool: Arc::clone(&pool),
        witness: Arc::new(Nobody),
        outcomes: Outcomes::of(1),
    });
    let requesting = tokio::spawn(async move { riders.work(stopped).await });
    let began = Instant::now();
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let mut open = 0;
    while open < args.open {
        look.tick().await;
        open = Scrape::of(&pool).await?.sum("muster_rides_open") as u64;
        ensure!(began.elapsed() < FILL_WITHIN, "only {open} rides are open");
    }
    stop.send_replace(true);
    requesting.await?;
    tokio::time::sleep(SAVED_WITHIN).await;
    Ok(())
}

/// Requests a ride and waits until it was offered.
async fn first_offer(pool: &Pool) -> anyhow::Result<()> {
    let number = unix_ms();
    let answer = pool.call(&Request::post("/v1/rides", &request_body(number, SEED, false))).await?;
    ensure!(answer.ok(), "a ride request after the start: {}", answer.status);
    let ride: Ride = answer.json()?;
    let path = format!("/v1/rides/{}", ride.ride_id);
    let began = Instant::now();
    let mut poll = tokio::time::interval(POLL);
    loop {
        poll.tick().await;
        let ride: Ride = pool.call(&Request::get(&path)).await?.json()?;
        if ride.offers.sent > 0 {
            return Ok(());
        }
        ensure!(began.elapsed() < OFFER_WITHIN, "no offer in {OFFER_WITHIN:?}");
    }
}

/// Everybody is there.
async fn complete(args: &RecoveryArgs, pool: &Pool) -> anyhow::Result<()> {
    let scrape = Scrape::of(pool).await.context("metrics after the start")?;
    let (drivers, open) = (scrape.sum("muster_drivers"), scrape.sum("muster_rides_open"));
    let there = drivers >= args.drivers as f64 && open >= args.open as f64;
    ensure!(there, "after the start there are {drivers} drivers and {open} open rides");
    Ok(())
}

/// What matters of a ride here.
#[derive(Deserialize)]
struct Ride {
    ride_id: String,
    offers: Offers,
}

#[derive(Deserialize)]
struct Offers {
    sent: u64,
}

/// Nobody takes down what is said.
struct Nobody;

impl Witness for Nobody {}
