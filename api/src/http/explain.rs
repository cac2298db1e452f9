//! Why a ride was offered to whom.

use actix_web::web;

use crate::http::path;
use crate::http::problem::unreadable;
use crate::http::state::AppState;
use crate::wire::{ExplainView, Problem};

/// Explain a ride's offers
#[utoipa::path(get, path = "/v1/rides/{ride_id}/explain", tag = "rides",
    operation_id = "explain_ride", params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "Per attempt and wave, every driver considered",
        body = ExplainView)))]
pub(super) async fn explain(
    state: web::Data<AppState>,
    ride: web::Path<String>,
) -> Result<web::Json<ExplainView>, Problem> {
    let ride = state.dispatch.ride(&path::ride_id(&ride)?).await?;
    let decisions = state.history.decisions(&ride.request.ride).await.map_err(unreadable)?;
    let policies = state.dispatch.policies(&ride.request.market);
    let policy = policies.as_ref().map(|policies| policies.base().as_ref());
    Ok(web::Json(ExplainView::new(&ride, &decisions, policy)))
}
