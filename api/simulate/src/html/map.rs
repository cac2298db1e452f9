//! Maps of cells by how many of their riders were not served, over the streets where they are known.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use muster_city::geo::Point;
use muster_city::roads::RoadNetwork;
use muster_engine::geo::Cell;

use super::{escaped, heading};
use crate::simulation::{Column, Simulation};

/// Width of a map.
const WIDTH_PX: f64 = 300.0;

/// Share of riders not served at which a cell is darkest, in per cent.
const DARKEST_PCT: f64 = 40.0;

/// From degrees to the plane of the picture.
struct Frame {
    west: f64,
    north: f64,
    px_per_lng: f64,
    px_per_lat: f64,
    height_px: f64,
}

impl Frame {
    fn around(points: &[Point]) -> Option<Self> {
        let first = points.first()?;
        let fold = |of: fn(&Point) -> f64, pick: fn(f64, f64) -> f64| {
            points.iter().map(of).fold(of(first), pick)
        };
        let (west, east) = (fold(|p| p.lng, f64::min), fold(|p| p.lng, f64::max));
        let (south, north) = (fold(|p| p.lat, f64::min), fold(|p| p.lat, f64::max));
        let px_per_lng = WIDTH_PX / (east - west).max(f64::EPSILON);
        let px_per_lat = px_per_lng / south.to_radians().cos().max(0.01);
        Some(Self { west, north, px_per_lng, px_per_lat, height_px: (north - south) * px_per_lat })
    }

    fn place(&self, point: Point) -> (f64, f64) {
        ((point.lng - self.west) * self.px_per_lng, (self.north - point.lat) * self.px_per_lat)
    }

    fn shows(&self, (x, y): (f64, f64)) -> bool {
        (0.0..=WIDTH_PX).contains(&x) && (0.0..=self.height_px).contains(&y)
    }
}

/// A map for each column.
pub(super) fn maps(simulation: &Simulation) -> String {
    let cells = simulation.runs.iter().flat_map(|run| run.cells.iter().map(|cell| cell.cell));
    let corners: Vec<Point> = cells.flat_map(outline).collect();
    let Some(frame) = Frame::around(&corners) else { return String::new() };
    let mut text = format!(
        "<p>Cells of their pickups, red from none to {DARKEST_PCT:.0} % and more not served. Streets: \
         © OpenStreetMap contributors (ODbL).</p>\n<svg width=\"0\" height=\"0\"><defs>\
         <path id=\"streets\" class=\"street\" d=\"{}\"/></defs></svg>\n<div class=\"row\">\n",
        streets(&frame)
    );
    for column in &simulation.columns {
        text.push_str(&map(simulation, column, &frame));
    }
    text.push_str("</div>\n");
    text
}

fn map(simulation: &Simulation, column: &Column, frame: &Frame) -> String {
    let mut riders: BTreeMap<Cell, (usize, usize)> = BTreeMap::new();
    for cell in simulation.runs_of(column).flat_map(|run| &run.cells) {
        let (requested, unserved) = riders.entry(cell.cell).or_default();
        *requested += cell.requested;
        *unserved += cell.unserved;
    }
    let name = escaped(&heading(column));
    let (height, mut inside) = (frame.height_px, String::new());
    for (cell, (requested, unserved)) in riders {
        let pct = unserved as f64 / requested.max(1) as f64 * 100.0;
        let points = outline(cell).into_iter().map(|corner| {
            let (x, y) = frame.place(corner);
            format!("{x:.1},{y:.1}")
        });
        let _ = write!(
            inside,
            "<polygon points=\"{}\" fill=\"#cc3311\" fill-opacity=\"{:.2}\" stroke=\"#cc3311\" \
             stroke-opacity=\".25\"><title>{unserved} of {requested} not served</title></polygon>",
            points.collect::<Vec<_>>().join(" "),
            (pct / DARKEST_PCT).min(1.0) * 0.85
        );
    }
    format!(
        "<figure><figcaption>{name}</figcaption><svg role=\"img\" aria-label=\"{name}\" \
         width=\"{WIDTH_PX}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH_PX} {height:.0}\">\
         <use href=\"#streets\"/>{inside}</svg></figure>\n"
    )
}

fn outline(cell: Cell) -> Vec<Point> {
    let degrees = cell.corners().into_iter().map(|corner| {
        let [x, y, z] = corner.coordinates();
        Point::new(z.clamp(-1.0, 1.0).asin().to_degrees(), y.atan2(x).to_degrees())
    });
    degrees.collect()
}

/// The bundled streets within the frame as one path; nothing elsewhere.
fn streets(frame: &Frame) -> String {
    let Ok(network) = RoadNetwork::manhattan() else { return String::new() };
    let mut path = String::new();
    for from in 0..network.node_count() as u32 {
        let (x, y) = frame.place(network.point(from));
        for edge in network.leaving(from) {
            let (to_x, to_y) = frame.place(network.point(edge.to));
            // Once, also where it leads both ways.
            let drawn =
                edge.to < from && network.leaving(edge.to).iter().any(|back| back.to == from);
            if !drawn && frame.shows((x, y)) && frame.shows((to_x, to_y)) {
                let _ = write!(path, "M{x:.1} {y:.1}L{to_x:.1} {to_y:.1}");
            }
        }
    }
    path
}
