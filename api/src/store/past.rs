//! What the edges read of the past: pages of rides, histories, decisions.

use std::fmt;
use std::str::FromStr;

use muster_engine::id::{DriverId, MarketId, RideId};
use muster_engine::ride::{RideEventKind, RideRecord, RideStatus, WaveDecision};
use muster_engine::time::Timestamp;

/// Rows that one read answers at most.
pub const READ_ROWS_MAX: u32 = 1_000;
/// Which rides to list; nothing set = all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RideFilter {
    /// Only rides of this market.
    pub market: Option<MarketId>,
    /// Only rides in this status.
    pub status: Option<RideStatus>,
}

/// Where a page ended. Its text is opaque to clients and safe in a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RideCursor {
    /// When the last ride of the page was requested.
    pub requested_at: Timestamp,
    /// The last ride of the page.
    pub ride: RideId,
}

/// The text is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one that a page of rides ended with")]
pub struct CursorError;

impl fmt::Display for RideCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}.{}", self.requested_at.as_millis(), self.ride)
    }
}

impl FromStr for RideCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (ms, ride) = text.split_once('.').ok_or(CursorError)?;
        let ms = u64::from_str_radix(ms, 16).map_err(|_not_hex| CursorError)?;
        let ride = RideId::new(ride).map_err(|_not_an_id| CursorError)?;
        Ok(Self { requested_at: Timestamp::from_millis(ms), ride })
    }
}

/// A page of rides, newest request first.
#[derive(Debug, Clone, PartialEq)]
pub struct RidePage {
    /// The rides.
    pub rides: Vec<RideRecord>,
    /// Where the next page begins, if there is one.
    pub next: Option<RideCursor>,
}

impl RidePage {
    /// The first `limit` of `found`, which has one ride more if there is a next page.
    pub fn of(mut found: Vec<RideRecord>, limit: usize) -> Self {
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| RideCursor {
            requested_at: last.request.requested_at,
            ride: last.request.ride.clone(),
        });
        Self { rides: found, next }
    }
}

/// One transition in a ride's history.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRideEvent {
    /// The place among all transitions of all rides.
    pub event_id: u64,
    /// The place in this ride's history: the ride's version.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: RideEventKind,
    /// The ride after it.
    pub record: RideRecord,
}

/// Decisions looked at, newest first, for those that name a driver: some 100 MB.
pub const LOOKED_AT_MAX: u32 = 50_000;

/// Decisions that name a driver, told at most.
pub const NAMING_MAX: u32 = 500;

/// What was decided about a driver.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverDecisions {
    /// The rides and the decisions, newest first.
    pub decisions: Vec<(RideId, WaveDecision)>,
    /// Whether these are all there are.
    pub complete: bool,
}

impl DriverDecisions {
    /// Those of `decisions`, newest first, that name `driver`; `all_seen` tells whether there are no
    /// older ones.
    pub fn of(
        driver: &DriverId,
        decisions: impl Iterator<Item = (RideId, WaveDecision)>,
        all_seen: bool,
    ) -> Self {
        let mut naming: Vec<_> = decisions.filter(|(_, one)| one.names(driver)).collect();
        let complete = all_seen && naming.len() <= NAMING_MAX as usize;
        naming.truncate(NAMING_MAX as usize);
        Self { decisions: naming, complete }
    }
}
