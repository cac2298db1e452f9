//! What is said to a market's shadow, and what it hands out and gets back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::geo::Position;
use crate::id::{DriverId, RideId};
use crate::matching::{WindowOutcome, WindowQuery};
use crate::policy::PolicyBook;
use crate::ride::{Candidate, RideRecord, ShadowSearch};
use crate::time::Timestamp;

/// A command to a [`ShadowMachine`](super::ShadowMachine).
#[derive(Debug, Clone, PartialEq)]
pub enum ShadowCommand {
    /// Decide by these policies, or no more. Other ones than before begin with an empty summary.
    Use(Option<Arc<PolicyBook>>),
    /// The newest durable state of a ride of the market.
    Ride(Arc<RideRecord>),
    /// A query is answered.
    Decided(Box<ShadowOutcome>),
    /// A query could not be answered.
    Failed {
        /// Which.
        number: u64,
    },
}

/// Searches to be decided together.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowQuery {
    /// Names the query; grows.
    pub number: u64,
    /// The instant of the decision.
    pub(super) at: Timestamp,
    pub(super) searches: Searches,
    pub(super) fleet: Fleet,
}

impl ShadowQuery {
    /// How many rides it is about.
    pub fn rides(&self) -> usize {
        match &self.searches {
            Searches::Window(window) => window.requests.len(),
            Searches::Alone(rides) => rides.len(),
        }
    }
}

/// What a query looks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Searches {
    /// Drivers for the requests of a dispatch window, together.
    Window(WindowQuery),
    /// A driver for each, one ride after the other.
    Alone(Vec<(RideId, ShadowSearch)>),
}

/// In what the shadow's fleet differs from the real one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Fleet {
    /// Drivers whom the shadow gave a ride.
    pub(super) given: BTreeSet<DriverId>,
    /// Drivers whom a ride holds that the shadow gave to somebody else, or to nobody; and where they
    /// stood when the shadow first looked, since when they drive for that ride.
    pub(super) freed: BTreeMap<DriverId, Option<Position>>,
}

/// The answer to a [`ShadowQuery`].
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowOutcome {
    pub(super) number: u64,
    pub(super) found: Finds,
    /// Where freed drivers stand who were seen for the first time.
    pub(super) stood: BTreeMap<DriverId, Position>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finds {
    /// For a dispatch window.
    Window(WindowOutcome),
    /// For each ride by itself.
    Alone(Vec<(RideId, Option<Candidate>)>),
}
