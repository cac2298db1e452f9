//! How much one node holds: drivers in the memory of one process, and how soon a killed server serves
//! again.

mod memory;
mod recovery;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use self::memory::{MemoryArgs, Resident, Start, measure as memory, resident};
pub use self::recovery::{RecoveryArgs, measure as recovery};

/// How much one node holds.
#[derive(Debug, Clone, Parser)]
#[command(name = "capacity")]
pub struct CapacityArgs {
    /// What is measured.
    #[command(subcommand)]
    pub task: Task,
    /// Keeps the figures in benches/results of the tree in this folder.
    #[arg(long, value_name = "DIR", global = true)]
    pub save: Option<PathBuf>,
    /// How often it is measured; the median counts.
    #[arg(long, value_name = "N", default_value_t = 3, global = true)]
    pub rounds: usize,
}

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
pub enum Task {
    /// Memory of drivers with positions, each number of them in a process of its own.
    Memory(MemoryArgs),
    /// What one such process does: starts drivers and prints what it takes, as JSON.
    #[command(hide = true)]
    Drivers {
        /// How many.
        drivers: usize,
        /// How they come to be.
        #[arg(value_enum)]
        start: Start,
    },
    /// Kills a server with many drivers and open rides, and starts it again.
    Recovery(RecoveryArgs),
}
