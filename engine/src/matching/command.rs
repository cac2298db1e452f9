//! What is said to a market's matcher, and what it hands out and gets back.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::id::RideId;
use crate::matching::cost::PairTerms;
use crate::ride::{CandidateQuery, Candidates};
use crate::time::Timestamp;

/// A command to a [`MarketMachine`](super::MarketMachine).
#[derive(Debug, Clone, PartialEq)]
pub enum MarketCommand {
    /// A ride waits for the next window, or still does.
    Join(Box<WindowRequest>),
    /// A ride waits no longer.
    Leave {
        /// The ride.
        ride: RideId,
        /// The newest of its registrations that are void.
        join: u64,
    },
    /// A window is matched.
    Matched(Box<WindowOutcome>),
    /// A window could not be matched.
    Failed {
        /// The window.
        number: u64,
    },
}

/// A ride's place in a window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowRequest {
    /// The ride.
    pub ride: RideId,
    /// Names the registration; the ride takes an answer to no other. Grows.
    pub join: u64,
    /// Since when the rider has waited.
    pub waiting_since: Timestamp,
    /// What the ride asks of a driver.
    pub query: CandidateQuery,
}

/// A window that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowQuery {
    /// Its number; grows within a market, also over restarts.
    pub number: u64,
    /// When it closed.
    pub closed_at: Timestamp,
    /// Who waits.
    pub requests: Vec<WindowRequest>,
}

/// What became of a window.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowOutcome {
    /// The window.
    pub number: u64,
    /// What is told of it.
    pub facts: WindowFacts,
    /// What each request gets.
    pub matches: Vec<WindowMatch>,
}

/// What a request gets from a window: one driver, or several to be asked at once, or nobody.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowMatch {
    /// The ride.
    pub ride: RideId,
    /// The registration that is answered.
    pub join: u64,
    /// The drivers, as `found` or `forward`, with a slot of each held; and who was considered.
    pub candidates: Candidates,
}

/// What is told of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct WindowFacts {
    /// Its number.
    pub number: u64,
    /// Requests in it.
    pub requests: u32,
    /// Drivers who were candidates of any of them.
    pub drivers: u32,
    /// Pairs that could have been matched.
    pub pairs: u32,
    /// Requests that got a driver.
    pub served: u32,
    /// Whether no matching of these pairs costs less.
    pub optimal: bool,
    /// By how many milliseconds in all the matching can be beaten at most.
    pub gap_ms: i64,
    /// The longest time to the pickup in seconds, where it depends on the window: the one of the
    /// request that a decision is about, or the tightest of the window.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub pickup_eta_cap_s: Option<u32>,
    /// What the pair that a decision is about consists of; nothing for a request that got nobody.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub pair: Option<PairTerms>,
}
