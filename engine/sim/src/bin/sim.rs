//! `sim`: runs seeds, one or many, and prints what happened.

use std::io::{self, IsTerminal, Write};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Instant;

use clap::{Parser, Subcommand};
use muster_sim::{Report, Sabotage, Tally, run_many, run_seed};

/// Seeded simulation of ride dispatch.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run seeds until one breaks an invariant.
    Run {
        /// Run this seed only, decimal or 0x….
        #[arg(long, value_parser = parse_seed, conflicts_with_all = ["seeds", "from"])]
        seed: Option<u64>,
        /// How many seeds to run.
        #[arg(long, default_value_t = 300)]
        seeds: u64,
        /// The first seed.
        #[arg(long, value_parser = parse_seed, default_value = "0")]
        from: u64,
        /// Plant a bug, by its name, to see what it breaks.
        #[arg(long, value_parser = parse_sabotage)]
        plant: Option<Sabotage>,
        /// Go on after a seed that breaks an invariant, and list all of them.
        #[arg(long)]
        keep_going: bool,
        /// Print the whole trace of the one seed.
        #[arg(long, requires = "seed")]
        trace: bool,
    },
    /// Print the trace hash of a seed: the same in every process, or nothing else counts.
    Canary {
        /// The seed, decimal or 0x….
        #[arg(long, value_parser = parse_seed)]
        seed: u64,
    },
}

fn parse_seed(text: &str) -> Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    }
}

fn parse_sabotage(text: &str) -> Result<Sabotage, String> {
    let named = |bug: &Sabotage| format!("{bug:?}") == text;
    let all = Sabotage::ALL;
    all.into_iter().find(named).ok_or_else(|| format!("one of {all:?}"))
}

fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    match Arguments::parse().command {
        Command::Canary { seed } => {
            let hash = run_seed(seed, None, false).trace_hash;
            writeln!(out, "{hash:016x}")?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Run { seed: Some(seed), trace, plant, .. } => {
            let mut total = Total::default();
            let report = run_seed(seed, plant, trace);
            if trace && report.violation.is_none() {
                print_trace(&mut out, &report)?;
            }
            total.add(&report);
            total.print(&mut out)?;
            conclude(&mut out, report.violation.is_some().then_some(&report))
        }
        Command::Run { seed: None, seeds, from, plant, keep_going, trace: _ } => {
            run_swarm(&mut out, from..from.saturating_add(seeds), plant, keep_going)
        }
    }
}

fn run_swarm(
    out: &mut impl Write,
    seeds: Range<u64>,
    plant: Option<Sabotage>,
    keep_going: bool,
) -> io::Result<ExitCode> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let state = Mutex::new((Total::default(), None::<Report>));
    let shows_progress = io::stderr().is_terminal();
    let count = seeds.end - seeds.start;
    run_many(seeds.start, count, threads, plant, |report| {
        let Ok(mut state) = state.lock() else { return false };
        state.0.add(&report);
        if shows_progress && state.0.seeds.is_multiple_of(10) {
            // Progress is for people who watch; a terminal that is gone is no reason to stop.
            let _gone = write!(io::stderr(), "\r{} of {count} seeds", state.0.seeds);
        }
        let passed = report.violation.is_none();
        if let Some(violation) = report.violation.as_ref().filter(|_| keep_going) {
            let (seed, invariant) = (report.seed, violation.invariant);
            let line = format!("seed 0x{seed:x} broke {invariant}: {}", violation.detail);
            let _gone = writeln!(io::stderr(), "{line}");
        }
        if !passed && state.1.as_ref().is_none_or(|first| first.seed > report.seed) {
            state.1 = Some(report);
        }
        passed || keep_going
    });
    let (total, failed) = match state.into_inner() {
        Ok(state) => state,
        Err(poisoned) => poisoned.into_inner(),
    };
    if shows_progress {
        writeln!(io::stderr())?;
    }
    total.print(out)?;
    conclude(out, failed.as_ref())
}

fn conclude(out: &mut impl Write, failed: Option<&Report>) -> io::Result<ExitCode> {
    let Some(report) = failed else {
        writeln!(out, "all invariants held")?;
        return Ok(ExitCode::SUCCESS);
    };
    writeln!(out, "\nthe end of the trace of seed 0x{:x}:", report.seed)?;
    print_trace(out, report)?;
    if let Some(violation) = &report.violation {
        let (invariant, detail) = (violation.invariant, &violation.detail);
        writeln!(out, "\nseed 0x{:x} broke {invariant}: {detail}", report.seed)?;
    }
    writeln!(out, "run it again: {}", report.reproduce())?;
    Ok(ExitCode::FAILURE)
}

fn print_trace(out: &mut impl Write, report: &Report) -> io::Result<()> {
    report.trace.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// Sums over seeds.
struct Total {
    began: Instant,
    seeds: u64,
    steps: u64,
    simulated_ms: u64,
    tally: Tally,
}

impl Default for Total {
    #[expect(clippy::disallowed_methods, reason = "the one place that measures how fast seeds run")]
    fn default() -> Self {
        Self { began: Instant::now(), seeds: 0, steps: 0, simulated_ms: 0, tally: Tally::new() }
    }
}

impl Total {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.steps += report.steps;
        self.simulated_ms += report.simulated_ms;
        for (what, count) in &report.tally {
            *self.tally.entry(what).or_insert(0) += count;
        }
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64().max(1e-6);
        let (seeds, steps) = (self.seeds as f64, self.steps as f64);
        for (what, count) in &self.tally {
            writeln!(out, "{count:>10}  {what}")?;
        }
        writeln!(
            out,
            "{} seeds in {seconds:.1} s ({:.1} seeds/s), {} steps ({:.0} steps/s), {:.1} simulated hours",
            self.seeds,
            seeds / seconds,
            self.steps,
            steps / seconds,
            self.simulated_ms as f64 / 3_600_000.0
        )
    }
}
