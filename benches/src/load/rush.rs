//! Rush hour: a city of drivers, and more ride requests per second than any city has.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::time::Instant;

use super::contender::{APPLIED, FIXES};
use super::measure::Measure;
use super::{Target, TargetArgs, check_sockets, progress};
use crate::fleet::Fleet;
use crate::http::Pool;
use crate::phone::{Behaviour, Crew};
use crate::process::{Usage, stolen_time};
use crate::report::{Latencies, Report};
use crate::riders::{Outcomes, RiderPlan, Riders};
use crate::scrape::Scrape;

/// `load rush`
#[derive(Debug, Clone, Args)]
pub struct RushArgs {
    /// Drivers online.
    #[arg(long, default_value_t = 20_000)]
    pub drivers: usize,
    /// How many of them hold a socket; the others report by HTTP and do not answer offers.
    #[arg(long, default_value_t = 18_000)]
    pub sockets: usize,
    /// Ride requests per second.
    #[arg(long, default_value_t = 1_000.0)]
    pub rides_per_s: f64,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    pub seconds: u64,
    /// Seconds between two fixes of a driver.
    #[arg(long, default_value_t = 10.0)]
    pub fix_every_s: f64,
    /// Share of offers that drivers with a socket accept.
    #[arg(long, default_value_t = 0.7)]
    pub accept: f64,
    /// Share of offers that they decline.
    #[arg(long, default_value_t = 0.15)]
    pub decline: f64,
    /// How many times faster than in life drivers answer (1.5 to 8 s) and drive each of the legs of
    /// a ride (1 to 10 min). At 1 a rush of half a minute ends before the first rides do; at 50
    /// every driver serves ride after ride.
    #[arg(long, default_value_t = 1.0)]
    pub hurry: f64,
    /// The p99 of POST /v1/rides that is allowed, in milliseconds.
    #[arg(long, default_value_t = 50.0)]
    pub p99_max_ms: f64,
}

/// How long a driver looks at an offer.
const THINK_MS: Range<u64> = 1_500..8_000;
/// How long a driver takes to the pickup, for the rider to board, and to the drop-off.
const LEG_MS: Range<u64> = 60_000..600_000;

impl RushArgs {
    fn hurried(&self, life: Range<u64>) -> Range<u64> {
        let hurried = |ms: u64| (ms as f64 / self.hurry) as u64;
        let start = hurried(life.start);
        start..hurried(life.end).max(start + 1)
    }

    fn behaviour(&self) -> Behaviour {
        Behaviour {
            accept: self.accept,
            decline: self.decline,
            give_back: 0.02,
            think_ms: self.hurried(THINK_MS),
            leg_ms: self.hurried(LEG_MS),
            fix_every: Duration::from_secs_f64(self.fix_every_s),
        }
    }
}

/// What a run leaves behind to report.
pub(super) struct Run {
    riders: Arc<Riders>,
    measure: Arc<Measure>,
    sent: u64,
    took: Duration,
    server: (Usage, Usage),
    own: (Usage, Usage),
    stolen: Duration,
    scrapes: (Scrape, Scrape),
    /// Between the scrapes.
    scraped: Duration,
    open_max: u64,
    fixes: u64,
}

impl Run {
    /// From the instant a request was due to its first offer on a socket.
    pub(super) fn first_offer(&self) -> &Latencies {
        &self.measure.first_offer
    }

    /// From the instant an accept was due to its `won` frame.
    pub(super) fn accept_won(&self) -> &Latencies {
        &self.measure.accept_won
    }

    /// From the instant a request was due to its answer.
    pub(super) fn post(&self) -> &Latencies {
        &self.riders.outcomes.latencies
    }

    /// Fixes that the server took per second, by its own count.
    pub(super) fn fixes_taken_per_s(&self) -> f64 {
        self.counted(|scrape| scrape.sum_where(FIXES, APPLIED)) / self.scraped.as_secs_f64()
    }

    fn fixes_refused(&self) -> f64 {
        self.counted(|scrape| scrape.sum(FIXES) - scrape.sum_where(FIXES, APPLIED))
    }

    fn counted(&self, of: impl Fn(&Scrape) -> f64) -> f64 {
        of(&self.scrapes.1) - of(&self.scrapes.0)
    }

    /// Processors that the host gave to others meanwhile.
    pub(super) fn stolen_cores(&self) -> f64 {
        self.stolen.as_secs_f64() / self.scraped.as_secs_f64()
    }
}

pub(super) async fn run(target: &TargetArgs, args: &RushArgs) -> anyhow::Result<Report> {
    Ok(report(args, &rush(target, args).await?))
}

/// One rush hour.
pub(super) async fn rush(target: &TargetArgs, args: &RushArgs) -> anyhow::Result<Run> {
    check_sockets(args.sockets)?;
    let sockets = args.sockets.min(args.drivers);
    let seed = target.seed;
    let target = Target::start(target, &[]).await?;
    let fleet = Arc::new(Fleet::new(args.drivers, seed));
    progress("registering drivers");
    fleet.register(&target.pool).await?;
    let rides = (args.rides_per_s * args.seconds as f64) as u64;
    let measure = Arc::new(Measure::new(rides, args.rides_per_s));
    let (stop, stopped) = watch::channel(false);
    fleet.go_online(&target.pool, sockets..args.drivers).await?;
    let reporting = tokio::spawn(Arc::clone(&fleet).report(
        sockets..args.drivers,
        args.behaviour().fix_every,
        target.another_pool(32),
        Arc::<Measure>::clone(&measure),
        stopped.clone(),
    ));
    progress("connecting phones");
    let crew = Crew {
        pool: target.another_pool(32),
        witness: Arc::<Measure>::clone(&measure),
        behaviour: args.behaviour(),
    };
    let mut phones =
        fleet.connect(0..sockets, &Arc::new(crew), &Latencies::default(), &stopped).await?;
    progress("requesting rides");
    let run = requests(&target, args, rides, seed, measure, &stopped).await?;
    stop.send_replace(true);
    reporting.await?;
    while phones.join_next().await.is_some() {}
    Ok(run)
}

async fn requests(
    target: &Target,
    args: &RushArgs,
    rides: u64,
    seed: u64,
    measure: Arc<Measure>,
    stopped: &watch::Receiver<bool>,
) -> anyhow::Result<Run> {
    let riders = Arc::new(Riders {
        plan: RiderPlan {
            rate: args.rides_per_s,
            first: 0,
            count: rides,
            half_unnamed: false,
            cancel: 0.0,
            seed,
        },
        pool: Arc::clone(&target.pool),
        witness: Arc::<Measure>::clone(&measure),
        outcomes: Outcomes::of(usize::try_from(args.seconds)?),
    });
    let own = std::process::id();
    let (server_before, own_before) = (target.usage()?, Usage::of(own)?);
    let stolen_before = stolen_time()?;
    let (scrape_before, scraped_at) = (Scrape::of(&target.pool).await?, Instant::now());
    let fixes_before = measure.fixes.load(Ordering::Relaxed);
    let open_max = Arc::new(AtomicU64::new(0));
    let watching = tokio::spawn(watch_open(target.another_pool(1), Arc::clone(&open_max)));
    measure.begin();
    let (sent, took) = riders.work(stopped.clone()).await;
    watching.abort();
    let (scrape_after, scraped) = (Scrape::of(&target.pool).await?, scraped_at.elapsed());
    Ok(Run {
        sent,
        took,
        server: (server_before, target.usage()?),
        own: (own_before, Usage::of(own)?),
        stolen: stolen_time()?.saturating_sub(stolen_before),
        scrapes: (scrape_before, scrape_after),
        scraped,
        open_max: open_max.load(Ordering::Relaxed),
        fixes: measure.fixes.load(Ordering::Relaxed) - fixes_before,
        riders,
        measure,
    })
}

/// Polls how many rides are open.
async fn watch_open(pool: Arc<Pool>, most: Arc<AtomicU64>) {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        each_second.tick().await;
        if let Ok(scrape) = Scrape::of(&pool).await {
            most.fetch_max(scrape.sum("muster_rides_open") as u64, Ordering::Relaxed);
        }
    }
}

pub(super) fn report(args: &RushArgs, run: &Run) -> Report {
    let sockets = args.sockets.min(args.drivers);
    let mut report = Report::new(format!(
        "{} rides/s for {} s, {} drivers, {sockets} of them on sockets",
        args.rides_per_s, args.seconds, args.drivers
    ));
    let (measure, outcomes) = (&run.measure, &run.riders.outcomes);
    let took = run.took.as_secs_f64();
    report.count("requested", "rides requested", run.sent);
    report.number("rate", "achieved rate", run.sent as f64 / took, "/s");
    report.add("answers", "answers", outcomes.answers.line(), outcomes.answers.line());
    report.latencies("post", "POST /v1/rides, from when it was due", &outcomes.latencies);
    report.course("post_p99_by_s", "its p99 second by second, in ms", &outcomes.course, 0.99);
    report.latencies("lateness", "of which the generator was late by", &outcomes.lateness);
    report.latencies("first_offer", "due to first offer on a socket", &measure.first_offer);
    report.latencies("accept_won", "accept due to `won` frame", &measure.accept_won);
    report.latencies("accept_not_won", "accept due to another end", &measure.accept_not_won);
    let unheard = measure.first_wave_unheard.load(Ordering::Relaxed);
    report.count("first_wave_unheard", "first wave to drivers without sockets", unheard);
    engine_quantiles(&mut report, &run.scrapes);
    report.count("open_max", "rides open at once, most seen", run.open_max);
    report.count("offers", "offers heard on sockets", measure.offers.load(Ordering::Relaxed));
    report.count("won", "rides won and driven to", measure.won.load(Ordering::Relaxed));
    report.count("completed", "rides completed", measure.completed.load(Ordering::Relaxed));
    report.number("fixes_per_s", "fixes sent per second", run.fixes as f64 / took, "/s");
    let taken = run.fixes_taken_per_s();
    report.number("fixes_taken_per_s", "fixes taken by the server per second", taken, "/s");
    report.count("fixes_refused", "fixes refused", run.fixes_refused() as u64);
    let (before, after) = &run.server;
    let cpu = (after.cpu() - before.cpu()).as_secs_f64();
    report.number("server_cpu_s", "server processor time", cpu, "s");
    let own = (run.own.1.cpu() - run.own.0.cpu()).as_secs_f64();
    report.number("generator_cpu_s", "generator processor time", own, "s");
    let stolen = run.stolen.as_secs_f64();
    report.number("stolen_cpu_s", "processor time the host gave to others", stolen, "s");
    report.bytes("rss_before", "server memory, before", before.resident);
    report.bytes("rss_after", "server memory, after", after.resident);
    let odd = measure.odd.line();
    report.add("odd", "oddities", odd.clone(), odd);
    let violated = run.scrapes.1.not_zero("muster_invariant_violations_total");
    report.add("violations", "invariant violations", violated.len(), format!("{violated:?}"));
    report.require(violated.is_empty(), "invariants were violated");
    let p99 = outcomes.latencies.quantile_ms(0.99);
    report.require(p99 < args.p99_max_ms, &format!("p99 is {p99:.1} ms"));
    let accepted = outcomes.answers.counts().get("202").copied().unwrap_or_default();
    report.require(accepted == run.sent, "not every request was answered 202");
    let rate = run.sent as f64 / took;
    report.require(rate > args.rides_per_s * 0.99, "the rate was not reached");
    report
}

/// What the server itself measured meanwhile: upper bounds of histogram buckets.
fn engine_quantiles(report: &mut Report, (before, after): &(Scrape, Scrape)) {
    for (key, label, name) in [
        (
            "engine_first_offer",
            "server: request to first offer",
            "muster_time_to_first_offer_seconds",
        ),
        ("store_commit", "server: store commit", "muster_store_commit_seconds"),
    ] {
        let quantile = |q| after.quantile_since(before, name, q).unwrap_or(f64::NAN) * 1000.0;
        let (p50, p99) = (quantile(0.5), quantile(0.99));
        let shown = format!("p50 ≤ {p50:.2}  p99 ≤ {p99:.2} ms");
        report.add(key, label, serde_json::json!({"p50_ms": p50, "p99_ms": p99}), shown);
    }
}
