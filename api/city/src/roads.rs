//! Manhattan's streets: a directed graph with travel times, its nearest-node index and routes.
//!
//! Only the largest strongly connected component is kept, so that every node can be driven to
//! from every other one. Data: © OpenStreetMap contributors (ODbL 1.0), see `data/README.md`.

mod connected;
mod route;

use std::collections::HashMap;

use rstar::primitives::GeomWithData;
use rstar::{PointDistance, RTree};
use serde::Deserialize;

pub use route::{Route, Step};

use crate::error::CityError;
use crate::geo::Point;
use crate::trips::decompress;

/// Manhattan's nodes: a table compressed with zstd.
pub const MANHATTAN_NODES: &[u8] = include_bytes!("../data/manhattan_drive_nodes.csv.zst");
/// Manhattan's directed street segments: a table compressed with zstd.
pub const MANHATTAN_EDGES: &[u8] = include_bytes!("../data/manhattan_drive_edges.csv.zst");

/// Index of a node of the network.
pub type NodeIndex = u32;

/// A directed street segment that leaves a node.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Where it ends.
    pub to: NodeIndex,
    /// Its length in metres.
    pub length_m: f32,
    /// Driving time in milliseconds.
    pub time_ms: u32,
}

/// A strongly connected drive network.
#[derive(Debug)]
pub struct RoadNetwork {
    points: Vec<Point>,
    /// Edges of node `n` are `edges[first_edge[n]..first_edge[n + 1]]`.
    first_edge: Vec<u32>,
    edges: Vec<Edge>,
    speed_max_mps: f64,
    nearest: RTree<GeomWithData<[f64; 2], NodeIndex>>,
    metres_per_degree_lng: f64,
}

#[derive(Deserialize)]
struct NodeRow {
    osmid: u64,
    lat: f64,
    lon: f64,
}

#[derive(Deserialize)]
struct EdgeRow {
    u: u64,
    v: u64,
    length_m: f64,
    highway: String,
}

/// A segment between two nodes by index, before the graph is built.
#[derive(Debug, Clone, Copy)]
pub struct Segment {
    /// Where it begins.
    pub from: NodeIndex,
    /// Where it ends.
    pub to: NodeIndex,
    /// Its length in metres.
    pub length_m: f64,
    /// Mean driving speed.
    pub speed_kmh: f64,
}

const METRES_PER_DEGREE_LAT: f64 = 111_195.0;

/// Average driving speed on a street class on a weekday afternoon, stops at lights included.
///
/// The classes' order and ratios follow their roles; the level is chosen so that the taxi trips
/// of the bundled hour take the shortest routes at 12 to 21 km/h, Manhattan's measured range.
fn speed_kmh(highway: &str) -> f64 {
    // Merged ways list several classes: `['trunk', 'motorway']` counts as its first.
    let class = highway.trim_start_matches("['").split('\'').next().unwrap_or_default();
    match class {
        "motorway" => 32.0,
        "trunk" => 26.0,
        "motorway_link" | "trunk_link" => 18.0,
        "primary" => 14.5,
        "secondary" => 13.0,
        "tertiary" | "primary_link" | "secondary_link" | "tertiary_link" => 12.0,
        "living_street" | "track" => 7.0,
        _ => 10.5,
    }
}

impl RoadNetwork {
    /// The bundled network of Manhattan.
    ///
    /// # Errors
    /// [`CityError::Data`] when the bundle cannot be read.
    pub fn manhattan() -> Result<Self, CityError> {
        let mut index_of = HashMap::new();
        let mut points = Vec::new();
        for row in rows::<NodeRow>("manhattan_drive_nodes", MANHATTAN_NODES)? {
            index_of.insert(row.osmid, points.len() as NodeIndex);
            points.push(Point::new(row.lat, row.lon));
        }
        let mut segments = Vec::new();
        for row in rows::<EdgeRow>("manhattan_drive_edges", MANHATTAN_EDGES)? {
            let (Some(&from), Some(&to)) = (index_of.get(&row.u), index_of.get(&row.v)) else {
                continue;
            };
            let speed_kmh = speed_kmh(&row.highway);
            segments.push(Segment { from, to, length_m: row.length_m, speed_kmh });
        }
        Ok(Self::build(&points, &segments))
    }

    /// The largest strongly connected part of the given streets.
    #[must_use]
    pub fn build(all_points: &[Point], segments: &[Segment]) -> Self {
        let kept = connected::largest_component(all_points.len(), segments);
        let mut new_index = vec![NodeIndex::MAX; all_points.len()];
        for (new, &old) in kept.iter().enumerate() {
            new_index[old as usize] = new as NodeIndex;
        }
        let points: Vec<Point> = kept.iter().map(|&old| all_points[old as usize]).collect();
        let mut leaving: Vec<Vec<Edge>> = vec![Vec::new(); points.len()];
        let mut speed_max_mps: f64 = 1.0;
        for segment in segments {
            let from = new_index[segment.from as usize];
            let to = new_index[segment.to as usize];
            if from == NodeIndex::MAX || to == NodeIndex::MAX || from == to {
                continue;
            }
            let straight_m = points[from as usize].distance_m(points[to as usize]);
            let length_m = segment.length_m.max(straight_m);
            let speed_mps = segment.speed_kmh / 3.6;
            speed_max_mps = speed_max_mps.max(speed_mps);
            let time_ms = (length_m / speed_mps * 1_000.0).ceil() as u32;
            leaving[from as usize].push(Edge { to, length_m: length_m as f32, time_ms });
        }
        let mut first_edge = vec![0];
        let mut edges = Vec::with_capacity(segments.len());
        for node_edges in leaving {
            edges.extend(node_edges);
            first_edge.push(edges.len() as u32);
        }
        let lat = points.first().map_or(0.0, |point| point.lat);
        let metres_per_degree_lng = METRES_PER_DEGREE_LAT * lat.to_radians().cos();
        let plane =
            |point: &Point| [point.lng * metres_per_degree_lng, point.lat * METRES_PER_DEGREE_LAT];
        let nearest = RTree::bulk_load(
            points
                .iter()
                .enumerate()
                .map(|(index, point)| GeomWithData::new(plane(point), index as NodeIndex))
                .collect(),
        );
        Self { points, first_edge, edges, speed_max_mps, nearest, metres_per_degree_lng }
    }

    /// Nodes of the network.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.points.len()
    }

    /// Where a node lies.
    #[must_use]
    pub fn point(&self, node: NodeIndex) -> Point {
        self.points[node as usize]
    }

    /// Street segments that may be driven from a node.
    #[must_use]
    pub fn leaving(&self, node: NodeIndex) -> &[Edge] {
        let first = self.first_edge[node as usize] as usize;
        let end = self.first_edge[node as usize + 1] as usize;
        &self.edges[first..end]
    }

    /// The node nearest to a point, and its distance in metres.
    #[must_use]
    pub fn snap(&self, point: Point) -> (NodeIndex, f64) {
        let target = [point.lng * self.metres_per_degree_lng, point.lat * METRES_PER_DEGREE_LAT];
        let found = self.nearest.nearest_neighbor(target);
        found.map_or((0, f64::INFINITY), |entry| {
            (entry.data, entry.geom().distance_2(&target).sqrt())
        })
    }
}

fn rows<T: serde::de::DeserializeOwned>(what: &str, packed: &[u8]) -> Result<Vec<T>, CityError> {
    let text = decompress(what, packed)?;
    csv::Reader::from_reader(text.as_slice())
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|error| CityError::data(what, error))
}

#[cfg(test)]
#[path = "roads/tests.rs"]
mod tests;
