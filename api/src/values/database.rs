//! Completed rides of a store.

use muster_engine::id::MarketId;
use muster_engine::matching::DrivenRide;
use muster_engine::ride::{RideRecord, RideStatus};

use super::{RIDES_MAX, TrainError};
use crate::store::{Location, READ_ROWS_MAX, RideFilter};

/// The completed rides of `market` that a store knows; one that tells no drop-off is left out.
pub(super) fn rides(location: &Location, market: &MarketId) -> Result<Vec<DrivenRide>, TrainError> {
    let failed = |error: &dyn std::fmt::Display| TrainError::Database {
        path: location.to_string(),
        error: error.to_string(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let store = location.open_to_read().await.map_err(|error| failed(&error))?;
        let filter =
            RideFilter { market: Some(market.clone()), status: Some(RideStatus::Completed) };
        let (mut rides, mut cursor) = (Vec::new(), None);
        loop {
            let page = store.list_rides(&filter, READ_ROWS_MAX, cursor.as_ref()).await;
            let page = page.map_err(|error| failed(&error))?;
            rides.extend(page.rides.iter().filter_map(driven));
            if rides.len() > RIDES_MAX {
                return Err(TrainError::TooMany);
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(rides);
            }
        }
    })
}

fn driven(ride: &RideRecord) -> Option<DrivenRide> {
    let assignment = ride.assignment.as_ref()?;
    Some(DrivenRide {
        driver: Some(assignment.driver.id.to_string()),
        assigned_at: assignment.assigned_at,
        pickup: ride.request.pickup,
        boarded_at: ride.started_at?,
        dropoff: ride.dropoff()?,
        completed_at: ride.completed_at?,
    })
}
