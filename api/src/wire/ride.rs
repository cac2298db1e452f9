//! A ride as its clients see it.

use std::collections::BTreeMap;

use muster_actors::Dispatch;
use muster_engine::ride::{Assignment, RideRecord, RideStatus};
use muster_engine::time::Timestamp;
use muster_engine::units;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::{LatLng, PositionView};
use crate::wire::live::LiveDriver;
use crate::wire::money::Money;
use crate::wire::quote::QuoteView;
use crate::wire::time::rfc3339;

/// A ride.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RideView {
    /// The ride.
    pub ride_id: String,
    /// Who asked for it.
    pub rider_id: String,
    /// The market it is in.
    pub market: String,
    /// `scheduled`, `searching`, `assigned`, `arrived`, `in_progress`, `completed`, `cancelled`
    /// or `unfulfilled`.
    #[schema(example = "searching")]
    pub status: &'static str,
    /// Where the rider waits.
    pub pickup: LatLng,
    /// Where the rider goes, when known; the newest place after a change.
    pub dropoff: Option<LatLng>,
    /// The tiers that will do.
    pub service_tiers: Vec<String>,
    /// When the request was received.
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// When the driver won it.
    #[schema(format = DateTime)]
    pub assigned_at: Option<String>,
    /// When the driver reached the pickup.
    #[schema(format = DateTime)]
    pub arrived_at: Option<String>,
    /// When the rider was on board.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it was completed.
    #[schema(format = DateTime)]
    pub completed_at: Option<String>,
    /// When it was cancelled.
    #[schema(format = DateTime)]
    pub cancelled_at: Option<String>,
    /// Whether the assigned driver finishes another ride first.
    pub forward: bool,
    /// The search, counted from 1.
    pub attempt: u32,
    /// The newest wave of offers in this attempt, 0 before the first.
    pub wave: u32,
    /// How far the newest wave looked.
    pub search_radius_m: u32,
    /// Offers made for this ride.
    pub offers: OfferCountsView,
    /// The driver, from assignment on.
    pub driver: Option<AssignedDriverView>,
    /// Estimated time until the driver is at the pickup, while he is on the way.
    pub pickup_eta_s: Option<u32>,
    /// What the rider tells the driver to start the ride; never shown to the driver.
    pub otp: Option<String>,
    /// Who cancelled: `rider`, `driver`, `operator`.
    pub cancelled_by: Option<&'static str>,
    /// Why it was cancelled or unfulfilled.
    pub reason: Option<String>,
    /// Grows by one with each change.
    pub version: u64,
    /// When the rider wants to leave, for a ride requested ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub pickup_at: Option<String>,
    /// The fare: the one that was quoted and chosen, else the requested one, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fare: Option<Money>,
    /// Drivers' quotes that the rider can choose from; not shown to drivers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quotes: Vec<QuoteView>,
    /// The tip in force, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tip: Option<Money>,
    /// The platform's own facts, as they came with the request.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// Offers made for a ride over all its attempts, by their end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct OfferCountsView {
    /// Waiting for an answer.
    pub live: u32,
    /// Made at all.
    pub sent: u32,
    /// Declined by drivers.
    pub declined: u32,
    /// Run out.
    pub expired: u32,
}

/// The driver of a ride.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AssignedDriverView {
    /// The driver.
    pub driver_id: String,
    /// The tier he serves on this ride.
    pub service_tier: String,
    /// His vehicle, as the platform described it when he accepted.
    #[schema(value_type = Object)]
    pub vehicle: serde_json::Value,
    /// Where he is; not shown once the ride is over.
    pub position: Option<PositionView>,
    /// Estimated time until he is at the pickup, while he is on the way.
    pub pickup_eta_s: Option<u32>,
}

impl RideView {
    /// The ride as rider and operator see it. `live` is its driver as he is now, if he serves it.
    pub fn new(ride: &RideRecord, live: Option<&LiveDriver>) -> Self {
        let request = &ride.request;
        let assignment = shown_assignment(ride);
        let pickup_eta_s = pickup_eta_s(ride, live);
        Self {
            ride_id: request.ride.to_string(),
            rider_id: request.rider.to_string(),
            market: request.market.to_string(),
            status: ride.status.name(),
            pickup: request.pickup.into(),
            dropoff: ride.dropoff().map(LatLng::from),
            service_tiers: ride.service_tiers.iter().map(ToString::to_string).collect(),
            requested_at: rfc3339(request.requested_at),
            assigned_at: assignment.map(|a| rfc3339(a.assigned_at)),
            arrived_at: shown(ride.arrived_at),
            started_at: shown(ride.started_at),
            completed_at: shown(ride.completed_at),
            cancelled_at: shown(ride.cancelled_at),
            forward: ride.forward().is_some(),
            attempt: ride.attempt,
            wave: ride.wave,
            search_radius_m: ride.search_radius_m,
            offers: OfferCountsView::new(ride),
            driver: assignment.map(|a| AssignedDriverView::new(a, live, pickup_eta_s)),
            pickup_eta_s,
            otp: ride.otp.clone(),
            cancelled_by: ride.cancelled_by.map(|by| by.name()),
            reason: ride.reason.clone(),
            version: ride.version,
            pickup_at: shown(request.pickup_at),
            fare: fare(ride).map(Money::from),
            quotes: QuoteView::all(ride),
            tip: ride.tip.as_ref().map(Money::from),
            attributes: request.attributes.clone(),
        }
    }

    /// The ride as its driver sees it: he learns the one-time password from the rider only.
    pub fn for_driver(ride: &RideRecord, live: Option<&LiveDriver>) -> Self {
        Self { otp: None, quotes: Vec::new(), ..Self::new(ride, live) }
    }

    /// The ride with its driver as he is now.
    pub fn now(dispatch: &Dispatch, ride: &RideRecord) -> Self {
        Self::new(ride, LiveDriver::of(dispatch, ride).as_ref())
    }

    /// As [`now`](Self::now), for the driver.
    pub fn now_for_driver(dispatch: &Dispatch, ride: &RideRecord) -> Self {
        Self::for_driver(ride, LiveDriver::of(dispatch, ride).as_ref())
    }
}

impl OfferCountsView {
    fn new(ride: &RideRecord) -> Self {
        let counts = &ride.offer_counts;
        let live = ride.offers.values().filter(|live| live.answered_at().is_none()).count();
        Self {
            live: u32::try_from(live).unwrap_or(u32::MAX),
            sent: counts.sent,
            declined: counts.declined,
            expired: counts.expired,
        }
    }
}

impl AssignedDriverView {
    fn new(assignment: &Assignment, live: Option<&LiveDriver>, pickup_eta_s: Option<u32>) -> Self {
        let driver = &assignment.driver;
        Self {
            driver_id: driver.id.to_string(),
            service_tier: driver.service_tier.to_string(),
            vehicle: json_object(&driver.vehicle),
            position: live.map(|live| PositionView::from(&live.reading)),
            pickup_eta_s,
        }
    }
}

/// The assignment that is shown: a ride that searches again has none.
fn shown_assignment(ride: &RideRecord) -> Option<&Assignment> {
    let shown = match ride.status {
        RideStatus::Scheduled | RideStatus::Searching | RideStatus::Unfulfilled => false,
        RideStatus::Assigned
        | RideStatus::Arrived
        | RideStatus::InProgress
        | RideStatus::Completed
        | RideStatus::Cancelled => true,
    };
    ride.assignment.as_ref().filter(|_| shown)
}

/// The fare that was chosen, else the requested one.
fn fare(ride: &RideRecord) -> Option<&units::Money> {
    let quoted = shown_assignment(ride).and_then(|assignment| assignment.fare.as_ref());
    quoted.or(ride.request.fare.as_ref())
}

/// The estimate from where the driver is now, else the one he accepted with.
fn pickup_eta_s(ride: &RideRecord, live: Option<&LiveDriver>) -> Option<u32> {
    if ride.status != RideStatus::Assigned {
        return None;
    }
    let planned = ride.assignment.as_ref().map(|assignment| assignment.pickup_eta);
    live.and_then(|live| live.pickup_eta).or(planned).map(|eta| eta.get())
}

fn shown(at: Option<Timestamp>) -> Option<String> {
    at.map(rfc3339)
}

/// A JSON object that is kept as text; what cannot be read is shown as an empty one.
pub(super) fn json_object(text: &str) -> serde_json::Value {
    let object = serde_json::from_str(text).ok().filter(serde_json::Value::is_object);
    object.unwrap_or_else(|| serde_json::json!({}))
}
