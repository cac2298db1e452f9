//! What earlier offers and attempts of a ride leave behind for later ones.

use std::collections::BTreeMap;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::id::DriverId;

/// What later offers and attempts depend on; records from before it was kept have nothing in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Attempts {
    /// Offers beyond the first, by driver, of the attempt under way: at most one entry per driver
    /// asked, each below `offers_per_attempt_max`.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "BTreeMap::is_empty"))]
    pub offers_again: BTreeMap<DriverId, u32>,
    /// The drivers who lost the ride, oldest first: as many as policy allows, and the one beyond.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Vec::is_empty"))]
    pub reallocated: Vec<Reallocation>,
}

impl Attempts {
    /// Whether there is nothing to remember.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Why this driver lost the ride, if he did.
    pub fn reallocated_from(&self, driver: &DriverId) -> Option<&Reallocation> {
        self.reallocated.iter().rev().find(|reallocation| reallocation.driver == *driver)
    }
}

/// A driver lost the ride before its start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct Reallocation {
    /// The driver.
    pub driver: DriverId,
    /// Why.
    pub cause: ReallocationCause,
    /// How far he had come.
    pub stage: ReallocationStage,
}

/// Why a ride left its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ReallocationCause {
    /// He gave it back.
    Driver,
    /// An operator took it from him.
    Operator,
    /// He did not come, or nobody hears of him any more.
    DriverLost,
    /// He did not move toward the pickup.
    DriverStalled,
}

impl ReallocationCause {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Operator => "operator",
            Self::DriverLost => "driver_lost",
            Self::DriverStalled => "driver_stalled",
        }
    }

    /// Whether it counts as a ride that the driver cancelled.
    pub const fn is_cancellation(self) -> bool {
        match self {
            Self::Driver | Self::DriverLost => true,
            Self::Operator | Self::DriverStalled => false,
        }
    }
}

/// How far the driver had come who lost the ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum ReallocationStage {
    /// On his way.
    Assigned,
    /// At the pickup.
    Arrived,
}
