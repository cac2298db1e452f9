//! Fixes and rides at once: a [`rush`] whose drivers are all on sockets and report at a given rate
//! together, while they answer offers and drive rides to their end.

use clap::Args;

use super::TargetArgs;
use super::rush::{Run, RushArgs, report as rush_report, rush};
use crate::report::Report;

/// The part of the fixes that were due which must have been taken.
const TAKEN_MIN: f64 = 0.95;

/// `load mix`
#[derive(Debug, Clone, Args)]
pub struct MixArgs {
    /// Drivers online, each on a socket.
    #[arg(long, default_value_t = 10_000)]
    pub drivers: usize,
    /// Fixes per second of all of them together.
    #[arg(long, default_value_t = 20_000.0)]
    pub fixes_per_s: f64,
    /// Ride requests per second.
    #[arg(long, default_value_t = 200.0)]
    pub rides_per_s: f64,
    /// For how long.
    #[arg(long, default_value_t = 20)]
    pub seconds: u64,
    /// How many times faster than in life drivers answer and drive, see `load rush`: at 50 they serve
    /// ride after ride.
    #[arg(long, default_value_t = 50.0)]
    pub hurry: f64,
}

impl MixArgs {
    fn rush(&self) -> RushArgs {
        RushArgs {
            drivers: self.drivers,
            sockets: self.drivers,
            rides_per_s: self.rides_per_s,
            seconds: self.seconds,
            fix_every_s: self.drivers as f64 / self.fixes_per_s,
            accept: 0.7,
            decline: 0.15,
            hurry: self.hurry,
            p99_max_ms: f64::INFINITY,
        }
    }
}

pub(super) async fn run(target: &TargetArgs, args: &MixArgs) -> anyhow::Result<Report> {
    Ok(report(args, &mix(target, args).await?))
}

/// One run.
pub(super) async fn mix(target: &TargetArgs, args: &MixArgs) -> anyhow::Result<Run> {
    rush(target, &args.rush()).await
}

pub(super) fn report(args: &MixArgs, run: &Run) -> Report {
    let mut report = rush_report(&args.rush(), run);
    report.number("fixes_due_per_s", "fixes due per second", args.fixes_per_s, "/s");
    let taken = run.fixes_taken_per_s();
    report.require(taken >= TAKEN_MIN * args.fixes_per_s, "the rate of fixes was not reached");
    report
}
