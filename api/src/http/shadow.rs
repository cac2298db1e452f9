//! What another policy would decide in a market.

use actix_web::web;
use muster_actors::CallError;

use crate::http::path;
use crate::http::state::AppState;
use crate::wire::{Problem, ShadowView};

/// Look at a market's shadow
///
/// What another policy, that nobody is told of, would have decided on the same rides; counted in
/// memory since `since`.
#[utoipa::path(get, path = "/v1/markets/{market}/shadow", tag = "markets",
    operation_id = "get_shadow", params(("market" = String, Path, description = "The market")),
    responses((status = 200, description = "Both policies over the same rides; 404 \
        `no_shadow_policy` where there is none", body = ShadowView)))]
pub(super) async fn get(
    state: web::Data<AppState>,
    market: web::Path<String>,
) -> Result<web::Json<ShadowView>, Problem> {
    let id = path::market_id(&market)?;
    let market = state.dispatch.markets().get(&id).ok_or(CallError::UnknownMarket)?;
    let report = state.dispatch.shadow(&id).await?.ok_or_else(|| {
        let detail = format!(
            "market {id} has no shadow policy in force: set [markets.{id}.shadow] or --shadow"
        );
        Problem::new(404, "no_shadow_policy", detail)
    })?;
    Ok(web::Json(ShadowView::new(market, &report)))
}
