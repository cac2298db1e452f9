//! All markets of a deployment, found by place or id.

use std::collections::BTreeMap;
use std::sync::Arc;

use rstar::primitives::{GeomWithData, Rectangle};
use rstar::{AABB, RTree};

use super::Market;
use crate::geo::Position;
use crate::id::MarketId;

/// Two markets share an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("market {0} is configured twice")]
pub struct DuplicateMarket(pub MarketId);

/// The markets in their configured order, with an R-tree over their bounding boxes.
#[derive(Debug)]
pub struct Markets {
    all: Vec<Arc<Market>>,
    by_id: BTreeMap<MarketId, usize>,
    boxes: RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>,
}

impl Markets {
    /// The markets in the order that decides where they overlap.
    ///
    /// # Errors
    /// [`DuplicateMarket`] when two have the same id.
    pub fn new(markets: impl IntoIterator<Item = Market>) -> Result<Self, DuplicateMarket> {
        let all: Vec<Arc<Market>> = markets.into_iter().map(Arc::new).collect();
        let mut by_id = BTreeMap::new();
        for (order, market) in all.iter().enumerate() {
            if by_id.insert(market.id().clone(), order).is_some() {
                return Err(DuplicateMarket(market.id().clone()));
            }
        }
        let boxes = all.iter().enumerate().map(|(order, market)| {
            let outer = market.bounding_box();
            let corners = AABB::from_corners([outer.west, outer.south], [outer.east, outer.north]);
            GeomWithData::new(Rectangle::from_aabb(corners), order)
        });
        let boxes = RTree::bulk_load(boxes.collect());
        Ok(Self { all, by_id, boxes })
    }

    /// The market at `position`: the first in configured order when several overlap there.
    pub fn find(&self, position: Position) -> Option<&Arc<Market>> {
        let point = [position.lng(), position.lat()];
        let boxes = self.boxes.locate_in_envelope_intersecting(AABB::from_point(point));
        let orders = boxes.map(|entry| entry.data);
        let order = orders.filter(|order| self.all[*order].contains(position)).min()?;
        self.all.get(order)
    }

    /// The market with this id.
    pub fn get(&self, id: &MarketId) -> Option<&Arc<Market>> {
        self.by_id.get(id).and_then(|order| self.all.get(*order))
    }

    /// All markets in configured order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Market>> {
        self.all.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::CellResolution;
    use crate::id::ServiceTierId;
    use crate::market::{Boundary, MarketConfig};

    fn square(id: &str, west: f64, south: f64, side: f64) -> Market {
        let (east, north) = (west + side, south + side);
        let ring = format!(
            "[[{west},{south}],[{east},{south}],[{east},{north}],[{west},{north}],[{west},{south}]]"
        );
        let text = format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#);
        let tier = ServiceTierId::new("economy").unwrap();
        Market::new(MarketConfig {
            id: MarketId::new(id).unwrap(),
            name: id.to_owned(),
            boundary: Boundary::from_geojson(&text).unwrap(),
            tiers: vec![tier.clone()],
            default_tier: tier,
            resolution: CellResolution::new(8).unwrap(),
        })
        .unwrap()
    }

    fn name_at(markets: &Markets, lat: f64, lng: f64) -> Option<&str> {
        markets.find(Position::from_degrees(lat, lng).unwrap()).map(|market| market.name())
    }

    #[test]
    fn the_first_configured_market_wins_where_several_overlap() {
        let (wide, inner) = (square("wide", 0.0, 0.0, 10.0), square("inner", 4.0, 4.0, 2.0));
        let far = square("far", 50.0, -20.0, 1.0);
        let markets = Markets::new([wide.clone(), far.clone(), inner.clone()]).unwrap();
        assert_eq!(name_at(&markets, 5.0, 5.0), Some("wide"));
        assert_eq!(name_at(&markets, -19.5, 50.5), Some("far"));
        assert_eq!(name_at(&markets, 20.0, 20.0), None);
        let markets = Markets::new([inner, far, wide]).unwrap();
        assert_eq!(name_at(&markets, 5.0, 5.0), Some("inner"));
        assert_eq!(name_at(&markets, 1.0, 1.0), Some("wide"));
    }

    #[test]
    fn a_market_is_found_by_its_id_and_an_id_is_taken_once() {
        let markets =
            Markets::new([square("a", 0.0, 0.0, 1.0), square("b", 2.0, 0.0, 1.0)]).unwrap();
        assert_eq!(markets.get(&MarketId::new("b").unwrap()).unwrap().name(), "b");
        assert!(markets.get(&MarketId::new("c").unwrap()).is_none());
        assert_eq!(markets.iter().count(), 2);
        let twice = Markets::new([square("a", 0.0, 0.0, 1.0), square("a", 2.0, 0.0, 1.0)]);
        assert_eq!(twice.unwrap_err(), DuplicateMarket(MarketId::new("a").unwrap()));
    }
}
