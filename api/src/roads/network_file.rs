//! Contracted networks in files, and the one that ships with Muster.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use muster_engine::roads::{FILE_BYTES_MAX, HourProfile, RoadNetwork, Streets};

use super::{ReadStreets, RoadsError, tables};

/// The name of the network that ships with Muster.
pub(crate) const BUILTIN_MANHATTAN: &str = "builtin:manhattan";

/// Manhattan's streets are driven at less than half of what they would be driven at empty: the taxi
/// trips of the bundled hour take the shortest routes at 12 to 21 km/h.
const MANHATTAN_FACTOR: f64 = 0.45;

/// The network of a market: the shipped one, or that of a file.
///
/// # Errors
/// [`RoadsError`] names the file and what is wrong with it.
pub(crate) fn load(name: &str, base: &Path) -> Result<RoadNetwork, RoadsError> {
    if name == BUILTIN_MANHATTAN {
        return manhattan();
    }
    let path = base.join(name);
    let bytes = read(&path)?;
    RoadNetwork::from_bytes(&bytes).map_err(|error| RoadsError::shape(&path, &error))
}

fn manhattan() -> Result<RoadNetwork, RoadsError> {
    let (nodes, edges) = (muster_replay::MANHATTAN_NODES, muster_replay::MANHATTAN_EDGES);
    let (nodes_name, edges_name) =
        ("manhattan_drive_nodes.csv.zst", "manhattan_drive_edges.csv.zst");
    let read = tables::parse((Path::new(nodes_name), nodes), (Path::new(edges_name), edges))?;
    let ReadStreets { streets, skipped: _ } = read;
    let profile = HourProfile::new(&[MANHATTAN_FACTOR; HourProfile::HOURS]).ok();
    let streets = Streets { profile, ..streets };
    RoadNetwork::build(&streets, |_, _| {})
        .map_err(|error| RoadsError::shape(Path::new(edges_name), &error))
}

/// The bytes of a file, if it is no larger than a network can be.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, RoadsError> {
    let file = File::open(path).map_err(|error| RoadsError::file(path, error))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| RoadsError::file(path, error))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let fact = format!("it is larger than {FILE_BYTES_MAX} bytes, which no network is");
        return Err(RoadsError::shape(path, &fact));
    }
    Ok(bytes)
}

/// Writes a file as a whole: a server that looks at it meanwhile sees the old one or the new one.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), RoadsError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let written = File::create(part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(part, path)
    });
    written.map_err(|error| RoadsError::file(path, error))
}
