//! Zones as a GeoJSON `FeatureCollection`: one feature per zone, its rules as properties.
//!
//! | property | what | default |
//! |---|---|---|
//! | `id`, `name` | text; needed | |
//! | `category` | text | none |
//! | `priority` | whole number; where zones overlap the greater comes first | 0 |
//! | `open_market` | whether queued drivers are offered rides from elsewhere | `true` |
//! | `otp` | whether drivers at the zone may enter a ride's one-time password | `false` |
//! | `queue` | `true`, `false`, or an object of the numbers in [`QueueRules`] | `false` |
//! | `gates` | list of objects, see below | none |
//!
//! A gate has `id`, `kind` (`pickup`, `drop`, `parking`), `lat`, `lng`, `radius_m` (default 150) and
//! `service_tiers`: per tier an object of `demand_min` (default 2), `drivers_min`, `drivers_max`.

use geojson::{Feature, GeoJson, JsonObject, JsonValue};

use super::area::{Gate, GateKind, GateTier, QueueRules, Zone};
use super::zones::{ZONES_MAX, Zones};
use crate::geo::Position;
use crate::id::{GateId, ServiceTierId, ZoneId};
use crate::market::{Boundary, BoundaryError};
use crate::units::Meters;

/// Gates of one zone at most.
const GATES_MAX: usize = 64;

/// How near a driver is at a gate unless the file says otherwise.
const GATE_RADIUS_M: f64 = 150.0;

const PROPERTIES: [&str; 8] =
    ["id", "name", "category", "priority", "open_market", "otp", "queue", "gates"];
const GATE_PROPERTIES: [&str; 6] = ["id", "kind", "lat", "lng", "radius_m", "service_tiers"];
const TIER_PROPERTIES: [&str; 3] = ["demand_min", "drivers_min", "drivers_max"];

/// Why a text describes no zones.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ZoneError {
    /// The text is not GeoJSON.
    #[error("not GeoJSON: {0}")]
    Unreadable(String),
    /// The document is something else than a collection of features.
    #[error("zones are a FeatureCollection")]
    NotACollection,
    /// The area of a zone cannot be taken.
    #[error("feature {feature}: {error}")]
    Area {
        /// Which feature, counted from 0.
        feature: usize,
        /// What is wrong with its geometry.
        error: BoundaryError,
    },
    /// A property cannot be taken.
    #[error("feature {feature}: {property} is refused: {fact}")]
    Property {
        /// Which feature, counted from 0.
        feature: usize,
        /// The property, with the path to it.
        property: String,
        /// What is wrong.
        fact: String,
    },
    /// Two zones share an id.
    #[error("zone {0} is there twice")]
    Duplicate(ZoneId),
    /// More zones than one market takes.
    #[error("{0} zones, at most {ZONES_MAX} are supported")]
    TooMany(usize),
    /// A gate names a tier that the market does not sell.
    #[error("zone {zone}, gate {gate}: the market does not sell tier {tier}")]
    UnknownTier {
        /// The zone.
        zone: ZoneId,
        /// The gate.
        gate: GateId,
        /// The tier.
        tier: ServiceTierId,
    },
}

/// A place in the document, for errors.
struct At<'a> {
    feature: usize,
    path: &'a str,
}

impl At<'_> {
    fn refuse<T>(&self, property: &str, fact: impl ToString) -> Result<T, ZoneError> {
        let property = format!("{}{property}", self.path);
        Err(ZoneError::Property { feature: self.feature, property, fact: fact.to_string() })
    }

    /// A misspelt property would silently change a zone.
    fn knows(&self, object: &JsonObject, known: &[&str]) -> Result<(), ZoneError> {
        match object.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => self.refuse(name, format!("unknown, known are {}", known.join(", "))),
            None => Ok(()),
        }
    }

    fn text<'o>(&self, object: &'o JsonObject, name: &str) -> Result<Option<&'o str>, ZoneError> {
        match object.get(name) {
            None | Some(JsonValue::Null) => Ok(None),
            Some(JsonValue::String(text)) => Ok(Some(text)),
            Some(_) => self.refuse(name, "a text is taken"),
        }
    }

    fn id<T, E: ToString>(
        &self,
        object: &JsonObject,
        name: &str,
        make: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, ZoneError> {
        match self.text(object, name)? {
            Some(text) => make(text).or_else(|error| self.refuse(name, error)),
            None => self.refuse(name, "it is needed"),
        }
    }

    fn flag(&self, object: &JsonObject, name: &str, default: bool) -> Result<bool, ZoneError> {
        match object.get(name) {
            None | Some(JsonValue::Null) => Ok(default),
            Some(JsonValue::Bool(flag)) => Ok(*flag),
            Some(_) => self.refuse(name, "true or false is taken"),
        }
    }

    fn number(
        &self,
        object: &JsonObject,
        name: &str,
        default: Option<f64>,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<f64, ZoneError> {
        let number = match object.get(name) {
            None | Some(JsonValue::Null) => default,
            Some(value) => value.as_f64(),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(number),
            None => self.refuse(name, format!("a number from {range:?} is taken")),
        }
    }

    fn whole(
        &self,
        object: &JsonObject,
        name: &str,
        default: Option<u64>,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, ZoneError> {
        let number = match object.get(name) {
            None | Some(JsonValue::Null) => default,
            Some(value) => value.as_u64(),
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(number),
            None => self.refuse(name, format!("a whole number from {range:?} is taken")),
        }
    }
}

impl Zones {
    /// Reads a `FeatureCollection`.
    ///
    /// # Errors
    /// [`ZoneError`] names feature and property.
    pub fn from_geojson(text: &str) -> Result<Self, ZoneError> {
        let document: GeoJson =
            text.parse().map_err(|e: geojson::Error| ZoneError::Unreadable(e.to_string()))?;
        let GeoJson::FeatureCollection(collection) = document else {
            return Err(ZoneError::NotACollection);
        };
        let zones = collection.features.iter().enumerate();
        let zones: Vec<Zone> =
            zones.map(|(n, feature)| zone(n, feature)).collect::<Result<_, _>>()?;
        Self::new(zones)
    }
}

fn zone(feature: usize, geo: &Feature) -> Result<Zone, ZoneError> {
    let at = At { feature, path: "" };
    let none = JsonObject::default();
    let properties = geo.properties.as_ref().unwrap_or(&none);
    at.knows(properties, &PROPERTIES)?;
    let area = match &geo.geometry {
        Some(geometry) => Boundary::from_geometry(geometry),
        None => Err(BoundaryError::NoPolygon),
    };
    let priority = match properties.get("priority") {
        None | Some(JsonValue::Null) => 0,
        Some(value) => match value.as_i64().and_then(|number| i32::try_from(number).ok()) {
            Some(number) => number,
            None => return at.refuse("priority", "a whole number is taken"),
        },
    };
    let name = at.id(properties, "name", |name| {
        if name.is_empty() {
            Err("a name is taken, not an empty text")
        } else {
            Ok(name.to_owned())
        }
    })?;
    Ok(Zone {
        id: at.id(properties, "id", ZoneId::new)?,
        name,
        category: at.text(properties, "category")?.map(str::to_owned),
        priority,
        area: area.map_err(|error| ZoneError::Area { feature, error })?,
        gates: gates(feature, properties)?,
        open_market: at.flag(properties, "open_market", true)?,
        otp: at.flag(properties, "otp", false)?,
        queue: queue(feature, properties)?,
    })
}

fn queue(feature: usize, properties: &JsonObject) -> Result<Option<QueueRules>, ZoneError> {
    let at = At { feature, path: "" };
    let object = match properties.get("queue") {
        None | Some(JsonValue::Null | JsonValue::Bool(false)) => return Ok(None),
        Some(JsonValue::Bool(true)) => return Ok(Some(QueueRules::default())),
        Some(JsonValue::Object(object)) => object,
        Some(_) => return at.refuse("queue", "true, false or an object is taken"),
    };
    let at = At { feature, path: "queue." };
    let known = [
        "entry_fixes",
        "exit_fixes",
        "silent_ms",
        "skips_max",
        "rejoin_after_ms",
        "respond_ms",
        "arrive_ms",
        "call_cooldown_ms",
    ];
    at.knows(object, &known)?;
    let rules = QueueRules::default();
    let small = |name, default: u32, range: std::ops::RangeInclusive<u64>| {
        let number = at.whole(object, name, Some(u64::from(default)), range)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    };
    let ms = |name, default, least| at.whole(object, name, Some(default), least..=86_400_000);
    Ok(Some(QueueRules {
        entry_fixes: small("entry_fixes", rules.entry_fixes, 1..=100)?,
        exit_fixes: small("exit_fixes", rules.exit_fixes, 1..=100)?,
        silent_ms: ms("silent_ms", rules.silent_ms, 1_000)?,
        skips_max: small("skips_max", rules.skips_max, 0..=1_000)?,
        rejoin_after_ms: ms("rejoin_after_ms", rules.rejoin_after_ms, 0)?,
        respond_ms: ms("respond_ms", rules.respond_ms, 1_000)?,
        arrive_ms: ms("arrive_ms", rules.arrive_ms, 1_000)?,
        call_cooldown_ms: ms("call_cooldown_ms", rules.call_cooldown_ms, 0)?,
    }))
}

fn gates(feature: usize, properties: &JsonObject) -> Result<Vec<Gate>, ZoneError> {
    let at = At { feature, path: "" };
    let list = match properties.get("gates") {
        None | Some(JsonValue::Null) => return Ok(Vec::new()),
        Some(JsonValue::Array(list)) if list.len() <= GATES_MAX => list,
        Some(_) => return at.refuse("gates", format!("a list of at most {GATES_MAX} is taken")),
    };
    let mut gates: Vec<Gate> = Vec::with_capacity(list.len());
    for (n, value) in list.iter().enumerate() {
        let path = format!("gates.{n}");
        let Some(object) = value.as_object() else {
            return at.refuse(&path, "an object is taken");
        };
        let path = format!("{path}.");
        let gate = gate(&At { feature, path: &path }, object)?;
        if gates.iter().any(|other| other.id == gate.id) {
            return at.refuse(&format!("{path}id"), "another gate of the zone has it");
        }
        gates.push(gate);
    }
    Ok(gates)
}

fn gate(at: &At<'_>, object: &JsonObject) -> Result<Gate, ZoneError> {
    at.knows(object, &GATE_PROPERTIES)?;
    let kind = match at.text(object, "kind")? {
        Some("pickup") => GateKind::Pickup,
        Some("drop") => GateKind::Drop,
        Some("parking") => GateKind::Parking,
        Some(_) | None => return at.refuse("kind", "pickup, drop or parking is taken"),
    };
    let lat = at.number(object, "lat", None, -90.0..=90.0)?;
    let lng = at.number(object, "lng", None, -180.0..=180.0)?;
    let radius = at.number(object, "radius_m", Some(GATE_RADIUS_M), 1.0..=10_000.0)?;
    let none = JsonObject::default();
    let tiers = match object.get("service_tiers") {
        None | Some(JsonValue::Null) => &none,
        Some(JsonValue::Object(tiers)) => tiers,
        Some(_) => return at.refuse("service_tiers", "an object is taken"),
    };
    let mut gate = Gate {
        id: at.id(object, "id", GateId::new)?,
        kind,
        at: Position::from_degrees(lat, lng).or_else(|error| at.refuse("lat", error))?,
        radius: Meters::new(radius),
        tiers: std::collections::BTreeMap::new(),
    };
    for (name, value) in tiers {
        let path = format!("{}service_tiers.{name}", at.path);
        let here = At { feature: at.feature, path: "" };
        let tier = ServiceTierId::new(name).or_else(|error| here.refuse(&path, error))?;
        let Some(object) = value.as_object() else {
            return here.refuse(&path, "an object is taken");
        };
        gate.tiers.insert(tier, gate_tier(at.feature, &format!("{path}."), object)?);
    }
    Ok(gate)
}

fn gate_tier(feature: usize, path: &str, object: &JsonObject) -> Result<GateTier, ZoneError> {
    let at = At { feature, path };
    at.knows(object, &TIER_PROPERTIES)?;
    let count = |name, default, least| {
        let number = at.whole(object, name, default, least..=1_000)?;
        Ok(u32::try_from(number).unwrap_or(u32::MAX))
    };
    let drivers_min = count("drivers_min", None, 1)?;
    Ok(GateTier {
        demand_min: count("demand_min", Some(2), 1)?,
        drivers_min,
        drivers_max: count("drivers_max", Some(u64::from(drivers_min)), u64::from(drivers_min))?,
    })
}
