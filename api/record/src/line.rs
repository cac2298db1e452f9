//! The lines of a log.

use muster_engine::driver::DriverProfile;
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, OfferId, RideId, ServiceTierId};
use muster_engine::offer::{OfferEnd, OfferKind};
use muster_engine::ride::{CancelledBy, RideEventKind, RideRequest};
use muster_engine::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the format that is written and read.
pub const FORMAT: u32 = 1;

/// The first line of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub muster_record: u32,
    /// When the file begins, by the engine's clock.
    pub began_at: Timestamp,
    /// Which build wrote it.
    pub build: String,
    /// Engine seconds per real second.
    pub clock_speed: f64,
}

/// Every other line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Line {
    /// A market with the policy in force from here on.
    Market(Box<MarketLine>),
    /// A driver's profile and intent from here on.
    Driver(Box<DriverLine>),
    /// Where a driver was.
    Fix(FixLine),
    /// A rider asked.
    Request(Box<RequestLine>),
    /// A step of a ride.
    Ride(Box<RideLine>),
    /// An offer ended.
    OfferEnded(OfferEndedLine),
    /// Lines were dropped before this one: the writer did not keep up.
    Dropped {
        /// When that was told.
        at: Timestamp,
        /// How many.
        lines: u64,
    },
}

impl Line {
    /// When it happened, by the engine's clock.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Market(line) => line.at,
            Self::Driver(line) => line.at,
            Self::Fix(line) => line.at,
            Self::Request(line) => line.at,
            Self::Ride(line) => line.at,
            Self::OfferEnded(line) => line.at,
            Self::Dropped { at, .. } => *at,
        }
    }
}

/// `market`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MarketLine {
    /// From when on.
    pub at: Timestamp,
    /// The market.
    pub market: MarketId,
    /// Its tiers, the best last.
    pub service_tiers: Vec<ServiceTierId>,
    /// The tier of a request that names none.
    pub default_tier: ServiceTierId,
    /// H3 resolution of its grid.
    pub grid_resolution: u8,
    /// The version of its policies.
    pub policy_version: u64,
    /// The base policy, every key.
    pub policy: serde_json::Value,
    /// Whether rules or an experiment stand upon the base policy.
    pub varied: bool,
}

/// `driver`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriverLine {
    /// From when on.
    pub at: Timestamp,
    /// The driver.
    pub driver: DriverId,
    /// Whether he wants to work.
    pub online: bool,
    /// What the platform says about him.
    pub profile: DriverProfile,
}

/// `fix`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FixLine {
    /// When it was received.
    pub at: Timestamp,
    /// The driver.
    pub driver: DriverId,
    /// Where.
    pub position: Position,
}

/// `request`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestLine {
    /// When it was received.
    pub at: Timestamp,
    /// All of it, but its secret bits and its idempotency key.
    pub request: RideRequest,
}

/// `ride`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RideLine {
    /// When.
    pub at: Timestamp,
    /// The ride.
    pub ride: RideId,
    /// What happened.
    pub event: RideEventKind,
    /// The search it belongs to.
    pub attempt: u32,
    /// The version of the market's policies that the search is pinned to.
    pub policy_version: u64,
    /// The assigned driver, or the one who lost the ride.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<DriverId>,
    /// The estimated seconds to the pickup when it was offered to him.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickup_eta_s: Option<u32>,
    /// Where the rider goes, of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropoff: Option<Position>,
    /// Who called it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<CancelledBy>,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `offer_ended`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfferEndedLine {
    /// When.
    pub at: Timestamp,
    /// The ride.
    pub ride: RideId,
    /// The offer.
    pub offer: OfferId,
    /// Who was asked.
    pub driver: DriverId,
    /// How it ended.
    #[serde(with = "offer_end")]
    pub end: OfferEnd,
    /// Milliseconds from when he saw it to its end.
    pub after_ms: u64,
    /// The estimated seconds to the pickup.
    pub pickup_eta_s: u32,
    /// What an accept did.
    #[serde(default)]
    pub kind: OfferKind,
}

/// Ends by their stable names.
mod offer_end {
    use muster_engine::offer::OfferEnd;
    use serde::{Deserialize, Deserializer, Serializer, de};

    const ALL: [OfferEnd; 4] =
        [OfferEnd::Accepted, OfferEnd::Declined, OfferEnd::Expired, OfferEnd::Withdrawn];

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
    pub(super) fn serialize<S: Serializer>(end: &OfferEnd, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(end.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OfferEnd, D::Error> {
        let name = String::deserialize(from)?;
        let named = ALL.into_iter().find(|end| end.name() == name);
        named.ok_or_else(|| de::Error::custom(format!("{name} is no end of an offer")))
    }
}
