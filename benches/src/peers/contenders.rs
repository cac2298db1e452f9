//! Who is compared, and what each must be able to do.

use muster_engine::geo::Position;
use muster_engine_benches::contender::Contender;
use muster_engine_benches::muster::Muster;
use muster_engine_benches::plain::{CellMap, Tree};
use muster_engine_benches::workload::Move;

use super::served;

/// A contender that is not on this machine, and what is missing.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Missing(pub String);

/// An index of drivers' positions that each thread may have to connect to.
pub trait Peer: Sync {
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
    /// The nearest free drivers to a place, nearest first; the answer replaces what `found` held.
    ///
    /// # Errors
    /// When the contender fails.
    fn nearest(&mut self, to: Position, found: &mut Vec<usize>) -> anyhow::Result<()>;
}

/// A contender of this process, where a thread needs no connection.
struct InProcess(Box<dyn Contender>);

impl Peer for InProcess {
    fn batches(&self) -> &'static [usize] {
        self.0.batches()
    }

    fn writer(&self) -> anyhow::Result<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> anyhow::Result<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }
}

impl Writer for &InProcess {
    fn apply(&mut self, moves: &[Move]) -> anyhow::Result<()> {
        self.0.apply_all(moves)
    }
}

impl Reader for &InProcess {
    fn nearest(&mut self, to: Position, found: &mut Vec<usize>) -> anyhow::Result<()> {
        self.0.nearest(to, found);
        Ok(())
    }
}

/// Starts a contender for so many drivers.
type Start = fn(usize) -> Result<Box<dyn Peer>, Missing>;

fn in_process(contender: impl Contender + 'static) -> Result<Box<dyn Peer>, Missing> {
    Ok(Box::new(InProcess(Box::new(contender))))
}

/// All of them; the first is what the others are compared with.
pub(super) const ALL: [(&str, Start); 6] = [
    ("muster", |drivers| {
        in_process(Muster::new(drivers).map_err(|error| Missing(error.to_string()))?)
    }),
    ("cells in a DashMap", |drivers| in_process(CellMap::new(drivers))),
    ("RwLock<RTree>", |_| in_process(Tree::default())),
    ("Redis GEO", |_| served::redis()),
    ("Tile38", |_| served::tile38()),
    ("PostGIS", |_| served::postgis()),
];
