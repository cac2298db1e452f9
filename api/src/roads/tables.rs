//! Streets from two tables: nodes and directed edges, as CSV, compressed with zstd or not.
//!
//! Columns are found by name; of each the first name that the header has counts.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use csv::StringRecord;
use muster_engine::geo::Position;
use muster_engine::roads::{EDGES_MAX, NODES_MAX, Street, Streets};

use super::speeds::speed_mps;
use super::{ATTRIBUTION, ReadStreets, RoadsError};

/// What a table unpacks to at most, so that a small file cannot fill the memory.
const TABLE_BYTES_MAX: u64 = 4 << 30;

const KMH: f64 = 1.0 / 3.6;
const MPH: f64 = 0.447_04;

/// Reads both tables.
pub(super) fn read(nodes: &Path, edges: &Path) -> Result<ReadStreets, RoadsError> {
    let bytes = |path: &Path| std::fs::read(path).map_err(|error| RoadsError::file(path, error));
    parse((nodes, &bytes(nodes)?), (edges, &bytes(edges)?))
}

/// Reads both tables from memory; the paths are what errors name, and their ending tells whether
/// they are compressed.
pub(super) fn parse(
    nodes: (&Path, &[u8]),
    edges: (&Path, &[u8]),
) -> Result<ReadStreets, RoadsError> {
    let (positions, numbers) = read_nodes(&mut Table::open(nodes.0, nodes.1)?)?;
    let mut table = Table::open(edges.0, edges.1)?;
    let columns = EdgeColumns::of(&table)?;
    let mut segments = Vec::new();
    let mut skipped = 0;
    while table.next()? {
        let ends = (numbers.get(table.text(columns.from)), numbers.get(table.text(columns.to)));
        let (Some(from), Some(to)) = ends else {
            skipped += 1;
            continue;
        };
        if segments.len() == EDGES_MAX {
            return Err(RoadsError::shape(edges.0, &format!("more than {EDGES_MAX} edges")));
        }
        segments.extend(columns.segment(&table, *from, *to)?);
    }
    let attribution = ATTRIBUTION.to_owned();
    let streets = Streets { nodes: positions, segments, profile: None, attribution };
    Ok(ReadStreets { streets, skipped })
}

type Numbers = HashMap<String, u32>;

fn read_nodes(table: &mut Table<'_>) -> Result<(Vec<Position>, Numbers), RoadsError> {
    let id = table.column(&["osmid", "id"])?;
    let lat = table.column(&["lat", "y"])?;
    let lng = table.column(&["lon", "lng", "x"])?;
    let mut positions = Vec::new();
    let mut numbers = HashMap::new();
    while table.next()? {
        if positions.len() == NODES_MAX {
            return Err(RoadsError::shape(table.path, &format!("more than {NODES_MAX} nodes")));
        }
        let (at_lat, at_lng) = (table.number(lat)?, table.number(lng)?);
        let position = Position::from_degrees(at_lat, at_lng).map_err(|error| {
            let field = if (-90.0..=90.0).contains(&at_lat) { lng } else { lat };
            table.refuse(field, &error.to_string())
        })?;
        if numbers.insert(table.text(id).to_owned(), positions.len() as u32).is_some() {
            return Err(table.refuse(id, "an id that no line before has"));
        }
        positions.push(position);
    }
    Ok((positions, numbers))
}

/// Where the facts of an edge are.
struct EdgeColumns {
    from: usize,
    to: usize,
    length: usize,
    speed: EdgeSpeed,
}

enum EdgeSpeed {
    /// A column with the speed, and what its unit is in metres per second.
    Told(usize, f64),
    /// The columns of class and, if there is one, limit.
    ByClass(usize, Option<usize>),
}

impl EdgeColumns {
    fn of(table: &Table<'_>) -> Result<Self, RoadsError> {
        let told = [("speed_kmh", KMH), ("speed_mph", MPH)]
            .into_iter()
            .find_map(|(name, unit)| Some(EdgeSpeed::Told(table.column(&[name]).ok()?, unit)));
        let speed = match told {
            Some(told) => told,
            None => EdgeSpeed::ByClass(
                table.column(&["highway", "speed_kmh", "speed_mph"])?,
                table.column(&["maxspeed"]).ok(),
            ),
        };
        Ok(Self {
            from: table.column(&["u", "from"])?,
            to: table.column(&["v", "to"])?,
            length: table.column(&["length_m", "length"])?,
            speed,
        })
    }

    /// The edge of a line; nothing for a class that cars do not drive on.
    fn segment(&self, table: &Table<'_>, from: u32, to: u32) -> Result<Option<Street>, RoadsError> {
        let length_m = table.number(self.length)?;
        let (field, speed) = match &self.speed {
            EdgeSpeed::Told(column, unit) => (*column, Some(table.number(*column)? * unit)),
            EdgeSpeed::ByClass(class, limit) => {
                let limit = limit.map(|column| table.text(column));
                (*class, speed_mps(table.text(*class), limit))
            }
        };
        let Some(speed_mps) = speed else { return Ok(None) };
        let street = Street::new(from, to, length_m, speed_mps);
        street.map(Some).map_err(|error| {
            let fault = matches!(error, muster_engine::roads::RoadError::Length(_));
            table.refuse(if fault { self.length } else { field }, &error.to_string())
        })
    }
}

/// A table, line by line.
struct Table<'p> {
    path: &'p Path,
    header: StringRecord,
    lines: csv::Reader<Box<dyn Read + 'p>>,
    line: StringRecord,
}

impl<'p> Table<'p> {
    fn open(path: &'p Path, bytes: &'p [u8]) -> Result<Self, RoadsError> {
        let packed = path.extension().is_some_and(|ending| ending == "zst");
        let text: Box<dyn Read> = if packed {
            let unpacked = zstd::Decoder::new(bytes);
            let unpacked = unpacked.map_err(|error| RoadsError::file(path, error))?;
            Box::new(unpacked.take(TABLE_BYTES_MAX))
        } else {
            Box::new(bytes)
        };
        let mut lines = csv::Reader::from_reader(text);
        let header = lines.headers().map_err(|error| RoadsError::shape(path, &error))?.clone();
        Ok(Self { path, header, lines, line: StringRecord::new() })
    }

    /// The first column that has one of `names`.
    fn column(&self, names: &[&str]) -> Result<usize, RoadsError> {
        let place = |name: &&str| self.header.iter().position(|column| column.trim() == *name);
        names.iter().find_map(place).ok_or_else(|| RoadsError::Column {
            path: self.path.display().to_string(),
            columns: names.join(", "),
        })
    }

    fn next(&mut self) -> Result<bool, RoadsError> {
        let read = self.lines.read_record(&mut self.line);
        read.map_err(|error| RoadsError::shape(self.path, &error))
    }

    fn text(&self, column: usize) -> &str {
        self.line.get(column).unwrap_or_default().trim()
    }

    fn number(&self, column: usize) -> Result<f64, RoadsError> {
        let number = self.text(column).parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| self.refuse(column, "a number"))
    }

    fn refuse(&self, column: usize, expected: &str) -> RoadsError {
        RoadsError::Field {
            path: self.path.display().to_string(),
            line: self.line.position().map_or(0, csv::Position::line),
            field: self.header.get(column).unwrap_or_default().to_owned(),
            value: self.text(column).to_owned(),
            expected: expected.to_owned(),
        }
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
