//! Muster's supply index beside what a team would otherwise use, on one machine in one run.
//!
//! Every contender gets the same drivers, the same moves and the same questions: those of the tool `index`,
//! from which the contenders of this process are, too. Moves come in batches where a contender gains by it,
//! over one or more connections; the best of all such ways counts. Before anything is timed, each must
//! answer like a brute-force search.

mod contenders;
mod measure;
mod report;
mod served;

use std::time::Duration;

use clap::Args;
use muster_engine_benches::workload::{Drivers, Spread};
use muster_figures::Suite;

pub use self::contenders::{Missing, Peer, Reader, Writer};
pub use self::measure::{Bout, Figures, Way};
pub use self::report::{City, suite};

/// `peers`
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Drivers in the city; several cities one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [20_000, 100_000])]
    pub drivers: Vec<usize>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// How often everything is measured; the median counts, least and most are told.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Only contenders whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Keeps the figures in benches/results of the tree in this folder.
    #[arg(long, value_name = "DIR")]
    pub save: Option<std::path::PathBuf>,
}

/// Measures every contender that is there.
///
/// # Errors
/// When one answers wrongly, or fails while it is measured.
pub fn run(args: &PeersArgs) -> anyhow::Result<Suite> {
    let cities: anyhow::Result<Vec<City>> =
        args.drivers.iter().map(|drivers| city(args, *drivers)).collect();
    Ok(suite(&cities?))
}

fn city(args: &PeersArgs, count: usize) -> anyhow::Result<City> {
    let drivers = Drivers::new(count, Spread::Clustered, 1)?;
    let wanted = |name: &str| {
        args.only.is_empty() || args.only.iter().any(|only| name.contains(only.as_str()))
    };
    let (mut bouts, mut missing) = (Vec::new(), Vec::new());
    for (name, start) in contenders::ALL {
        if wanted(name) {
            match start(count) {
                Ok(contender) => bouts.push((name, Bout::begin(contender, &drivers)?)),
                Err(Missing(fact)) => missing.push((name, fact)),
            }
        }
    }
    let time = Duration::from_secs_f64(args.seconds);
    for _ in 0..args.rounds {
        for (_, bout) in &mut bouts {
            bout.round(time)?;
        }
    }
    let rows = bouts.into_iter().map(|(name, bout)| (name, bout.way, bout.figures)).collect();
    Ok(City { drivers: count, rows, missing })
}
