//! What candidate filters read of a driver beyond bits: preferences, capacity, figures.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::record::DriverRecord;
use crate::driver::rider_blocks::RiderBlocks;
use crate::driver::seldom::{Blank, SharedSeldom};
use crate::id::{ServiceTierId, ZoneId};
use crate::time::Timestamp;
use crate::units::Money;

/// What a driver likes to drive. Nothing set = he takes everything but what one must opt in to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct RidePreferences {
    /// Categories he takes; absent = all but rental, intercity, delivery and ambulance.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub categories: Option<BTreeSet<String>>,
    /// Trips at least this long, straight line in metres.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub trip_distance_m_min: Option<u32>,
    /// Trips at most this long, straight line in metres.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub trip_distance_m_max: Option<u32>,
    /// Pickups at most this far away, straight line in metres.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub pickup_distance_m_max: Option<u32>,
    /// Whether he takes pets; absent = no.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub pets: Option<bool>,
    /// Whether he wants offers for the next ride while he drives; absent = yes.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub forward: Option<bool>,
    /// Payment methods he takes; absent = all.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub payment: Option<BTreeSet<String>>,
    /// Tiers whose rides he takes without being asked.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeSet::is_empty"))]
    pub instant_tiers: BTreeSet<ServiceTierId>,
    /// The platform's own, as JSON text: shown back, never read.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub others: BTreeMap<String, String>,
}

impl Blank for RidePreferences {
    fn blank() -> &'static Self {
        static BLANK: RidePreferences = RidePreferences {
            categories: None,
            trip_distance_m_min: None,
            trip_distance_m_max: None,
            pickup_distance_m_max: None,
            pets: None,
            forward: None,
            payment: None,
            instant_tiers: BTreeSet::new(),
            others: BTreeMap::new(),
        };
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self == Self::blank()
    }
}

/// What fits into a vehicle; unknown = a ride that asks for it is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VehicleCapacity {
    /// Riders it seats.
    pub seats: Option<u32>,
    /// Pieces of luggage it takes.
    pub luggage: Option<u32>,
}

/// A snapshot of a driver for eligibility, shared by his machine and the supply index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DriverFacts {
    /// Tags of vehicle and driver.
    pub tags: BTreeSet<String>,
    /// What he likes to drive.
    pub preferences: SharedSeldom<RidePreferences>,
    /// What fits into his vehicle.
    pub capacity: VehicleCapacity,
    /// His balance at the platform.
    pub wallet: Option<Box<Money>>,
    /// When a ride begins that the platform has promised him to.
    pub scheduled_pickup_at: Option<Timestamp>,
    /// Riders he is kept from.
    pub rider_blocks: RiderBlocks,
    /// The closed zone in whose queue he waits.
    pub closed_zone: Option<ZoneId>,
}

impl Blank for DriverFacts {
    fn blank() -> &'static Self {
        static BLANK: DriverFacts = DriverFacts {
            tags: BTreeSet::new(),
            preferences: SharedSeldom::BLANK,
            capacity: VehicleCapacity { seats: None, luggage: None },
            wallet: None,
            scheduled_pickup_at: None,
            rider_blocks: RiderBlocks::NONE,
            closed_zone: None,
        };
        &BLANK
    }

    fn is_blank(&self) -> bool {
        self == Self::blank()
    }
}

impl DriverFacts {
    /// The facts of a record.
    pub fn of(record: &DriverRecord) -> Self {
        let profile = &record.profile;
        Self {
            tags: profile.tags.iter().cloned().collect(),
            preferences: profile.preferences.clone(),
            capacity: profile.capacity,
            wallet: profile.wallet.clone(),
            scheduled_pickup_at: profile.scheduled_pickup_at,
            rider_blocks: record.rider_blocks.clone(),
            closed_zone: None,
        }
    }
}
