//! Instructions of the hottest paths, counted by callgrind and held against a stored baseline: a
//! regression shows on a machine however busy it is.
//!
//! `cargo bench -p muster-engine-benches --bench instructions` fails when a path takes over a tenth more than
//! `benches/results/instructions.csv` says; with `-- --save` it writes that file anew. Another compiler
//! makes other instructions: the file names its own, and with any other the counts are shown only.

#[path = "engine/fixture.rs"]
#[expect(dead_code, reason = "this benchmark needs only some of it")]
mod fixture;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use anyhow::{Context, bail};
use muster_engine::grid::{DriverStatus, Fix, NearbyQuery};
use muster_engine::id::InlineDriverId;
use muster_engine::time::Timestamp;
use muster_engine::units::Meters;
use muster_engine_benches::workload::Spread;

use fixture::{City, Round, limits, market, slot_at};

/// More than this, in thousandths of the baseline, is a regression.
const WORSE_PERMILLE_MAX: u64 = 100;
/// How often a path runs while it is counted.
const TIMES: u64 = 200;
/// Drivers of the searched city.
const DRIVERS: u64 = 10_000;

/// Makes a path ready to run `TIMES` times.
type Ready = fn() -> Box<dyn FnMut(u64)>;

/// The paths.
const PATHS: [(&str, Ready); 6] = [
    ("fix_within_a_cell", || fixes(0.000_001)),
    ("fix_into_another_cell", || fixes(0.008)),
    ("grid_move", grid_move),
    ("nearest_10_of_10k", || nearest(false)),
    ("nearest_10_of_10k_explained", || nearest(true)),
    ("offer_round_trip", offer),
];

fn fixes(step: f64) -> Box<dyn FnMut(u64)> {
    let (market, limits, home) = (market(), limits(), fixture::place(7));
    let slot = slot_at("d", home);
    Box::new(move |turn| {
        let now = Timestamp::from_millis(2_000_000 + turn * 1_000);
        let lat = home.lat() + step * (turn % 2) as f64;
        let position = muster_engine::geo::Position::from_degrees(lat, home.lng());
        let position = position.unwrap_or(home);
        let fix = Fix { position, at: now, accuracy_m: None, speed_mps: None, bearing_deg: None };
        black_box(slot.apply(&fix, now, &limits, &market)).expect("a lawful fix");
    })
}

fn grid_move() -> Box<dyn FnMut(u64)> {
    let city = City::new(DRIVERS, Spread::Clustered);
    let (market, limits, home) = (market(), limits(), fixture::place(7));
    let slot = slot_at("d", home);
    Box::new(move |turn| {
        let now = Timestamp::from_millis(2_000_000 + turn * 1_000);
        let lat = home.lat() + 0.008 * (turn % 2) as f64;
        let position = muster_engine::geo::Position::from_degrees(lat, home.lng());
        let position = position.unwrap_or(home);
        let fix = Fix { position, at: now, accuracy_m: None, speed_mps: None, bearing_deg: None };
        slot.apply(&fix, now, &limits, &market).expect("a lawful fix");
        black_box(city.grid.place(&slot, fixture::supply(DriverStatus::Available)));
    })
}

fn nearest(explains: bool) -> Box<dyn FnMut(u64)> {
    let city = City::new(DRIVERS, Spread::Clustered);
    Box::new(move |turn| {
        let query = NearbyQuery {
            at: fixture::place(turn % TIMES),
            radius: Meters::new(3_000.0),
            limit: 10,
            excluded_max: if explains { 32 } else { 0 },
            live_offers_max: 2,
            now: Timestamp::default(),
            explains,
        };
        let admit = |taken: Option<_>| if taken.is_none() { Ok(()) } else { Err(()) };
        let grid = &city.grid;
        black_box(grid.nearest::<InlineDriverId, _, _>(
            &query,
            |_| (),
            |_, supply, _| admit(supply.taken()),
        ));
    })
}

fn offer() -> Box<dyn FnMut(u64)> {
    let market = Arc::new(market());
    let mut rounds: Vec<Round> = (0..2 * TIMES).map(|_| Round::new(&market)).collect();
    Box::new(move |turn| rounds[turn as usize].run())
}

/// Callgrind counts while this runs, and only then. What is worked out once was, the first time round.
#[inline(never)]
fn counted_section(run: &mut dyn FnMut(u64)) {
    for turn in TIMES..2 * TIMES {
        run(turn);
    }
}

fn count(path: &str) -> anyhow::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_section*")
        .arg(std::env::current_exe()?)
        .args(["--path", path])
        .output()
        .context("valgrind does not run: install it, for example with apt-get")?;
    let log = String::from_utf8_lossy(&output.stderr);
    let line = log.lines().find_map(|line| line.split_once("Collected :"));
    let collected = line.with_context(|| format!("callgrind counted nothing:\n{log}"))?.1;
    Ok(collected.trim().parse::<u64>()? / TIMES)
}

fn baseline_file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../results/instructions.csv")
}

/// The compiler, as it calls itself.
fn compiler() -> anyhow::Result<String> {
    let output = Command::new("rustc").arg("--version").output().context("rustc does not run")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The counts of the file, and the compiler they are of.
fn baseline() -> anyhow::Result<(String, BTreeMap<String, u64>)> {
    let mut rows = csv::Reader::from_path(baseline_file())?;
    let compiler = rows.headers()?.get(1).unwrap_or_default().to_owned();
    let row = |row: Result<(String, u64), csv::Error>| Ok(row?);
    let counts: anyhow::Result<_> = rows.deserialize().map(row).collect();
    Ok((compiler, counts?))
}

fn save(counts: &[(&str, u64)]) -> anyhow::Result<()> {
    let mut file = csv::Writer::from_path(baseline_file())?;
    file.write_record(["instructions per call", &compiler()?])?;
    for (path, count) in counts {
        file.write_record([*path, &count.to_string()])?;
    }
    Ok(file.flush()?)
}

#[expect(clippy::print_stdout, reason = "the table is what the benchmark is for")]
fn main() -> anyhow::Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, path] = &args[..]
        && flag == "--path"
    {
        let found = PATHS.iter().find(|(name, _)| name == path).context("no such path")?;
        let mut run = (found.1)();
        (0..TIMES).for_each(&mut run);
        counted_section(&mut run);
        return Ok(ExitCode::SUCCESS);
    }
    let counts: anyhow::Result<Vec<(&str, u64)>> =
        PATHS.iter().map(|(path, _)| Ok((*path, count(path)?))).collect();
    let counts = counts?;
    if args.iter().any(|arg| arg == "--save") {
        save(&counts)?;
    }
    let (theirs, baseline) = baseline().context("no baseline: make one with -- --save")?;
    let mut worse = Vec::new();
    println!("{:24} {:>12} {:>12}", "instructions per call", "baseline", "now");
    for (path, now) in counts {
        let Some(before) = baseline.get(path) else { bail!("{path} has no baseline: -- --save") };
        println!("{path:24} {before:>12} {now:>12}");
        if now * 1_000 > before * (1_000 + WORSE_PERMILLE_MAX) {
            worse.push(path);
        }
    }
    if worse.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let ours = compiler()?;
    if ours != theirs {
        println!("the baseline is of {theirs}, this is {ours}: not held against each other");
        return Ok(ExitCode::SUCCESS);
    }
    println!("over a tenth more than the baseline: {}", worse.join(", "));
    Ok(ExitCode::FAILURE)
}
