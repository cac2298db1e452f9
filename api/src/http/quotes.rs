//! The rider's choice among drivers' quotes.

use actix_web::web;
use muster_actors::CallError;
use muster_engine::effect::Refusal;
use muster_engine::id::OfferId;

use crate::http::path;
use crate::http::state::AppState;
use crate::wire::{Problem, QuoteList, RideView};

/// Look at the quotes of a ride
#[utoipa::path(get, path = "/v1/rides/{ride_id}/quotes", tag = "rides",
    operation_id = "ride_quotes", params(("ride_id" = String, Path, description = "The ride")),
    responses((status = 200, description = "The quotes that can be chosen", body = QuoteList)))]
pub(super) async fn list(
    state: web::Data<AppState>,
    ride: web::Path<String>,
) -> Result<web::Json<QuoteList>, Problem> {
    let ride = state.dispatch.ride(&path::ride_id(&ride)?).await?;
    Ok(web::Json(QuoteList::from(&*ride)))
}

/// Choose a quote
///
/// Its driver is asked whether he can still take the ride; the answer comes once it is his. A
/// repeat is answered with the ride. A quote whose time has passed is refused with
/// `quote_expired`, one whose driver cannot take the ride any more with `quote_unavailable`.
#[utoipa::path(post, path = "/v1/rides/{ride_id}/quotes/{quote_id}/select", tag = "rides",
    operation_id = "select_quote",
    params(("ride_id" = String, Path, description = "The ride"),
        ("quote_id" = String, Path, description = "The quote")),
    responses((status = 200, description = "The ride, assigned for the quoted fare",
        body = RideView)))]
pub(super) async fn select(
    state: web::Data<AppState>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<RideView>, Problem> {
    let (ride, quote) = path.into_inner();
    let ride = path::ride_id(&ride)?;
    let quote = OfferId::new(&quote).map_err(|_| CallError::Refused(Refusal::UnknownQuote))?;
    let ride = state.dispatch.select_quote(&ride, quote).await?;
    Ok(web::Json(RideView::now(&state.dispatch, &ride)))
}
