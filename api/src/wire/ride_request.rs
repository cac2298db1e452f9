//! A ride request as it comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId, RideId, RiderId, ServiceTierId};
use muster_engine::market::{Market, Markets};
use muster_engine::ride::{RequestKey, RideRequest, attribute};
use muster_engine::time::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::wire::driver_profile::TAGS_MAX;
use crate::wire::fault::{Faults, RequestFault, TEXT_CHARS_MAX};
use crate::wire::geo::LatLng;
use crate::wire::money::Money;
use crate::wire::time::{TimeFault, parse_rfc3339};

/// Tiers one request or driver may name.
pub const TIERS_MAX: usize = 32;

/// Attributes one request may carry.
pub const ATTRIBUTES_MAX: usize = 32;

/// The longest name of an attribute.
pub const ATTRIBUTE_CHARS_MAX: usize = 64;

/// Drivers one request may block or favour.
pub const RIDE_DRIVERS_MAX: usize = 200;

/// How far ahead a ride may be requested: a year.
pub const PICKUP_AHEAD_MAX_MS: u64 = 366 * 86_400_000;

/// The body of `POST /v1/rides`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RideRequestBody {
    /// The ride's id; one is drawn when absent.
    pub ride_id: Option<String>,
    /// Who asks.
    #[schema(example = "r-17", pattern = "^[A-Za-z0-9_.:-]{1,64}$")]
    pub rider_id: String,
    /// The market; when absent the one whose boundary contains the pickup.
    #[schema(example = "nyc")]
    pub market: Option<String>,
    /// Where the rider waits.
    pub pickup: LatLng,
    /// Where the rider goes; may lie outside the market.
    pub dropoff: Option<LatLng>,
    /// Tiers that will do, any of them; when absent the market's default.
    #[serde(default)]
    #[schema(example = json!(["standard"]))]
    pub service_tiers: Vec<String>,
    /// The fare, computed elsewhere.
    pub fare: Option<Money>,
    /// A tip promised on top.
    pub tip: Option<Money>,
    /// When the rider wants to leave; later than now makes a scheduled ride.
    #[schema(format = DateTime)]
    pub pickup_at: Option<String>,
    /// Facts of the platform, shown back. Dispatch reads `category` (absent = `one_way`), `payment`,
    /// `otp_ride` and `pets` (`true` or `false`), `vehicle.seats_min` and `vehicle.luggage_min` (whole numbers).
    #[serde(default)]
    #[schema(example = json!({"payment": "cash", "vehicle.seats_min": "2"}))]
    pub attributes: BTreeMap<String, String>,
    /// Tags the driver must carry.
    #[serde(default)]
    pub require_tags: Vec<String>,
    /// Tags the driver must not carry.
    #[serde(default)]
    pub forbid_tags: Vec<String>,
    /// Drivers who are never offered this ride.
    #[serde(default)]
    pub blocked_driver_ids: Vec<String>,
    /// Drivers the rider prefers.
    #[serde(default)]
    pub favourite_driver_ids: Vec<String>,
}

/// What the server adds to a request.
#[derive(Debug, Clone)]
pub struct RequestStamp {
    /// The id of a ride that names none.
    pub drawn: RideId,
    /// When the request was received.
    pub now: Timestamp,
    /// Secret random bits.
    pub entropy: u64,
    /// The idempotency key the request came with.
    pub request_key: Option<RequestKey>,
}

/// The fields that need no market to be checked.
struct Checked {
    ride: Option<RideId>,
    rider: Option<RiderId>,
    market: Option<MarketId>,
    pickup: Option<Position>,
    tiers: Vec<ServiceTierId>,
    request: RideRequestParts,
}

struct RideRequestParts {
    dropoff: Option<Position>,
    fare: Option<muster_engine::units::Money>,
    tip: Option<muster_engine::units::Money>,
    pickup_at: Option<Timestamp>,
    attributes: BTreeMap<String, String>,
    require_tags: Vec<String>,
    forbid_tags: Vec<String>,
    blocked_drivers: BTreeSet<DriverId>,
    favourite_drivers: BTreeSet<DriverId>,
}

impl RideRequestBody {
    /// The request, once every field is checked and its market is found.
    ///
    /// # Errors
    /// [`RequestFault`]: fields out of bounds, a pickup that is not served, a market or a tier
    /// nobody knows.
    pub fn into_request(
        self,
        markets: &Markets,
        stamp: RequestStamp,
    ) -> Result<RideRequest, RequestFault> {
        let mut faults = Faults::default();
        let checked = self.check(stamp.now, &mut faults);
        faults.finish()?;
        let (Some(rider), Some(pickup)) = (checked.rider, checked.pickup) else {
            // Without them there was a fault.
            return Err(RequestFault::Fields(Vec::new()));
        };
        let market = market_of(markets, checked.market.as_ref(), pickup)?;
        check_tiers(market, &checked.tiers)?;
        check_otp_zone(market, pickup, &checked.request.attributes)?;
        let parts = checked.request;
        Ok(RideRequest {
            ride: checked.ride.unwrap_or(stamp.drawn),
            rider,
            market: market.id().clone(),
            pickup,
            dropoff: parts.dropoff,
            service_tiers: or_default(distinct(checked.tiers), market),
            fare: parts.fare,
            tip: parts.tip,
            pickup_at: parts.pickup_at,
            attributes: parts.attributes,
            require_tags: parts.require_tags,
            forbid_tags: parts.forbid_tags,
            blocked_drivers: parts.blocked_drivers,
            favourite_drivers: parts.favourite_drivers,
            requested_at: stamp.now,
            entropy: stamp.entropy,
            request_key: stamp.request_key,
            origin: None,
        })
    }

    fn check(self, now: Timestamp, faults: &mut Faults) -> Checked {
        let ride = self.ride_id.and_then(|id| faults.keep("/ride_id", RideId::new(&id)));
        let market = self.market.and_then(|id| faults.keep("/market", MarketId::new(&id)));
        let tiers = self.service_tiers.iter();
        let pickup_at = self.pickup_at.and_then(|at| faults.keep("/pickup_at", ahead(&at, now)));
        check_attributes(&self.attributes, faults);
        Checked {
            ride,
            rider: faults.keep("/rider_id", RiderId::new(&self.rider_id)),
            market,
            pickup: self.pickup.checked("/pickup", faults),
            tiers: faults.keep_all("/service_tiers", TIERS_MAX, tiers, |t| ServiceTierId::new(t)),
            request: RideRequestParts {
                dropoff: self.dropoff.and_then(|place| place.checked("/dropoff", faults)),
                fare: self.fare.and_then(|fare| fare.checked("/fare", faults)),
                tip: self.tip.and_then(|tip| tip.checked("/tip", faults)),
                pickup_at,
                attributes: self.attributes,
                require_tags: tags("/require_tags", self.require_tags, faults),
                forbid_tags: tags("/forbid_tags", self.forbid_tags, faults),
                blocked_drivers: drivers("/blocked_driver_ids", &self.blocked_driver_ids, faults),
                favourite_drivers: drivers(
                    "/favourite_driver_ids",
                    &self.favourite_driver_ids,
                    faults,
                ),
            },
        }
    }
}

fn ahead(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let at = parse_rfc3339(text).map_err(|fault: TimeFault| fault.to_string())?;
    if at.millis_since(now) > PICKUP_AHEAD_MAX_MS {
        return Err("a ride is requested at most 366 days ahead".to_owned());
    }
    Ok(at)
}

fn check_attributes(attributes: &BTreeMap<String, String>, faults: &mut Faults) {
    if attributes.len() > ATTRIBUTES_MAX {
        return faults.add("/attributes", format!("at most {ATTRIBUTES_MAX} members are taken"));
    }
    for (name, value) in attributes {
        faults.bound_text("/attributes", name, ATTRIBUTE_CHARS_MAX);
        if value.chars().count() > TEXT_CHARS_MAX {
            let most = format!("at most {TEXT_CHARS_MAX} characters are taken");
            faults.add(format!("/attributes/{name}"), most);
        } else if let Err(taken) = attribute::check(name, value) {
            faults.add(format!("/attributes/{name}"), taken);
        }
    }
}

fn tags(pointer: &str, tags: Vec<String>, faults: &mut Faults) -> Vec<String> {
    distinct(faults.keep_all(pointer, TAGS_MAX, tags.into_iter(), check_tag))
}

fn drivers(pointer: &str, ids: &[String], faults: &mut Faults) -> BTreeSet<DriverId> {
    let parse = |id: &String| DriverId::new(id);
    faults.keep_all(pointer, RIDE_DRIVERS_MAX, ids.iter(), parse).into_iter().collect()
}

/// A tag follows the rules of ids.
pub(super) fn check_tag(tag: String) -> Result<String, String> {
    match DriverId::new(&tag) {
        Ok(_) => Ok(tag),
        Err(error) => Err(error.to_string().replacen("an id", "a tag", 1)),
    }
}

/// The elements in their order, each once.
pub(super) fn distinct<T: Ord + Clone>(items: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    items.into_iter().filter(|item| seen.insert(item.clone())).collect()
}

/// A ride that a driver takes by its one-time password begins where drivers may enter one.
fn check_otp_zone(
    market: &Market,
    pickup: Position,
    attributes: &BTreeMap<String, String>,
) -> Result<(), RequestFault> {
    let asked = attributes.get(attribute::OTP_RIDE).is_some_and(|value| value == "true");
    let zone = market.zones().watched_at(pickup);
    let mut faults = Faults::default();
    if asked && zone.is_none_or(|zone| !zone.otp) {
        faults.add("/attributes/otp_ride", "the pickup is at no zone that takes such passwords");
    }
    faults.finish()
}

/// Every tier must be on sale in the market.
pub(crate) fn check_tiers(market: &Market, tiers: &[ServiceTierId]) -> Result<(), RequestFault> {
    let unknown = |fault: muster_engine::market::UnknownTier| RequestFault::UnknownTier {
        market: fault.market,
        tier: fault.tier,
    };
    market.tier_set(tiers).map(|_| ()).map_err(unknown)
}

fn or_default(tiers: Vec<ServiceTierId>, market: &Market) -> Vec<ServiceTierId> {
    if tiers.is_empty() {
        let default = usize::from(market.default_tier());
        return market.tiers().get(default).cloned().into_iter().collect();
    }
    tiers
}

/// The market that serves a pickup; a market that is named must contain it.
fn market_of<'m>(
    markets: &'m Markets,
    named: Option<&MarketId>,
    pickup: Position,
) -> Result<&'m Arc<Market>, RequestFault> {
    let Some(id) = named else {
        let nowhere = || RequestFault::NotServiceable("the pickup is in no market".to_owned());
        return markets.find(pickup).ok_or_else(nowhere);
    };
    let market = markets.get(id).ok_or_else(|| RequestFault::UnknownMarket(id.clone()))?;
    if market.contains(pickup) {
        return Ok(market);
    }
    Err(RequestFault::NotServiceable(format!("the pickup is outside the market {id}")))
}
