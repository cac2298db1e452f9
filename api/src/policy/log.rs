//! The audit of policies: a port that the store implements.

use muster_actors::{PortFuture, StoreError};
use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BookDocument;

/// What changed a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeCause {
    /// Nothing did: the book of the configuration is in force since the start.
    Configuration,
    /// A call to the server.
    Api,
    /// The configuration changed, while the server ran or before it started.
    File,
}

impl ChangeCause {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Api => "api",
            Self::File => "file",
        }
    }
}

/// A change of one market's policies.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyChange {
    /// The market.
    pub market: MarketId,
    /// The version it made; one more than the version before.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// What caused it.
    pub cause: ChangeCause,
    /// Names the request, or the reading of the file, in the logs.
    pub correlation_id: String,
    /// A hash of the configured book at that time.
    pub configured: String,
    /// What was in force before, with every key.
    pub before: BookDocument,
    /// What was put in force, with every key.
    pub after: BookDocument,
}

/// Where changes are kept.
pub trait PolicyLog: Send + Sync + 'static {
    /// Makes a change durable. A version that is there conflicts.
    fn append_policy<'a>(
        &'a self,
        change: &'a PolicyChange,
    ) -> PortFuture<'a, Result<(), StoreError>>;

    /// At most `limit` changes of a market, newest first.
    fn policy_changes<'a>(
        &'a self,
        market: &'a MarketId,
        limit: u32,
    ) -> PortFuture<'a, Result<Vec<PolicyChange>, StoreError>>;
}
