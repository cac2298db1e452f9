//! Street networks: `muster roads`, and the networks that markets name.
//!
//! `tables.rs` and `osm.rs` read streets, `speeds.rs` says how fast they are, and `network_file.rs`
//! reads and writes the contracted network.

mod network_file;
mod osm;
mod speeds;
mod tables;

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use muster_engine::roads::{HourProfile, RoadNetwork, Streets};

use crate::cli::{RoadsBuildArgs, RoadsCommand, RoadsInfoArgs};
pub(crate) use network_file::{BUILTIN_MANHATTAN, load};

/// Whom streets of OpenStreetMap are credited to.
pub(crate) const ATTRIBUTION: &str = "© OpenStreetMap contributors";

/// What is wrong with the files that streets are read from, or a network is.
#[derive(Debug, thiserror::Error)]
pub enum RoadsError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A table's header lacks a column.
    #[error("{path}: its header has none of the columns {columns}")]
    Column {
        /// The file.
        path: String,
        /// The names one of which is needed.
        columns: String,
    },
    /// A field cannot be read.
    #[error("{path}, line {line}: {field} is {value:?}, expected is {expected}")]
    Field {
        /// The file.
        path: String,
        /// The line, counted from 1.
        line: u64,
        /// The column.
        field: String,
        /// What it holds.
        value: String,
        /// What it should.
        expected: String,
    },
    /// A file is not what its ending says.
    #[error("{path}: {fact}")]
    Shape {
        /// The file.
        path: String,
        /// What is wrong.
        fact: String,
    },
    /// Factors that are no profile.
    #[error("--hour-factors: {0}")]
    Profile(String),
}

impl RoadsError {
    fn file(path: &Path, error: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), error }
    }

    fn shape(path: &Path, fact: &dyn std::fmt::Display) -> Self {
        Self::Shape { path: path.display().to_string(), fact: fact.to_string() }
    }
}

/// Streets as they were read.
struct ReadStreets {
    streets: Streets,
    /// Segments that lead out of the nodes.
    skipped: usize,
}

/// Runs `muster roads`.
#[expect(clippy::print_stderr, reason = "the command's result")]
pub fn run(command: &RoadsCommand) -> ExitCode {
    let done = match command {
        RoadsCommand::Build(args) => build(args),
        RoadsCommand::Info(args) => info(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("muster roads: {error}");
            ExitCode::from(2)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's progress")]
fn build(args: &RoadsBuildArgs) -> Result<(), RoadsError> {
    let profile = profile(&args.hour_factors)?;
    let ReadStreets { mut streets, skipped } = match (&args.osm, &args.nodes, &args.edges) {
        (Some(extract), _, _) => osm::read(extract)?,
        (None, Some(nodes), Some(edges)) => tables::read(nodes, edges)?,
        (None, _, _) => unreachable!("the command line asks for an extract or two tables"),
    };
    streets.profile = Some(profile);
    let (nodes, segments) = (streets.nodes.len(), streets.segments.len());
    println!("read {nodes} nodes and {segments} street segments");
    if skipped > 0 {
        println!("left out {skipped} segments that lead to nodes which are not there");
    }
    let began = Instant::now();
    let mut tenths = 0;
    let network = RoadNetwork::build(&streets, |done, of| {
        if done * 10 / of > tenths {
            tenths = done * 10 / of;
            println!("contracted {tenths}0 %");
        }
    });
    let source = args.osm.as_ref().or(args.edges.as_ref()).unwrap_or(&args.out);
    let network = network.map_err(|error| RoadsError::shape(source, &error))?;
    println!("built in {:.2} s", began.elapsed().as_secs_f64());
    let bytes = network.to_bytes();
    network_file::write(&args.out, &bytes)?;
    describe(&args.out, &network, bytes.len());
    Ok(())
}

fn info(args: &RoadsInfoArgs) -> Result<(), RoadsError> {
    let bytes = network_file::read(&args.file)?;
    let network = RoadNetwork::from_bytes(&bytes);
    let network = network.map_err(|error| RoadsError::shape(&args.file, &error))?;
    describe(&args.file, &network, bytes.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's result")]
fn describe(path: &Path, network: &RoadNetwork, bytes: usize) {
    let size = network.size();
    println!("{}: {bytes} bytes", path.display());
    println!("  nodes      {}", size.nodes);
    println!("  streets    {}", size.streets);
    println!("  shortcuts  {}", size.shortcuts);
    let lats = || network.positions().iter().map(|position| position.lat());
    let lngs = || network.positions().iter().map(|position| position.lng());
    let least = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::INFINITY, f64::min);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
    let (south, north) = (least(&mut lats()), most(&mut lats()));
    let (west, east) = (least(&mut lngs()), most(&mut lngs()));
    println!("  area       {south:.4}..{north:.4} N, {west:.4}..{east:.4} E");
    let factors = (0..HourProfile::HOURS as u8).map(|hour| network.profile().permille(hour));
    let factors: Vec<String> = factors.map(|f| format!("{}", f64::from(f) / 1_000.0)).collect();
    println!("  speeds     × {} by hour", factors.join(" "));
    println!("  data       {}", network.attribution());
}

/// One factor for all hours, or one for each.
fn profile(factors: &[f64]) -> Result<HourProfile, RoadsError> {
    let all = match factors {
        [one] => vec![*one; HourProfile::HOURS],
        [] => vec![1.0; HourProfile::HOURS],
        many => many.to_vec(),
    };
    HourProfile::new(&all).map_err(|error| RoadsError::Profile(error.to_string()))
}
