//! What the platform says about a driver.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_engine::driver::{Departure, DriverProfile, VehicleCapacity};
use muster_engine::id::{MarketId, ServiceTierId};
use muster_engine::market::Markets;
use muster_engine::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::wire::fault::{Faults, RequestFault};
use crate::wire::geo::LatLng;
use crate::wire::money::Money;
use crate::wire::preferences::write_preferences;
use crate::wire::ride_request::{TIERS_MAX, check_tag, check_tiers, distinct};
use crate::wire::time::parse_rfc3339;

/// Tags a driver may carry or a rider may require.
pub const TAGS_MAX: usize = 32;

/// The longest vehicle description, as JSON text.
pub const VEHICLE_BYTES_MAX: usize = 4_096;

/// The body of `PUT /v1/drivers/{id}`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverProfileBody {
    /// Where he works.
    #[schema(example = "nyc")]
    pub market: String,
    /// Tiers he serves, at least one.
    #[schema(example = json!(["standard"]))]
    pub service_tiers: Vec<String>,
    /// His vehicle: any JSON object, shown to the rider as it is. Dispatch reads the whole numbers
    /// `seats` and `luggage`: a ride that asks for so many is not offered where they are missing.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"plate": "T123456C", "model": "Camry", "seats": 4, "luggage": 2}))]
    pub vehicle: Map<String, Value>,
    /// What he carries or allows.
    #[serde(default)]
    #[schema(example = json!(["pet_friendly"]))]
    pub tags: Vec<String>,
    /// Mean rating, 1–5.
    #[schema(minimum = 1, maximum = 5)]
    pub rating: Option<f64>,
    /// Until when an operator blocks him.
    #[schema(format = DateTime)]
    pub blocked_until: Option<String>,
    /// Where he goes when the day is over: rides toward it may come to him first.
    pub home: Option<LatLng>,
    /// What he likes to drive. Dispatch reads `categories` (absent = all but rental, intercity,
    /// delivery and ambulance), `payment` (methods; absent = all), `pets` (absent = no), `forward`
    /// (whether he wants offers for the next ride while he drives; absent = yes),
    /// `trip_distance_m_min`, `trip_distance_m_max` and `pickup_distance_m_max` (straight lines), and
    /// `instant_tiers` (tiers whose rides he takes without being asked, in instant mode);
    /// other members are shown back as they are.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({
        "categories": ["one_way", "rental"], "payment": ["cash", "card"], "pets": true,
        "trip_distance_m_max": 20_000
    }))]
    pub preferences: BTreeMap<String, Value>,
    /// His balance at the platform: below `wallet_floor` of the policy he is offered nothing.
    pub wallet: Option<Money>,
    /// When a ride begins that the platform has promised him to: he is offered nothing that could
    /// last beyond it.
    #[schema(format = DateTime)]
    pub scheduled_pickup_at: Option<String>,
}

impl DriverProfileBody {
    /// The profile, once every field is checked.
    ///
    /// # Errors
    /// [`RequestFault`]: fields out of bounds, a market or a tier nobody knows.
    pub fn into_profile(self, markets: &Markets) -> Result<DriverProfile, RequestFault> {
        let mut faults = Faults::default();
        let market = faults.keep("/market", MarketId::new(&self.market));
        let tiers = self.service_tiers.iter();
        let tiers = faults.keep_all("/service_tiers", TIERS_MAX, tiers, |t| ServiceTierId::new(t));
        if self.service_tiers.is_empty() {
            faults.add("/service_tiers", "at least one tier is needed");
        }
        let tags = faults.keep_all("/tags", TAGS_MAX, self.tags.into_iter(), check_tag);
        if self.rating.is_some_and(|rating| !(1.0..=5.0).contains(&rating)) {
            faults.add("/rating", "a rating is within 1..=5");
        }
        let blocked_until = checked_instant("/blocked_until", self.blocked_until, &mut faults);
        let scheduled_pickup_at =
            checked_instant("/scheduled_pickup_at", self.scheduled_pickup_at, &mut faults);
        let wallet = self.wallet.and_then(|wallet| wallet.checked("/wallet", &mut faults));
        let capacity = read_capacity(&self.vehicle);
        let home = self.home.and_then(|home| home.checked("/home", &mut faults));
        let preferences = write_preferences(&self.preferences, &mut faults);
        let vehicle = write_vehicle(self.vehicle, &mut faults);
        faults.finish()?;
        // Without a market there was a fault.
        let market = market.ok_or_else(|| RequestFault::Fields(Vec::new()))?;
        let known = markets.get(&market);
        let known = known.ok_or_else(|| RequestFault::UnknownMarket(market.clone()))?;
        check_tiers(known, &tiers)?;
        let instant: Vec<_> = preferences.instant_tiers.iter().cloned().collect();
        check_tiers(known, &instant)?;
        Ok(DriverProfile {
            market,
            service_tiers: distinct(tiers),
            vehicle,
            tags: distinct(tags),
            rating: self.rating,
            blocked_until,
            home,
            preferences: preferences.into(),
            capacity,
            wallet: wallet.map(Box::new),
            departure: Departure::None,
            scheduled_pickup_at,
        })
    }
}

fn checked_instant(pointer: &str, text: Option<String>, faults: &mut Faults) -> Option<Timestamp> {
    text.and_then(|text| faults.keep(pointer, parse_rfc3339(&text)))
}

/// A member that is no whole number is shown to the rider and says nothing to dispatch.
fn read_capacity(vehicle: &Map<String, Value>) -> VehicleCapacity {
    let number = |name| vehicle.get(name)?.as_u64().and_then(|many| u32::try_from(many).ok());
    VehicleCapacity { seats: number("seats"), luggage: number("luggage") }
}

fn write_vehicle(vehicle: Map<String, Value>, faults: &mut Faults) -> Arc<str> {
    let text = Value::Object(vehicle).to_string();
    if text.len() > VEHICLE_BYTES_MAX {
        let most = format!("at most {VEHICLE_BYTES_MAX} bytes are taken, got {}", text.len());
        faults.add("/vehicle", most);
    }
    Arc::from(text)
}
