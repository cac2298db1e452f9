//! What drivers like and rides ask for, drawn so that most still meet.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::driver::{RidePreferences, VehicleCapacity};
use muster_engine::ride::attribute;

use crate::dice::Dice;

/// Tags of drivers that rides require or forbid.
const TAGS: [&str; 3] = ["wheelchair", "child_seat", "smoker"];

/// What a driver brings to eligibility.
#[derive(Debug, Clone, Default)]
pub struct Taste {
    /// Whether he serves the better tier too.
    pub premium: bool,
    /// Tags of vehicle and driver.
    pub tags: Vec<String>,
    /// What he likes to drive.
    pub preferences: RidePreferences,
    /// What fits into his vehicle.
    pub capacity: VehicleCapacity,
    /// Whether he takes rides of the plain tier without being asked.
    pub instant: bool,
    /// His balance in minor units.
    pub wallet: Option<u64>,
    /// When a ride begins that he is promised to, in milliseconds after the start.
    pub scheduled_at_ms: Option<u64>,
}

/// What a ride asks of its driver.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The rider, when one has several rides.
    pub rider: Option<usize>,
    /// Whether the better tier will do too.
    pub any_tier: bool,
    /// Tags the driver must carry.
    pub require_tags: Vec<String>,
    /// Tags the driver must not carry.
    pub forbid_tags: Vec<String>,
    /// Attributes of the request.
    pub attributes: BTreeMap<String, String>,
    /// The fare in minor units.
    pub fare: Option<u64>,
    /// Whether the rider chooses a quote when there are some.
    pub chooses: bool,
    /// Length of the trip in metres.
    pub trip_m: Option<f64>,
}

fn names(dice: &mut Dice, from: &[&str], chance: f64) -> BTreeSet<String> {
    from.iter().filter(|_| dice.chance(chance)).map(|name| (*name).to_owned()).collect()
}

impl Taste {
    pub(crate) fn drawn(dice: &mut Dice) -> Self {
        let mut sometimes = |low, high| dice.chance(0.15).then(|| dice.between(low, high) as u32);
        let distances = [sometimes(0, 2_000), sometimes(2_000, 9_000), sometimes(300, 4_000)];
        let [trip_distance_m_min, trip_distance_m_max, pickup_distance_m_max] = distances;
        let named = dice.chance(0.2);
        let categories = names(dice, &["one_way", "rental", "delivery"], 0.7);
        let picky = dice.chance(0.15);
        let payment = names(dice, &["cash", "card"], 0.7);
        let preferences = RidePreferences {
            categories: named.then_some(categories),
            trip_distance_m_min,
            trip_distance_m_max,
            pickup_distance_m_max,
            pets: dice.chance(0.5).then(|| dice.chance(0.8)),
            payment: picky.then_some(payment),
            forward: dice.chance(0.3).then(|| dice.chance(0.6)),
            instant_tiers: BTreeSet::new(),
            others: BTreeMap::new(),
        };
        let known = |dice: &mut Dice, most| dice.chance(0.8).then(|| dice.between(0, most));
        let seats = known(dice, 7).map(|many| many as u32);
        Self {
            premium: dice.chance(0.4),
            tags: names(dice, &TAGS, 0.4).into_iter().collect(),
            preferences,
            capacity: VehicleCapacity { seats, luggage: known(dice, 4).map(|many| many as u32) },
            instant: false,
            wallet: dice.chance(0.95).then(|| dice.between(0, 2_000)),
            scheduled_at_ms: dice.chance(0.15).then(|| dice.between(0, 900_000)),
        }
    }
}

impl Wishes {
    /// The same for a ride that a driver at the zone may take by its password.
    #[must_use]
    pub(crate) fn with_otp(mut self, otp: bool) -> Self {
        if otp {
            self.attributes.insert(attribute::OTP_RIDE.to_owned(), "true".to_owned());
        }
        self
    }

    /// Those of one of `rides` where people are choosy; else at most where the trip goes.
    pub(crate) fn of(choosy: bool, rides: u64, dice: &mut Dice) -> Self {
        if choosy {
            return Self::drawn(dice, rides as usize);
        }
        Self { trip_m: dice.chance(0.8).then(|| dice.unit() * 3_000.0), ..Self::default() }
    }

    /// The wishes of one of `rides`, whose riders ask for two or three each.
    pub(crate) fn drawn(dice: &mut Dice, rides: usize) -> Self {
        let mut attributes = BTreeMap::new();
        let mut ask = |dice: &mut Dice, name: &str, values: &[&str]| {
            if dice.chance(0.15) {
                let value = values[dice.index(values.len())];
                attributes.insert(name.to_owned(), value.to_owned());
            }
        };
        ask(dice, attribute::CATEGORY, &["one_way", "rental", "delivery"]);
        ask(dice, attribute::PAYMENT, &["cash", "card"]);
        ask(dice, attribute::PETS, &["true", "false"]);
        ask(dice, attribute::SEATS_MIN, &["1", "4", "6"]);
        ask(dice, attribute::LUGGAGE_MIN, &["1", "2"]);
        Self {
            rider: Some(dice.index(rides.div_ceil(2).max(1))),
            any_tier: dice.chance(0.4),
            require_tags: names(dice, &TAGS, 0.05).into_iter().collect(),
            forbid_tags: names(dice, &TAGS, 0.05).into_iter().collect(),
            attributes,
            fare: None,
            chooses: false,
            trip_m: dice.chance(0.7).then(|| dice.unit() * 8_000.0),
        }
    }
}
