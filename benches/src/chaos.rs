//! Rounds of load and `kill -9`, each followed by an audit.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::audit::{Audit, Findings};
use crate::city;
use crate::fleet::Fleet;
use crate::http::Pool;
use crate::ledger::Ledger;
use crate::load::override_of;
use crate::phone::{Behaviour, Crew};
use crate::report::{Latencies, Report};
use crate::riders::{Outcomes, RiderPlan, Riders};
use crate::scrape::Scrape;
use crate::server::{Launch, Server};
use crate::sse::EventStream;
use crate::wire::RideEvent;
use crate::witness::Witness;

/// Kills the server under load, again and again, and checks each time that everything is as it was
/// told. Exit code 1 on any mismatch.
#[derive(Debug, Clone, Parser)]
#[command(name = "crash")]
pub struct CrashArgs {
    /// The server binary [default: muster next to this binary].
    #[arg(long)]
    pub server: Option<PathBuf>,
    /// Its data folder, which must be new or empty [default: a temporary one].
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// A configuration override, SECTION__KEY=VALUE; may be repeated.
    #[arg(long = "set", value_name = "SECTION__KEY=VALUE")]
    pub overrides: Vec<String>,
    /// How often the server is killed.
    #[arg(long, default_value_t = 20)]
    pub rounds: u32,
    /// Drivers, each on a socket.
    #[arg(long, default_value_t = 2_000)]
    pub drivers: usize,
    /// Further drivers without a socket, who are offered rides and never answer: without them ten
    /// thousand rides would compete for a handful of free drivers.
    #[arg(long, default_value_t = 16_000)]
    pub silent: usize,
    /// Ride requests per second.
    #[arg(long, default_value_t = 300.0)]
    pub rides_per_s: f64,
    /// Rides open at once, at least, before the first kill.
    #[arg(long, default_value_t = 10_000)]
    pub open: u64,
    /// Requests per second until that many are open.
    #[arg(long, default_value_t = 600.0)]
    pub fill_per_s: f64,
    /// Rides followed at once by server-sent events.
    #[arg(long, default_value_t = 100)]
    pub followers: usize,
    /// The kill comes after this many milliseconds of load, drawn from the seed.
    #[arg(long, default_value_t = 2_000)]
    pub kill_after_ms_min: u64,
    /// The latest instant of the kill.
    #[arg(long, default_value_t = 8_000)]
    pub kill_after_ms_max: u64,
    /// Seed of the city, every decision and every kill.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the figures here as JSON.
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// Rides stay open until somebody does something about them, and silent drivers stay around.
const PATIENT: [(&str, &str); 4] = [
    ("MUSTER__POLICY__SEARCH_LIMIT_MS", "3600000"),
    ("MUSTER__POLICY__WAVE_COUNT_MAX", "1000"),
    ("MUSTER__POLICY__STALE_AFTER_MS", "3600000"),
    ("MUSTER__POLICY__LOST_AFTER_MS", "7200000"),
];

/// So many rides must be open within this time.
const FILL_WITHIN: Duration = Duration::from_secs(180);

/// A call that takes longer is in doubt.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Mismatches that are printed per round; all are counted.
const SHOWN: usize = 10;

struct Run<'a> {
    args: &'a CrashArgs,
    launch: Launch,
    fleet: Fleet,
    ledger: Arc<Ledger>,
    dice: ChaCha8Rng,
    /// Requests made so far.
    requested: u64,
    ready: Latencies,
    mismatches: usize,
    in_doubt: usize,
    repeated: usize,
    offers: (usize, usize),
    open_at_kill: u64,
}

/// Runs all rounds; `say` prints a line.
///
/// # Errors
/// When the server cannot be started, or does not answer.
pub async fn run(args: &CrashArgs, say: &dyn Fn(&str)) -> anyhow::Result<Report> {
    let scratch = tempfile::tempdir()?;
    let data = args.data.clone().unwrap_or_else(|| scratch.path().to_owned());
    let mut env: Vec<(String, String)> =
        PATIENT.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    for text in &args.overrides {
        env.push(override_of(text)?);
    }
    let binary = match &args.server {
        Some(binary) => binary.canonicalize()?,
        None => Launch::default_binary()?,
    };
    let mut run = Run {
        args,
        launch: Launch { binary, data, env },
        fleet: Fleet::new(args.drivers + args.silent, args.seed),
        ledger: Arc::default(),
        dice: city::dice(args.seed),
        requested: 0,
        ready: Latencies::default(),
        mismatches: 0,
        in_doubt: 0,
        repeated: 0,
        offers: (0, 0),
        open_at_kill: u64::MAX,
    };
    let outcome = run.rounds(say).await;
    if outcome.is_err() || run.mismatches > 0 {
        let kept = if args.data.is_none() { scratch.keep() } else { run.launch.data.clone() };
        say(&format!("the data folder is kept: {}", kept.display()));
    }
    let report = outcome.map(|()| run.report())?;
    if let Some(path) = &args.json {
        report.write_json(path)?;
    }
    Ok(report)
}

impl Run<'_> {
    async fn rounds(&mut self, say: &dyn Fn(&str)) -> anyhow::Result<()> {
        let mut server = self.launch.start().await?;
        let setup = connections(&server);
        self.fleet.register(&setup).await?;
        self.fleet.go_online(&setup, 0..self.fleet.len()).await?;
        for round in 1..=self.args.rounds {
            let (killed_after, open) = self.load_and_kill(server).await?;
            self.open_at_kill = self.open_at_kill.min(open);
            server = self.launch.start().await?;
            self.ready.record(server.ready_after);
            let findings = self.audit(&server).await?;
            say(&format!(
                "round {round:>2}: killed after {:>6.3} s with {open} rides open; ready after {:>4} ms; \
                 {} rides compared, {} commands in doubt, {} requests repeated, {} of {} offers won, \
                 {} of {} drivers on a ride; {} mismatches",
                killed_after.as_secs_f64(),
                server.ready_after.as_millis(),
                findings.rides,
                findings.in_doubt,
                findings.repeated,
                findings.offers.1,
                findings.offers.0,
                findings.busy,
                findings.drivers,
                findings.mismatches.len(),
            ));
            findings.mismatches.iter().take(SHOWN).for_each(|what| say(&format!("    {what}")));
            self.add(&findings);
        }
        self.last_look(&server, say).await?;
        server.kill().await
    }

    fn add(&mut self, findings: &Findings) {
        self.mismatches += findings.mismatches.len();
        self.in_doubt += findings.in_doubt;
        self.repeated += findings.repeated;
        self.offers.0 += findings.offers.0;
        self.offers.1 += findings.offers.1;
    }

    async fn audit(&self, server: &Server) -> anyhow::Result<Findings> {
        let pool = connections(server);
        let audit = Audit {
            pool: &pool,
            ledger: &self.ledger,
            drivers: self.fleet.len(),
            seed: self.args.seed,
        };
        audit.run().await.context("the audit")
    }

    async fn last_look(&mut self, server: &Server, say: &dyn Fn(&str)) -> anyhow::Result<()> {
        let pool = connections(server);
        let audit = Audit {
            pool: &pool,
            ledger: &self.ledger,
            drivers: self.fleet.len(),
            seed: self.args.seed,
        };
        let twice = audit.one_ride_each().await?;
        twice.iter().take(SHOWN).for_each(|what| say(&format!("    {what}")));
        self.mismatches += twice.len();
        Ok(())
    }

    /// Loads the server and kills it at a drawn instant; returns that instant and the rides open.
    async fn load_and_kill(&mut self, server: Server) -> anyhow::Result<(Duration, u64)> {
        let pool = connections(&server);
        self.ledger.forget_offers(crate::net::unix_ms());
        let crew = Arc::new(Crew {
            // Their own: drivers do not wait for the riders' answers.
            pool: connections(&server),
            witness: Arc::<Ledger>::clone(&self.ledger),
            behaviour: behaviour(),
        });
        // Phones work until the server is gone, so that they hear all it said.
        let (_never, phones_stop) = watch::channel(false);
        let all = 0..self.args.drivers;
        let mut phones =
            self.fleet.connect(all, &crew, &Latencies::default(), &phones_stop).await?;
        let filled = self.fill(&pool).await?;

        let (stop, stopped) = watch::channel(false);
        let riders = self.riders(&pool, self.args.rides_per_s, u64::MAX / 2);
        let requesting = tokio::spawn({
            let (riders, stopped) = (Arc::clone(&riders), stopped.clone());
            async move { riders.work(stopped).await }
        });
        let following = tokio::spawn(follow(
            Arc::clone(&self.ledger),
            pool.clone(),
            self.args.followers,
            stopped,
        ));
        let range = self.args.kill_after_ms_min..self.args.kill_after_ms_max;
        let after =
            Duration::from_micros(self.dice.random_range(range.start * 1000..range.end * 1000));
        let began = Instant::now();
        let scrape = async {
            tokio::time::sleep(after / 2).await;
            Scrape::of(&pool).await
        };
        let open = tokio::time::timeout(after, scrape).await;
        tokio::time::sleep(after.saturating_sub(began.elapsed())).await;
        server.kill().await?;
        let killed_after = began.elapsed();
        stop.send_replace(true);
        let (sent, _) = requesting.await?;
        self.requested += sent;
        following.await?;
        while phones.join_next().await.is_some() {}
        let open = open.ok().and_then(Result::ok).map(|scrape| scrape.sum("muster_rides_open"));
        // A server that is too busy to say so has at least those.
        Ok((killed_after, open.map_or(filled, |open| open as u64)))
    }

    fn riders(&self, pool: &Arc<Pool>, rate: f64, count: u64) -> Arc<Riders> {
        Arc::new(Riders {
            plan: RiderPlan {
                rate,
                first: self.requested,
                count,
                half_unnamed: true,
                cancel: 0.05,
                seed: self.args.seed,
            },
            pool: Arc::clone(pool),
            witness: Arc::<Ledger>::clone(&self.ledger),
            outcomes: Outcomes::of(1),
        })
    }

    /// Requests rides until enough are open, and returns how many are.
    async fn fill(&mut self, pool: &Arc<Pool>) -> anyhow::Result<u64> {
        let (stop, stopped) = watch::channel(false);
        let riders = self.riders(pool, self.args.fill_per_s, u64::MAX / 2);
        let requesting = tokio::spawn(async move { riders.work(stopped).await });
        let until = Instant::now() + FILL_WITHIN;
        let mut look = tokio::time::interval(Duration::from_millis(200));
        let mut open = 0;
        while open < self.args.open && Instant::now() < until {
            look.tick().await;
            open = Scrape::of(pool).await?.sum("muster_rides_open") as u64;
        }
        stop.send_replace(true);
        let (sent, _) = requesting.await?;
        self.requested += sent;
        anyhow::ensure!(open >= self.args.open, "only {open} rides are open after {FILL_WITHIN:?}");
        Ok(open)
    }

    fn report(&self) -> Report {
        let args = self.args;
        let mut report = Report::new(format!(
            "{} kills under {} rides/s, {} drivers on sockets, {} without, seed {}",
            args.rounds, args.rides_per_s, args.drivers, args.silent, args.seed
        ));
        report.count("kills", "kill -9", u64::from(args.rounds));
        report.count("requested", "rides requested", self.requested);
        report.count("open_at_kill_min", "rides open at a kill, least", self.open_at_kill);
        report.latencies("ready", "start to ready", &self.ready);
        report.count("in_doubt", "commands in doubt", self.in_doubt as u64);
        report.count("repeated", "requests repeated with their key", self.repeated as u64);
        let (tried, won) = self.offers;
        report.count("offers_tried", "offers accepted after a restart", tried as u64);
        report.count("offers_won", "of these won", won as u64);
        let statuses = self.ledger.by_status();
        let line: Vec<String> =
            statuses.iter().map(|(status, n)| format!("{}: {n}", status.name())).collect();
        report.add("statuses", "rides as last told", line.join(", "), line.join(", "));
        report.add("odd", "oddities", self.ledger.odd.line(), self.ledger.odd.line());
        report.count("mismatches", "mismatches", self.mismatches as u64);
        report.require(self.mismatches == 0, "the server is not what it told");
        report
    }
}

fn connections(server: &Server) -> Arc<Pool> {
    Arc::new(Pool::new(server.address, 128, ANSWER_WITHIN))
}

fn behaviour() -> Behaviour {
    Behaviour {
        accept: 0.5,
        decline: 0.2,
        give_back: 0.08,
        think_ms: 50..1_500,
        leg_ms: 200..3_000,
        fix_every: Duration::from_secs(5),
    }
}

/// Follows some rides by server-sent events, others as those end, until the server is gone.
async fn follow(ledger: Arc<Ledger>, pool: Arc<Pool>, at_once: usize, stop: watch::Receiver<bool>) {
    let mut followers = JoinSet::new();
    let mut last = String::new();
    let mut look = tokio::time::interval(Duration::from_millis(50));
    while !*stop.borrow() {
        look.tick().await;
        let rides = ledger.under_way(&last, at_once.saturating_sub(followers.len()));
        last = rides.last().cloned().unwrap_or_default();
        for ride in rides {
            followers.spawn(follow_one(Arc::clone(&ledger), Arc::clone(&pool), ride));
        }
        while followers.try_join_next().is_some() {}
    }
    while followers.join_next().await.is_some() {}
}

async fn follow_one(ledger: Arc<Ledger>, pool: Arc<Pool>, ride: String) {
    let path = format!("/v1/rides/{ride}/events");
    let Ok(mut events) = EventStream::open(pool.address(), &path).await else { return };
    while let Ok(Some(data)) = events.next().await {
        // Other events tell where the driver is.
        if let Ok(event) = serde_json::from_str::<RideEvent>(&data) {
            ledger.ride(&event.ride);
        }
    }
}
