//! `ride-events`: every transition of every ride.

use serde::Serialize;

use super::{OutMessage, OutTopic, cause, correlation_id, event_id};
use crate::kafka::Transition;
use crate::wire::{RideEventView, RideView};

/// A transition. The ride is as `GET /v1/rides/{id}` shows it, without what changes between transitions:
/// the driver's position.
#[derive(Serialize)]
struct RideEventMessage<'a> {
    #[serde(flatten)]
    event: RideEventView,
    cause: &'static str,
    correlation_id: Option<&'a str>,
}

pub(super) fn messages(transition: &Transition) -> serde_json::Result<Vec<OutMessage>> {
    let Transition { kind, at, after, .. } = transition;
    let (ride, view) = (&after.request.ride, RideView::new(after, None));
    let message = RideEventMessage {
        event: RideEventView::new(ride, after.version, *kind, *at, view),
        cause: cause(transition),
        correlation_id: correlation_id(transition),
    };
    let id = event_id(transition);
    Ok(vec![OutMessage::new(OutTopic::RideEvents, ride.as_str(), &id, &message)?])
}
