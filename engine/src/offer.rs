//! Offers: the contract between a ride and a driver.

mod quote;
mod standby;

use std::sync::Arc;

pub use self::quote::{FareBounds, OfferKind, Quote, QuoteEnd, QuoteTerms};
pub use self::standby::{Standby, StandbyOutcome};

use crate::forward::ForwardLink;
use crate::geo::Position;
use crate::id::{DriverId, OfferId, RideId, ServiceTierId};
use crate::ride::RideNeeds;
use crate::time::Timestamp;
use crate::units::{EtaSeconds, Meters, Money};

/// One ride offered to one driver. It is live from `offered_at` until it ends, exactly once, as an
/// [`OfferEnd`]; at `expires_at` it is dead even when nobody has noticed yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The offer.
    pub id: OfferId,
    /// The ride that is offered.
    pub ride: RideId,
    /// The driver it is offered to.
    pub driver: DriverId,
    /// Straight-line distance from driver to pickup when the wave was planned; by way of his
    /// drop-off for a forward offer.
    pub distance: Meters,
    /// Estimated time to the pickup when the wave was planned.
    pub pickup_eta: EtaSeconds,
    /// The tier the driver would serve.
    pub service_tier: ServiceTierId,
    /// When the wave was planned.
    pub offered_at: Timestamp,
    /// From when the phone shows it.
    pub visible_at: Timestamp,
    /// When it is dead.
    pub expires_at: Timestamp,
    /// What the ride would follow, when the driver is on another one.
    pub forward: Option<ForwardLink>,
    /// What an accept does.
    pub kind: OfferKind,
    /// The fare the driver quoted, once he did.
    pub quoted: Option<Money>,
    /// Whether the driver stands by, until `expires_at`.
    pub standby: bool,
    /// What the driver is told about the ride.
    pub terms: Arc<OfferTerms>,
}

/// What an offer says about its ride; shared by all offers of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct OfferTerms {
    /// Where the rider waits.
    pub pickup: Position,
    /// Where the rider goes, when known.
    pub dropoff: Option<Position>,
    /// The fare, when the platform gave one.
    pub fare: Option<Money>,
    /// The tip promised on top.
    pub tip: Option<Money>,
    /// What the driver's machine checks again.
    pub needs: Arc<RideNeeds>,
}

/// How an offer ended (M4: exactly once).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OfferEnd {
    /// The driver accepted and won.
    Accepted,
    /// The driver said no.
    Declined,
    /// The response deadline passed.
    Expired,
    /// Taken back: another driver won, the ride was cancelled, the driver fell out.
    Withdrawn,
}

impl OfferEnd {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Why a live offer is taken from a driver's screen, or an accept lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawReason {
    /// Another driver won the ride.
    Taken,
    /// The ride was cancelled.
    Cancelled,
    /// The response deadline passed.
    Expired,
    /// A newer attempt replaces it, or the driver took another ride or went offline.
    Superseded,
    /// The drop-off of the ride it would have followed changed.
    DropoffChanged,
    /// The assigned driver is near enough: nobody needs to stand by.
    StandbyReleased,
}

impl WithdrawReason {
    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::DropoffChanged => "dropoff_changed",
            Self::StandbyReleased => "standby_released",
        }
    }
}

/// Why a driver is not offered a ride. Each is counted and shown by `explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Exclusion {
    /// Not online.
    Offline,
    /// Accepted another offer and waits for the answer.
    Reserved,
    /// Serves another ride.
    OnRide,
    /// The newest fix is too old.
    StalePosition,
    /// An operator blocks the driver.
    Blocked,
    /// Serves none of the requested tiers.
    ServiceTier,
    /// Lacks a required tag.
    MissingTag,
    /// Was asked in this attempt already.
    AlreadyAsked,
    /// The ride or rider does not want this driver, or he cancelled this ride before.
    BlockedForRide,
    /// Holds as many live offers as allowed.
    OfferSlotsFull,
    /// Accepted an offer moments ago.
    CoolingDown,
    /// The offer had run out before it reached the driver.
    OfferExpired,
    /// Carries a tag that the ride forbids.
    ForbiddenTag,
    /// Does not take rides of this category.
    Category,
    /// The trip is shorter or longer than he likes.
    TripDistance,
    /// The pickup is farther away than he likes.
    PickupDistance,
    /// A pet comes along and he takes none.
    Pets,
    /// Does not take this payment method.
    PaymentMethod,
    /// The vehicle seats too few, or nobody knows how many.
    VehicleSeats,
    /// The vehicle takes too little luggage, or nobody knows how much.
    VehicleLuggage,
    /// Cancelled on this rider not long ago.
    BlockedForRider,
    /// His balance is below the floor, or nobody knows it.
    WalletFloor,
    /// A ride he is promised to begins before this one could end.
    ScheduledConflict,
    /// Would take too long to the pickup.
    PickupEta,
    /// Would take longer to the pickup than is allowed while drivers are scarce.
    PickupEtaAdaptive,
    /// The best tier he could serve is too far below his own.
    TierDowngrade,
    /// Holds so many live offers that others come first, and the wave was full without him.
    OfferSlotsBusy,
    /// On a trip, and wants no offers while he drives.
    ForwardUnwanted,
    /// On a trip that ends nobody knows where.
    ForwardNoDropoff,
    /// On a trip, and has the ride after it.
    ForwardHeld,
    /// On a trip whose drop-off is too far ahead.
    ForwardRemainingDistance,
    /// On a trip that takes too long yet.
    ForwardRemainingTime,
    /// The ride he would have come from has another drop-off by now, or is another one.
    ForwardDropoffChanged,
    /// Waits in the queue of a closed zone, and the pickup is elsewhere.
    ClosedZone,
    /// Does not take rides of this tier without being asked.
    InstantOptOut,
    /// His phone is not connected, and he must not be assigned without a pop-up.
    NoSession,
    /// Has another offer to answer, and must not be assigned without a pop-up.
    OfferPending,
}

impl Exclusion {
    /// The label in metrics and explanations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Reserved => "reserved",
            Self::OnRide => "on_ride",
            Self::StalePosition => "stale_position",
            Self::Blocked => "blocked",
            Self::ServiceTier => "service_tier",
            Self::MissingTag => "missing_tag",
            Self::AlreadyAsked => "already_asked",
            Self::BlockedForRide => "blocked_for_ride",
            Self::OfferSlotsFull => "offer_slots_full",
            Self::CoolingDown => "cooling_down",
            Self::OfferExpired => "offer_expired",
            Self::ForbiddenTag => "forbidden_tag",
            Self::Category => "category",
            Self::TripDistance => "trip_distance",
            Self::PickupDistance => "pickup_distance",
            Self::Pets => "pets",
            Self::PaymentMethod => "payment_method",
            Self::VehicleSeats => "vehicle_seats",
            Self::VehicleLuggage => "vehicle_luggage",
            Self::BlockedForRider => "blocked_for_rider",
            Self::WalletFloor => "wallet_floor",
            Self::ScheduledConflict => "scheduled_conflict",
            Self::PickupEta => "pickup_eta",
            Self::PickupEtaAdaptive => "pickup_eta_adaptive",
            Self::TierDowngrade => "tier_downgrade",
            Self::OfferSlotsBusy => "offer_slots_busy",
            Self::ForwardUnwanted => "forward_unwanted",
            Self::ForwardNoDropoff => "forward_no_dropoff",
            Self::ForwardHeld => "forward_held",
            Self::ForwardRemainingDistance => "forward_remaining_distance",
            Self::ForwardRemainingTime => "forward_remaining_time",
            Self::ForwardDropoffChanged => "forward_dropoff_changed",
            Self::ClosedZone => "closed_zone",
            Self::InstantOptOut => "instant_opt_out",
            Self::NoSession => "no_session",
            Self::OfferPending => "offer_pending",
        }
    }
}
