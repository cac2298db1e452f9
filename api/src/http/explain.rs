//! Why a ride was offered to whom, and a driver which rides.

use actix_web::{HttpRequest, web};
use muster_engine::driver::DriverView;

use crate::http::params::{Params, fault};
use crate::http::path;
use crate::http::problem::unreadable;
use crate::http::state::AppState;
use crate::wire::{DriverExplainView, DriverStandingView, ExplainView, Problem, ShadowRideView};

/// Seconds that are explained of a driver, unless the client says otherwise.
const SINCE_S_DEFAULT: u64 = 3_600;
/// The longest such time.
const SINCE_S_MAX: u64 = 86_400;

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
    // An explanation stands without a shadow that does not answer.
    let shadow = state.dispatch.shadow_of(&ride.request.market, &ride.request.ride).await;
    let view = ExplainView::new(&ride, &decisions, policy);
    let shadow = shadow.ok().flatten().as_ref().map(ShadowRideView::from);
    Ok(web::Json(ExplainView { shadow, ..view }))
}

/// Explain a driver's offers
#[utoipa::path(get, path = "/v1/drivers/{driver_id}/explain", tag = "drivers",
    operation_id = "explain_driver", params(
        ("driver_id" = String, Path, description = "The driver"),
        ("since_s" = Option<u64>, Query, minimum = 1, maximum = 86_400,
            description = "Of how many seconds until now, 3600 by default")),
    responses((status = 200, description = "How he stands, and what was decided about him",
        body = DriverExplainView)))]
pub(super) async fn explain_driver(
    state: web::Data<AppState>,
    driver: web::Path<String>,
    request: HttpRequest,
) -> Result<web::Json<DriverExplainView>, Problem> {
    let driver = path::driver_id(&driver)?;
    let params = Params::of(&request, &["since_s"])?;
    let since_s = params.parsed("since_s")?.unwrap_or(SINCE_S_DEFAULT);
    if !(1..=SINCE_S_MAX).contains(&since_s) {
        return Err(fault("since_s", format!("seconds are within 1..={SINCE_S_MAX}")));
    }
    let view = state.dispatch.driver(&driver).await?;
    let taken = state.dispatch.why_taken(&driver)?;
    let (searching, lost) = (searching_nearby(&state, &view), acceptances_lost(&state, &view));
    let now = DriverStandingView::new(&view, taken, searching, lost);
    let since = state.dispatch.now().minus_millis(since_s * 1_000);
    let decisions = state.history.decisions_naming(&driver, since).await.map_err(unreadable)?;
    let policies = state.dispatch.policies(&view.record.profile.market);
    let policy = policies.as_ref().map(|policies| policies.base().as_ref());
    Ok(web::Json(DriverExplainView::new(&driver, now, since, &decisions, policy)))
}

fn acceptances_lost(state: &AppState, view: &DriverView) -> u32 {
    let policies = state.dispatch.policies(&view.record.profile.market);
    let window_ms = policies.map_or(0, |policies| policies.base().stats_window_ms);
    view.stats.acceptances_lost(window_ms, state.dispatch.now())
}

fn searching_nearby(state: &AppState, view: &DriverView) -> usize {
    let profile = &view.record.profile;
    let Some(policies) = state.dispatch.policies(&profile.market) else { return 0 };
    let Some(reading) = state.dispatch.position(&view.record.driver) else { return 0 };
    let radius_m = f64::from(policies.base().search_radius_m_max);
    let rides = state.dispatch.open_searches(&profile.market).into_iter();
    let near = rides.filter(|ride| ride.pickup.distance(reading.position).get() <= radius_m);
    near.filter(|ride| ride.service_tiers.iter().any(|tier| profile.service_tiers.contains(tier)))
        .count()
}
