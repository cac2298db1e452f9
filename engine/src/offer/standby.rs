//! Standby: an accepted offer that waits until the ride needs its driver.
//!
//! It is its offer, under the same id: it holds the driver's slot until it ends, exactly once, as the
//! offer does.

use std::sync::Arc;

use crate::time::Timestamp;

/// A driver's yes to standing by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Standby {
    /// His vehicle, for the rider (a JSON object as text).
    pub vehicle: Arc<str>,
    /// When he said so.
    pub accepted_at: Timestamp,
}

/// A step of a driver who stands by, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandbyOutcome {
    /// A driver stands by.
    Held,
    /// The assigned driver lost the ride: it is the standby's.
    Promoted,
    /// The ride does not need him any more.
    Released,
    /// He stood by as long as policy allows.
    Expired,
    /// He took it back, or cannot keep it.
    Withdrawn,
}

impl StandbyOutcome {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Promoted => "promoted",
            Self::Released => "released",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}
