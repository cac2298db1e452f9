//! What a ride asks of its driver, read once from its request.

use std::sync::Arc;

use crate::forward::{ForwardLink, ForwardWay};
use crate::geo::Position;
use crate::id::{RiderId, ServiceTierId, ZoneId};
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::machine::RideMachine;
use crate::ride::places::RidePlaces;
use crate::ride::record::RideRequest;
use crate::travel::Travel;
use crate::units::{EtaSeconds, Meters};

/// Names of the attributes of a request that dispatch reads; all others are only shown back.
pub mod attribute {
    /// What kind of ride it is; absent = `one_way`.
    pub const CATEGORY: &str = "category";
    /// How the rider pays.
    pub const PAYMENT: &str = "payment";
    /// Whether a pet comes along: `true` or `false`.
    pub const PETS: &str = "pets";
    /// Riders the vehicle must seat: a whole number.
    pub const SEATS_MIN: &str = "vehicle.seats_min";
    /// Pieces of luggage the vehicle must take: a whole number.
    pub const LUGGAGE_MIN: &str = "vehicle.luggage_min";
    /// Whether any driver at the zone of the pickup may take the ride by its one-time password:
    /// `true` or `false`.
    pub const OTP_RIDE: &str = "otp_ride";

    /// What is wrong with an attribute that dispatch reads.
    ///
    /// # Errors
    /// A sentence that says which values are taken.
    pub fn check(name: &str, value: &str) -> Result<(), &'static str> {
        match name {
            PETS | OTP_RIDE if value.parse::<bool>().is_err() => Err("true or false is taken"),
            SEATS_MIN | LUGGAGE_MIN if value.parse::<u32>().is_err() => {
                Err("a whole number from 0 is taken")
            }
            CATEGORY | PAYMENT if value.is_empty() => Err("a name is taken, not an empty text"),
            _ => Ok(()),
        }
    }
}

/// The category of a ride that names none.
pub const CATEGORY_DEFAULT: &str = "one_way";

/// What eligibility reads of a ride. Cheap to make: request and policy are shared.
#[derive(Debug, Clone, PartialEq)]
pub struct RideNeeds {
    pub(super) request: Arc<RideRequest>,
    pub(super) policy: Arc<DispatchPolicy>,
    pub(super) trip: Option<Meters>,
    /// How long the trip takes, where the market knows better than the straight line.
    pub(super) trip_travel: Option<Travel>,
    pub(super) pets: bool,
    pub(super) seats_min: u32,
    pub(super) luggage_min: u32,
    places: Arc<RidePlaces>,
    tiers: Vec<ServiceTierId>,
}

impl RideNeeds {
    /// The needs of a request under the policy of its attempt.
    ///
    /// An attribute that cannot be read asks for nothing: the edge refuses such requests.
    pub fn of(request: &Arc<RideRequest>, policy: &Arc<DispatchPolicy>) -> Self {
        let text = |name: &str| request.attributes.get(name);
        let number = |name| text(name).and_then(|value| value.parse().ok()).unwrap_or(0);
        Self {
            trip: request.dropoff.map(|to| request.pickup.distance(to)),
            trip_travel: None,
            pets: text(attribute::PETS).is_some_and(|value| value == "true"),
            seats_min: number(attribute::SEATS_MIN),
            luggage_min: number(attribute::LUGGAGE_MIN),
            request: Arc::clone(request),
            policy: Arc::clone(policy),
            places: Arc::default(),
            tiers: request.service_tiers.clone(),
        }
    }

    /// The same at these zones, for the tiers in force.
    #[must_use]
    pub fn at(self, places: &Arc<RidePlaces>, tiers: &[ServiceTierId]) -> Self {
        Self { places: Arc::clone(places), tiers: tiers.to_vec(), ..self }
    }

    /// Tiers that will do.
    pub fn service_tiers(&self) -> &[ServiceTierId] {
        &self.tiers
    }

    /// Whether the pickup lies in a zone.
    pub fn begins_in(&self, zone: &ZoneId) -> bool {
        self.places.pickup.contains(zone)
    }

    /// Whether offers of the ride come to the drivers of a zone's queue in its order.
    pub fn is_queued_at(&self, zone: &ZoneId) -> bool {
        let queued = self.policy.mode == DispatchMode::Queue || self.policy.zone_queue_first;
        queued && self.places.queue().is_some_and(|own| own.id == *zone)
    }

    /// Tiers below his best one that a driver may be offered.
    pub fn downgrade_levels_max(&self) -> u8 {
        self.policy.downgrade_levels_max
    }

    pub(super) fn rider(&self) -> &RiderId {
        &self.request.rider
    }

    pub(super) fn category(&self) -> &str {
        self.request.attributes.get(attribute::CATEGORY).map_or(CATEGORY_DEFAULT, String::as_str)
    }

    pub(super) fn payment(&self) -> Option<&str> {
        self.request.attributes.get(attribute::PAYMENT).map(String::as_str)
    }

    /// How the driver of a forward offer or assignment comes to the pickup.
    pub(crate) fn forward_way(&self, link: &ForwardLink, from: Position) -> ForwardWay {
        link.way(from, self.request.pickup)
    }

    pub(super) fn pickup_distance(&self, from: Position) -> Meters {
        from.distance(self.request.pickup)
    }

    pub(super) fn pickup_eta(&self, from: Position) -> EtaSeconds {
        self.policy.pickup_eta(self.pickup_distance(from))
    }

    /// How long the trip takes; nothing for a ride whose drop-off is unknown.
    pub(super) fn trip_duration(&self) -> EtaSeconds {
        let straight = || self.policy.pickup_eta(self.trip.unwrap_or_default());
        self.trip_travel.map_or_else(straight, |travel| EtaSeconds::new(travel.seconds()))
    }
}

impl RideMachine {
    /// What the attempt under way asks of a driver.
    pub(super) fn needs(&self) -> Arc<RideNeeds> {
        let mut needs = RideNeeds::of(&self.record.request, &self.policy);
        let pickup = self.record.request.pickup;
        needs.trip = self.record.dropoff().map(|to| pickup.distance(to));
        let known = self.trip_travel.filter(|(to, _)| Some(*to) == self.record.dropoff());
        needs.trip_travel = known.map(|(_, travel)| travel);
        Arc::new(needs.at(&self.places, &self.record.service_tiers))
    }
}
