//! What clients say to the server, and who takes down what it says to them.

use std::time::Duration;

use crate::wire::{OfferView, RideView};

/// Something a client asked the server to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// A new ride, by its rider.
    Request(String),
    /// The rider calls a ride off.
    Cancel(String),
    /// A driver says yes.
    Accept {
        /// Who.
        driver: String,
        /// To which offer.
        offer: String,
        /// Of which ride.
        ride: String,
    },
    /// A driver says no to an offer.
    Decline(String),
    /// At the pickup of a ride.
    Arrived(String),
    /// The rider of a ride is on board.
    Start(String),
    /// A ride is done.
    Complete(String),
    /// The driver gives a ride back.
    GiveBack {
        /// The ride.
        ride: String,
        /// The attempt that had found him.
        attempt: u32,
    },
}

/// Who wants to know what goes over the wire.
pub trait Witness: Send + Sync {
    /// The server told how a ride stands.
    fn ride(&self, _ride: &RideView) {}
    /// The server told a driver of an offer.
    fn offer(&self, _driver: &str, _offer: &OfferView) {}
    /// An offer is over: withdrawn, answered or lost.
    fn offer_over(&self, _offer: &str) {}
    /// A command is about to be sent.
    fn sent(&self, _command: &Command) {}
    /// A command was answered, whatever the answer.
    fn answered(&self, _command: &Command) {}
    /// The frame that ends an accept has come, so long after the accept was due.
    fn accept_ended(&self, _result: &str, _after: Duration) {}
    /// A fix was sent.
    fn fix(&self) {}
    /// Something that should be rare: an error frame, a refused fix, a lost connection.
    fn odd(&self, _what: &str) {}
}
