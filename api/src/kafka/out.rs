//! What the platform is told of a transition: messages, by pure functions of its row of history.
//!
//! A message's `event_id` is made of the ride, its version and the message's place in its topic, so it is
//! the same however often the message is sent, from whichever copy of the database.

mod cause;
mod decisions;
mod driver_offers;
mod namma_yatri;
mod ride_events;
#[cfg(test)]
pub(super) mod tests;

use serde::Serialize;

use self::cause::cause;
use crate::config::KafkaTopics;
use crate::kafka::Transition;

/// A topic that messages go out to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OutTopic {
    /// Every transition of every ride.
    RideEvents,
    /// Offers and their ends, for push services.
    DriverOffers,
    /// The life of rides in Namma Yatri's envelope.
    NammaYatriEvents,
    /// One row per driver considered.
    AllocationDecisions,
}

impl OutTopic {
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::RideEvents, Self::DriverOffers, Self::NammaYatriEvents, Self::AllocationDecisions];

    /// The name of the schema of its values, as the header `schema` says it.
    pub(crate) const fn schema(self) -> &'static str {
        match self {
            Self::RideEvents => "ride-events.v1",
            Self::DriverOffers => "driver-offers.v1",
            Self::NammaYatriEvents => "namma-yatri-events.v1",
            Self::AllocationDecisions => "allocation-decisions.v1",
        }
    }

    /// The topics that are not left out, with their names.
    pub(crate) fn enabled(topics: &KafkaTopics) -> Vec<(Self, String)> {
        let named = Self::ALL.map(|topic| (topic, topic.name(topics).to_owned()));
        named.into_iter().filter(|(_, name)| !name.is_empty()).collect()
    }

    /// Its configured name; empty when it is left out.
    pub(crate) fn name(self, topics: &KafkaTopics) -> &str {
        match self {
            Self::RideEvents => &topics.ride_events,
            Self::DriverOffers => &topics.driver_offers,
            Self::NammaYatriEvents => &topics.namma_yatri_events,
            Self::AllocationDecisions => &topics.allocation_decisions,
        }
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutMessage {
    /// Where it goes.
    pub(crate) topic: OutTopic,
    /// What its order is kept by: the ride, or the driver.
    pub(crate) key: String,
    /// Unique within the topic, and the same when the message is sent again.
    pub(crate) event_id: String,
    /// JSON.
    pub(crate) payload: Vec<u8>,
}

impl OutMessage {
    fn new(
        topic: OutTopic,
        key: &str,
        event_id: &str,
        payload: &impl Serialize,
    ) -> serde_json::Result<Self> {
        Ok(Self {
            topic,
            key: key.to_owned(),
            event_id: event_id.to_owned(),
            payload: serde_json::to_vec(payload)?,
        })
    }
}

/// The messages of a transition to a topic, in order. `merchant` is whose rides these are, for
/// [`OutTopic::NammaYatriEvents`].
pub(crate) fn messages(
    topic: OutTopic,
    transition: &Transition,
    merchant: &str,
) -> serde_json::Result<Vec<OutMessage>> {
    match topic {
        OutTopic::RideEvents => ride_events::messages(transition),
        OutTopic::DriverOffers => driver_offers::messages(transition),
        OutTopic::NammaYatriEvents => namma_yatri::messages(transition, merchant),
        OutTopic::AllocationDecisions => decisions::messages(transition),
    }
}

/// The ride and its version: what every `event_id` begins with, and the id of the event itself.
fn event_id(transition: &Transition) -> String {
    let record = &transition.after;
    format!("{}:{}", record.request.ride, record.version)
}

fn correlation_id(transition: &Transition) -> Option<&str> {
    transition.origin.as_deref().map(|origin| origin.correlation_id.as_str())
}
