//! Drivers who are connected and wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;
use tokio::time::Instant;

use super::contender::Who;
use super::measure::Measure;
use super::{TargetArgs, check_sockets, progress};
use crate::fleet::Fleet;
use crate::phone::{Behaviour, Crew};
use crate::process::Usage;
use crate::report::{Latencies, Report};
use crate::scrape::Scrape;

/// `load idle`
#[derive(Debug, Clone, Args)]
pub struct IdleArgs {
    /// Drivers connected at once.
    #[arg(long, default_value_t = 10_000)]
    pub drivers: usize,
    /// Seconds they stay: more than three heartbeats, so that a socket that is not kept alive is
    /// found.
    #[arg(long, default_value_t = 60)]
    pub hold_s: u64,
    /// The same on a bare actix-ws server, for comparison.
    #[arg(long)]
    pub beside_bare: bool,
}

/// What a server was like while its drivers waited.
pub(super) struct Held {
    empty: Usage,
    registered: Usage,
    connected: Usage,
    held: Usage,
    drivers: u64,
    handshakes: Latencies,
    connecting: Duration,
    lost: u64,
    sessions: f64,
    measure: Arc<Measure>,
}

impl Held {
    /// Memory that each connection takes after the hold, in bytes.
    pub(super) const fn bytes_per_connection(&self) -> u64 {
        self.held.resident.saturating_sub(self.registered.resident) / self.drivers
    }

    /// Memory that each registered driver takes, in bytes.
    pub(super) const fn bytes_per_driver(&self) -> u64 {
        self.registered.resident.saturating_sub(self.empty.resident) / self.drivers
    }
}

pub(super) async fn run(target: &TargetArgs, args: &IdleArgs) -> anyhow::Result<Report> {
    let held = hold(Who::Muster, target, args).await?;
    let mut report = report(args, &held);
    if args.beside_bare {
        let bare = hold(Who::Bare, target, args).await?;
        let label = "bare actix-ws: memory per connection";
        report.bytes("bare_bytes_per_connection", label, bare.bytes_per_connection());
        report.latencies("bare_handshake", "bare actix-ws: handshake", &bare.handshakes);
    }
    Ok(report)
}

/// Connects drivers to a server, and waits.
pub(super) async fn hold(who: Who, args: &TargetArgs, idle: &IdleArgs) -> anyhow::Result<Held> {
    check_sockets(idle.drivers)?;
    let target = who.start(args, idle.drivers).await?;
    let empty = target.usage()?;
    let fleet = Fleet::new(idle.drivers, args.seed);
    if who == Who::Muster {
        progress("registering drivers");
        fleet.register(&target.pool).await?;
    }
    let registered = target.usage()?;
    progress(&format!("{}: connecting phones", who.name()));
    let measure = Arc::new(Measure::new(0, 1.0));
    // One fix at the start is all they say: the next is due after the end.
    let behaviour = Behaviour::passive(Duration::from_secs(idle.hold_s * 10 + 3600));
    let crew = Crew {
        pool: Arc::clone(&target.pool),
        witness: Arc::<Measure>::clone(&measure),
        behaviour,
    };
    let (stop, stopped) = watch::channel(false);
    let handshakes = Latencies::default();
    let began = Instant::now();
    let mut phones = fleet.connect(0..idle.drivers, &Arc::new(crew), &handshakes, &stopped).await?;
    let connecting = began.elapsed();
    progress("holding");
    let connected = target.usage()?;
    let mut lost = 0_u64;
    let over = tokio::time::sleep(Duration::from_secs(idle.hold_s));
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = &mut over => break,
            Some(_) = phones.join_next() => lost += 1,
        }
    }
    let held = target.usage()?;
    let sessions = Scrape::of(&target.pool).await?.sum("muster_ws_sessions");
    stop.send_replace(true);
    while phones.join_next().await.is_some() {}
    let drivers = idle.drivers as u64;
    Ok(Held {
        empty,
        registered,
        connected,
        held,
        drivers,
        handshakes,
        connecting,
        lost,
        sessions,
        measure,
    })
}

fn report(args: &IdleArgs, held: &Held) -> Report {
    let mut report = Report::new(format!("{} idle drivers", args.drivers));
    report.count("drivers", "drivers connected at once", held.drivers);
    report.add("sessions", "sessions the server counts", held.sessions, held.sessions);
    report.count("lost", "connections lost while held", held.lost);
    report.number("hold_s", "held for", args.hold_s as f64, "s");
    let per_s = args.drivers as f64 / held.connecting.as_secs_f64();
    report.number("handshakes_per_s", "handshakes per second", per_s, "/s");
    report.latencies("handshake", "handshake", &held.handshakes);
    report.bytes("rss_empty", "server memory, empty", held.empty.resident);
    report.bytes("rss_registered", "server memory, drivers registered", held.registered.resident);
    report.bytes("rss_connected", "server memory, all connected", held.connected.resident);
    report.bytes("rss_held", "server memory, after the hold", held.held.resident);
    report.bytes("bytes_per_connection", "memory per connection", held.bytes_per_connection());
    report.bytes("bytes_per_driver", "memory per registered driver", held.bytes_per_driver());
    let idle_cpu = (held.held.cpu() - held.connected.cpu()).as_secs_f64();
    let percent = idle_cpu / args.hold_s.max(1) as f64 * 100.0;
    report.number("idle_cpu_percent", "server processor time while held", percent, "%");
    report.count("fixes", "fixes reported", held.measure.fixes.load(Ordering::Relaxed));
    report.add("odd", "oddities", held.measure.odd.line(), held.measure.odd.line());
    report.require(held.lost == 0, "connections were lost");
    report.require(held.sessions as usize == args.drivers, "the server counts other sessions");
    report
}
