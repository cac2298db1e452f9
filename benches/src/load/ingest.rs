//! Fixes from many connections, as fast as they are taken or at a rate: throughput, processor time,
//! memory, latency; beside a bare server if asked.

use anyhow::bail;
use clap::Args;

use super::contender::{Contender, Measured, Who};
use super::frames::Encoding;
use super::generator::Order;
use super::schedule::Pace;
use super::{TargetArgs, progress};
use crate::report::Report;

/// Frames on the way at most where the server sets the pace, with one a connection at most: more would
/// lie in the kernel's buffers and be read several at once, which is cheaper than drivers are.
pub(super) const WINDOW_MAX: usize = 8_192;

/// `load ingest`
#[derive(Debug, Clone, Args)]
pub struct IngestArgs {
    /// Connections, one a driver.
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// How fixes are written.
    #[arg(long, value_enum, default_value_t = Encoding::Binary)]
    pub encoding: Encoding,
    /// Fixes in each frame.
    #[arg(long, default_value_t = 1)]
    pub fixes_per_frame: u8,
    /// Frames per second, due at fixed instants from which their latency counts. Without it frames are sent
    /// as fast as the server takes them: one in 32 carries a ping, and no more frames are on the way, by
    /// the pongs that are missing, than --window.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Frames on the way at most [default: one a connection, 8192 at most].
    #[arg(long)]
    pub window: Option<u64>,
    /// Seconds before a measurement.
    #[arg(long, default_value_t = 1.0)]
    pub warm_s: f64,
    /// Seconds of a measurement.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Measurements.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Measure a bare actix-ws server in turn, which reads the same frames the same way and keeps the
    /// position: what is possible on this machine.
    #[arg(long)]
    pub beside_bare: bool,
    /// Generator processes [default: as few as their limit of open files allows].
    #[arg(long)]
    pub generators: Option<usize>,
}

impl IngestArgs {
    /// What the generators are told.
    pub(super) fn order(&self) -> Order {
        let window = self.window.unwrap_or(self.connections.min(WINDOW_MAX) as u64);
        let (pace, ping_every) = match self.rate {
            Some(rate) => (Pace::Rate(rate), 16),
            // At least a few pings must be on the way, or the window stands still.
            None => (Pace::Window(window), 32.min(window / 4).max(1)),
        };
        Order {
            encoding: self.encoding,
            fixes: self.fixes_per_frame,
            pace,
            ping_every,
            warm_s: self.warm_s,
            seconds: self.seconds,
            server_pid: 0,
        }
    }
}

pub(super) async fn run(target: &TargetArgs, args: &IngestArgs) -> anyhow::Result<Report> {
    let most = args.encoding.fixes_max();
    if args.fixes_per_frame == 0 || args.fixes_per_frame > most || args.connections == 0 {
        bail!("a frame has 1 to {most} fixes, and there is a connection at least");
    }
    let (connections, generators) = (args.connections, args.generators);
    let mut contenders =
        vec![Contender::start(Who::Muster, target, connections, generators).await?];
    if args.beside_bare {
        contenders.push(Contender::start(Who::Bare, target, connections, generators).await?);
    }
    let rounds = in_turn(&mut contenders, &args.order(), args.rounds).await?;
    report(args, &contenders, &rounds)
}

/// Measures the contenders in turn; the measurements of each are at its index.
pub(super) async fn in_turn(
    contenders: &mut [Contender],
    order: &Order,
    rounds: usize,
) -> anyhow::Result<Vec<Vec<Measured>>> {
    let mut measured: Vec<Vec<Measured>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, own) in contenders.iter_mut().zip(&mut measured) {
            let run = contender.run(order).await?;
            progress(&format!("{:<14}{}", contender.who.name(), run.shown()));
            own.push(run);
        }
    }
    Ok(measured)
}

fn report(
    args: &IngestArgs,
    contenders: &[Contender],
    rounds: &[Vec<Measured>],
) -> anyhow::Result<Report> {
    let pace = args.rate.map_or("as fast as taken".to_owned(), |rate| format!("{rate} frames/s"));
    let mut report = Report::new(format!(
        "{} connections, {} frames of {} fixes, {pace}",
        args.connections,
        args.encoding.name(),
        args.fixes_per_frame
    ));
    for (contender, rounds) in contenders.iter().zip(rounds) {
        let name = contender.who.name();
        for (index, measured) in rounds.iter().enumerate() {
            let key = format!("{name} round {}", index + 1);
            report.add(&key, &key, measured.json(), measured.shown());
            for fault in &measured.faults {
                report.fail(format!("{key}: {fault}"));
            }
        }
        let filled = contender.filled;
        let each = |more: u64, less: u64| more.saturating_sub(less) / args.connections as u64;
        if contender.who == Who::Muster {
            let driver = each(filled.registered, filled.empty);
            report.bytes("bytes_per_driver", "memory per registered driver", driver);
        }
        let connected = each(filled.connected, filled.registered);
        let label = format!("{name}: memory per connection");
        report.bytes(&format!("{name} bytes_per_connection"), &label, connected);
        let loaded = each(contender.resident()?, filled.registered);
        report.bytes(&format!("{name} bytes_loaded"), &format!("{label}, loaded"), loaded);
    }
    if let [ours, bare] = rounds {
        let ratios = ours.iter().zip(bare).map(|(a, b)| a.frames_per_s / b.frames_per_s);
        let ratios: Vec<f64> = ratios.collect();
        let shown: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
        report.add("of_bare", "frames/s as part of the bare server's", ratios, shown.join("  "));
    }
    Ok(report)
}
