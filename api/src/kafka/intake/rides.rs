//! Messages of `ride-requests`: a ride is asked for, or called off.

use muster_actors::{CallError, Dispatch, StoreError};
use muster_engine::effect::Refusal;
use muster_engine::id::RideId;
use muster_engine::ride::RideRequest;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::fault::{Fault, Verdict};
use crate::http::{CancelBody, checked_reason, read_json, stamp};
use crate::wire::{Problem, RideRequestBody};

/// Calls a ride off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelMessage {
    /// The ride; when absent the message's key.
    ride_id: Option<String>,
    cancel: CancelBody,
}

/// Tells one kind of message from the other.
#[derive(Deserialize)]
struct Kind {
    cancel: Option<IgnoredAny>,
}

/// Takes a message in: the effect is durable when it is done.
pub(super) async fn take(dispatch: &Dispatch, key: Option<&[u8]>, json: Option<&[u8]>) -> Verdict {
    let Some(json) = json else {
        return Fault::new("no_value", "a request has a value; only profiles have tombstones")
            .into();
    };
    let key = match key.map(text).transpose() {
        Ok(key) => key,
        Err(fault) => return fault.into(),
    };
    // What is no object is read as a request, which says so.
    let cancels = serde_json::from_slice(json).is_ok_and(|kind: Kind| kind.cancel.is_some());
    let done = if cancels {
        cancel(dispatch, key, json).await
    } else {
        request(dispatch, key, json).await
    };
    done.unwrap_or_else(|verdict| verdict)
}

async fn request(dispatch: &Dispatch, key: Option<&str>, json: &[u8]) -> Result<Verdict, Verdict> {
    let mut body: RideRequestBody = read_json(json)?;
    body.ride_id = Some(ride_of(key, body.ride_id)?);
    let stamp = stamp(dispatch.now(), None)?;
    let request = body.into_request(dispatch.markets(), stamp).map_err(Problem::from)?;
    match dispatch.request_ride(request.clone()).await {
        Ok(_) => Ok(Verdict::Done("taken")),
        Err(
            error @ (CallError::Refused(Refusal::RideAlreadyExists)
            | CallError::Store(StoreError::Conflict(_))),
        ) => known_before(dispatch, &request, error).await,
        Err(error) => Err(failed(error)),
    }
}

/// A request whose ride exists is a repeat, or asks for another ride by the same id.
async fn known_before(
    dispatch: &Dispatch,
    request: &RideRequest,
    refused: CallError,
) -> Result<Verdict, Verdict> {
    let known = match dispatch.ride(&request.ride).await {
        Ok(known) => known,
        // In memory and not durable yet, or refused by the store for another reason.
        Err(CallError::Refused(Refusal::UnknownRide)) => {
            return Ok(Verdict::Again(refused.to_string()));
        }
        Err(error) => return Err(failed(error)),
    };
    if same(&known.request, request) {
        return Ok(Verdict::Done("repeated"));
    }
    let detail = format!("ride {} was requested before, with other terms", request.ride);
    Ok(Fault::new("conflict", detail).into())
}

/// Whether two requests ask for the same, whenever and however they came.
fn same(known: &RideRequest, again: &RideRequest) -> bool {
    let RideRequest { requested_at, entropy, ref request_key, ref origin, .. } = *known;
    let (request_key, origin) = (request_key.clone(), origin.clone());
    *known == RideRequest { requested_at, entropy, request_key, origin, ..again.clone() }
}

async fn cancel(dispatch: &Dispatch, key: Option<&str>, json: &[u8]) -> Result<Verdict, Verdict> {
    let CancelMessage { ride_id, cancel } = read_json(json)?;
    let ride = RideId::new(&ride_of(key, ride_id)?)
        .map_err(|error| Fault::new("invalid_body", format!("/ride_id: {error}")))?;
    let reason = checked_reason(cancel.reason)?;
    match dispatch.cancel_ride(&ride, cancel.by.engine(), reason).await {
        Ok(_) => Ok(Verdict::Done("taken")),
        Err(CallError::Refused(
            Refusal::RideAlreadyCompleted
            | Refusal::RideAlreadyCancelled
            | Refusal::RideUnfulfilled,
        )) => Ok(Verdict::Done("repeated")),
        Err(error) => Err(failed(error)),
    }
}

/// The ride a message is about: named by its key, its body, or both alike.
fn ride_of(key: Option<&str>, body: Option<String>) -> Result<String, Fault> {
    match (key, body) {
        (Some(key), Some(body)) if key != body => {
            let detail = format!("ride_id is {body} and the key is {key}");
            Err(Fault::new("key_mismatch", detail))
        }
        (_, Some(body)) => Ok(body),
        (Some(key), None) => Ok(key.to_owned()),
        (None, None) => {
            let detail =
                "neither the key nor ride_id names the ride: a repeat would be another ride";
            Err(Fault::new("no_key", detail))
        }
    }
}

pub(super) fn text(key: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(key).map_err(|error| Fault::new("invalid_key", error.to_string()))
}

/// What a call that failed means for its message.
pub(super) fn failed(error: CallError) -> Verdict {
    if let CallError::Store(StoreError::Corrupt(detail)) = error {
        return Fault::new("store_corrupt", detail).into();
    }
    Problem::from(error).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use muster_engine::geo::Position;
    use muster_engine::id::{MarketId, RiderId};
    use muster_engine::ride::RequestKey;
    use muster_engine::time::Timestamp;

    use super::*;
    use crate::http::origin;

    #[test]
    fn the_ride_is_named_by_key_or_body_and_they_agree() {
        let named = |key, body: Option<&str>| {
            ride_of(key, body.map(str::to_owned)).map_err(|fault| fault.reason)
        };
        assert_eq!(named(Some("r"), None), Ok("r".to_owned()));
        assert_eq!(named(None, Some("r")), Ok("r".to_owned()));
        assert_eq!(named(Some("r"), Some("r")), Ok("r".to_owned()));
        assert_eq!(named(Some("r"), Some("s")), Err("key_mismatch"));
        assert_eq!(named(None, None), Err("no_key"));
    }

    #[test]
    fn a_repeat_differs_in_nothing_but_when_and_how_it_came() {
        let first = RideRequest::plain(
            RideId::new("r").unwrap(),
            RiderId::new("p").unwrap(),
            MarketId::new("nyc").unwrap(),
            Position::from_degrees(40.7, -73.9).unwrap(),
            Vec::new(),
            Timestamp::from_millis(1),
        );
        let key = RequestKey { key: "k".to_owned(), fingerprint: "f".to_owned() };
        let at = Timestamp::from_millis(9);
        let again =
            RideRequest { requested_at: at, entropy: 7, request_key: Some(key), ..first.clone() };
        let origin = Some(Arc::new(origin(Some("another-call"), None)));
        let again = RideRequest { origin, ..again };
        assert!(same(&first, &again));
        let other = RideRequest { rider: RiderId::new("q").unwrap(), ..again };
        assert!(!same(&first, &other));
    }

    #[test]
    fn a_row_that_cannot_be_read_does_not_hold_the_partition_up() {
        let corrupt = failed(CallError::Store(StoreError::Corrupt("a ride".to_owned())));
        assert!(matches!(corrupt, Verdict::Refused(Fault { reason: "store_corrupt", .. })));
        for passes in [
            CallError::Store(StoreError::Unavailable("full".to_owned())),
            CallError::Store(StoreError::Conflict("epoch".to_owned())),
            CallError::Overloaded("store"),
            CallError::Draining,
            CallError::Unheard,
            CallError::TimedOut,
        ] {
            assert!(matches!(failed(passes.clone()), Verdict::Again(_)), "{passes}");
        }
        let unknown = failed(CallError::Refused(Refusal::UnknownRide));
        assert!(matches!(unknown, Verdict::Refused(Fault { reason: "unknown_ride", .. })));
    }
}
