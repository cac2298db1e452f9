//! Domain events: what happened, in past tense. Metrics and logs are made from them.

use crate::forward::ForwardOutcome;
use crate::id::MarketId;
use crate::invariant::Invariant;
use crate::matching::WindowFacts;
use crate::offer::{Exclusion, OfferEnd, QuoteEnd, StandbyOutcome};
use crate::ride::CancelledBy;
use crate::shadow::ShadowEvent;
use crate::zone::ZoneEventKind;

/// Something that happened in `market`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where.
    pub market: MarketId,
    /// What.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// A rider asked for a ride.
    RideRequested,
    /// A wave of `size` offers went out.
    WaveSent {
        /// Offers in the wave.
        size: u32,
    },
    /// Drivers fell out of a wave's candidates for this reason.
    CandidatesExcluded {
        /// Why.
        reason: Exclusion,
        /// How many drivers.
        count: u32,
    },
    /// An offer ended `after_ms` after it was made.
    OfferEnded {
        /// How.
        end: OfferEnd,
        /// Age of the offer in milliseconds.
        after_ms: u64,
    },
    /// A driver accepted an offer that another driver won.
    AcceptanceLost,
    /// A driver accepted for a fare; the rider chooses.
    QuoteReceived,
    /// A quote ended.
    QuoteEnded {
        /// How.
        end: QuoteEnd,
    },
    /// A ride has its driver.
    RideAssigned {
        /// Milliseconds since the request (or since a scheduled ride's search began).
        after_ms: u64,
        /// Estimated seconds to the pickup.
        pickup_eta_s: u32,
    },
    /// A driver arrived at the pickup.
    DriverArrived,
    /// A driver who did not come nearer to the pickup was told so.
    DriverNudged,
    /// A ride began.
    RideStarted,
    /// A ride was completed.
    RideCompleted,
    /// A ride was cancelled.
    RideCancelled {
        /// By whom.
        by: CancelledBy,
    },
    /// A search ended without a driver.
    RideUnfulfilled {
        /// `search_limit`, `wave_limit` or `reallocation_limit`.
        reason: &'static str,
    },
    /// A driver lost a ride before its start; `retried` tells whether a new attempt began.
    RideGivenBack {
        /// Whether a new attempt began.
        retried: bool,
    },
    /// A step of forward dispatch.
    Forward {
        /// Which.
        outcome: ForwardOutcome,
    },
    /// A step of a driver who stands by.
    Standby {
        /// Which.
        outcome: StandbyOutcome,
    },
    /// What became of a ride or one of its searches under an experiment, told beside the event that
    /// says so.
    ExperimentRide {
        /// `experiment/arm`.
        arm: String,
        /// What became of it.
        outcome: ExperimentOutcome,
    },
    /// A dispatch window was matched.
    WindowMatched {
        /// How it came out.
        facts: WindowFacts,
    },
    /// The shadow policy was compared with the real one over a ride, or was not.
    Shadow(ShadowEvent),
    /// Rides that waited for a dispatch window look for themselves.
    WindowBypassed {
        /// How many.
        rides: u32,
        /// `full` or `failed`.
        reason: &'static str,
    },
    /// A zone's queue changed.
    QueueChanged {
        /// How.
        change: ZoneEventKind,
    },
    /// A machine found an invariant broken in itself.
    InvariantViolated(Invariant),
}

/// What is compared between the arms of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentOutcome {
    /// The ride was asked for.
    Requested,
    /// A driver won it.
    Assigned,
    /// A search ended without a driver.
    Unfulfilled,
    /// It was cancelled.
    Cancelled,
}

impl ExperimentOutcome {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Assigned => "assigned",
            Self::Unfulfilled => "unfulfilled",
            Self::Cancelled => "cancelled",
        }
    }
}

impl EventKind {
    /// What this event means to an experiment; nothing for most.
    pub const fn experiment_outcome(&self) -> Option<ExperimentOutcome> {
        match self {
            Self::RideRequested => Some(ExperimentOutcome::Requested),
            Self::RideAssigned { .. } => Some(ExperimentOutcome::Assigned),
            Self::RideUnfulfilled { .. } => Some(ExperimentOutcome::Unfulfilled),
            Self::RideCancelled { .. } => Some(ExperimentOutcome::Cancelled),
            Self::WaveSent { .. }
            | Self::CandidatesExcluded { .. }
            | Self::OfferEnded { .. }
            | Self::AcceptanceLost
            | Self::QuoteReceived
            | Self::QuoteEnded { .. }
            | Self::DriverArrived
            | Self::DriverNudged
            | Self::RideStarted
            | Self::RideCompleted
            | Self::RideGivenBack { .. }
            | Self::Forward { .. }
            | Self::Standby { .. }
            | Self::ExperimentRide { .. }
            | Self::QueueChanged { .. }
            | Self::WindowMatched { .. }
            | Self::WindowBypassed { .. }
            | Self::Shadow(_)
            | Self::InvariantViolated(_) => None,
        }
    }
}
