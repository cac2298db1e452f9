//! The driver of a ride as he is at this moment.

use muster_actors::Dispatch;
use muster_engine::grid::Reading;
use muster_engine::ride::{RideRecord, RideStatus};
use muster_engine::units::EtaSeconds;

/// Where a ride's driver is and how long he needs to the pickup.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveDriver {
    /// His newest position.
    pub reading: Reading,
    /// Estimated time to the pickup, while he is on the way to it.
    pub pickup_eta: Option<EtaSeconds>,
}

impl LiveDriver {
    /// The driver who serves `ride` now; nothing when none does or he was never heard.
    pub fn of(dispatch: &Dispatch, ride: &RideRecord) -> Option<Self> {
        let assignment = ride.assignment.as_ref().filter(|_| ride.status.has_driver())?;
        let reading = dispatch.position(&assignment.driver.id)?;
        let pickup_eta = match ride.status {
            RideStatus::Assigned => {
                let by = ride.forward().map(|link| link.dropoff);
                let (from, request) = (reading.position, &ride.request);
                dispatch.pickup_eta(&request.market, from, by, request.pickup)
            }
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Arrived
            | RideStatus::InProgress
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => None,
        };
        Some(Self { reading, pickup_eta })
    }
}
