//! Forward dispatch: a driver who is about to finish a ride is promised the next one.
//!
//! ```text
//! candidate   on trip, near his drop-off: counted is driver → drop-off + drop-off → pickup
//! offer       carries a ForwardLink: the ride it follows, and where that one ends
//! assignment  keeps the link until the ride before has ended, then it is promoted
//! return      the ride searches again when the driver is lost or late, or his drop-off moved too far
//! ```

use std::sync::Arc;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::geo::Position;
use crate::id::RideId;
use crate::offer::Exclusion;
use crate::units::Meters;

/// What a forward offer or assignment follows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct ForwardLink {
    /// The ride its driver is on.
    pub after: RideId,
    /// Where that ride ends, as far as this one knows.
    pub dropoff: Position,
}

/// A driver's way to his next pickup, in straight lines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForwardWay {
    /// From where he is to the drop-off of the ride he is on.
    pub remaining: Meters,
    /// From where he is to the next pickup, by way of that drop-off.
    pub distance: Meters,
}

impl ForwardLink {
    /// The way of a driver who is at `from` to a rider who waits at `pickup`.
    pub fn way(&self, from: Position, pickup: Position) -> ForwardWay {
        let remaining = from.distance(self.dropoff);
        let distance = Meters::new(remaining.get() + self.dropoff.distance(pickup).get());
        ForwardWay { remaining, distance }
    }
}

/// Whether a driver may be asked for the ride after the one he is on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ForwardSupply {
    /// He carries nobody, or works no longer than this ride.
    #[default]
    NotOnTrip,
    /// He wants no offers while he drives.
    Unwanted,
    /// Nobody knows where his ride ends.
    NoDropoff,
    /// He has a next ride already, or has just said yes to one.
    Held,
    /// He may.
    After(Arc<ForwardLink>),
}

impl ForwardSupply {
    /// What he may be asked to follow, if he may be asked.
    pub fn link(&self) -> Option<&ForwardLink> {
        match self {
            Self::After(link) => Some(link),
            Self::NotOnTrip | Self::Unwanted | Self::NoDropoff | Self::Held => None,
        }
    }

    /// Why a driver who is not free is left out of a search for free drivers, which may look for
    /// forward candidates as well.
    pub const fn exclusion(&self, looks_forward: bool) -> Exclusion {
        match self {
            Self::Unwanted if looks_forward => Exclusion::ForwardUnwanted,
            Self::NoDropoff if looks_forward => Exclusion::ForwardNoDropoff,
            Self::Held if looks_forward => Exclusion::ForwardHeld,
            Self::NotOnTrip | Self::Unwanted | Self::NoDropoff | Self::Held | Self::After(_) => {
                Exclusion::OnRide
            }
        }
    }
}

/// Why a forward ride searches again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardReturn {
    /// Its driver is out of reach.
    DriverLost,
    /// The ride before it lasts too long.
    Late,
    /// The drop-off of the ride before it moved too far away.
    DropoffMoved,
}

impl ForwardReturn {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DriverLost => "forward_driver_lost",
            Self::Late => "forward_late",
            Self::DropoffMoved => "forward_dropoff_moved",
        }
    }
}

/// What a driver's machine tells his forward ride.
#[derive(Debug, Clone, PartialEq)]
pub enum ForwardNews {
    /// The ride before it has ended: it is next.
    Due,
    /// The drop-off of the ride before it moved: it decides whether it waits.
    DropoffMoved {
        /// Where he is, when known.
        from: Option<Position>,
        /// The new drop-off.
        dropoff: Position,
    },
    /// He cannot be waited for.
    Infeasible(ForwardReturn),
}

/// What became of forward dispatch, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// A driver on a trip won a ride.
    Assigned,
    /// It became the ride he serves.
    Promoted,
    /// It searches again.
    Returned(ForwardReturn),
}

impl ForwardOutcome {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Assigned => "assigned",
            Self::Promoted => "promoted",
            Self::Returned(ForwardReturn::DriverLost) => "returned_driver_lost",
            Self::Returned(ForwardReturn::Late) => "returned_late",
            Self::Returned(ForwardReturn::DropoffMoved) => "returned_dropoff_moved",
        }
    }
}
