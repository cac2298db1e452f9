//! What a driver likes to drive: members that dispatch reads, and the platform's own.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::driver::RidePreferences;
use muster_engine::id::ServiceTierId;
use serde_json::Value;

use crate::wire::fault::{Faults, TEXT_CHARS_MAX};
use crate::wire::ride_request::{ATTRIBUTES_MAX, TIERS_MAX};

/// Categories or payment methods one driver may name.
const NAMES_MAX: usize = TIERS_MAX;

/// The preferences, after noting what is wrong with them. The platform's own members are kept as
/// JSON text, so that they come back with the types they had.
pub(super) fn write_preferences(
    members: &BTreeMap<String, Value>,
    faults: &mut Faults,
) -> RidePreferences {
    if members.len() > ATTRIBUTES_MAX {
        faults.add("/preferences", format!("at most {ATTRIBUTES_MAX} members are taken"));
    }
    let mut likes = RidePreferences::default();
    for (name, value) in members {
        let pointer = format!("/preferences/{name}");
        match name.as_str() {
            "categories" => likes.categories = faults.keep(&pointer, names(value)),
            "payment" => likes.payment = faults.keep(&pointer, names(value)),
            "forward" => likes.forward = faults.keep(&pointer, switch(value)),
            "instant_tiers" => {
                likes.instant_tiers = faults.keep(&pointer, tiers(value)).unwrap_or_default();
            }
            "pets" => likes.pets = faults.keep(&pointer, switch(value)),
            "trip_distance_m_min" => {
                likes.trip_distance_m_min = faults.keep(&pointer, metres(value))
            }
            "trip_distance_m_max" => {
                likes.trip_distance_m_max = faults.keep(&pointer, metres(value))
            }
            "pickup_distance_m_max" => {
                likes.pickup_distance_m_max = faults.keep(&pointer, metres(value));
            }
            _ => {
                let text = value.to_string();
                faults.bound_text("/preferences", name, TEXT_CHARS_MAX);
                faults.bound_text(&pointer, &text, TEXT_CHARS_MAX);
                likes.others.insert(name.clone(), text);
            }
        }
    }
    if let (Some(least), Some(most)) = (likes.trip_distance_m_min, likes.trip_distance_m_max)
        && least > most
    {
        let above = format!("trip_distance_m_min is {least}, above trip_distance_m_max");
        faults.add("/preferences/trip_distance_m_min", above);
    }
    likes
}

/// The preferences as they came in.
pub(super) fn read_preferences(likes: &RidePreferences) -> BTreeMap<String, Value> {
    let RidePreferences {
        categories,
        trip_distance_m_min,
        trip_distance_m_max,
        pickup_distance_m_max,
        pets,
        payment,
        forward,
        instant_tiers,
        others,
    } = likes;
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().into();
    let tiers = || instant_tiers.iter().map(ToString::to_string).collect::<Vec<_>>().into();
    let read = |text: &String| serde_json::from_str(text).unwrap_or_else(|_| text.clone().into());
    let typed: [(&str, Option<Value>); 8] = [
        ("categories", categories.as_ref().map(list)),
        ("trip_distance_m_min", trip_distance_m_min.map(Value::from)),
        ("trip_distance_m_max", trip_distance_m_max.map(Value::from)),
        ("pickup_distance_m_max", pickup_distance_m_max.map(Value::from)),
        ("pets", pets.map(Value::from)),
        ("forward", forward.map(Value::from)),
        ("payment", payment.as_ref().map(list)),
        ("instant_tiers", (!instant_tiers.is_empty()).then(tiers)),
    ];
    let typed = typed.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let others = others.iter().map(|(name, text)| (name.clone(), read(text)));
    typed.chain(others).collect()
}

fn names(value: &Value) -> Result<BTreeSet<String>, String> {
    let taken = || format!("a list of at most {NAMES_MAX} names is taken");
    let items = value.as_array().filter(|items| items.len() <= NAMES_MAX).ok_or_else(taken)?;
    let name = |item: &Value| {
        let name = item.as_str().filter(|name| (1..=TEXT_CHARS_MAX).contains(&name.len()));
        name.map(str::to_owned).ok_or_else(taken)
    };
    items.iter().map(name).collect()
}

fn tiers(value: &Value) -> Result<BTreeSet<ServiceTierId>, String> {
    let tier = |name: &String| ServiceTierId::new(name).map_err(|error| error.to_string());
    names(value)?.iter().map(tier).collect()
}

fn switch(value: &Value) -> Result<bool, &'static str> {
    value.as_bool().ok_or("true or false is taken")
}

fn metres(value: &Value) -> Result<u32, &'static str> {
    let number = value.as_u64().and_then(|metres| u32::try_from(metres).ok());
    number.ok_or("a whole number of metres from 0 is taken")
}
