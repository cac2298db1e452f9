//! What came of one ride, for real and in the shadow.

use crate::id::{DriverId, RideId};
use crate::matching::PairTerms;
use crate::policy::DispatchMode;
use crate::time::Timestamp;
use crate::units::EtaSeconds;

/// How a ride's first search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RideEnd {
    /// It has not.
    #[default]
    Open,
    /// With a driver.
    Served,
    /// Without one.
    Unserved,
    /// The ride was called off meanwhile.
    Cancelled,
}

impl RideEnd {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Served => "served",
            Self::Unserved => "unserved",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What came of a ride's first search by one of the two policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Side {
    /// How it ended.
    pub end: RideEnd,
    /// The driver who has the ride, or would.
    pub driver: Option<DriverId>,
    /// His estimated time to the pickup.
    pub pickup_eta: Option<EtaSeconds>,
    /// From the search's beginning until it had decided on a driver: until the first offer.
    pub decided_after_ms: Option<u64>,
    /// From the search's beginning until a driver had accepted; a shadow asks nobody.
    pub assigned_after_ms: Option<u64>,
}

/// A ride by both policies.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The ride.
    pub ride: RideId,
    /// When its search began.
    pub search_began_at: Timestamp,
    /// The shadow's mode.
    pub mode: DispatchMode,
    /// For real.
    pub real: Side,
    /// By the shadow.
    pub shadow: Side,
    /// What the shadow's pair costs, in batched mode.
    pub pair: Option<PairTerms>,
}

impl Comparison {
    /// Whether both ended with the same driver.
    pub fn same_driver(&self) -> bool {
        self.served_by_both() && self.real.driver == self.shadow.driver
    }

    /// Whether both found a driver.
    pub fn served_by_both(&self) -> bool {
        self.real.end == RideEnd::Served && self.shadow.end == RideEnd::Served
    }

    /// Whether both came to an end.
    pub fn is_complete(&self) -> bool {
        self.real.end != RideEnd::Open && self.shadow.end != RideEnd::Open
    }
}

/// What a shadow tells metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum ShadowEvent {
    /// A ride came to its end by both policies.
    Compared(Box<Comparison>),
    /// A ride was not followed, for as many were as may be.
    Skipped,
}
