//! A market's policies: what is in force, and how it came about.

use muster_engine::id::MarketId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::policy::{BookDocument, ChangeCause, PolicyChange, Standing};
use crate::wire::time::rfc3339;

/// The policies in force in a market.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PolicyView {
    /// The market.
    #[schema(example = "nyc")]
    pub market: String,
    /// Grows by one per change; 0 is the configuration before any change.
    pub version: u64,
    /// Since when it is in force.
    #[schema(format = DateTime)]
    pub since: String,
    /// What put it in force.
    pub cause: ChangeCause,
    /// The request, or the reading of the file, that put it in force.
    pub correlation_id: Option<String>,
    /// The policies, with every key.
    #[serde(flatten)]
    pub book: BookDocument,
}

/// The changes of a market's policies.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PolicyHistory {
    /// The changes, newest first.
    pub changes: Vec<PolicyChangeView>,
}

/// A change of a market's policies.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PolicyChangeView {
    /// The version it made.
    pub version: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// What caused it.
    pub cause: ChangeCause,
    /// The request, or the reading of the file.
    pub correlation_id: String,
    /// What was in force before, with every key.
    pub before: BookDocument,
    /// What was put in force, with every key.
    pub after: BookDocument,
}

impl PolicyView {
    /// How `market` stands.
    pub fn new(market: &MarketId, standing: &Standing) -> Self {
        Self {
            market: market.to_string(),
            version: standing.book.version(),
            since: rfc3339(standing.since),
            cause: standing.cause(),
            correlation_id: standing.newest.as_ref().map(|change| change.correlation_id.clone()),
            book: BookDocument::of(&standing.book),
        }
    }
}

impl From<PolicyChange> for PolicyChangeView {
    fn from(change: PolicyChange) -> Self {
        Self {
            version: change.version,
            at: rfc3339(change.at),
            cause: change.cause,
            correlation_id: change.correlation_id,
            before: change.before,
            after: change.after,
        }
    }
}
