//! What a store may forget, and what it forgot.

use muster_engine::time::Timestamp;

/// What may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Idempotent answers given before this instant.
    pub answers_before: Timestamp,
    /// Decisions taken before this instant.
    pub decisions_before: Timestamp,
    /// Rides that ended before this instant, with their history and decisions. Open rides stay.
    pub rides_before: Timestamp,
    /// What a relay has not published stays although it is due, unless it is from before this instant.
    pub unpublished_before: Timestamp,
}

/// What a call of prune forgot, in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Idempotent answers.
    pub answers: u64,
    /// Decisions.
    pub decisions: u64,
    /// Transitions in the history of rides.
    pub ride_events: u64,
    /// Rides.
    pub rides: u64,
    /// What happened to the queues of zones.
    pub zone_events: u64,
}

impl Pruned {
    /// All rows together; 0 means that nothing is left to prune.
    pub const fn total(self) -> u64 {
        self.answers + self.decisions + self.ride_events + self.rides + self.zone_events
    }
}
