//! Why a city could not be read.

/// Why trips or streets cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CityError {
    /// A data file could not be read or understood.
    #[error("cannot read {what}: {detail}")]
    Data {
        /// The file or bundle.
        what: String,
        /// The reader's complaint.
        detail: String,
    },
}

impl CityError {
    pub(crate) fn data(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Data { what: what.to_owned(), detail: error.to_string() }
    }
}
