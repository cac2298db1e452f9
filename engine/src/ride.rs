//! The life of a ride request and the ride it becomes.
//!
//! ```text
//! scheduled → searching → assigned → arrived → in_progress → completed
//!                 │  ↑        │          │          │
//!                 │  └────────┴──────────┘          │    reallocation: the driver gave it back
//!                 ├→ unfulfilled (a retry searches again)
//!                 └→ cancelled ←─────────┴──────────┘    from every state but completed
//! ```

mod cancel;
#[cfg(test)]
mod case_tests;
mod command;
mod machine;
#[cfg(test)]
mod machine_tests;
mod progress;
mod record;
mod search;
mod wave;
#[cfg(test)]
mod wave_tests;

pub use command::{Candidate, CandidateQuery, Candidates, RideCommand, RideProgress};
pub use machine::RideMachine;
pub use record::{
    AssignedDriver, Assignment, AttemptOffers, CancelledBy, LiveOffer, OfferCounts, PinnedPolicy,
    RequestKey, RideCommit, RideEventKind, RideRecord, RideRequest, RideStatus, WaveDecision,
    WaveExclusion,
};
pub use search::{classify, find_candidates};
