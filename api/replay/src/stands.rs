//! Taxi stands: zones where drivers wait in line, for comparisons of modes that need them.
//!
//! The file is the one that the server reads as the market's zones, so both sides mean the same
//! places.

use serde::Deserialize;

use crate::error::ReplayError;
use crate::geo::Point;

/// Four stands of Manhattan, as the server reads them.
pub(crate) const MANHATTAN: &str = include_str!("../data/manhattan_stands.geojson");

/// Drivers without a ride think of a stand this near, in metres.
const NEAR_M: f64 = 800.0;

/// One stand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stand {
    /// The zone's id.
    pub(crate) zone: String,
    /// Where drivers wait in line.
    pub(crate) parking: Point,
    /// Outer ring of the zone.
    outline: Vec<Point>,
    gates: Vec<(String, Point)>,
}

/// The stands of a city.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stands(Vec<Stand>);

#[derive(Deserialize)]
struct Collection {
    features: Vec<Feature>,
}

#[derive(Deserialize)]
struct Feature {
    properties: Properties,
    geometry: Geometry,
}

#[derive(Deserialize)]
struct Geometry {
    /// Rings of longitudes and latitudes.
    coordinates: Vec<Vec<[f64; 2]>>,
}

#[derive(Deserialize)]
struct Properties {
    id: String,
    gates: Vec<Gate>,
}

#[derive(Deserialize)]
struct Gate {
    id: String,
    kind: String,
    #[serde(flatten)]
    point: Point,
}

impl Stand {
    /// Whether a place is inside: a line from it to the east leaves the zone.
    fn contains(&self, Point { lat, lng }: Point) -> bool {
        let crossed = self.outline.windows(2).filter(|side| {
            let (a, b) = (side[0], side[1]);
            let edge_lng = a.lng + (b.lng - a.lng) * (lat - a.lat) / (b.lat - a.lat);
            (a.lat > lat) != (b.lat > lat) && lng < edge_lng
        });
        crossed.count() % 2 == 1
    }
}

impl Stands {
    /// The bundled stands of Manhattan.
    pub(crate) fn manhattan() -> Result<Self, ReplayError> {
        let what = "manhattan_stands";
        let read: Collection =
            serde_json::from_str(MANHATTAN).map_err(|error| ReplayError::data(what, error))?;
        let stands = read.features.into_iter().map(|feature| {
            let Properties { id: zone, gates } = feature.properties;
            let parking = gates.iter().find(|gate| gate.kind == "parking").map(|gate| gate.point);
            let parking = parking
                .ok_or_else(|| ReplayError::data(what, format!("{zone} has no parking gate")))?;
            let gates = gates.into_iter().map(|gate| (gate.id, gate.point)).collect();
            let rings = feature.geometry.coordinates.into_iter().flatten();
            let outline = rings.map(|[lng, lat]| Point::new(lat, lng)).collect();
            Ok(Stand { zone, parking, outline, gates })
        });
        stands.collect::<Result<_, _>>().map(Self)
    }

    /// The ids of their zones.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|stand| stand.zone.as_str())
    }

    /// The nearest stand, if one is worth the way.
    pub(crate) fn near(&self, here: Point) -> Option<&Stand> {
        let away = |stand: &&Stand| stand.parking.distance_m(here);
        let nearest = self.0.iter().min_by(|a, b| away(a).total_cmp(&away(b)))?;
        (away(&nearest) <= NEAR_M).then_some(nearest)
    }

    /// The zone that a place lies in.
    pub(crate) fn zone_at(&self, place: Point) -> Option<&str> {
        let stand = self.0.iter().find(|stand| stand.contains(place))?;
        Some(&stand.zone)
    }

    /// Where a gate of a zone is.
    pub(crate) fn gate(&self, zone: &str, gate: &str) -> Option<Point> {
        let stand = self.0.iter().find(|stand| stand.zone == zone)?;
        stand.gates.iter().find(|(id, _)| id == gate).map(|&(_, point)| point)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_find_the_nearest_stand_and_its_gates_unless_it_is_far() {
        let stands = Stands::manhattan().unwrap();
        assert_eq!(stands.zones().count(), 4);
        let beside_penn = stands.near(Point::new(40.7510, -73.9950)).unwrap();
        assert_eq!(beside_penn.zone, "penn-station");
        assert!(stands.near(Point::new(40.80, -73.95)).is_none());
        let gate = stands.gate("penn-station", "seventh-avenue").unwrap();
        assert!((100.0..400.0).contains(&gate.distance_m(beside_penn.parking)));
        assert!(stands.gate("penn-station", "none").is_none());
        for stand in &stands.0 {
            let places = stand.gates.iter().map(|&(_, point)| point).chain([stand.parking]);
            for place in places {
                assert_eq!(stands.zone_at(place), Some(stand.zone.as_str()));
            }
        }
        assert_eq!(stands.zone_at(Point::new(40.7600, -73.9800)), None);
    }
}
