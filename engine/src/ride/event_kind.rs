//! What may happen to a ride.

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// What happened to a ride in one transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RideEventKind {
    /// The rider asked.
    RideRequested,
    /// A scheduled ride began to search, or a retry did.
    SearchStarted,
    /// A wave of offers was planned.
    WaveSent,
    /// The search reached its full radius and found nobody; it looks again until its deadline.
    NoCandidates,
    /// Offers ended without winning.
    OffersEnded,
    /// An offer for a driver who is not asked was planned.
    InstantOffered,
    /// Nobody is left who need not be asked: the search goes on as broadcast.
    InstantEnded,
    /// A driver accepted for a fare and waits for the rider's choice.
    QuoteReceived,
    /// Quotes ended without being chosen.
    QuoteEnded,
    /// The ride has a driver.
    DriverAssigned,
    /// The driver was told that he does not come nearer to the pickup.
    DriverNudged,
    /// The driver is at the pickup.
    DriverArrived,
    /// The rider is on board.
    RideStarted,
    /// Done.
    RideCompleted,
    /// Called off.
    RideCancelled,
    /// The driver lost the ride and it searches again.
    RideReallocated,
    /// A try of a scheduled ride found no driver; it waits for the next.
    TryUnfulfilled,
    /// No driver was found.
    RideUnfulfilled,
    /// The rider goes elsewhere.
    DropoffChanged,
    /// The driver finished the ride before: this one is his now.
    ForwardPromoted,
    /// The ride before got another drop-off; this one waits all the same.
    ForwardUpdated,
    /// The ride before keeps the driver too long; this one searches again.
    ForwardReturned,
    /// A driver entered the one-time password of a waiting ride: it is assigned and under way.
    OtpEntered,
    /// The one-time password of a waiting ride is another one now.
    OtpDrawn,
    /// The driver is far from the pickup: a search for a better one began.
    BetterDriverSearchStarted,
    /// A driver stands by.
    StandbyHeld,
    /// Nobody stands by any more.
    StandbyEnded,
}

impl RideEventKind {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RideRequested => "ride_requested",
            Self::SearchStarted => "search_started",
            Self::WaveSent => "wave_sent",
            Self::NoCandidates => "no_candidates",
            Self::OffersEnded => "offers_ended",
            Self::InstantOffered => "instant_offered",
            Self::InstantEnded => "instant_ended",
            Self::QuoteReceived => "quote_received",
            Self::QuoteEnded => "quote_ended",
            Self::DriverAssigned => "driver_assigned",
            Self::DriverNudged => "driver_nudged",
            Self::DriverArrived => "driver_arrived",
            Self::RideStarted => "ride_started",
            Self::RideCompleted => "ride_completed",
            Self::RideCancelled => "ride_cancelled",
            Self::RideReallocated => "ride_reallocated",
            Self::TryUnfulfilled => "try_unfulfilled",
            Self::RideUnfulfilled => "ride_unfulfilled",
            Self::DropoffChanged => "dropoff_changed",
            Self::ForwardPromoted => "forward_promoted",
            Self::ForwardUpdated => "forward_updated",
            Self::ForwardReturned => "forward_returned",
            Self::OtpEntered => "otp_entered",
            Self::OtpDrawn => "otp_drawn",
            Self::BetterDriverSearchStarted => "better_driver_search_started",
            Self::StandbyHeld => "standby_held",
            Self::StandbyEnded => "standby_ended",
        }
    }
}
