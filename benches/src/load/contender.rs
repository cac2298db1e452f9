//! A server under the load of generators: Muster, or the bare one.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::Value;

use super::generator::{Generator, Order, Outcome, open_files_max};
use super::{Target, TargetArgs, progress};
use crate::fleet::Fleet;
use crate::http::Pool;
use crate::process::stolen_time;
use crate::report::Latencies;
use crate::scrape::Scrape;

/// Open files of a process that are no sockets of drivers.
const FILES_SPARE: usize = 500;

/// The server's count of fixes, by outcome.
pub(super) const FIXES: &str = "muster_position_fixes_total";
/// The outcome of those that it took.
pub(super) const APPLIED: &str = "outcome=\"applied\"";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Ours.
    Muster,
    /// actix-ws and nothing else.
    Bare,
}

impl Who {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Muster => "muster",
            Self::Bare => "bare actix-ws",
        }
    }

    /// Starts the server.
    pub(super) async fn start(
        self,
        target: &TargetArgs,
        connections: usize,
    ) -> anyhow::Result<Target> {
        match self {
            Self::Muster => {
                let sockets = connections.to_string();
                // Fixes follow one another faster than any driver's: in life more than 20 a second are refused.
                let env = [
                    ("SERVER__SESSIONS_MAX", sockets.as_str()),
                    ("POSITIONS__FIXES_PER_S_MAX", "1000000"),
                ];
                Target::start(target, &env).await
            }
            Self::Bare => {
                let own = std::env::current_exe()?;
                let bare = own.parent().unwrap_or(Path::new(".")).join("bare");
                let bare = TargetArgs {
                    server: Some(bare),
                    url: None,
                    pid: None,
                    overrides: Vec::new(),
                    json: None,
                    seed: target.seed,
                };
                Target::start(&bare, &[]).await
            }
        }
    }
}

/// Memory of a server as it fills, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    pub(super) empty: u64,
    pub(super) registered: u64,
    pub(super) connected: u64,
}

/// A server with its connections.
pub(super) struct Contender {
    pub(super) who: Who,
    pub(super) filled: Filled,
    target: Target,
    generators: Vec<Generator>,
    connections: usize,
}

/// A run as it was measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) frames_per_s: f64,
    pub(super) fixes_per_s: f64,
    /// Server processor time per fix, in microseconds.
    pub(super) user_us: f64,
    pub(super) system_us: f64,
    /// Processors the server and the generators kept busy.
    pub(super) server_cores: f64,
    pub(super) own_cores: f64,
    /// Processors the host gave to others meanwhile.
    pub(super) stolen_cores: f64,
    pub(super) latency: Latencies,
    pub(super) lateness: Latencies,
    pub(super) blocked: u64,
    /// What does not add up.
    pub(super) faults: Vec<String>,
}

impl Contender {
    /// Starts a server, registers its drivers and connects them.
    pub(super) async fn start(
        who: Who,
        args: &TargetArgs,
        connections: usize,
        generators: Option<usize>,
    ) -> anyhow::Result<Self> {
        let per_process = open_files_max()?.saturating_sub(FILES_SPARE);
        if args.url.is_none() && connections > per_process {
            bail!(
                "the server may have {} files open on this machine, enough for {per_process} \
                 connections and not for {connections}: raise the limit (ulimit -n) first",
                per_process + FILES_SPARE
            );
        }
        let needed = connections.div_ceil(per_process).max(1);
        let generators = generators.unwrap_or(needed).max(needed);
        let target = who.start(args, connections).await?;
        let empty = target.usage()?.resident;
        if who == Who::Muster {
            progress(&format!("{}: registering {connections} drivers", who.name()));
            Fleet::new(connections, args.seed).register(&target.pool).await?;
        }
        let registered = target.usage()?.resident;
        progress(&format!("{}: connecting", who.name()));
        let program = std::env::current_exe()?;
        let shares = shares(connections, generators).into_iter();
        let started =
            shares.map(|share| Generator::start(&program, target.server.address, share, args.seed));
        let mut generators = started.collect::<anyhow::Result<Vec<_>>>()?;
        for generator in &mut generators {
            generator.connected().await?;
        }
        let filled = Filled { empty, registered, connected: target.usage()?.resident };
        Ok(Self { who, filled, target, generators, connections })
    }

    /// One run of all generators.
    pub(super) async fn run(&mut self, order: &Order) -> anyhow::Result<Measured> {
        let before = Scrape::of(&self.target.pool).await?;
        let (began, stolen) = (Instant::now(), stolen_time()?);
        let orders = self.share(order);
        for (generator, order) in self.generators.iter_mut().zip(orders) {
            generator.order(&order).await?;
        }
        let mut outcomes = Vec::new();
        for generator in &mut self.generators {
            outcomes.push(generator.outcome().await?);
        }
        let stolen = stolen_time()?.saturating_sub(stolen).as_secs_f64();
        let stolen_cores = stolen / began.elapsed().as_secs_f64();
        let after = Scrape::of(&self.target.pool).await?;
        let measured = Measured::of(&outcomes, u64::from(order.fixes), &before, &after);
        Ok(Measured { stolen_cores, ..measured.context("nothing was measured")? })
    }

    /// The order of each generator: its part of the rate or of the window.
    fn share(&self, order: &Order) -> Vec<Order> {
        let pid = self.target.server.pid;
        let all = self.connections;
        let shares = shares(all, self.generators.len()).into_iter();
        let share = |(_, count): (usize, usize)| Order {
            pace: order.pace.share(count, all),
            server_pid: pid,
            ..*order
        };
        shares.map(share).collect()
    }

    /// Connections for what is asked besides.
    pub(super) fn pool(&self) -> &Pool {
        &self.target.pool
    }

    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        Ok(self.target.usage()?.resident)
    }
}

/// Parts of `connections` for so many generators: the first driver of each, and how many.
fn shares(connections: usize, generators: usize) -> Vec<(usize, usize)> {
    let first = |generator| connections * generator / generators;
    (0..generators).map(|part| (first(part), first(part + 1) - first(part))).collect()
}

impl Measured {
    fn of(outcomes: &[Outcome], fixes: u64, before: &Scrape, after: &Scrape) -> Option<Self> {
        let first = outcomes.first()?;
        let per_s = |of: &Outcome| of.frames as f64 / of.seconds;
        let frames_per_s: f64 = outcomes.iter().map(per_s).sum();
        let fixes_per_s = frames_per_s * fixes as f64;
        // The first generator's window stands for all: they are told to begin at the same time.
        let per_fix_us = |seconds: f64| seconds / first.seconds / fixes_per_s * 1e6;
        let server_s = first.server_user_s + first.server_system_s;
        let (latency, lateness) = (Latencies::default(), Latencies::default());
        for outcome in outcomes {
            latency.add(&outcome.latencies);
            lateness.add(&outcome.lateness);
        }
        let total = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
        let mut faults = Vec::new();
        let sent = total(|of| of.fixes_sent);
        let counted = |scrape: &Scrape| scrape.sum_where(FIXES, APPLIED);
        let applied = counted(after) - counted(before);
        if applied != sent as f64 {
            faults.push(format!("{sent} fixes were sent and {applied} applied"));
        }
        let (refused, closed) = (total(|of| of.refused), total(|of| of.closed));
        if refused + closed > 0 {
            faults.push(format!("{refused} refusals, {closed} connections ended"));
        }
        Some(Self {
            frames_per_s,
            fixes_per_s,
            user_us: per_fix_us(first.server_user_s),
            system_us: per_fix_us(first.server_system_s),
            server_cores: server_s / first.seconds,
            stolen_cores: 0.0,
            own_cores: outcomes.iter().map(|of| of.own_s / of.seconds).sum(),
            latency,
            lateness,
            blocked: total(|of| of.blocked),
            faults,
        })
    }

    /// Three quantiles of the latency, in milliseconds.
    pub(super) fn latency_ms(&self) -> [f64; 3] {
        [0.5, 0.99, 0.999].map(|quantile| self.latency.quantile_ms(quantile))
    }

    pub(super) fn json(&self) -> Value {
        let [p50, p99, p999] = self.latency_ms();
        serde_json::json!({
            "frames_per_s": self.frames_per_s, "fixes_per_s": self.fixes_per_s,
            "server_user_us_per_fix": self.user_us, "server_system_us_per_fix": self.system_us,
            "server_cores": self.server_cores, "generator_cores": self.own_cores,
            "stolen_cores": self.stolen_cores,
            "latency_p50_ms": p50, "latency_p99_ms": p99, "latency_p99.9_ms": p999,
            "lateness_p99_ms": self.lateness.quantile_ms(0.99), "blocked": self.blocked,
        })
    }

    pub(super) fn shown(&self) -> String {
        let [p50, p99, p999] = self.latency_ms();
        format!(
            "{:>9.0} frames/s {:>10.0} fixes/s  {:.2} + {:.2} µs/fix  cores: server {:.2}, generator {:.2}, \
             stolen {:.2}  p50 {p50:.2}  p99 {p99:.2}  p99.9 {p999:.2} ms (late p99 {:.2})",
            self.frames_per_s,
            self.fixes_per_s,
            self.user_us,
            self.system_us,
            self.server_cores,
            self.own_cores,
            self.stolen_cores,
            self.lateness.quantile_ms(0.99),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_share_all_drivers() {
        assert_eq!(shares(10, 3), [(0, 3), (3, 3), (6, 4)]);
        assert_eq!(shares(5, 1), [(0, 5)]);
    }
}
