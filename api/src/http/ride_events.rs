//! `GET /v1/rides/{id}/events`: a ride as Server-Sent Events.

use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::stream;
use muster_actors::CallError;

use crate::http::params::{Params, fault};
use crate::http::path;
use crate::http::ride_follow::Follow;
use crate::http::state::AppState;
use crate::wire::{Problem, RideEventView};

const LAST_EVENT_ID: &str = "last-event-id";
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Follow a ride
///
/// Every event of the ride in order, from the first or from the one after `Last-Event-ID`, and
/// then live. While a driver serves the ride, `driver_position` events without an id come in
/// between, at most one a second. The stream ends with the ride; asking again for what comes after
/// its last event is answered with 204.
#[utoipa::path(get, path = "/v1/rides/{ride_id}/events", tag = "rides",
    operation_id = "follow_ride",
    params(
        ("ride_id" = String, Path, description = "The ride"),
        ("last_event_id" = Option<u64>, Query, description = "As the header, for clients that \
            cannot set it"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The last event received")),
    responses(
        (status = 200, description = "The stream; the data of an event is a `RideEventView`, that \
            of a `driver_position` is a `DriverPositionEvent`",
            body = RideEventView, content_type = "text/event-stream"),
        (status = 204, description = "The ride is over and there is no later event")))]
pub(super) async fn events(
    state: web::Data<AppState>,
    ride: web::Path<String>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ride = path::ride_id(&ride)?;
    let after = last_event_id(&http)?;
    if *state.dispatch.draining().borrow() {
        return Err(CallError::Draining.into());
    }
    let record = state.dispatch.ride(&ride).await?;
    let permit = Arc::clone(&state.streams).try_acquire_owned().map_err(|_| {
        Problem::new(503, "too_many_streams", "too many event streams are open").retry_after(1)
    })?;
    let follow = Follow::begin(state, record, after, permit).await?;
    if follow.is_spent() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let frames = stream::unfold(follow, |mut follow| async move {
        let frame = follow.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), follow))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((X_ACCEL_BUFFERING, HeaderValue::from_static("no")))
        .streaming(frames))
}

/// The number of the last event the client has; the header, which browsers set, goes first.
fn last_event_id(http: &HttpRequest) -> Result<u64, Problem> {
    let params = Params::of(http, &["last_event_id"])?;
    let expected = "the id of an event is expected";
    if let Some(value) = http.headers().get(LAST_EVENT_ID) {
        let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        return number.ok_or_else(|| Problem::new(400, "invalid_last_event_id", expected));
    }
    let parsed = params.parsed::<u64>("last_event_id");
    Ok(parsed.map_err(|_| fault("last_event_id", expected))?.unwrap_or(0))
}
