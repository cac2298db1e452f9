//! `muster values train`: makes a table of what places and times of day are worth, of a store or of
//! trips in a file.

mod database;
mod trips;

use std::path::Path;
use std::process::ExitCode;

use muster_engine::geo::CellResolution;
use muster_engine::id::MarketId;
use muster_engine::matching::{DrivenRide, Trained, ValueSpec, train, transitions_of};

use crate::cli::{TrainArgs, ValuesArgs, ValuesCommand};
use crate::config::{Config, ConfigError};
use crate::store::Location;

/// Rides that a table is made of at most.
pub const RIDES_MAX: usize = 5_000_000;
/// Exit code of bad configuration or arguments.
const EXIT_ARGUMENTS: u8 = 2;

/// Why no table was made.
#[derive(Debug, thiserror::Error)]
enum TrainError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("--market is {0}, allowed is a market of the configuration")]
    Market(String),
    #[error("--{option} is {found}, allowed is {allowed}")]
    Argument { option: String, found: String, allowed: String },
    #[error("{path}: {error}")]
    Database { path: String, error: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}, line {line}: {error}")]
    Row { path: String, line: u64, error: String },
    #[error("store.url cannot be read")]
    NoStore,
    #[error("more than {RIDES_MAX} rides")]
    TooMany,
    #[error("there are no completed rides to learn from")]
    NoRides,
}

/// Makes the table and prints what it was made of.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the command's result")]
pub fn run(args: &ValuesArgs) -> ExitCode {
    let ValuesCommand::Train(args) = &args.command;
    match trained(args) {
        Ok(summary) => {
            print!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("muster values train: {error}");
            let bad = matches!(
                error,
                TrainError::Config(_) | TrainError::Market(_) | TrainError::Argument { .. }
            );
            ExitCode::from(if bad { EXIT_ARGUMENTS } else { 1 })
        }
    }
}

fn trained(args: &TrainArgs) -> Result<String, TrainError> {
    let default = Path::new("config.toml");
    let file = args.config.as_deref().or_else(|| default.is_file().then_some(default));
    let config = Config::load(file)?;
    let unknown = || TrainError::Market(args.market.clone());
    let section = config.markets.get(&args.market).ok_or_else(unknown)?;
    let market = MarketId::new(&args.market).map_err(|_| unknown())?;
    let spec = spec(args, section.utc_offset_min)?;
    let mut rides: Vec<DrivenRide> = Vec::new();
    if let Some(path) = &args.database {
        let location = Location::Sqlite { path: path.clone(), thread_nice: 0 };
        rides.extend(database::rides(&location, &market)?);
    }
    if args.store {
        let location = config.store.location(&args.data).ok_or(TrainError::NoStore)?;
        rides.extend(database::rides(&location, &market)?);
    }
    if let Some(path) = &args.trips {
        let mut policy = config.policy.clone();
        policy.apply(&section.policy);
        rides.extend(trips::rides(path, &policy, section.utc_offset_min)?);
    }
    if rides.len() > RIDES_MAX {
        return Err(TrainError::TooMany);
    }
    if rides.is_empty() {
        return Err(TrainError::NoRides);
    }
    let trained = train(spec, transitions_of(rides, spec.resolution));
    let written = std::fs::write(&args.output, trained.table.to_string());
    let path = args.output.display().to_string();
    written.map_err(|error| TrainError::File { path: path.clone(), error })?;
    Ok(summary(&trained, &path))
}

fn spec(args: &TrainArgs, utc_offset_min: i32) -> Result<ValueSpec, TrainError> {
    let resolution = CellResolution::new(args.resolution).map_err(|_| TrainError::Argument {
        option: "resolution".to_owned(),
        found: args.resolution.to_string(),
        allowed: "0..=15".to_owned(),
    })?;
    let (bucket_s, discount_permille) = (args.bucket_s, args.discount_permille);
    let spec = ValueSpec { resolution, bucket_s, discount_permille, utc_offset_min };
    spec.checked().map_err(|error| TrainError::Argument {
        option: error.field.replace('_', "-"),
        found: error.found,
        allowed: error.allowed.to_owned(),
    })
}

fn summary(trained: &Trained, path: &str) -> String {
    let Trained { table, rides, waits, states } = trained;
    let (places, spec) = (table.places(), table.spec());
    let (resolution, times) = (spec.resolution.number(), spec.buckets());
    let highest_s = table.highest_s();
    format!(
        "rides         {rides}\n\
         waits         {waits}\n\
         places        {places} (H3 resolution {resolution})\n\
         times of day  {times} of {} s\n\
         seen          {states} places and times; the others are worth waiting there\n\
         highest       {highest_s:.0} s with riders\n\
         written       {path}\n",
        spec.bucket_s
    )
}
