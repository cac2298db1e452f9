//! The outline of a market, read from GeoJSON.

use geo::{Area, BoundingRect, Coord, Intersects, LineString, MultiPolygon, Point, Polygon};
use geojson::{Feature, GeoJson, Geometry, GeometryValue};

use crate::geo::{Cell, EARTH_RADIUS_M, Position};

/// Why a text is no boundary.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BoundaryError {
    /// The text is not GeoJSON.
    #[error("not GeoJSON: {0}")]
    Unreadable(String),
    /// The document holds something that has no area.
    #[error("a boundary consists of Polygon and MultiPolygon, found {0}")]
    NotAnArea(&'static str),
    /// The document holds no polygon at all.
    #[error("no polygon found")]
    NoPolygon,
    /// A ring has too few positions to enclose an area.
    #[error("ring {ring} of polygon {polygon} has {positions} positions, at least 4 are needed")]
    RingTooShort {
        /// Which polygon, counted from 0 over the document.
        polygon: usize,
        /// Which ring of it: 0 is the outline, the others are holes.
        ring: usize,
        /// How many positions it has.
        positions: usize,
    },
    /// A ring does not end where it begins.
    #[error("ring {ring} of polygon {polygon} is not closed: its first and last positions differ")]
    RingNotClosed {
        /// Which polygon, counted from 0 over the document.
        polygon: usize,
        /// Which ring of it: 0 is the outline, the others are holes.
        ring: usize,
    },
    /// A coordinate is not on the globe.
    #[error("ring {ring} of polygon {polygon} holds lng {lng}, lat {lat}: out of range")]
    OutOfRange {
        /// Which polygon, counted from 0 over the document.
        polygon: usize,
        /// Which ring of it: 0 is the outline, the others are holes.
        ring: usize,
        /// The longitude as written, first in GeoJSON.
        lng: f64,
        /// The latitude as written.
        lat: f64,
    },
}

/// The least rectangle of latitudes and longitudes around a boundary, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// Least latitude.
    pub south: f64,
    /// Least longitude.
    pub west: f64,
    /// Greatest latitude.
    pub north: f64,
    /// Greatest longitude.
    pub east: f64,
}

/// One or more polygons with holes. Edges are straight in latitude and longitude, as GeoJSON
/// defines them; an area across the antimeridian is written as one polygon on each side.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    area: MultiPolygon,
    bounding_box: BoundingBox,
}

/// Beyond this latitude a degree of longitude shrinks too fast for the flat test of `encloses`.
const FLAT_LAT_MAX: f64 = 80.0;

/// How much larger than a cell its surroundings must be free of edges; covers the flat test.
const FLAT_MARGIN: f64 = 1.05;

impl Boundary {
    /// Reads a `Polygon`, `MultiPolygon`, `Feature` or `FeatureCollection`; a collection is the
    /// union of its areas.
    ///
    /// # Errors
    /// [`BoundaryError`] names the polygon and ring at fault.
    pub fn from_geojson(text: &str) -> Result<Self, BoundaryError> {
        let document: GeoJson =
            text.parse().map_err(|e: geojson::Error| BoundaryError::Unreadable(e.to_string()))?;
        let mut polygons = Vec::new();
        match &document {
            GeoJson::Geometry(geometry) => collect_geometry(geometry, &mut polygons)?,
            GeoJson::Feature(feature) => collect_feature(feature, &mut polygons)?,
            GeoJson::FeatureCollection(collection) => {
                for feature in &collection.features {
                    collect_feature(feature, &mut polygons)?;
                }
            }
        }
        Self::of_polygons(polygons)
    }

    /// Reads one geometry: a `Polygon` or `MultiPolygon`.
    ///
    /// # Errors
    /// [`BoundaryError`] names the polygon and ring at fault.
    pub(crate) fn from_geometry(geometry: &Geometry) -> Result<Self, BoundaryError> {
        let mut polygons = Vec::new();
        collect_geometry(geometry, &mut polygons)?;
        Self::of_polygons(polygons)
    }

    fn of_polygons(polygons: Vec<Polygon>) -> Result<Self, BoundaryError> {
        let area = MultiPolygon(polygons);
        let rect = area.bounding_rect().ok_or(BoundaryError::NoPolygon)?;
        let (low, high) = (rect.min(), rect.max());
        let bounding_box = BoundingBox { south: low.y, west: low.x, north: high.y, east: high.x };
        Ok(Self { area, bounding_box })
    }

    /// Whether `position` is inside, or on an edge.
    pub fn contains(&self, position: Position) -> bool {
        self.area.intersects(&Point::new(position.lng(), position.lat()))
    }

    /// Whether the whole of `cell` is certainly inside; `false` says nothing.
    ///
    /// True when the centre is inside and no edge comes as near as the cell's largest radius.
    pub fn encloses(&self, cell: Cell) -> bool {
        let centre = cell.centre();
        let clear = cell.resolution().circumradius_max().get() * FLAT_MARGIN;
        centre.lat().abs() < FLAT_LAT_MAX
            && centre.lng().abs() < 180.0 - clear_degrees(clear, centre)
            && self.contains(centre)
            && self.edge_distance(centre) > clear
    }

    /// The area without its holes in square degrees: orders areas near each other by size.
    pub(crate) fn square_degrees(&self) -> f64 {
        self.area.unsigned_area()
    }

    /// The least rectangle around the boundary.
    pub const fn bounding_box(&self) -> BoundingBox {
        self.bounding_box
    }

    /// The polygons as GeoJSON writes them: per polygon its outline and then its holes, each a
    /// closed ring of longitude and latitude.
    pub fn polygons(&self) -> impl Iterator<Item = Vec<Vec<[f64; 2]>>> {
        let ring = |line: &LineString| line.coords().map(|c| [c.x, c.y]).collect();
        self.area.iter().map(move |polygon| {
            std::iter::once(polygon.exterior()).chain(polygon.interiors()).map(ring).collect()
        })
    }

    /// Metres from `place` to the nearest edge, on a plane that touches the earth at `place`.
    fn edge_distance(&self, place: Position) -> f64 {
        let north_m = EARTH_RADIUS_M.to_radians();
        let east_m = north_m * place.lat().to_radians().cos();
        let flat = |c: Coord| ((c.x - place.lng()) * east_m, (c.y - place.lat()) * north_m);
        let rings =
            self.area.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors()));
        let edges = rings.flat_map(LineString::lines);
        edges.map(|edge| origin_to_edge(flat(edge.start), flat(edge.end))).fold(f64::MAX, f64::min)
    }
}

/// Degrees of longitude that `meters` span at `place`.
fn clear_degrees(meters: f64, place: Position) -> f64 {
    (meters / (EARTH_RADIUS_M * place.lat().to_radians().cos())).to_degrees()
}

/// The distance from the origin to the edge from `a` to `b`.
fn origin_to_edge(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length_squared = dx * dx + dy * dy;
    let along = if length_squared > 0.0 { -(a.0 * dx + a.1 * dy) / length_squared } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (a.0 + along * dx).hypot(a.1 + along * dy)
}

fn collect_feature(feature: &Feature, polygons: &mut Vec<Polygon>) -> Result<(), BoundaryError> {
    feature.geometry.as_ref().map_or(Ok(()), |geometry| collect_geometry(geometry, polygons))
}

fn collect_geometry(geometry: &Geometry, polygons: &mut Vec<Polygon>) -> Result<(), BoundaryError> {
    let areas = match &geometry.value {
        GeometryValue::Polygon { coordinates } => std::slice::from_ref(coordinates),
        GeometryValue::MultiPolygon { coordinates } => coordinates.as_slice(),
        GeometryValue::Point { .. }
        | GeometryValue::MultiPoint { .. }
        | GeometryValue::LineString { .. }
        | GeometryValue::MultiLineString { .. }
        | GeometryValue::GeometryCollection { .. } => {
            return Err(BoundaryError::NotAnArea(geometry.value.type_name()));
        }
    };
    for rings in areas {
        polygons.extend(polygon_of(rings, polygons.len())?);
    }
    Ok(())
}

/// The polygon of an outline and its holes; `None` when there is not even an outline.
fn polygon_of(
    rings: &[Vec<geojson::Position>],
    polygon: usize,
) -> Result<Option<Polygon>, BoundaryError> {
    let mut lines = Vec::with_capacity(rings.len());
    for (ring, positions) in rings.iter().enumerate() {
        lines.push(ring_of(positions, polygon, ring)?);
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let outline = lines.remove(0);
    Ok(Some(Polygon::new(outline, lines)))
}

fn ring_of(
    positions: &[geojson::Position],
    polygon: usize,
    ring: usize,
) -> Result<LineString, BoundaryError> {
    let mut line = Vec::with_capacity(positions.len());
    for position in positions {
        // The parser refuses a position with fewer than two numbers.
        let (lng, lat) = (position[0], position[1]);
        if Position::from_degrees(lat, lng).is_err() {
            return Err(BoundaryError::OutOfRange { polygon, ring, lng, lat });
        }
        line.push(Coord { x: lng, y: lat });
    }
    if line.len() < 4 {
        return Err(BoundaryError::RingTooShort { polygon, ring, positions: line.len() });
    }
    if line.first() != line.last() {
        return Err(BoundaryError::RingNotClosed { polygon, ring });
    }
    Ok(LineString::new(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::CellResolution;

    const RING_WITH_HOLE: &str = r#"{"type":"Feature","properties":{"id":"x"},"geometry":{
        "type":"Polygon","coordinates":[
            [[-74.0,40.0],[-73.0,40.0],[-73.0,41.0],[-74.0,41.0],[-74.0,40.0]],
            [[-73.6,40.4],[-73.4,40.4],[-73.4,40.6],[-73.6,40.6],[-73.6,40.4]]]}}"#;

    fn at(lat: f64, lng: f64) -> Position {
        Position::from_degrees(lat, lng).unwrap()
    }

    fn polygon(ring: &str) -> Result<Boundary, BoundaryError> {
        Boundary::from_geojson(&format!(r#"{{"type":"Polygon","coordinates":[{ring}]}}"#))
    }

    #[test]
    fn a_hole_is_outside_and_an_edge_is_inside() {
        let boundary = Boundary::from_geojson(RING_WITH_HOLE).unwrap();
        assert!(boundary.contains(at(40.2, -73.5)));
        assert!(!boundary.contains(at(40.5, -73.5)));
        assert!(!boundary.contains(at(41.2, -73.5)));
        assert!(boundary.contains(at(40.0, -73.5)));
        assert!(boundary.contains(at(40.5, -73.6)));
        let expected = BoundingBox { south: 40.0, west: -74.0, north: 41.0, east: -73.0 };
        assert_eq!(boundary.bounding_box(), expected);
        let polygons: Vec<_> = boundary.polygons().collect();
        assert_eq!((polygons.len(), polygons[0].len()), (1, 2));
        assert_eq!(polygons[0][1][0], [-73.6, 40.4]);
    }

    #[test]
    fn a_collection_is_the_union_of_its_areas() {
        let text = r#"{"type":"FeatureCollection","features":[
            {"type":"Feature","properties":{},"geometry":{"type":"Polygon","coordinates":
                [[[179,-18],[180,-18],[180,-16],[179,-16],[179,-18]]]}},
            {"type":"Feature","properties":{},"geometry":{"type":"MultiPolygon","coordinates":
                [[[[-180,-18],[-179,-18],[-179,-16],[-180,-16],[-180,-18]]]]}}]}"#;
        let boundary = Boundary::from_geojson(text).unwrap();
        assert!(boundary.contains(at(-17.0, 179.99)) && boundary.contains(at(-17.0, -179.99)));
        assert!(boundary.contains(at(-17.0, 180.0)) && boundary.contains(at(-17.0, -180.0)));
        assert!(!boundary.contains(at(-17.0, 0.0)));
    }

    #[test]
    fn a_cell_is_enclosed_only_when_all_its_corners_are_inside() {
        let boundary = Boundary::from_geojson(RING_WITH_HOLE).unwrap();
        let mut enclosed = 0;
        for i in 0..4_000 {
            let place = at(39.9 + f64::from(i % 63) * 0.019, -74.1 + f64::from(i / 63) * 0.019);
            for resolution in [5, 7, 9] {
                let cell = Cell::at(place, CellResolution::new(resolution).unwrap());
                if boundary.encloses(cell) {
                    enclosed += 1;
                    for corner in cell.corners() {
                        let [x, y, z] = corner.coordinates();
                        let lng = y.atan2(x).to_degrees();
                        assert!(boundary.contains(at(z.asin().to_degrees(), lng)));
                    }
                }
            }
        }
        assert!(enclosed > 6_000, "{enclosed}");
    }

    #[test]
    fn a_broken_document_is_refused_with_the_place_of_the_fault() {
        assert!(matches!(Boundary::from_geojson("{"), Err(BoundaryError::Unreadable(_))));
        assert_eq!(
            Boundary::from_geojson(r#"{"type":"Point","coordinates":[1,2]}"#),
            Err(BoundaryError::NotAnArea("Point"))
        );
        let empty = r#"{"type":"FeatureCollection","features":[]}"#;
        assert_eq!(Boundary::from_geojson(empty), Err(BoundaryError::NoPolygon));
        assert_eq!(
            polygon("[[0,0],[1,0],[1,1],[0,1]]"),
            Err(BoundaryError::RingNotClosed { polygon: 0, ring: 0 })
        );
        assert_eq!(
            polygon("[[0,0],[1,0],[0,0]]"),
            Err(BoundaryError::RingTooShort { polygon: 0, ring: 0, positions: 3 })
        );
        assert_eq!(
            polygon("[[0,0],[9,0],[9,9],[0,0]],[[1,1],[1,95],[2,2],[1,1]]"),
            Err(BoundaryError::OutOfRange { polygon: 0, ring: 1, lng: 1.0, lat: 95.0 })
        );
    }
}
