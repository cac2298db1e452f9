//! What happened to a ride, for those who follow it.

use muster_engine::id::RideId;
use muster_engine::ride::RideEventKind;
use muster_engine::time::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::PositionView;
use crate::wire::ride::RideView;
use crate::wire::time::rfc3339;

/// One transition of a ride.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RideEventView {
    /// Unique, the same however often the event is delivered.
    pub event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "driver_assigned")]
    pub kind: &'static str,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// The ride after it.
    pub ride: RideView,
}

/// Where the driver of a followed ride is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverPositionEvent {
    /// The ride.
    pub ride_id: String,
    /// Its driver.
    pub driver_id: String,
    /// Where he is.
    pub position: PositionView,
    /// Estimated time until he is at the pickup, while he is on the way.
    pub pickup_eta_s: Option<u32>,
}

impl RideEventView {
    /// The event with number `seq` of the ride's history.
    pub fn new(
        ride_id: &RideId,
        seq: u64,
        kind: RideEventKind,
        at: Timestamp,
        ride: RideView,
    ) -> Self {
        Self { event_id: format!("{ride_id}:{seq}"), kind: kind.name(), at: rfc3339(at), ride }
    }
}
