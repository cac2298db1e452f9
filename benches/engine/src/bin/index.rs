//! Measures the supply index in the process: alone, beside others, on one core and on two.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Parser;
use mimalloc::MiMalloc;
use muster_engine_benches::contender::Contender;
use muster_engine_benches::measure::{Questions, Trial};
use muster_engine_benches::muster::Muster;
use muster_engine_benches::pages::use_small_pages;
use muster_engine_benches::plain::{CellMap, Tree};
use muster_engine_benches::square::SquareGrid;
use muster_engine_benches::workload::{Drivers, NEAREST, Spread};
use muster_figures::{Better, Suite};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The size at which Muster is measured beside others.
const BESIDE_OTHERS: usize = 100_000;

/// Measures fixes and questions per second of an index of drivers' positions in the process.
#[derive(Debug, Parser)]
#[command(name = "index")]
struct Args {
    /// Numbers of drivers; may be repeated.
    #[arg(long = "drivers", default_values_t = [10_000, 100_000, 1_000_000])]
    drivers: Vec<usize>,
    /// Seconds for each figure.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only Muster, only clustered.
    #[arg(long)]
    brief: bool,
    /// Only figures whose name begins so, for example `nearest`: to profile one path.
    #[arg(long, default_value = "")]
    only: String,
    /// Write benches/results/index.json under this folder.
    #[arg(long)]
    save: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    use_small_pages();
    ensure!(args.drivers.iter().all(|drivers| *drivers >= 100), "drivers: at least 100");
    let command = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let command = format!("target/release/index {command}");
    let mut suite = Suite::new("index", "The supply index in the process", command.trim());
    let spreads: &[Spread] =
        if args.brief { &[Spread::Clustered] } else { &[Spread::Clustered, Spread::Uniform] };
    for count in &args.drivers {
        for spread in spreads {
            let drivers = Drivers::new(*count, *spread, 1)?;
            let others = !args.brief && *count == BESIDE_OTHERS;
            let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Muster::new(*count)?)];
            if others {
                contenders.push(Box::new(CellMap::new(*count)));
                contenders.push(Box::<Tree>::default());
                contenders.push(Box::new(SquareGrid::new(*count)));
            }
            let workload = format!("{}, {}", grouped(*count), spread.name());
            measure(&args, &contenders, &drivers, &workload, &mut suite)?;
        }
    }
    suite.notes = notes();
    if let Some(root) = &args.save {
        suite.save(root)?;
    }
    Ok(())
}

fn notes() -> Vec<String> {
    [
        "Clustered: around the 16,010 taxi pickups of a real hour in Manhattan; uniform: over 25 by \
         39 km. Each driver reports 28 m farther; every third is on a trip and must not be found.",
        "A fix is judged, written into the driver's slot, and moves his entry when the cell changes. \
         The message to his actor, which the server sends with the change of a cell, is not in it. One by \
         one a fix waits for its driver's slot from memory; of 32 at once the waits overlap.",
        "Questions: the nearest 10 free drivers within 3 km, filtered by state, tier and age of the \
         fix, exactly; each contender answered 40 of them like brute force first.",
        "Where drivers are few to a cell (uniform) a map of cells answers as fast: Muster's search pays \
         for a lock, a plane and a row of seats in each cell, which tells where cells are full.",
        "Bare squares are the ceiling: as little as an index of one city can do, with whether a driver is \
         free and nothing else of him; it is no index that one could dispatch with.",
        "The process refuses huge pages, as the server does; the server's answer to who is near copies ids as \
         this does, while a ride counts references to the drivers it keeps.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Figures by path and unit, one value a round.
#[derive(Default)]
struct Rounds(Vec<(String, &'static str, Better, Vec<f64>)>);

impl Rounds {
    fn add(&mut self, path: &str, unit: &'static str, better: Better, value: f64) {
        match self.0.iter_mut().find(|(at, of, ..)| at == path && *of == unit) {
            Some((.., values)) => values.push(value),
            None => self.0.push((path.to_owned(), unit, better, vec![value])),
        }
    }

    fn questions(&mut self, path: &str, questions: &Questions) {
        self.add(path, "/s", Better::Higher, questions.per_s);
        self.add(path, "p50 µs", Better::Lower, questions.p50_us);
        self.add(path, "p99 µs", Better::Lower, questions.p99_us);
        self.add(path, "p99.9 µs", Better::Lower, questions.p999_us);
    }
}

fn measure(
    args: &Args,
    contenders: &[Box<dyn Contender>],
    drivers: &Drivers,
    workload: &str,
    suite: &mut Suite,
) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(args.seconds);
    let mut trials = Vec::new();
    for contender in contenders {
        let trial = Trial::new(contender.as_ref(), drivers, time)?;
        trial.check()?;
        trials.push((contender.name(), trial, Rounds::default()));
    }
    for _ in 0..args.rounds {
        for (_, trial, rounds) in &mut trials {
            measure_fixes(args, trial, workload, rounds)?;
            measure_questions(args, trial, workload, rounds)?;
        }
    }
    for (name, _, Rounds(figures)) in trials {
        for (path, unit, better, values) in figures {
            suite.add(&path, name, unit, better, &values);
            show(suite);
        }
    }
    Ok(())
}

fn measure_fixes(
    args: &Args,
    trial: &mut Trial<'_>,
    workload: &str,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let path = format!("fixes of {workload}");
    if !path.starts_with(&args.only) {
        return Ok(());
    }
    for batch in trial.batches() {
        let path = match batch {
            1 => path.clone(),
            batch => format!("{path}, {batch} at once"),
        };
        let [one, two] = [trial.moves(1, *batch)?, trial.moves(2, *batch)?];
        rounds.add(&format!("{path}, one thread"), "/s", Better::Higher, one);
        rounds.add(&format!("{path}, two threads"), "/s", Better::Higher, two);
        rounds.add(&format!("{path}, two threads over one"), "×", Better::Higher, two / one);
    }
    Ok(())
}

fn measure_questions(
    args: &Args,
    trial: &mut Trial<'_>,
    workload: &str,
    rounds: &mut Rounds,
) -> anyhow::Result<()> {
    let path = format!("nearest {NEAREST} of {workload}");
    if !path.starts_with(&args.only) {
        return Ok(());
    }
    let (one, two) = (trial.questions(1, 0)?, trial.questions(2, 0)?);
    let busy = trial.questions(1, 1)?;
    rounds.questions(&format!("{path}, one thread"), &one);
    rounds.questions(&format!("{path}, two threads"), &two);
    let over = two.per_s / one.per_s;
    rounds.add(&format!("{path}, two threads over one"), "×", Better::Higher, over);
    let path = format!("{path}, one writer");
    rounds.questions(&path, &busy);
    rounds.add(&path, "fixes/s meanwhile", Better::Higher, busy.moves_per_s);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are what the tool is for")]
fn show(suite: &Suite) {
    let Some(figure) = suite.figures.last() else { return };
    let (least, most) = figure.range();
    println!(
        "{:18} {:62} {:>14} ({} to {}) {}",
        figure.contender,
        figure.path,
        readable(figure.median()),
        readable(least),
        readable(most),
        figure.unit,
    );
}

fn readable(value: f64) -> String {
    if value < 1_000.0 { format!("{value:.1}") } else { grouped(value.round() as usize) }
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let parts = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    parts.collect::<Vec<_>>().join(",")
}
