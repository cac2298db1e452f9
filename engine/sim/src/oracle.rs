//! The judge: knows what was durable, what was told and what was live, and names what broke.
//!
//! | where | invariants |
//! |---|---|
//! | [`durable`], before a transition is kept | M1 M2 M3 M4 M9 M10 M12 M13 M15 |
//! | [`modes`], the same three times, for quotes and assignments without being asked | M2 M3 M4 M8 M13 |
//! | [`standby`], the same for drivers who stand by | M1 M2 M3 M8 M11 M13 |
//! | [`told`], before an effect leaves its machine | M3 M11 M12 M13 |
//! | [`living`], after every step | M1 M2 M5 M6 M7 M8 M14 |
//! | [`windows`], a dispatch window when it is matched, and what rides make of it | M2 M3 M14 |
//! | [`collection`], the choice between drivers who accepted | M3 M14 |
//! | [`queues`], a zone's queue in each of these places | M8 M13 M15 |

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::grid::PositionSnapshot;
use muster_engine::id::OfferId;
use muster_engine::invariant::Invariant;
use muster_engine::time::Timestamp;
use muster_engine::units::Money;

mod attempts;
mod collection;
mod durable;
mod living;
mod modes;
pub(crate) mod queues;
mod standby;
mod told;
mod windows;

/// An invariant that broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
    /// When, in milliseconds after the start of the day.
    pub at_ms: u64,
    /// After how many steps.
    pub step: u64,
}

/// What the judge remembers besides the store's histories.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Offers that were ever live in a durable record.
    offered: BTreeSet<OfferId>,
    /// Offers that ended in a durable record.
    ended: BTreeSet<OfferId>,
    /// Quotes that were ever in a durable record.
    quoted: BTreeMap<OfferId, Money>,
    /// Offers that somebody stood by with in a durable record.
    stood_by: BTreeSet<OfferId>,
    /// The accepts that each ride's machine collects, with when they came.
    collected: BTreeMap<usize, Vec<collection::Accept>>,
    /// The accept that each reserved driver waits for.
    reserved: BTreeMap<usize, OfferId>,
    /// When the newest applied fix of each driver was taken.
    fixes: BTreeMap<usize, Timestamp>,
    /// Applied fixes in a row outside the zone, by driver.
    outside: BTreeMap<usize, u32>,
    /// When such a run was last long enough to say that he left.
    left_at: BTreeMap<usize, Timestamp>,
}

impl Oracle {
    pub(crate) fn forget_reserved(&mut self, driver: usize) {
        self.reserved.remove(&driver);
    }

    pub(crate) fn forget_fixes(&mut self, driver: usize) {
        self.fixes.remove(&driver);
    }

    pub(crate) fn restored(&mut self, driver: usize, snapshot: &PositionSnapshot) {
        self.fixes.insert(driver, snapshot.fix.at);
    }
}
