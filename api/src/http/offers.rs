//! A driver's answers to offers.

use actix_web::web;
use muster_engine::effect::AcceptAnswer;

use crate::http::body::Body;
use crate::http::path;
use crate::http::ride_calls::{AcceptBody, ReasonBody, checked_reason};
use crate::http::state::AppState;
use crate::wire::{AcceptResultView, DriverView, LiveDriver, Problem};

/// Accept an offer
#[utoipa::path(post, path = "/v1/offers/{offer_id}/accept", tag = "offers",
    operation_id = "accept_offer", request_body = Option<AcceptBody>,
    params(("offer_id" = String, Path, description = "The offer")),
    responses((status = 200, description = "How the accept ended", body = AcceptResultView)))]
pub(super) async fn accept(
    state: web::Data<AppState>,
    offer: web::Path<String>,
    body: Body,
) -> Result<web::Json<AcceptResultView>, Problem> {
    let offer = path::offer_id(&offer)?;
    let call: AcceptBody = body.json_or_default()?;
    let answer = state.dispatch.accept(None, &offer, call.checked()?).await?;
    let live = match &answer {
        AcceptAnswer::Won(ride) => LiveDriver::of(&state.dispatch, ride),
        AcceptAnswer::Lost(_) | AcceptAnswer::Quoted(_) | AcceptAnswer::Standby { .. } => None,
    };
    Ok(web::Json(AcceptResultView::new(&answer, live.as_ref())))
}

/// Decline an offer, or take the quote for it back
#[utoipa::path(post, path = "/v1/offers/{offer_id}/decline", tag = "offers",
    operation_id = "decline_offer", request_body = Option<ReasonBody>,
    params(("offer_id" = String, Path, description = "The offer")),
    responses((status = 200, description = "The driver without the offer", body = DriverView)))]
pub(super) async fn decline(
    state: web::Data<AppState>,
    offer: web::Path<String>,
    body: Body,
) -> Result<web::Json<DriverView>, Problem> {
    let offer = path::offer_id(&offer)?;
    let call: ReasonBody = body.json_or_default()?;
    let reason = checked_reason(call.reason)?;
    let view = state.dispatch.decline(None, &offer, reason).await?;
    Ok(web::Json(DriverView::now(&state.dispatch, &view)))
}
