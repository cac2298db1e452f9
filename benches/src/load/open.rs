//! Many rides open at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use tokio::sync::watch;

use super::measure::Measure;
use super::{Target, TargetArgs, progress};
use crate::fleet::Fleet;
use crate::process::Usage;
use crate::report::Report;
use crate::riders::{Outcomes, RiderPlan, Riders};
use crate::scrape::Scrape;

/// `load open`
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// Rides open at once.
    #[arg(long, default_value_t = 10_000)]
    pub rides: u64,
    /// Drivers around, who see the offers and do not answer.
    #[arg(long, default_value_t = 20_000)]
    pub drivers: usize,
    /// Requests per second.
    #[arg(long, default_value_t = 500.0)]
    pub rides_per_s: f64,
    /// Seconds the rides are held open.
    #[arg(long, default_value_t = 20)]
    pub hold_s: u64,
}

/// Rides stay open for the whole run.
const PATIENT: [(&str, &str); 2] =
    [("POLICY__SEARCH_LIMIT_MS", "3600000"), ("POLICY__WAVE_COUNT_MAX", "1000")];

pub(super) async fn run(target: &TargetArgs, args: &OpenArgs) -> anyhow::Result<Report> {
    let seed = target.seed;
    let target = Target::start(target, &PATIENT).await?;
    let fleet = Arc::new(Fleet::new(args.drivers, seed));
    progress("registering drivers");
    fleet.register(&target.pool).await?;
    fleet.go_online(&target.pool, 0..args.drivers).await?;
    let measure = Arc::new(Measure::new(args.rides, args.rides_per_s));
    let (stop, stopped) = watch::channel(false);
    let every = Duration::from_secs(10);
    let witness = Arc::<Measure>::clone(&measure);
    let reporting = Arc::clone(&fleet).report(
        0..args.drivers,
        every,
        target.another_pool(32),
        witness,
        stopped.clone(),
    );
    let reporting = tokio::spawn(reporting);
    let before = target.usage()?;

    progress("requesting rides");
    let riders = Arc::new(Riders {
        plan: RiderPlan {
            rate: args.rides_per_s,
            first: 0,
            count: args.rides,
            half_unnamed: false,
            cancel: 0.0,
            seed,
        },
        pool: Arc::clone(&target.pool),
        witness: Arc::<Measure>::clone(&measure),
        outcomes: Outcomes::of(1),
    });
    let (sent, took) = riders.work(stopped).await;
    progress("holding");
    let full = target.usage()?;
    let held = hold(&target, args.hold_s).await?;
    let after = target.usage()?;
    let scrape = Scrape::of(&target.pool).await?;
    stop.send_replace(true);
    reporting.await?;

    let mut report = Report::new(format!("{} rides open at once", args.rides));
    report.count("requested", "rides requested", sent);
    report.number("rate", "achieved rate", sent as f64 / took.as_secs_f64(), "/s");
    report.add(
        "answers",
        "answers",
        riders.outcomes.answers.line(),
        riders.outcomes.answers.line(),
    );
    report.latencies("post", "POST /v1/rides", &riders.outcomes.latencies);
    report.count("open_min", "open at once, least seen while held", held);
    report.bytes("rss_before", "server memory, before the rides", before.resident);
    report.bytes("rss_full", "server memory, all open", full.resident);
    report.bytes("rss_after", "server memory, after the hold", after.resident);
    let per_ride = |usage: Usage| usage.resident.saturating_sub(before.resident) / args.rides;
    report.bytes("bytes_per_ride", "memory per open ride", per_ride(full));
    report.bytes("bytes_per_ride_held", "memory per open ride, after the hold", per_ride(after));
    let cpu = (after.cpu() - full.cpu()).as_secs_f64() / args.hold_s.max(1) as f64 * 100.0;
    report.number("cpu_percent", "server processor time while held", cpu, "%");
    report.add("odd", "oddities", measure.odd.line(), measure.odd.line());
    let violations = scrape.sum("muster_invariant_violations_total");
    report.add("violations", "invariant violations", violations, violations);
    report.require(violations == 0.0, "invariants were violated");
    report.require(held >= args.rides, "fewer rides were open than asked for");
    Ok(report)
}

/// Watches the open rides; returns the fewest seen.
async fn hold(target: &Target, hold_s: u64) -> anyhow::Result<u64> {
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    let mut least = u64::MAX;
    for _ in 0..=hold_s {
        each_second.tick().await;
        let open = Scrape::of(&target.pool).await?.sum("muster_rides_open");
        if open < 0.0 {
            bail!("muster_rides_open is {open}");
        }
        least = least.min(open as u64);
    }
    Ok(least)
}
