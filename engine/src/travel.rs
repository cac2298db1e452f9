//! Travel times: how long drivers need to a pickup, by something better than a straight line.
//!
//! A market's [`Grid`](crate::grid::Grid) holds the [`TravelTimes`] in force, if there are any. The
//! searches find drivers by distance, exactly, and ask for the times of those they chose, all
//! pickups of a search or a window in one call.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::geo::Position;
use crate::time::Timestamp;
use crate::units::Meters;

/// What an estimate of a travel time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum EtaSource {
    /// The straight line, by the policy's detour and speed: the market has nothing else.
    #[default]
    GreatCircle,
    /// The market's street network.
    Roads,
    /// An OSRM server.
    Osrm,
    /// A Valhalla server.
    Valhalla,
    /// The straight line or the street network, because what the market asks first had no answer.
    Fallback,
}

impl EtaSource {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::GreatCircle, Self::Roads, Self::Osrm, Self::Valhalla, Self::Fallback];

    /// The wire name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::GreatCircle => "great_circle",
            Self::Roads => "roads",
            Self::Osrm => "osrm",
            Self::Valhalla => "valhalla",
            Self::Fallback => "fallback",
        }
    }

    /// Whether it is the straight line of a market that has nothing else: not worth its bytes.
    pub fn is_great_circle(&self) -> bool {
        *self == Self::GreatCircle
    }
}

/// A way, and how long it takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Travel {
    /// How long it takes, in milliseconds.
    pub time_ms: u32,
    /// How long it is.
    pub distance: Meters,
    /// What says so.
    pub source: EtaSource,
}

impl Travel {
    /// How long it takes, in whole seconds.
    pub const fn seconds(&self) -> u32 {
        self.time_ms.saturating_add(500) / 1_000
    }

    /// This way and then another; what the less usual of the two comes from.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        Self {
            time_ms: self.time_ms.saturating_add(next.time_ms),
            distance: Meters::new(self.distance.get() + next.distance.get()),
            source: self.source.max(next.source),
        }
    }
}

/// Ways that end at the same place.
#[derive(Debug, Clone, PartialEq)]
pub struct Approach {
    /// Where they begin.
    pub froms: Vec<Position>,
    /// Where they end.
    pub to: Position,
}

/// Something that knows travel times.
pub trait TravelTime: Send + Sync + fmt::Debug {
    /// Of each approach the ways from each of its beginnings, of those who leave at `at`; nothing
    /// where it does not know.
    fn approaches(&self, approaches: &[Approach], at: Timestamp) -> Vec<Vec<Option<Travel>>>;

    /// Whether an answer waits for another process, and so must be asked for where nobody waits.
    fn waits(&self) -> bool {
        false
    }

    /// The way between two places.
    fn way(&self, from: Position, to: Position, at: Timestamp) -> Option<Travel> {
        let approach = Approach { froms: vec![from], to };
        self.approaches(&[approach], at).pop()?.pop()?
    }
}

/// The travel times of a market.
#[derive(Debug, Clone)]
pub struct TravelTimes {
    /// For searches of waves and whatever else must not wait, if there is any.
    pub at_once: Option<Arc<dyn TravelTime>>,
    /// For dispatch windows.
    pub windows: Arc<dyn TravelTime>,
}

/// Where the travel times in force are, exchanged while searches go on with those they have.
#[derive(Debug, Default)]
pub(crate) struct TravelSlot(RwLock<Option<Arc<TravelTimes>>>);

impl TravelSlot {
    pub(crate) fn get(&self) -> Option<Arc<TravelTimes>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, times: Option<TravelTimes>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = times.map(Arc::new);
    }
}
