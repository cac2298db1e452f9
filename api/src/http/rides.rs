//! Rides: asked for, looked at, called off, tried again.

use std::sync::Arc;

use actix_web::http::header::LOCATION;
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use muster_actors::{CallError, StoreError};
use muster_engine::effect::Refusal;
use muster_engine::id::{MarketId, RideId};
use muster_engine::ride::{RequestKey, RideRecord, RideRequest, RideStatus};
use muster_engine::time::Timestamp;
use uuid::Uuid;

use crate::http::body::Body;
use crate::http::idempotency::key_reused;
use crate::http::params::Params;
use crate::http::path;
use crate::http::problem::unreadable;
use crate::http::ride_calls::{CancelBody, DropoffBody, RetryBody, RidePage, checked_reason};
use crate::http::state::AppState;
use crate::store::{ANSWER_KEPT_MS, FirstCall, RideCursor, RideFilter};
use crate::wire::{Problem, RequestStamp, RideRequestBody, RideView};

/// Rides in a page unless the client says otherwise.
const PAGE_DEFAULT: usize = 50;

/// Ask for a ride
#[utoipa::path(post, path = "/v1/rides", tag = "rides", operation_id = "request_ride",
    request_body = RideRequestBody,
    responses((status = 202, description = "Taken; the search has begun or is scheduled",
        body = RideView,
        headers(("Location" = String, description = "Where the ride is found")))))]
pub(super) async fn request(
    state: web::Data<AppState>,
    http: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let wanted: RideRequestBody = body.json()?;
    let request_key = http.extensions().get::<RequestKey>().cloned();
    let stamp = stamp(state.dispatch.now(), request_key.clone())?;
    let request = wanted.into_request(state.dispatch.markets(), stamp)?;
    if let Err(too_often) = state.rider_rate.check(&request.rider).await {
        // Whoever repeats a call until it is answered is not asking for another ride.
        let known = known_before(&state, &request, CallError::Refused(Refusal::RideAlreadyExists));
        return known.await.ok().flatten().ok_or(too_often);
    }
    let refused = match state.dispatch.request_ride(request.clone()).await {
        Ok(ride) => return Ok(taken(&state, &ride)),
        Err(error) => error,
    };
    if let Some(answer) = known_before(&state, &request, refused).await? {
        return Ok(answer);
    }
    let ride = state.dispatch.request_ride(request).await?;
    Ok(taken(&state, &ride))
}

/// The answer to a request whose id or key was used before; nothing if the key was only in the way
/// of its reuse after a day and has been taken from its old ride.
async fn known_before(
    state: &AppState,
    request: &RideRequest,
    refused: CallError,
) -> Result<Option<HttpResponse>, Problem> {
    let exists = CallError::Refused(Refusal::RideAlreadyExists);
    let conflict = matches!(refused, CallError::Store(StoreError::Conflict(_)));
    let Some(key) = request.request_key.as_ref().filter(|_| conflict || refused == exists) else {
        return Err(refused.into());
    };
    let first = state.history.first_call(&key.key).await.map_err(unreadable)?;
    if let Some(FirstCall::Requested(first)) = first {
        let kept_since = request.requested_at.minus_millis(ANSWER_KEPT_MS);
        if first.request.requested_at <= kept_since {
            state.history.release_key(&key.key).await.map_err(unreadable)?;
            return Ok(None);
        }
        let same = first.request.request_key.as_ref() == Some(key);
        return if same { Ok(Some(taken(state, &first))) } else { Err(key_reused()) };
    }
    // A ride in memory that is not durable yet: the same call a moment later finds it.
    let unknown = CallError::Refused(Refusal::UnknownRide);
    let pending = state.dispatch.ride(&request.ride).await.is_err_and(|error| error == unknown);
    Err(if pending && refused == exists { CallError::TimedOut } else { refused }.into())
}

/// What the server adds to a request that it receives now.
pub(crate) fn stamp(
    now: Timestamp,
    request_key: Option<RequestKey>,
) -> Result<RequestStamp, Problem> {
    let drawn = RideId::new(&Uuid::now_v7().to_string());
    let drawn = drawn.map_err(|error| Problem::new(500, "internal_error", error.to_string()))?;
    Ok(RequestStamp { drawn, now, entropy: rand::random(), request_key })
}

/// The answer to a request that was taken.
pub(super) fn taken(state: &AppState, ride: &RideRecord) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((LOCATION, format!("/v1/rides/{}", ride.request.ride)))
        .json(RideView::now(&state.dispatch, ride))
}

/// Look at a ride
#[utoipa::path(get, path = "/v1/rides/{ride_id}", tag = "rides", operation_id = "get_ride",
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride as it stands", body = RideView)))]
pub(super) async fn get(
    state: web::Data<AppState>,
    ride: web::Path<String>,
) -> Result<web::Json<RideView>, Problem> {
    let ride = state.dispatch.ride(&path::ride_id(&ride)?).await?;
    Ok(web::Json(RideView::now(&state.dispatch, &ride)))
}

/// List rides
#[utoipa::path(get, path = "/v1/rides", tag = "rides", operation_id = "list_rides",
    params(
        ("market" = Option<String>, Query, description = "Only rides of this market"),
        ("status" = Option<String>, Query, description = "Only rides in this status"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200,
            description = "Rides in the page, 50 unless given"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before")),
    responses((status = 200, description = "Rides, newest request first", body = RidePage)))]
pub(super) async fn list(
    state: web::Data<AppState>,
    http: HttpRequest,
) -> Result<web::Json<RidePage>, Problem> {
    let params = Params::of(&http, &["market", "status", "limit", "cursor"])?;
    let limit = params.limit(PAGE_DEFAULT)?;
    let filter = RideFilter {
        market: params.made("market", MarketId::new)?,
        status: params.made("status", status_of)?,
    };
    let cursor = params.made("cursor", str::parse::<RideCursor>)?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let page = state.history.list_rides(&filter, limit, cursor.as_ref()).await;
    let page = page.map_err(unreadable)?;
    let next_cursor = page.next.map(|next| next.to_string());
    let rides = page.rides.iter().map(|ride| RideView::now(&state.dispatch, ride)).collect();
    Ok(web::Json(RidePage { rides, next_cursor }))
}

fn status_of(name: &str) -> Result<RideStatus, String> {
    let names = || RideStatus::ALL.map(RideStatus::name).join(", ");
    let found = RideStatus::ALL.into_iter().find(|status| status.name() == name);
    found.ok_or_else(|| format!("one of {} is expected", names()))
}

/// Call a ride off
#[utoipa::path(post, path = "/v1/rides/{ride_id}/cancel", tag = "rides",
    operation_id = "cancel_ride", request_body = CancelBody,
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "Cancelled, now or before", body = RideView)))]
pub(super) async fn cancel(
    state: web::Data<AppState>,
    ride: web::Path<String>,
    body: Body,
) -> Result<web::Json<RideView>, Problem> {
    let ride = path::ride_id(&ride)?;
    let call: CancelBody = body.json()?;
    let reason = checked_reason(call.reason)?;
    let ride = state.dispatch.cancel_ride(&ride, call.by.engine(), reason).await?;
    Ok(web::Json(RideView::now(&state.dispatch, &ride)))
}

/// Search again
#[utoipa::path(post, path = "/v1/rides/{ride_id}/retry", tag = "rides",
    operation_id = "retry_ride", request_body = Option<RetryBody>,
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "A new attempt has begun", body = RideView)))]
pub(super) async fn retry(
    state: web::Data<AppState>,
    ride: web::Path<String>,
    body: Body,
) -> Result<web::Json<RideView>, Problem> {
    let id = path::ride_id(&ride)?;
    let call: RetryBody = body.json_or_default()?;
    let known = state.dispatch.ride(&id).await?;
    let market = state.dispatch.markets().get(&known.request.market);
    let (tip, tiers) = call.checked(market.map(Arc::as_ref))?;
    let ride = state.dispatch.retry_ride(&id, tip, tiers).await?;
    Ok(web::Json(RideView::now(&state.dispatch, &ride)))
}

/// Go elsewhere
///
/// Live offers are withdrawn and made anew with the new drop-off; an assigned driver is told, and
/// the ride he would have served next searches again if that would keep it waiting.
#[utoipa::path(post, path = "/v1/rides/{ride_id}/dropoff", tag = "rides",
    operation_id = "change_dropoff", request_body = DropoffBody,
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride with its new drop-off", body = RideView)))]
pub(super) async fn change_dropoff(
    state: web::Data<AppState>,
    ride: web::Path<String>,
    body: Body,
) -> Result<web::Json<RideView>, Problem> {
    let ride = path::ride_id(&ride)?;
    let call: DropoffBody = body.json()?;
    let dropoff = call.checked()?;
    let ride = state.dispatch.change_dropoff(&ride, dropoff).await?;
    Ok(web::Json(RideView::now(&state.dispatch, &ride)))
}
