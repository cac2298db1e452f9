//! Steps of a ride that its driver reports, for clients without the socket.

use actix_web::web;
use muster_engine::ride::RideProgress;

use crate::http::body::Body;
use crate::http::path;
use crate::http::ride_calls::{ReasonBody, StartBody, checked_reason};
use crate::http::state::AppState;
use crate::wire::{Problem, RideView};

/// The driver sees the ride without its one-time password.
type Told = Result<web::Json<RideView>, Problem>;

/// The driver is at the pickup
#[utoipa::path(post, path = "/v1/rides/{ride_id}/arrived", tag = "ride progress",
    operation_id = "driver_arrived", params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride, as its driver sees it", body = RideView)))]
pub(super) async fn arrived(state: web::Data<AppState>, ride: web::Path<String>) -> Told {
    step(&state, &ride, RideProgress::Arrived).await
}

/// The rider is on board
#[utoipa::path(post, path = "/v1/rides/{ride_id}/start", tag = "ride progress",
    operation_id = "start_ride", request_body = Option<StartBody>,
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride, as its driver sees it", body = RideView)))]
pub(super) async fn start(state: web::Data<AppState>, ride: web::Path<String>, body: Body) -> Told {
    let call: StartBody = body.json_or_default()?;
    step(&state, &ride, RideProgress::Start { otp: call.otp }).await
}

/// The ride is done
#[utoipa::path(post, path = "/v1/rides/{ride_id}/complete", tag = "ride progress",
    operation_id = "complete_ride", params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride, as its driver sees it", body = RideView)))]
pub(super) async fn complete(state: web::Data<AppState>, ride: web::Path<String>) -> Told {
    step(&state, &ride, RideProgress::Complete).await
}

/// The driver gives the ride back
///
/// Before the start the ride looks for another driver; the reason `rider_no_show` ends it.
#[utoipa::path(post, path = "/v1/rides/{ride_id}/driver-cancel", tag = "ride progress",
    operation_id = "driver_cancel", request_body = Option<ReasonBody>,
    params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The ride, as its driver sees it", body = RideView)))]
pub(super) async fn driver_cancel(
    state: web::Data<AppState>,
    ride: web::Path<String>,
    body: Body,
) -> Told {
    let call: ReasonBody = body.json_or_default()?;
    let reason = checked_reason(call.reason)?;
    step(&state, &ride, RideProgress::Cancel { reason }).await
}

async fn step(state: &AppState, ride: &str, step: RideProgress) -> Told {
    let ride = path::ride_id(ride)?;
    let ride = state.dispatch.progress(&ride, None, step).await?;
    Ok(web::Json(RideView::now_for_driver(&state.dispatch, &ride)))
}
