//! Drivers who are connected and wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::time::Instant;

use super::measure::Measure;
use super::{Target, TargetArgs, check_sockets, progress};
use crate::fleet::Fleet;
use crate::phone::{Behaviour, Crew};
use crate::report::{Latencies, Report};
use crate::scrape::Scrape;

/// `load idle`
#[derive(Debug, Args)]
pub struct IdleArgs {
    /// Drivers connected at once.
    #[arg(long, default_value_t = 10_000)]
    pub drivers: usize,
    /// Seconds they stay: more than three heartbeats, so that a socket that is not kept alive is
    /// found.
    #[arg(long, default_value_t = 60)]
    pub hold_s: u64,
}

pub(super) async fn run(target: &TargetArgs, args: &IdleArgs) -> anyhow::Result<Report> {
    check_sockets(args.drivers)?;
    let seed = target.seed;
    let target = Target::start(target, &[("SERVER__SESSIONS_MAX", "19000")]).await?;
    let mut report = Report::new(format!("{} idle drivers", args.drivers));
    let empty = target.usage()?;
    let fleet = Fleet::new(args.drivers, seed);
    progress("registering drivers");
    fleet.register(&target.pool).await?;
    let registered = target.usage()?;

    progress("connecting phones");
    let measure = Arc::new(Measure::new(0, 1.0));
    // One fix at the start is all they say: the next is due after the end.
    let behaviour = Behaviour::passive(Duration::from_secs(args.hold_s * 10 + 3600));
    let crew = Crew {
        pool: Arc::clone(&target.pool),
        witness: Arc::<Measure>::clone(&measure),
        behaviour,
    };
    let (stop, stopped) = watch::channel(false);
    let handshakes = Latencies::default();
    let began = Instant::now();
    let mut phones = fleet.connect(0..args.drivers, &Arc::new(crew), &handshakes, &stopped).await?;
    let took = began.elapsed();
    progress("holding");
    let connected = target.usage()?;
    let mut lost = 0_u64;
    let over = tokio::time::sleep(Duration::from_secs(args.hold_s));
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            Some(_) = phones.join_next() => lost += 1,
        }
    }
    let held = target.usage()?;
    let scrape = Scrape::of(&target.pool).await?;
    stop.send_replace(true);
    while phones.join_next().await.is_some() {}

    let sessions = scrape.sum("muster_ws_sessions");
    report.count("drivers", "drivers connected at once", args.drivers as u64);
    report.add("sessions", "sessions the server counts", sessions, sessions);
    report.count("lost", "connections lost while held", lost);
    report.number("hold_s", "held for", args.hold_s as f64, "s");
    let per_s = args.drivers as f64 / took.as_secs_f64();
    report.number("handshakes_per_s", "handshakes per second", per_s, "/s");
    report.latencies("handshake", "handshake", &handshakes);
    report.bytes("rss_empty", "server memory, empty", empty.resident);
    report.bytes("rss_registered", "server memory, drivers registered", registered.resident);
    report.bytes("rss_connected", "server memory, all connected", connected.resident);
    report.bytes("rss_held", "server memory, after the hold", held.resident);
    let per_connection = |of: u64| of.saturating_sub(registered.resident) / args.drivers as u64;
    report.bytes("bytes_per_connection", "memory per connection", per_connection(held.resident));
    let per_driver = registered.resident.saturating_sub(empty.resident) / args.drivers as u64;
    report.bytes("bytes_per_driver", "memory per registered driver", per_driver);
    let idle_cpu = (held.cpu - connected.cpu).as_secs_f64() / args.hold_s.max(1) as f64;
    report.number("idle_cpu_percent", "server processor time while held", idle_cpu * 100.0, "%");
    report.count("fixes", "fixes reported", measure.fixes.load(Ordering::Relaxed));
    report.add("odd", "oddities", measure.odd.line(), measure.odd.line());
    report.require(lost == 0, "connections were lost");
    report.require(sessions as usize == args.drivers, "the server counts other sessions");
    Ok(report)
}
