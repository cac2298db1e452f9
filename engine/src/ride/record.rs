//! The durable state of a ride: everything its machine knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::forward::ForwardLink;
use crate::geo::Position;
use crate::id::{DriverId, MarketId, OfferId, RideId, RiderId, ServiceTierId};
use crate::offer::{OfferKind, Quote, QuoteEnd, Standby};
use crate::origin::Origin;
use crate::policy::{AttemptKind, DispatchMode};
use crate::ride::attempts::Attempts;
use crate::ride::decision::WaveDecision;
pub use crate::ride::event_kind::RideEventKind;
use crate::ride::instant::InstantSearch;
use crate::time::Timestamp;
use crate::travel::EtaSource;
use crate::units::{EtaSeconds, Meters, Money};

/// What the rider asked for; validated at the edge, immutable after.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct RideRequest {
    /// The ride.
    pub ride: RideId,
    /// Who asks.
    pub rider: RiderId,
    /// The market whose boundary contains the pickup.
    pub market: MarketId,
    /// Where the rider waits.
    pub pickup: Position,
    /// Where the rider goes; may lie outside the market.
    pub dropoff: Option<Position>,
    /// Tiers the rider takes, any of them; never empty.
    pub service_tiers: Vec<ServiceTierId>,
    /// The fare, computed elsewhere.
    pub fare: Option<Money>,
    /// The tip promised with the request.
    pub tip: Option<Money>,
    /// When the rider wants to leave, if not now.
    pub pickup_at: Option<Timestamp>,
    /// Facts of the platform, shown back; dispatch reads those named in [`attribute`](super::attribute).
    pub attributes: BTreeMap<String, String>,
    /// Tags the driver must carry.
    pub require_tags: Vec<String>,
    /// Tags the driver must not carry.
    #[cfg_attr(feature = "serde", serde(default))]
    pub forbid_tags: Vec<String>,
    /// Drivers who are never offered this ride.
    pub blocked_drivers: BTreeSet<DriverId>,
    /// Drivers the rider prefers.
    pub favourite_drivers: BTreeSet<DriverId>,
    /// When the request was received.
    pub requested_at: Timestamp,
    /// Secret bits drawn by the shell; the one-time password comes from them.
    pub entropy: u64,
    /// The idempotency key the request came with.
    pub request_key: Option<RequestKey>,
    /// The call it came with; what the ride does by itself goes back to it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub origin: Option<Arc<Origin>>,
}

impl RideRequest {
    /// A request to leave now, with no wish and no fact beside; its secret is not one
    /// until `entropy` is drawn.
    pub const fn plain(
        ride: RideId,
        rider: RiderId,
        market: MarketId,
        pickup: Position,
        service_tiers: Vec<ServiceTierId>,
        requested_at: Timestamp,
    ) -> Self {
        Self {
            ride,
            rider,
            market,
            pickup,
            dropoff: None,
            service_tiers,
            fare: None,
            tip: None,
            pickup_at: None,
            attributes: BTreeMap::new(),
            require_tags: Vec::new(),
            forbid_tags: Vec::new(),
            blocked_drivers: BTreeSet::new(),
            favourite_drivers: BTreeSet::new(),
            requested_at,
            entropy: 0,
            request_key: None,
            origin: None,
        }
    }
}

/// An idempotency key with the fingerprint of the request it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct RequestKey {
    /// The client's key.
    pub key: String,
    /// A hash of method, path and body.
    pub fingerprint: String,
}

/// Where a ride stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum RideStatus {
    /// Waits until its search begins.
    Scheduled,
    /// Looks for a driver.
    Searching,
    /// A driver is on the way.
    Assigned,
    /// The driver waits at the pickup.
    Arrived,
    /// The rider is on board.
    InProgress,
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// No driver was found.
    Unfulfilled,
}

impl RideStatus {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Searching => "searching",
            Self::Assigned => "assigned",
            Self::Arrived => "arrived",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Unfulfilled => "unfulfilled",
        }
    }

    /// All of them, in the order of a ride's life.
    pub const ALL: [Self; 8] = [
        Self::Scheduled,
        Self::Searching,
        Self::Assigned,
        Self::Arrived,
        Self::InProgress,
        Self::Completed,
        Self::Cancelled,
        Self::Unfulfilled,
    ];

    /// Whether the ride is over (an unfulfilled one can still be retried).
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Cancelled | Self::Unfulfilled => true,
            Self::Scheduled
            | Self::Searching
            | Self::Assigned
            | Self::Arrived
            | Self::InProgress => false,
        }
    }

    /// Whether a driver serves the ride.
    pub const fn has_driver(self) -> bool {
        match self {
            Self::Assigned | Self::Arrived | Self::InProgress => true,
            Self::Scheduled
            | Self::Searching
            | Self::Completed
            | Self::Cancelled
            | Self::Unfulfilled => false,
        }
    }
}

/// Who called a ride off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum CancelledBy {
    /// The rider.
    Rider,
    /// The driver.
    Driver,
    /// A person at the operator.
    Operator,
}

impl CancelledBy {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rider => "rider",
            Self::Driver => "driver",
            Self::Operator => "operator",
        }
    }
}

/// An offer that is live, as its ride remembers it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct LiveOffer {
    /// The driver asked.
    pub driver: DriverId,
    /// The tier he would serve.
    pub service_tier: ServiceTierId,
    /// Straight-line distance when planned.
    pub distance: Meters,
    /// Estimated time to the pickup when planned.
    pub pickup_eta: EtaSeconds,
    /// What that comes from.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "EtaSource::is_great_circle")
    )]
    pub eta_source: EtaSource,
    /// When planned.
    pub offered_at: Timestamp,
    /// From when the driver sees it; records from before this was kept say the beginning of time.
    #[cfg_attr(feature = "serde", serde(default))]
    pub visible_at: Timestamp,
    /// When dead.
    pub expires_at: Timestamp,
    /// What the ride would follow, when the driver is on another one.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub forward: Option<ForwardLink>,
    /// What an accept does.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_plain"))]
    pub kind: OfferKind,
    /// The driver's answer, which waits for the rider.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub quote: Option<Quote>,
    /// What it costs that this driver serves the ride, in milliseconds to the pickup, where a dispatch
    /// window has more than one asked.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub cost_ms: Option<i64>,
    /// The driver's yes to standing by.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub standby: Option<Standby>,
}

impl LiveOffer {
    /// When the driver accepted it, if he waits since.
    pub fn answered_at(&self) -> Option<Timestamp> {
        let quoted_at = self.quote.as_ref().map(|quote| quote.quoted_at);
        quoted_at.or_else(|| self.standby.as_ref().map(|standby| standby.accepted_at))
    }
}

/// Most offers are: their kind is not worth its bytes.
#[cfg(feature = "serde")]
fn is_plain(kind: &OfferKind) -> bool {
    *kind == OfferKind::Ride
}

/// How many offers this ride has made over all attempts, by their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct OfferCounts {
    /// Made at all.
    pub sent: u32,
    /// Accepted and won.
    pub accepted: u32,
    /// Declined by the driver.
    pub declined: u32,
    /// Run out.
    pub expired: u32,
    /// Taken back.
    pub withdrawn: u32,
}

/// What the drivers of one attempt say to it; later waves follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct AttemptOffers {
    /// Offers that reached a driver's machine, as far as the ride knows.
    pub sent: u32,
    /// Those the driver declined.
    pub declined: u32,
}

/// A driver's assignment to this ride.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Assignment {
    /// The offer that won.
    pub offer: OfferId,
    /// The driver.
    pub driver: AssignedDriver,
    /// Straight-line distance to the pickup when offered.
    pub distance: Meters,
    /// Estimated time to the pickup when offered.
    pub pickup_eta: EtaSeconds,
    /// What that comes from.
    #[cfg_attr(
        feature = "serde",
        serde(default, skip_serializing_if = "EtaSource::is_great_circle")
    )]
    pub eta_source: EtaSource,
    /// When the accept won.
    pub assigned_at: Timestamp,
    /// When he was last told that he does not come nearer to the pickup.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub nudged_at: Option<Timestamp>,
    /// What the ride follows, until its driver has finished that.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub forward: Option<ForwardLink>,
    /// The fare of the quote that won; without one the requested fare holds.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub fare: Option<Money>,
}

/// What the rider learns about the driver; copied when he accepts, so that it never changes later.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct AssignedDriver {
    /// The driver.
    pub id: DriverId,
    /// The tier he serves on this ride.
    pub service_tier: ServiceTierId,
    /// His vehicle as the platform described it (a JSON object as text).
    pub vehicle: Arc<str>,
}

/// Which policy an attempt runs under: pinned when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct PinnedPolicy {
    /// How the attempt finds its driver.
    pub mode: DispatchMode,
    /// Why the attempt began.
    pub attempt: AttemptKind,
    /// The version of the market's policies.
    pub version: u64,
    /// The rules that held, least specific first.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub rules: Vec<String>,
    /// `experiment/arm`, if there is an experiment.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub arm: Option<String>,
}

impl Default for PinnedPolicy {
    fn default() -> Self {
        Self {
            mode: DispatchMode::Broadcast,
            attempt: AttemptKind::Initial,
            version: 0,
            rules: Vec::new(),
            arm: None,
        }
    }
}

/// The whole state of a ride.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct RideRecord {
    /// What was asked for. It never changes, so stores keep it apart and put it back in before they
    /// read a record.
    #[cfg_attr(feature = "serde", serde(skip_serializing))]
    pub request: Arc<RideRequest>,
    /// Grows by one with each durable transition; 1 is the request itself.
    pub version: u64,
    /// Where the ride stands.
    pub status: RideStatus,
    /// The search, counted from 1; a retry or reallocation begins a new one.
    pub attempt: u32,
    /// The policy of this attempt.
    #[cfg_attr(feature = "serde", serde(default))]
    pub policy: PinnedPolicy,
    /// The newest wave of this attempt; 0 before the first.
    pub wave: u32,
    /// How far the newest wave looked, in metres.
    pub search_radius_m: u32,
    /// When this attempt began to search.
    pub search_began_at: Timestamp,
    /// When this attempt gives up (when the search begins, for a scheduled ride).
    pub search_deadline: Timestamp,
    /// Tiers in force; a retry may widen them.
    pub service_tiers: Vec<ServiceTierId>,
    /// The drop-off, once the rider changed it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub dropoff: Option<Position>,
    /// Tip in force; a retry may raise it.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub tip: Option<Money>,
    /// Offers that are live.
    pub offers: BTreeMap<OfferId, LiveOffer>,
    /// Offers by their end.
    pub offer_counts: OfferCounts,
    /// Offers of this attempt.
    #[cfg_attr(feature = "serde", serde(default))]
    pub attempt_offers: AttemptOffers,
    /// Drivers asked in this attempt.
    pub asked: BTreeSet<DriverId>,
    /// Drivers this ride was reallocated from: never asked again.
    pub gave_back: BTreeSet<DriverId>,
    /// The part of this attempt that asks nobody, while it lasts.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub instant: Option<InstantSearch>,
    /// Quotes that ended, oldest first: at most [`ENDED_QUOTES_MAX`](super::ENDED_QUOTES_MAX).
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub ended_quotes: Vec<(OfferId, QuoteEnd)>,
    /// The driver, from assignment to the end.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub assignment: Option<Assignment>,
    /// The one-time password that starts the ride, once assigned.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub otp: Option<String>,
    /// The attempt searches nobody: whoever enters the password at the zone has the ride.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "std::ops::Not::not"))]
    pub otp_ride: bool,
    /// Passwords drawn anew in this attempt, because another ride at the zone had the same.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "is_none_drawn"))]
    pub otp_draws: u32,
    /// New attempts caused by drivers who lost the ride.
    pub reallocations: u32,
    /// What later offers and attempts depend on.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Attempts::is_empty"))]
    pub attempts: Attempts,
    /// When the driver arrived.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub arrived_at: Option<Timestamp>,
    /// When the ride began.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub started_at: Option<Timestamp>,
    /// When it was completed.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub completed_at: Option<Timestamp>,
    /// When it was cancelled.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub cancelled_at: Option<Timestamp>,
    /// When it ended, in whatever way.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub ended_at: Option<Timestamp>,
    /// Who cancelled.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub cancelled_by: Option<CancelledBy>,
    /// Why it was cancelled or unfulfilled.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub reason: Option<String>,
}

impl RideRecord {
    /// Where the rider goes, as far as is known.
    pub fn dropoff(&self) -> Option<Position> {
        self.dropoff.or(self.request.dropoff)
    }

    /// Who stands by for the driver, with his offer.
    pub fn standby(&self) -> Option<(&OfferId, &LiveOffer)> {
        self.offers.iter().find(|(_, live)| live.standby.is_some())
    }

    /// What the ride follows while its driver is on another one.
    pub fn forward(&self) -> Option<&ForwardLink> {
        let waits = self.status == RideStatus::Assigned;
        self.assignment.as_ref().filter(|_| waits)?.forward.as_ref()
    }
}

#[cfg(feature = "serde")]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_none_drawn(draws: &u32) -> bool {
    *draws == 0
}

/// One durable transition: the new state and its row of history.
#[derive(Debug, Clone, PartialEq)]
pub struct RideCommit {
    /// The state after the transition.
    pub record: Arc<RideRecord>,
    /// What happened.
    pub kind: RideEventKind,
    /// When.
    pub at: Timestamp,
    /// For [`RideEventKind::WaveSent`] and for searches that found nobody: who was considered.
    pub decision: Option<WaveDecision>,
    /// The call that caused it, or else the one that asked for the ride.
    pub origin: Option<Arc<Origin>>,
}
