//! Markets: operating areas with their own tiers, grid and policy.

mod boundary;
mod locales;
mod markets;

use std::sync::Arc;

use locales::Locales;

pub use boundary::{Boundary, BoundaryError, BoundingBox};
pub(crate) use locales::Locale;
pub use markets::{DuplicateMarket, Markets};

use crate::geo::{Cell, CellRaster, CellResolution, Position};
use crate::grid::TierSet;
use crate::id::{MarketId, ServiceTierId};
use crate::matching::ValueTable;
use crate::zone::{ZoneError, Zones};

/// What a market is made from.
#[derive(Debug, Clone)]
pub struct MarketConfig {
    /// The id drivers and riders see.
    pub id: MarketId,
    /// The name people see.
    pub name: String,
    /// The area.
    pub boundary: Boundary,
    /// The tiers on sale, in the order shown; their order is their index.
    pub tiers: Vec<ServiceTierId>,
    /// The tier of a request that names none.
    pub default_tier: ServiceTierId,
    /// The resolution of the market's grid.
    pub resolution: CellResolution,
}

/// Why a configuration makes no market.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarketError {
    /// More tiers than a [`TierSet`] holds.
    #[error("market {market} has {count} tiers, at most {} are supported", TierSet::TIERS_MAX)]
    TooManyTiers {
        /// The market at fault.
        market: MarketId,
        /// How many tiers it has.
        count: usize,
    },
    /// A tier is listed twice.
    #[error("market {market} lists tier {tier} twice")]
    DuplicateTier {
        /// The market at fault.
        market: MarketId,
        /// The tier that repeats.
        tier: ServiceTierId,
    },
    /// The default tier is not on sale.
    #[error("market {market} has the default tier {tier}, which it does not sell")]
    UnknownDefaultTier {
        /// The market at fault.
        market: MarketId,
        /// The default tier.
        tier: ServiceTierId,
    },
}

/// A tier that is not sold in a market.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("market {market} does not sell tier {tier}")]
pub struct UnknownTier {
    /// The market that was asked.
    pub market: MarketId,
    /// The tier it does not sell.
    pub tier: ServiceTierId,
}

/// An operating area, usually a city.
#[derive(Debug, Clone)]
pub struct Market {
    id: MarketId,
    name: String,
    boundary: Boundary,
    tiers: Vec<ServiceTierId>,
    default_tier: u8,
    resolution: CellResolution,
    zones: Zones,
    values: Option<Arc<ValueTable>>,
    locales: Arc<Locales>,
}

impl Market {
    /// The market of a configuration.
    ///
    /// # Errors
    /// [`MarketError`] when the tiers contradict one another.
    pub fn new(config: MarketConfig) -> Result<Self, MarketError> {
        let MarketConfig { id, name, boundary, tiers, default_tier, resolution } = config;
        if tiers.len() > TierSet::TIERS_MAX {
            return Err(MarketError::TooManyTiers { market: id, count: tiers.len() });
        }
        let repeated = tiers.iter().enumerate().find(|(i, tier)| tiers[..*i].contains(tier));
        if let Some((_, tier)) = repeated {
            return Err(MarketError::DuplicateTier { market: id, tier: tier.clone() });
        }
        let Some(default_index) = index_of(&tiers, &default_tier) else {
            return Err(MarketError::UnknownDefaultTier { market: id, tier: default_tier });
        };
        let (default_tier, zones) = (default_index, Zones::default());
        let raster = Arc::new(raster_of(boundary.bounding_box(), resolution));
        let (values, locales) = (None, Arc::new(Locales::new(raster)));
        Ok(Self { id, name, boundary, tiers, default_tier, resolution, zones, values, locales })
    }

    /// The market with these zones.
    ///
    /// # Errors
    /// [`ZoneError::UnknownTier`] when a gate names a tier that is not on sale.
    pub fn with_zones(mut self, zones: Zones) -> Result<Self, ZoneError> {
        for zone in zones.iter() {
            let named =
                zone.gates.iter().flat_map(|gate| gate.tiers.keys().map(move |t| (gate, t)));
            let unknown = named.into_iter().find(|(_, tier)| self.tier_index(tier).is_none());
            if let Some((gate, tier)) = unknown {
                let (zone, gate, tier) = (zone.id.clone(), gate.id.clone(), tier.clone());
                return Err(ZoneError::UnknownTier { zone, gate, tier });
            }
        }
        self.zones = zones;
        self.locales = Arc::new(Locales::new(Arc::clone(&self.locales.raster)));
        Ok(self)
    }

    /// The market with what its places and times are worth.
    #[must_use]
    pub fn with_values(self, values: ValueTable) -> Self {
        Self { values: Some(Arc::new(values)), ..self }
    }

    /// What its places and times are worth, where that is known.
    pub fn values(&self) -> Option<&ValueTable> {
        self.values.as_deref()
    }

    /// Places with rules of their own.
    pub const fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The id drivers and riders see.
    pub const fn id(&self) -> &MarketId {
        &self.id
    }

    /// The name people see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The area.
    pub const fn boundary(&self) -> &Boundary {
        &self.boundary
    }

    /// The least rectangle around the area.
    pub const fn bounding_box(&self) -> BoundingBox {
        self.boundary.bounding_box()
    }

    /// The resolution of the market's grid.
    pub const fn resolution(&self) -> CellResolution {
        self.resolution
    }

    /// The tiers on sale; the place in this list is a tier's index.
    pub fn tiers(&self) -> &[ServiceTierId] {
        &self.tiers
    }

    /// The index of the tier that a request gets when it names none.
    pub const fn default_tier(&self) -> u8 {
        self.default_tier
    }

    /// Whether `position` is in the market, its edge included.
    pub fn contains(&self, position: Position) -> bool {
        self.boundary.contains(position)
    }

    /// Whether the whole of `cell` is certainly in the market; `false` says nothing.
    pub fn encloses(&self, cell: Cell) -> bool {
        self.boundary.encloses(cell)
    }

    /// The cell of the market's grid that holds `position`.
    pub fn cell_at(&self, position: Position) -> Cell {
        self.locales.raster.cell_at(position)
    }

    /// What the cell of a position is found with, to be shared with the market's grid.
    pub fn raster(&self) -> Arc<CellRaster> {
        Arc::clone(&self.locales.raster)
    }

    /// Whether `locale` is one of this market as it stands.
    pub(crate) fn knows(&self, locale: &Locale) -> bool {
        locale.book == self.locales.book
    }

    /// What is to be known of `cell` to judge a fix.
    pub(crate) fn locale(&self, cell: Cell) -> Arc<Locale> {
        self.locales.of(cell, || (self.encloses(cell), self.zones.may_watch(cell)))
    }

    /// The index of a tier, if it is on sale.
    pub fn tier_index(&self, tier: &ServiceTierId) -> Option<u8> {
        index_of(&self.tiers, tier)
    }

    /// The set of these tiers.
    ///
    /// # Errors
    /// [`UnknownTier`] names the first one that is not on sale.
    pub fn tier_set(&self, tiers: &[ServiceTierId]) -> Result<TierSet, UnknownTier> {
        tiers.iter().try_fold(TierSet::EMPTY, |set, tier| {
            let unknown = || UnknownTier { market: self.id.clone(), tier: tier.clone() };
            Ok(set.with(self.tier_index(tier).ok_or_else(unknown)?))
        })
    }
}

fn raster_of(around: BoundingBox, resolution: CellResolution) -> CellRaster {
    let south_west = Position::from_degrees(around.south, around.west);
    let north_east = Position::from_degrees(around.north, around.east);
    match (south_west, north_east) {
        (Ok(south_west), Ok(north_east)) => CellRaster::new(south_west, north_east, resolution),
        // A boundary is on the globe.
        (Err(_), _) | (_, Err(_)) => CellRaster::empty(resolution),
    }
}

fn index_of(tiers: &[ServiceTierId], tier: &ServiceTierId) -> Option<u8> {
    tiers.iter().position(|other| other == tier).and_then(|index| u8::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(name: &str) -> ServiceTierId {
        ServiceTierId::new(name).unwrap()
    }

    fn config(tiers: &[&str], default_tier: &str) -> MarketConfig {
        let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,1],[0,0]]]}"#;
        MarketConfig {
            id: MarketId::new("m").unwrap(),
            name: "M".to_owned(),
            boundary: Boundary::from_geojson(square).unwrap(),
            tiers: tiers.iter().map(|name| tier(name)).collect(),
            default_tier: tier(default_tier),
            resolution: CellResolution::new(9).unwrap(),
        }
    }

    #[test]
    fn a_tier_set_is_made_of_the_indices_in_the_market() {
        let market = Market::new(config(&["economy", "xl", "premium"], "xl")).unwrap();
        let set = market.tier_set(&[tier("premium"), tier("economy")]).unwrap();
        assert_eq!(set.indices().collect::<Vec<_>>(), vec![0, 2]);
        assert_eq!(market.default_tier(), 1);
        let unknown = market.tier_set(&[tier("xl"), tier("boat")]).unwrap_err();
        assert_eq!(unknown.to_string(), "market m does not sell tier boat");
    }

    #[test]
    fn tiers_that_contradict_one_another_are_refused() {
        let error = |tiers: &[&str], default| Market::new(config(tiers, default)).unwrap_err();
        assert_eq!(error(&["a", "b", "a"], "a").to_string(), "market m lists tier a twice");
        assert!(matches!(error(&["a"], "b"), MarketError::UnknownDefaultTier { .. }));
        assert!(matches!(error(&[], "b"), MarketError::UnknownDefaultTier { .. }));
        let many: Vec<String> = (0..33).map(|i| format!("t{i}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(error(&many, "t0"), MarketError::TooManyTiers { count: 33, .. }));
    }
}
