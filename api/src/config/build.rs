//! From configuration to what the engine runs on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::{DispatchConfig, DispatchLimits};
use muster_engine::geo::CellResolution;
use muster_engine::grid::FixLimits;
use muster_engine::id::{MarketId, ServiceTierId};
use muster_engine::market::{Boundary, Market, MarketConfig, Markets};
use muster_engine::matching::{ValueError, ValueTable};
use muster_engine::policy::{BookError, PolicyBook};
use muster_engine::zone::Zones;

use super::{Config, ConfigError, MarketSection};

const BUILTIN_BOUNDARIES: [(&str, &str); 2] = [
    ("builtin:nyc", include_str!("../../markets/nyc.geojson")),
    ("builtin:sf", include_str!("../../markets/sf.geojson")),
];

const BUILTIN_ZONES: [(&str, &str); 2] = [
    ("builtin:nyc", include_str!("../../markets/nyc-zones.geojson")),
    ("builtin:sf", include_str!("../../markets/sf-zones.geojson")),
];

impl Config {
    /// The engine's configuration, with every market and policy validated.
    ///
    /// # Errors
    /// [`ConfigError`] names key, value and what is allowed.
    pub fn dispatch(&self) -> Result<DispatchConfig, ConfigError> {
        let mut markets = Vec::new();
        let mut policies = BTreeMap::new();
        for (id, section) in &self.markets {
            let market = self.market(id, section)?;
            let book = self.policies_of(id, section, market.zones())?;
            policies.insert(market.id().clone(), Arc::new(book));
            markets.push(market);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let arbiters = if self.engine.arbiters == 0 { cores } else { self.engine.arbiters };
        Ok(DispatchConfig {
            markets: Markets::new(markets)
                .map_err(|error| invalid("markets", &error, "one section per market"))?,
            policies,
            travel: BTreeMap::new(),
            fix_limits: FixLimits {
                future_ms_max: self.positions.future_ms_max,
                speed_mps_max: self.positions.speed_mps_max,
                jump_m_min: self.positions.jump_m_min,
                fixes_per_s_max: self.positions.fixes_per_s_max,
            },
            limits: DispatchLimits {
                mailbox_capacity: self.engine.mailbox_capacity,
                store_backlog_max: self.engine.store_backlog_max,
                open_rides_max: self.engine.open_rides_max,
                answer_within: Duration::from_millis(self.engine.answer_within_ms),
                position_snapshot_every: Duration::from_millis(self.store.position_snapshot_ms),
            },
            arbiters,
            clock_speed: self.clock.speed,
        })
    }

    fn market(&self, id: &str, section: &MarketSection) -> Result<Market, ConfigError> {
        let key = |name: &str| format!("markets.{id}.{name}");
        let tier = |name: &String, key: String| {
            ServiceTierId::new(name).map_err(|error| invalid(&key, &error, "an id"))
        };
        let tiers = section.service_tiers.iter().map(|name| tier(name, key("service_tiers")));
        let resolution = CellResolution::new(section.grid_resolution)
            .map_err(|error| invalid(&key("grid_resolution"), &error, "an H3 resolution"))?;
        let config = MarketConfig {
            id: MarketId::new(id).map_err(|error| invalid(&key("id"), &error, "an id"))?,
            name: section.name.clone(),
            boundary: self.boundary(id, section)?,
            tiers: tiers.collect::<Result<_, _>>()?,
            default_tier: tier(&section.default_tier, key("default_tier"))?,
            resolution,
        };
        let market = Market::new(config).map_err(|error| {
            invalid(&key("service_tiers"), &error, "distinct tiers with the default among them")
        })?;
        let market = match &section.values {
            Some(name) => market.with_values(self.values(id, name)?),
            None => market,
        };
        let Some(name) = &section.zones else { return Ok(market) };
        let zones = Zones::from_geojson(&self.place_file(name, &BUILTIN_ZONES)?);
        let market = zones.and_then(|zones| market.with_zones(zones));
        market.map_err(|error| {
            invalid(&key("zones"), &error, "a GeoJSON FeatureCollection of zones")
                .of_origin(&self.origin)
        })
    }

    /// What places and times are worth, from a file beside the configuration.
    fn values(&self, id: &str, name: &str) -> Result<ValueTable, ConfigError> {
        ValueTable::parse(&self.place_file(name, &[])?).map_err(|error| {
            let (key, path) = (format!("markets.{id}.values"), self.base.join(name));
            let ValueError { line, field, found, allowed } = error;
            let value = format!("{}, line {line}: {field} {found:?}", path.display());
            let allowed = format!("{field}: {allowed}");
            ConfigError::Value { origin: self.origin.clone(), key, value, allowed }
        })
    }

    /// The text of a shipped file, or of one beside the configuration.
    fn place_file(&self, name: &str, shipped: &[(&str, &str)]) -> Result<String, ConfigError> {
        let builtin = shipped.iter().find(|(builtin, _)| *builtin == name);
        if let Some((_, text)) = builtin {
            return Ok((*text).to_owned());
        }
        let path = self.base.join(name);
        let read = std::fs::read_to_string(&path);
        read.map_err(|error| ConfigError::File { path: path.display().to_string(), error })
    }

    fn boundary(&self, id: &str, section: &MarketSection) -> Result<Boundary, ConfigError> {
        let key = format!("markets.{id}.boundary");
        let text = self.place_file(&section.boundary, &BUILTIN_BOUNDARIES)?;
        Boundary::from_geojson(&text).map_err(|error| invalid(&key, &error, "a GeoJSON polygon"))
    }

    fn policies_of(
        &self,
        id: &str,
        section: &MarketSection,
        zones: &Zones,
    ) -> Result<PolicyBook, ConfigError> {
        let mut base = self.policy.clone();
        base.apply(&section.policy);
        let (rules, experiment) = (section.rules.clone(), section.experiment.clone());
        let book = PolicyBook::new(0, base, rules, experiment, section.utc_offset_min);
        let checked = book.and_then(|book| book.check_zones(zones).map(|()| book));
        checked.map_err(|error| self.book_refused(id, &error))
    }

    /// Why the policies of a market are refused.
    pub(super) fn book_refused(&self, id: &str, error: &BookError) -> ConfigError {
        match error {
            BookError::Value { place, error } => ConfigError::Value {
                origin: self.origin.clone(),
                key: format!("{place}.{} (market {id})", error.key),
                value: error.value.clone(),
                allowed: error.allowed.to_owned(),
            },
            BookError::Duplicate { .. }
            | BookError::Shape { .. }
            | BookError::UnknownZone { .. } => {
                let key = format!("markets.{id}");
                let refused = invalid(&key, error, "rules and arms that can hold");
                refused.of_origin(&self.origin)
            }
        }
    }
}

impl ConfigError {
    fn of_origin(self, read: &str) -> Self {
        match self {
            Self::Value { origin: _, key, value, allowed } => {
                Self::Value { origin: read.to_owned(), key, value, allowed }
            }
            Self::File { .. } | Self::Shape(_) | Self::Roads { .. } => self,
        }
    }
}

fn invalid(key: &str, error: &dyn std::fmt::Display, allowed: &str) -> ConfigError {
    ConfigError::Value {
        origin: "configuration".to_owned(),
        key: key.to_owned(),
        value: format!("refused ({error})"),
        allowed: allowed.to_owned(),
    }
}
