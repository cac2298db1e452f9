//! Why a call to the dispatch engine did not do what was asked.

use muster_engine::effect::Refusal;

use crate::ports::StoreError;

/// The outcome of a call that did not succeed. Nothing was half done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The present state refuses it.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// No driver has this id.
    #[error("no driver has this id")]
    UnknownDriver,
    /// No market has this id.
    #[error("no market has this id")]
    UnknownMarket,
    /// The market has no such zone, or it has no queue.
    #[error("the market has no queue zone with this id")]
    UnknownZone,
    /// The driver works in another market.
    #[error("the driver is registered in another market")]
    DriverInOtherMarket,
    /// A mailbox or the store's queue is full.
    #[error("overloaded: {0} is full")]
    Overloaded(&'static str),
    /// The store cannot be written or read.
    #[error("{0}")]
    Store(StoreError),
    /// The process is shutting down.
    #[error("the server is draining")]
    Draining,
    /// The actor left memory before it heard the call.
    #[error("the call was not heard")]
    Unheard,
    /// No answer came in time.
    #[error("no answer came in time")]
    TimedOut,
}
