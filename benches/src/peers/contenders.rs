//! Who is compared, and what each must be able to do.

use super::workload::{Drivers, Move};
use super::{memory, served};
use crate::city::Place;

/// A contender that is not on this machine, and what is missing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// An index of drivers' positions.
pub trait Contender: Sync {
    /// Moves that one call of a writer may take, smallest first.
    fn batches(&self) -> &'static [usize];

    /// How many writers at once may be the fastest: threads, each with a connection of its own where
    /// there are any. One a core of the smallest machine, unless writers wait for somebody else.
    fn writers(&self) -> &'static [usize] {
        &[1, 2]
    }

    /// All drivers are there: whatever one who knows the contender does after filling it.
    ///
    /// # Errors
    /// When the contender fails.
    fn filled(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// A writer of its own for one thread: a connection, where there are any.
    ///
    /// # Errors
    /// When it cannot be made.
    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>>;

    /// A reader of its own for one thread.
    ///
    /// # Errors
    /// When it cannot be made.
    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>>;
}

/// Moves drivers.
pub trait Writer {
    /// Returns once all moves are visible to questions.
    ///
    /// # Errors
    /// When the contender fails.
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()>;
}

/// Asks for drivers.
pub trait Reader {
    /// The nearest drivers to a place, nearest first.
    ///
    /// # Errors
    /// When the contender fails.
    fn nearest(&mut self, to: Place) -> anyhow::Result<Vec<usize>>;
}

type Start = fn(&Drivers) -> Result<Box<dyn Contender>, Missing>;

/// All of them; the first is what the others are compared with.
pub(super) const ALL: [(&str, Start); 6] = [
    ("muster", memory::muster),
    ("cells in a DashMap", memory::cell_map),
    ("RwLock<RTree>", memory::tree),
    ("Redis GEO", served::redis),
    ("Tile38", served::tile38),
    ("PostGIS", served::postgis),
];
