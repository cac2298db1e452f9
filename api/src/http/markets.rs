//! Markets: what they are, and supply and demand in them.

use std::sync::Arc;

use actix_web::{HttpRequest, web};
use muster_actors::CallError;
use muster_engine::geo::CellResolution;
use muster_engine::market::Market;

use crate::http::params::{Params, fault};
use crate::http::path;
use crate::http::state::AppState;
use crate::wire::{MarketList, MarketSummary, MarketView, Problem, SupplyView};

/// The H3 resolution of supply cells unless the client says otherwise.
const RESOLUTION_DEFAULT: u8 = 8;

/// List the markets
#[utoipa::path(get, path = "/v1/markets", tag = "markets", operation_id = "list_markets",
    responses((status = 200, description = "The markets", body = MarketList)))]
pub(super) async fn list(state: web::Data<AppState>) -> web::Json<MarketList> {
    let markets = state.dispatch.markets().iter();
    let markets = markets.map(|market| MarketSummary::from(market.as_ref())).collect();
    web::Json(MarketList { markets })
}

/// Look at a market
#[utoipa::path(get, path = "/v1/markets/{market}", tag = "markets", operation_id = "get_market",
    params(("market" = String, Path, description = "The market")),
    responses((status = 200, description = "Boundary, policy in force, zones",
        body = MarketView)))]
pub(super) async fn get(
    state: web::Data<AppState>,
    market: web::Path<String>,
) -> Result<web::Json<MarketView>, Problem> {
    let market = known(&state, &market)?;
    let policies = state.dispatch.policies(market.id()).ok_or(CallError::UnknownMarket)?;
    Ok(web::Json(MarketView::new(market, &policies)))
}

/// Count drivers and open rides per cell and tier
#[utoipa::path(get, path = "/v1/markets/{market}/supply", tag = "markets",
    operation_id = "market_supply",
    params(
        ("market" = String, Path, description = "The market"),
        ("resolution" = Option<u8>, Query, minimum = 0, maximum = 15,
            description = "H3 resolution of the cells, 8 unless given; \
                at most that of the market's grid")),
    responses((status = 200, description = "Supply and demand", body = SupplyView)))]
pub(super) async fn supply(
    state: web::Data<AppState>,
    market: web::Path<String>,
    http: HttpRequest,
) -> Result<web::Json<SupplyView>, Problem> {
    let market = known(&state, &market)?;
    let params = Params::of(&http, &["resolution"])?;
    let wanted: u8 = params.parsed("resolution")?.unwrap_or(RESOLUTION_DEFAULT);
    let wanted = CellResolution::new(wanted).map_err(|error| fault("resolution", error))?;
    let resolution = wanted.min(market.resolution());
    let drivers = state.dispatch.supply(market.id(), resolution)?;
    let searches = state.dispatch.open_searches(market.id());
    Ok(web::Json(SupplyView::new(market, resolution, drivers, &searches)))
}

fn known<'s>(state: &'s AppState, market: &str) -> Result<&'s Arc<Market>, Problem> {
    let market = state.dispatch.markets().get(&path::market_id(market)?);
    market.ok_or_else(|| CallError::UnknownMarket.into())
}
