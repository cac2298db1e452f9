//! What is to be known of the cells of a market to judge a fix, worked out once for each cell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use crate::geo::{Cell, CellRaster, UnitVector};

/// Cells that are remembered: 128 bytes each. More than that come from fixes outside, of which there
/// is no end.
const LOCALES_MAX: usize = 1 << 20;

/// What is known of one cell of one market.
#[derive(Debug)]
pub(crate) struct Locale {
    /// Which market's, as it stands: one with other zones has another number.
    pub(crate) book: u64,
    pub(crate) cell: Cell,
    pub(crate) centre: UnitVector,
    /// A squared chord from the centre within which every point lies in the cell.
    pub(crate) inscribed_chord_squared: f64,
    /// The whole cell is inside the market.
    pub(crate) interior: bool,
    /// A fix in the cell may lie in a zone that is watched.
    pub(crate) watched: bool,
}

/// The cells of a market as far as somebody was there.
#[derive(Debug)]
pub(super) struct Locales {
    /// Tells these from those of other markets, and of this one with other zones.
    pub(super) book: u64,
    pub(super) raster: Arc<CellRaster>,
    known: DashMap<Cell, Arc<Locale>, FxBuildHasher>,
}

impl Locales {
    /// None is known yet.
    pub(super) fn new(raster: Arc<CellRaster>) -> Self {
        static BOOKS: AtomicU64 = AtomicU64::new(0);
        Self { book: BOOKS.fetch_add(1, Ordering::Relaxed), raster, known: DashMap::default() }
    }

    /// The locale of `cell`; `facts` tells whether it is interior and whether it is watched.
    pub(super) fn of(&self, cell: Cell, facts: impl FnOnce() -> (bool, bool)) -> Arc<Locale> {
        if let Some(known) = self.known.get(&cell) {
            return Arc::clone(&known);
        }
        let (interior, watched) = facts();
        let locale = Arc::new(Locale {
            book: self.book,
            cell,
            centre: cell.centre_unit(),
            inscribed_chord_squared: cell.inscribed_chord_squared(),
            interior,
            watched,
        });
        if self.known.len() < LOCALES_MAX {
            self.known.insert(cell, Arc::clone(&locale));
        }
        locale
    }
}
