//! The durable facts about a driver, and the view of his whole state.

use std::sync::Arc;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::driver::facts::{RidePreferences, VehicleCapacity};
use crate::driver::rider_blocks::RiderBlocks;
use crate::driver::seldom::SharedSeldom;
use crate::driver::stats::DriverStats;
use crate::geo::Position;
use crate::grid::{Contact, DriverStatus, Reading};
use crate::id::{DriverId, MarketId, RideId, ServiceTierId, ZoneId};
use crate::offer::Offer;
use crate::time::Timestamp;
use crate::units::Money;

/// What the platform says about a driver.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct DriverProfile {
    /// Where he works.
    pub market: MarketId,
    /// Tiers he serves; never empty.
    pub service_tiers: Vec<ServiceTierId>,
    /// His vehicle, shown to the rider: a JSON object as text.
    pub vehicle: Arc<str>,
    /// What he carries or allows: `pet_friendly`, `wheelchair`, …
    pub tags: Vec<String>,
    /// Mean rating, 1.0–5.0.
    pub rating: Option<f64>,
    /// Until when an operator blocks him.
    pub blocked_until: Option<Timestamp>,
    /// Where he goes when the day is over: rides toward it may come to him first.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub home: Option<Position>,
    /// What he likes to drive.
    pub preferences: SharedSeldom<RidePreferences>,
    /// What fits into his vehicle.
    #[cfg_attr(feature = "serde", serde(default))]
    pub capacity: VehicleCapacity,
    /// His balance at the platform, an input figure.
    #[cfg_attr(feature = "serde", serde(default))]
    pub wallet: Option<Box<Money>>,
    /// When a ride begins that the platform has promised him to, an input figure.
    #[cfg_attr(feature = "serde", serde(default))]
    pub scheduled_pickup_at: Option<Timestamp>,
    /// Whether the platform has removed him; a new profile takes that back.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Departure::is_none"))]
    pub departure: Departure,
}

/// How far the removal of a driver is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Departure {
    /// He is not removed.
    #[default]
    None,
    /// He takes no more work and goes when what he is bound to has ended.
    Pending,
    /// He is gone: a store forgets a record that says so.
    Done,
}

impl Departure {
    /// Whether he is not removed.
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether he is gone.
    pub const fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }
}

/// The durable state of a driver.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct DriverRecord {
    /// The driver.
    pub driver: DriverId,
    /// His profile.
    pub profile: DriverProfile,
    /// Whether he wants to work.
    pub online: bool,
    /// Riders he is kept from, because he cancelled on them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rider_blocks: RiderBlocks,
    /// What he did of late, as of the newest write.
    #[cfg_attr(feature = "serde", serde(default))]
    pub stats: DriverStats,
}

/// A driver's whole state, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct DriverView {
    /// Profile and intent.
    pub record: DriverRecord,
    /// What he does.
    pub status: DriverStatus,
    /// Whether his phone is heard.
    pub contact: Contact,
    /// Where he was last.
    pub reading: Option<Reading>,
    /// Offers on his screen, in order of their ids.
    pub offers: Vec<Offer>,
    /// What he did of late, written or not.
    pub stats: DriverStats,
    /// The ride he serves.
    pub ride: Option<RideId>,
    /// The ride he serves after it.
    pub forward_ride: Option<RideId>,
    /// The ride he stands by for.
    pub standby_ride: Option<RideId>,
    /// The zone he is at, of those with a queue or one-time passwords.
    pub zone: Option<ZoneId>,
    /// The zone in whose queue he has a place.
    pub queue: Option<ZoneId>,
}
