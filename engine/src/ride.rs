//! The life of a ride request and the ride it becomes.
//!
//! ```text
//! scheduled ⇄ searching → assigned → arrived → in_progress → completed
//!                 │  ↑        │          │          │
//!                 │  └────────┴──────────┘          │    reallocation: the driver gave it back
//!                 ├→ unfulfilled (a retry searches again)
//!                 └→ cancelled ←─────────┴──────────┘    from every state but completed
//! ```

mod asked;
mod assignment;
mod attempts;
#[cfg(test)]
mod attempts_tests;
mod batched;
#[cfg(test)]
mod batched_tests;
mod cancel;
#[cfg(test)]
mod case_tests;
mod collection;
#[cfg(test)]
mod collection_tests;
mod command;
#[cfg(test)]
mod congestion_tests;
mod decision;
mod dropoff;
#[cfg(test)]
mod dropoff_tests;
mod eligibility;
mod event_kind;
mod forward;
mod forward_search;
#[cfg(test)]
mod forward_tests;
mod instant;
#[cfg(test)]
mod instant_tests;
mod machine;
#[cfg(test)]
mod machine_tests;
mod needs;
mod otp;
#[cfg(test)]
mod otp_tests;
mod pickup_times;
#[cfg(test)]
mod pickup_times_tests;
mod pickup_watch;
#[cfg(test)]
mod pickup_watch_tests;
mod pinning;
mod places;
mod progress;
mod queue_search;
#[cfg(test)]
mod queue_search_tests;
mod quotes;
#[cfg(test)]
mod quotes_tests;
mod ranking;
#[cfg(test)]
mod ranking_tests;
mod reallocation;
mod record;
mod scheduled;
mod search;
mod seeking;
mod shadowed;
mod standby;
mod standby_search;
#[cfg(test)]
mod standby_tests;
mod wave;
#[cfg(test)]
mod wave_tests;

pub use attempts::{Attempts, Reallocation, ReallocationCause, ReallocationStage};
pub use command::{
    CandidateQuery, Candidates, ForwardCandidate, ForwardPlaces, OtpEntry, QueueQuery, RideCommand,
    RideProgress,
};
pub use decision::{RankedDriver, WaveDecision, WaveExclusion};
pub(crate) use eligibility::classify_untimed;
pub use eligibility::{classify, suits, suits_untimed, tier_with_least_downgrade};
pub use forward_search::suits_forward;
pub use instant::InstantSearch;
pub use machine::RideMachine;
pub use needs::{CATEGORY_DEFAULT, RideNeeds, attribute};
pub(crate) use pickup_times::{Late, PickupTimes, Times, time_pickups};
pub use places::RidePlaces;
pub use progress::RIDER_NO_SHOW;
pub use quotes::{ENDED_QUOTES_MAX, SELECTION_ASKERS_MAX};
pub use ranking::{
    Candidate, IDLE_FULL_MS, PriorityGroup, RIDES_FULL, RankQuery, RankedCandidate, ScoreTerms,
    rank,
};
pub use reallocation::{DRIVER_LOST, DRIVER_NO_SHOW, OPERATOR_REASSIGNED};
pub use record::{
    AssignedDriver, Assignment, AttemptOffers, CancelledBy, LiveOffer, OfferCounts, PinnedPolicy,
    RequestKey, RideCommit, RideEventKind, RideRecord, RideRequest, RideStatus,
};
pub use search::find_candidates;
pub(crate) use search::{hold, search_nearest};
pub(crate) use shadowed::ShadowSearch;
