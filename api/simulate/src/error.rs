//! Why a simulation could not run.

use muster_city::CityError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// An option is out of range.
    #[error("{0}")]
    Options(String),
    /// A policy cannot be used.
    #[error("policy {name}: {detail}")]
    Policy {
        /// The policy's name as given.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Trips or streets cannot be read.
    #[error(transparent)]
    City(#[from] CityError),
    /// A recorded log cannot be read.
    #[error("{0}")]
    ReadLog(#[from] muster_record::LogError),
    /// A recorded log says too little.
    #[error("the recorded log: {0}")]
    Log(String),
    /// The trips make no market.
    #[error("the trips make no market: {0}")]
    Market(String),
    /// A report could not be written.
    #[error("cannot write {path}: {detail}")]
    Report {
        /// Where to.
        path: String,
        /// Why not.
        detail: String,
    },
}
