//! The standard set: what is told of the server, measured by one command and kept as figures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use muster_figures::{Better, Missing, Suite};

use super::contender::{Contender, Measured, Who};
use super::frames::Encoding;
use super::generator::open_files_max;
use super::idle::{IdleArgs, hold};
use super::ingest::{IngestArgs, in_turn};
use super::mix::{MixArgs, mix, report as mix_report};
use super::nearby::{self, Asked, NearbyArgs};
use super::rush::{Run, RushArgs, report as rush_report, rush};
use super::{TargetArgs, progress};
use crate::report::{Latencies, Report};

/// `load standard`
#[derive(Debug, Args)]
pub struct StandardArgs {
    /// The tree in whose benches/results the figures are kept.
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Only these parts; the others are kept if they are of the same revision.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Measurements of each.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Seconds of each.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
}

/// A part of the standard set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// 10,000 connections as fast as they are taken: binary, binary by tens, JSON.
    Ingest,
    /// Latency at fixed rates.
    Rates,
    /// From 1,000 to 18,000 connections.
    Sweep,
    /// Memory of connections that wait.
    Idle,
    /// Ride requests among 20,000 drivers.
    Rush,
    /// Fixes and ride requests at once.
    Mix,
    /// Drivers nearby over HTTP.
    Nearby,
}

const ALL: [Part; 7] =
    [Part::Ingest, Part::Rates, Part::Sweep, Part::Idle, Part::Rush, Part::Mix, Part::Nearby];
const CONNECTIONS: usize = 10_000;
const SWEEP: [usize; 4] = [1_000, 5_000, 10_000, 18_000];
const RATES: [f64; 2] = [25_000.0, 50_000.0];
/// Drivers in an answer of nearby ones: what the API answers unasked, and the most.
const NEARBY: [usize; 2] = [20, 200];
const QUANTILES: [(&str, f64); 3] = [("p50 ms", 0.5), ("p99 ms", 0.99), ("p99.9 ms", 0.999)];
const NAME: &str = "server";
const COMMAND: &str = "scripts/load";
const NOTES: [&str; 8] = [
    "Server and load generator share the machine's cores; both contenders get the same frames from the same \
     generator in turn, and each fix that was sent is counted by the server, or the run has failed.",
    "bare actix-ws reads the same frames by the same code, writes the position into a slot and does nothing \
     else (benches/src/bin/bare.rs).",
    "As fast as taken: at most one frame a connection, and 8,192 in all, is on the way.",
    "Latency of ingest: from the instant a frame was due to the pong of a ping right behind it; of rides: from \
     the instant the request or the accept was due. What the generator is late by counts as latency.",
    "Memory per connection is the growth of the server's resident memory; the kernel's is not in it.",
    "Of the 20,000 drivers of the rush 18,000 hold a socket, more than that a process may not open; the others \
     report by HTTP, and the offers they get are not heard. SQLite, synchronous=FULL.",
    "Fixes and rides at once: all drivers hold a socket, report, answer offers and drive 50 times as fast as in \
     life; fixes are those that the server counted.",
    "Drivers nearby: 16 connections that are kept, each asks as soon as it has its answer, so that its latency \
     is the time behind 15 others; meanwhile each driver reports every four seconds. bare actix-web takes the \
     same fixes and answers one of Muster's answers every time.",
];

/// Measures, and adds the figures to the suite.
pub(super) async fn run(target: &TargetArgs, args: &StandardArgs) -> anyhow::Result<Report> {
    let mut suite = Suite::new(NAME, "The server under load", COMMAND);
    let wanted = |part: &Part| args.only.is_empty() || args.only.contains(part);
    if let Ok(before) = Suite::load(&args.root, NAME)
        && before.revision == suite.revision
        && !args.only.is_empty()
    {
        suite.figures = before.figures;
    }
    let files = open_files_max()?;
    suite.missing = vec![Missing {
        contender: "50,000 sockets".to_owned(),
        why: format!("a process may have {files} files open on the machine"),
    }];
    suite.notes = NOTES.map(str::to_owned).to_vec();
    let mut report = Report::new("The server under load");
    let mut set = Set { target, args, suite, report: &mut report };
    for part in ALL.into_iter().filter(wanted) {
        match part {
            Part::Ingest => set.ingest().await?,
            Part::Rates => set.rates().await?,
            Part::Sweep => set.sweep().await?,
            Part::Idle => set.idle().await?,
            Part::Rush => set.rush().await?,
            Part::Mix => set.mix().await?,
            Part::Nearby => set.nearby().await?,
        }
    }
    set.suite.save(&args.root)?;
    Ok(report)
}

type OfRush = fn(&Run) -> &Latencies;

struct Set<'a> {
    target: &'a TargetArgs,
    args: &'a StandardArgs,
    suite: Suite,
    report: &'a mut Report,
}

impl Set<'_> {
    fn ingest_args(&self, connections: usize) -> IngestArgs {
        IngestArgs {
            connections,
            encoding: Encoding::Binary,
            fixes_per_frame: 1,
            rate: None,
            window: None,
            warm_s: 1.0,
            seconds: self.args.seconds,
            rounds: self.args.rounds,
            beside_bare: true,
            generators: None,
        }
    }

    async fn contenders(&self, connections: usize) -> anyhow::Result<Vec<Contender>> {
        let mut all = Vec::new();
        for who in [Who::Muster, Who::Bare] {
            all.push(Contender::start(who, self.target, connections, None).await?);
        }
        Ok(all)
    }

    async fn ingest(&mut self) -> anyhow::Result<()> {
        let mut contenders = self.contenders(CONNECTIONS).await?;
        for (encoding, fixes) in
            [(Encoding::Binary, 1), (Encoding::Binary, 10), (Encoding::Json, 1)]
        {
            let mut args = self.ingest_args(CONNECTIONS);
            (args.encoding, args.fixes_per_frame) = (encoding, fixes);
            let path = format!("10,000 sockets, {}", form(encoding, fixes));
            self.measure(&path, &args, &mut contenders).await?;
        }
        Ok(())
    }

    async fn rates(&mut self) -> anyhow::Result<()> {
        let mut contenders = self.contenders(CONNECTIONS).await?;
        for rate in RATES {
            let mut args = self.ingest_args(CONNECTIONS);
            args.rate = Some(rate);
            let path = format!("10,000 sockets, {:.0},000 frames/s", rate / 1_000.0);
            self.measure(&path, &args, &mut contenders).await?;
        }
        Ok(())
    }

    async fn sweep(&mut self) -> anyhow::Result<()> {
        for connections in SWEEP {
            let mut contenders = self.contenders(connections).await?;
            let args = self.ingest_args(connections);
            let path = format!("{},000 sockets, one fix a frame", connections / 1_000);
            self.measure(&path, &args, &mut contenders).await?;
        }
        Ok(())
    }

    /// Measures contenders in turn and takes their figures down.
    async fn measure(
        &mut self,
        path: &str,
        args: &IngestArgs,
        contenders: &mut [Contender],
    ) -> anyhow::Result<()> {
        progress(path);
        let rounds = in_turn(contenders, &args.order(), args.rounds).await?;
        for (contender, rounds) in contenders.iter().zip(&rounds) {
            for fault in rounds.iter().flat_map(|round| &round.faults) {
                self.report.fail(format!("{path}, {}: {fault}", contender.who.name()));
            }
            self.take(path, contender.who, args, rounds);
        }
        Ok(())
    }

    fn take(&mut self, path: &str, who: Who, args: &IngestArgs, rounds: &[Measured]) {
        let mut add = |unit: &str, better, of: &dyn Fn(&Measured) -> f64| {
            let values: Vec<f64> = rounds.iter().map(of).collect();
            self.set(path, who.name(), unit, better, &values);
        };
        if args.rate.is_none() {
            add("frames/s", Better::Higher, &|of| of.frames_per_s);
            add("fixes/s", Better::Higher, &|of| of.fixes_per_s);
        } else {
            for (unit, quantile) in QUANTILES {
                add(unit, Better::Lower, &|of| of.latency.quantile_ms(quantile));
            }
        }
        add("µs of user time a fix", Better::Lower, &|of| of.user_us);
        add("µs of system time a fix", Better::Lower, &|of| of.system_us);
        add("cores of the server", Better::Lower, &|of| of.server_cores);
        add("cores of the generator", Better::Lower, &|of| of.own_cores);
        add("cores taken by the host", Better::Lower, &|of| of.stolen_cores);
    }

    /// Adds a figure in place of an older one.
    fn set(&mut self, path: &str, who: &str, unit: &str, better: Better, values: &[f64]) {
        let same = |unit_of: &str, of: &str, by: &str| of == path && by == who && unit_of == unit;
        self.suite.figures.retain(|old| !same(&old.unit, &old.path, &old.contender));
        self.suite.add(path, who, unit, better, values);
        let shown: Vec<String> = values.iter().map(|value| format!("{value:.2}")).collect();
        let label = format!("{path}, {who}, {unit}");
        self.report.add(&label, &label, values.to_vec(), shown.join("  "));
    }

    async fn idle(&mut self) -> anyhow::Result<()> {
        let args = IdleArgs { drivers: CONNECTIONS, hold_s: 5, beside_bare: true };
        let path = "10,000 idle sockets";
        for who in [Who::Muster, Who::Bare] {
            let mut values = Vec::new();
            let mut drivers = Vec::new();
            for _ in 0..self.args.rounds {
                let held = hold(who, self.target, &args).await?;
                values.push(held.bytes_per_connection() as f64);
                drivers.push(held.bytes_per_driver() as f64);
            }
            self.set(path, who.name(), "bytes a connection", Better::Lower, &values);
            if who == Who::Muster {
                self.set(path, who.name(), "bytes a registered driver", Better::Lower, &drivers);
            }
        }
        Ok(())
    }

    async fn rush(&mut self) -> anyhow::Result<()> {
        let args = RushArgs {
            drivers: 20_000,
            sockets: 18_000,
            rides_per_s: 500.0,
            seconds: 20,
            fix_every_s: 4.0,
            accept: 0.7,
            decline: 0.15,
            hurry: 50.0,
            p99_max_ms: f64::INFINITY,
        };
        let mut runs = Vec::new();
        for round in 0..self.args.rounds {
            progress(&format!("rush {}", round + 1));
            let run = rush(self.target, &args).await?;
            self.tell("rush", round, &rush_report(&args, &run));
            runs.push(run);
        }
        self.take_rides("20,000 drivers, 500 rides/s", &runs);
        Ok(())
    }

    async fn mix(&mut self) -> anyhow::Result<()> {
        let args = MixArgs {
            drivers: CONNECTIONS,
            fixes_per_s: 20_000.0,
            rides_per_s: 200.0,
            seconds: 20,
            hurry: 50.0,
        };
        let mut runs = Vec::new();
        for round in 0..self.args.rounds {
            progress(&format!("mix {}", round + 1));
            let run = mix(self.target, &args).await?;
            self.tell("mix", round, &mix_report(&args, &run));
            runs.push(run);
        }
        let path = "10,000 drivers, 20,000 fixes/s and 200 rides/s";
        self.take_rides(path, &runs);
        let path = format!("{path}: positions");
        let fixes: Vec<f64> = runs.iter().map(Run::fixes_taken_per_s).collect();
        self.set(&path, "muster", "fixes/s", Better::Higher, &fixes);
        let stolen: Vec<f64> = runs.iter().map(Run::stolen_cores).collect();
        self.set(&path, "muster", "cores taken by the host", Better::Lower, &stolen);
        Ok(())
    }

    /// Shows a run of rides, and fails if it did.
    fn tell(&mut self, what: &str, round: usize, report: &Report) {
        eprintln!("{}", report.table());
        if !report.passed() {
            self.report.fail(format!("{what} {} failed, see above", round + 1));
        }
    }

    fn take_rides(&mut self, load: &str, runs: &[Run]) {
        let latencies: [(&str, OfRush); 3] = [
            ("request to offer frame", |run| run.first_offer()),
            ("accept to won frame", |run| run.accept_won()),
            ("request to answer", |run| run.post()),
        ];
        for (what, of) in latencies {
            for (unit, quantile) in QUANTILES {
                let values: Vec<f64> =
                    runs.iter().map(|run| of(run).quantile_ms(quantile)).collect();
                self.set(&format!("{load}: {what}"), "muster", unit, Better::Lower, &values);
            }
        }
    }

    async fn nearby(&mut self) -> anyhow::Result<()> {
        let args = |limit| NearbyArgs {
            drivers: CONNECTIONS,
            fix_every_s: 4.0,
            radius_m: 3_000,
            limit,
            connections: 16,
            warm_s: 0.5,
            seconds: self.args.seconds,
            rounds: self.args.rounds,
        };
        let mut contenders = nearby::start(self.target, &args(NEARBY[0])).await?;
        for limit in NEARBY {
            let path = format!("nearest {limit} of 10,000 within 3 km, over HTTP");
            progress(&path);
            let rounds = nearby::in_turn(&mut contenders, &args(limit), self.target.seed).await?;
            for (contender, rounds) in contenders.iter().zip(&rounds) {
                for fault in rounds.iter().flat_map(|asked| &asked.fixes.faults) {
                    self.report.fail(format!("{path}, {}: {fault}", contender.who.name()));
                }
                self.take_nearby(&path, nearby::name(contender.who), rounds);
            }
        }
        Ok(())
    }

    fn take_nearby(&mut self, path: &str, who: &str, rounds: &[Asked]) {
        let mut add = |unit: &str, better, of: &dyn Fn(&Asked) -> f64| {
            let values: Vec<f64> = rounds.iter().map(of).collect();
            self.set(path, who, unit, better, &values);
        };
        add("/s", Better::Higher, &|of| of.per_s);
        for (unit, quantile) in QUANTILES {
            add(unit, Better::Lower, &|of| of.latency.quantile_ms(quantile));
        }
        add("fixes/s meanwhile", Better::Higher, &|of| of.fixes.fixes_per_s);
        add("cores of the server", Better::Lower, &|of| of.fixes.server_cores);
        add("cores of the client", Better::Lower, &|of| of.own_cores);
        add("cores taken by the host", Better::Lower, &|of| of.fixes.stolen_cores);
    }
}

fn form(encoding: Encoding, fixes: u8) -> String {
    match fixes {
        1 => format!("one fix a {} frame", encoding.name()),
        fixes => format!("{fixes} fixes a {} frame", encoding.name()),
    }
}
