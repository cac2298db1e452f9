//! OSRM's table service.

use std::fmt::Write;

use muster_engine::geo::Position;
use serde::Deserialize;

use super::external::{Fault, TableCell};

#[derive(Deserialize)]
struct Table {
    code: String,
    #[serde(default)]
    durations: Vec<Vec<Option<f64>>>,
    #[serde(default)]
    distances: Vec<Vec<Option<f64>>>,
}

/// The request for the ways from each of `froms` to `to`, which is the last of the coordinates.
pub(super) fn url(base: &str, froms: &[Position], to: Position) -> String {
    let mut url = format!("{base}/table/v1/driving/");
    for place in froms {
        // Writing to a String does not fail.
        let _infallible = write!(url, "{:.6},{:.6};", place.lng(), place.lat());
    }
    let _infallible = write!(url, "{:.6},{:.6}?sources=", to.lng(), to.lat());
    let sources: Vec<String> = (0..froms.len()).map(|place| place.to_string()).collect();
    let _infallible = write!(
        url,
        "{}&destinations={}&annotations=duration,distance&skip_waypoints=true&generate_hints=false",
        sources.join(";"),
        froms.len()
    );
    url
}

/// The cells of an answer: seconds and metres.
pub(super) fn parse(body: &[u8]) -> Result<Vec<TableCell>, Fault> {
    let table: Table =
        serde_json::from_slice(body).map_err(|error| Fault::Garbage(error.to_string()))?;
    if table.code != "Ok" {
        return Err(Fault::Failed(format!("it answered {:?}", table.code)));
    }
    if table.durations.len() != table.distances.len() {
        return Err(Fault::Garbage("durations and distances differ in size".to_owned()));
    }
    let rows = table.durations.iter().zip(&table.distances);
    rows.map(|(seconds, metres)| match (seconds.as_slice(), metres.as_slice()) {
        ([seconds], [metres]) => Ok(seconds.zip(*metres)),
        _ => Err(Fault::Garbage("a row has more cells than one".to_owned())),
    })
    .collect()
}
