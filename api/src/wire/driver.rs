//! A driver as the platform sees him.

use std::collections::BTreeMap;

use muster_actors::Dispatch;
use muster_engine::driver;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::geo::{LatLng, PositionView};
use crate::wire::money::Money;
use crate::wire::offer::OfferView;
use crate::wire::preferences::read_preferences;
use crate::wire::ride::json_object;
use crate::wire::time::rfc3339;
use crate::wire::zone::QueuePositionView;

/// A driver.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DriverView {
    /// The driver.
    pub driver_id: String,
    /// Where he works.
    pub market: String,
    /// `offline`, `available`, `reserved`, `en_route`, `at_pickup` or `on_trip`.
    #[schema(example = "available")]
    pub status: &'static str,
    /// Whether he wants to work; a driver who goes offline on a ride finishes it first.
    pub online: bool,
    /// How well his phone is heard: `live`, `stale` or `lost`.
    #[schema(example = "live")]
    pub contact: &'static str,
    /// Where he was last.
    pub position: Option<PositionView>,
    /// Offers that wait for his answer.
    pub offers: Vec<OfferView>,
    /// The ride he serves.
    pub ride_id: Option<String>,
    /// The ride he serves after it.
    pub forward_ride_id: Option<String>,
    /// The ride he stands by for.
    pub standby_ride_id: Option<String>,
    /// The zone he is at, of those with a queue or one-time passwords.
    pub zone: Option<String>,
    /// Where he stands in the queue of that zone, for each tier he serves; empty without a place.
    pub queue: Vec<QueuePositionView>,
    /// Tiers he serves.
    pub service_tiers: Vec<String>,
    /// His vehicle, as the platform described it.
    #[schema(value_type = Object)]
    pub vehicle: serde_json::Value,
    /// What he carries or allows.
    pub tags: Vec<String>,
    /// Mean rating, 1–5.
    pub rating: Option<f64>,
    /// Until when an operator blocks him.
    #[schema(format = DateTime)]
    pub blocked_until: Option<String>,
    /// Where he goes when the day is over.
    pub home: Option<LatLng>,
    /// What he likes to drive, as the platform described it.
    #[schema(value_type = Object)]
    pub preferences: BTreeMap<String, serde_json::Value>,
    /// His balance, as the platform told it.
    pub wallet: Option<Money>,
    /// When a ride begins that the platform has promised him to.
    #[schema(format = DateTime)]
    pub scheduled_pickup_at: Option<String>,
}

impl From<&driver::DriverView> for DriverView {
    fn from(view: &driver::DriverView) -> Self {
        let profile = &view.record.profile;
        Self {
            driver_id: view.record.driver.to_string(),
            market: profile.market.to_string(),
            status: view.status.name(),
            online: view.record.online,
            contact: view.contact.name(),
            position: view.reading.as_ref().map(PositionView::from),
            offers: view.offers.iter().map(OfferView::from).collect(),
            ride_id: view.ride.as_ref().map(ToString::to_string),
            forward_ride_id: view.forward_ride.as_ref().map(ToString::to_string),
            standby_ride_id: view.standby_ride.as_ref().map(ToString::to_string),
            zone: view.zone.as_ref().map(ToString::to_string),
            queue: Vec::new(),
            service_tiers: profile.service_tiers.iter().map(ToString::to_string).collect(),
            vehicle: json_object(&profile.vehicle),
            tags: profile.tags.clone(),
            rating: profile.rating,
            blocked_until: profile.blocked_until.map(rfc3339),
            home: profile.home.map(LatLng::from),
            preferences: read_preferences(&profile.preferences),
            wallet: profile.wallet.as_deref().map(Money::from),
            scheduled_pickup_at: profile.scheduled_pickup_at.map(rfc3339),
        }
    }
}

impl DriverView {
    /// The driver with his place in the queue he waits in.
    pub fn now(dispatch: &Dispatch, view: &driver::DriverView) -> Self {
        Self { queue: QueuePositionView::of_driver(dispatch, view), ..Self::from(view) }
    }
}
