//! Why a replay could not run.

use std::path::PathBuf;

/// Why a replay ended without a summary.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An option is out of range.
    #[error("{0}")]
    Options(String),
    /// A file of the San Francisco data is not where it was said to be.
    #[error(
        "{path} is missing: San Francisco's files are not part of the program, \
         give their folder with --data DIR (it needs sf_cab_traces_2008-06-01_07.csv.zst \
         and sf_cab_trips_2008.csv.zst)"
    )]
    DataMissing {
        /// The file looked for.
        path: PathBuf,
    },
    /// A data file could not be read or understood.
    #[error("cannot read {what}: {detail}")]
    Data {
        /// The file or bundle.
        what: String,
        /// The reader's complaint.
        detail: String,
    },
    /// The server's clock does not run at the replay's speed.
    #[error(
        "the server's clock runs at {server} times real time but the replay was asked for \
         {asked}: start it with `MUSTER__CLOCK__SPEED={asked} muster serve`, \
         or replay with --speed {server}"
    )]
    SpeedMismatch {
        /// `clock_speed` told by the server.
        server: f64,
        /// `--speed`.
        asked: f64,
    },
    /// The server could not be reached or answered nonsense.
    #[error("cannot use the server at {url}: {detail}")]
    Server {
        /// The base address.
        url: String,
        /// What went wrong.
        detail: String,
    },
    /// The private server did not start, or did not end cleanly.
    #[error("the replay's own server {detail}")]
    Child {
        /// What went wrong, with the end of the server's log.
        detail: String,
    },
    /// Too few drivers could be put on the road.
    #[error("only {ready} of {asked} drivers could connect; first failure: {detail}")]
    Fleet {
        /// Drivers that did connect.
        ready: usize,
        /// Drivers asked for.
        asked: usize,
        /// The first failure.
        detail: String,
    },
}

impl From<muster_city::CityError> for ReplayError {
    fn from(error: muster_city::CityError) -> Self {
        let muster_city::CityError::Data { what, detail } = error;
        Self::Data { what, detail }
    }
}

impl ReplayError {
    pub(crate) fn data(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Data { what: what.to_owned(), detail: error.to_string() }
    }
}
