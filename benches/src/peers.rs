//! Muster's supply index beside what a team would otherwise use, on one machine in one run.
//!
//! Every contender gets the same drivers, the same moves and the same questions. Moves come in batches
//! where a contender gains by it, over one or two connections; the best of all such ways counts. Before
//! anything is timed, each must answer like a brute-force search.

mod contenders;
mod measure;
mod memory;
mod report;
mod served;
mod workload;

pub use self::contenders::{Contender, Missing, Reader, Writer};
pub use self::measure::{Figures, measure};
pub use self::report::{PeersReport, Row};
pub use self::workload::{Drivers, Move};

use clap::Args;

/// `peers`
#[derive(Debug, Clone, Args)]
pub struct PeersArgs {
    /// Drivers in the city.
    #[arg(long, default_value_t = 20_000)]
    pub drivers: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 2.0)]
    pub seconds: f64,
    /// How often everything is measured; the median counts, least and most are told.
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Only contenders whose names contain one of these.
    #[arg(long, value_delimiter = ',')]
    pub only: Vec<String>,
    /// Writes the tables as Markdown.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<std::path::PathBuf>,
}

/// Measures every contender that is there.
///
/// # Errors
/// When one answers wrongly, or fails while it is measured.
pub fn run(args: &PeersArgs) -> anyhow::Result<PeersReport> {
    let drivers = Drivers::new(args.drivers);
    let wanted = |name: &str| {
        args.only.is_empty() || args.only.iter().any(|only| name.contains(only.as_str()))
    };
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for (name, start) in contenders::ALL {
        if !wanted(name) {
            continue;
        }
        match start(&drivers) {
            Ok(contender) => rows.push(Row {
                name,
                figures: measure(contender.as_ref(), &drivers, args.seconds, args.rounds)?,
            }),
            Err(Missing(fact)) => missing.push((name, fact)),
        }
    }
    Ok(PeersReport { drivers: args.drivers, rounds: args.rounds, rows, missing })
}
