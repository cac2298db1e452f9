//! Valhalla's matrix service.

use muster_engine::geo::Position;
use serde::{Deserialize, Serialize};

use super::external::{Fault, TableCell};

#[derive(Serialize)]
struct Place {
    lat: f64,
    lon: f64,
}

impl From<Position> for Place {
    fn from(position: Position) -> Self {
        Self { lat: position.lat(), lon: position.lng() }
    }
}

/// A request for a matrix.
#[derive(Serialize)]
pub(super) struct Matrix {
    sources: Vec<Place>,
    targets: [Place; 1],
    costing: &'static str,
    units: &'static str,
}

#[derive(Deserialize)]
struct Answer {
    sources_to_targets: Vec<Vec<Cell>>,
}

#[derive(Deserialize)]
struct Cell {
    time: Option<f64>,
    /// In kilometres.
    distance: Option<f64>,
}

pub(super) fn url(base: &str) -> String {
    format!("{base}/sources_to_targets")
}

/// The request for the ways from each of `froms` to `to`.
pub(super) fn body(froms: &[Position], to: Position) -> Matrix {
    let sources = froms.iter().map(|from| Place::from(*from)).collect();
    Matrix { sources, targets: [Place::from(to)], costing: "auto", units: "kilometers" }
}

/// The cells of an answer: seconds and metres.
pub(super) fn parse(body: &[u8]) -> Result<Vec<TableCell>, Fault> {
    let answer: Answer =
        serde_json::from_slice(body).map_err(|error| Fault::Garbage(error.to_string()))?;
    let row = |row: &Vec<Cell>| match row.as_slice() {
        [cell] => Ok(cell.time.zip(cell.distance.map(|km| km * 1_000.0))),
        _ => Err(Fault::Garbage("a row has more cells than one".to_owned())),
    };
    answer.sources_to_targets.iter().map(row).collect()
}
