//! Drivers: profile, work, positions, offers, who is near.

use actix_web::{HttpRequest, HttpResponse, web};
use muster_actors::NearbyDriver;
use muster_engine::geo::Position;
use muster_engine::grid::{self, FixRejection};
use muster_engine::id::{DriverId, ServiceTierId};
use muster_engine::market::Market;
use muster_engine::units::Meters;

use crate::http::body::Body;
use crate::http::driver_calls::{
    FIXES_MAX, NearbyDriverView, NearbyList, OfferList, PositionsBody, PositionsResult,
    RejectedFix, StatusBody, TierNames, WorkStatus,
};
use crate::http::params::{Params, fault};
use crate::http::path;
use crate::http::state::AppState;
use crate::wire::{
    DriverProfileBody, DriverView, Faults, Fix, OfferView, PositionView, Problem, RequestFault,
    check_tiers, metres,
};

/// Drivers in an answer about who is near, unless the client says otherwise.
const NEARBY_DEFAULT: usize = 20;

/// How far is near, unless the client says otherwise.
const RADIUS_M_DEFAULT: f64 = 3_000.0;

/// The farthest that is near.
const RADIUS_M_MAX: f64 = 50_000.0;

/// Create a driver or replace his profile
#[utoipa::path(put, path = "/v1/drivers/{driver_id}", tag = "drivers",
    operation_id = "put_driver", request_body = DriverProfileBody,
    params(("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The driver", body = DriverView)))]
pub(super) async fn put(
    state: web::Data<AppState>,
    driver: web::Path<String>,
    body: Body,
) -> Result<web::Json<DriverView>, Problem> {
    let driver = DriverId::new(&driver)
        .map_err(|error| Problem::new(400, "invalid_id", error.to_string()))?;
    let profile: DriverProfileBody = body.json()?;
    let profile = profile.into_profile(state.dispatch.markets())?;
    let view = state.dispatch.put_driver(&driver, profile).await?;
    Ok(web::Json(DriverView::now(&state.dispatch, &view)))
}

/// Look at a driver
#[utoipa::path(get, path = "/v1/drivers/{driver_id}", tag = "drivers",
    operation_id = "get_driver", params(("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The driver as he stands", body = DriverView)))]
pub(super) async fn get(
    state: web::Data<AppState>,
    driver: web::Path<String>,
) -> Result<web::Json<DriverView>, Problem> {
    let view = state.dispatch.driver(&path::driver_id(&driver)?).await?;
    Ok(web::Json(DriverView::now(&state.dispatch, &view)))
}

/// Begin or end work
#[utoipa::path(post, path = "/v1/drivers/{driver_id}/status", tag = "drivers",
    operation_id = "set_driver_status", request_body = StatusBody,
    params(("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The driver as he stands", body = DriverView)))]
pub(super) async fn set_status(
    state: web::Data<AppState>,
    driver: web::Path<String>,
    body: Body,
) -> Result<web::Json<DriverView>, Problem> {
    let driver = path::driver_id(&driver)?;
    let call: StatusBody = body.json()?;
    let view = state.dispatch.set_online(&driver, call.status == WorkStatus::Online).await?;
    Ok(web::Json(DriverView::now(&state.dispatch, &view)))
}

/// Report positions
#[utoipa::path(post, path = "/v1/drivers/{driver_id}/positions", tag = "drivers",
    operation_id = "report_positions", request_body = PositionsBody,
    params(("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "What became of each fix", body = PositionsResult)))]
pub(super) async fn positions(
    state: web::Data<AppState>,
    driver: web::Path<String>,
    body: Body,
) -> Result<web::Json<PositionsResult>, Problem> {
    let driver = path::driver_id(&driver)?;
    let PositionsBody { points } = body.json()?;
    if points.len() > FIXES_MAX {
        let mut faults = Faults::default();
        faults.add("/points", format!("at most {FIXES_MAX} fixes are taken, got {}", points.len()));
        faults.finish()?;
    }
    let results = apply(&state, &driver, &points)?;
    let rejected = |(index, result): (usize, &Result<(), FixRejection>)| {
        let code = result.err()?.code();
        Some(RejectedFix { index, code })
    };
    let rejected: Vec<RejectedFix> = results.iter().enumerate().filter_map(rejected).collect();
    Ok(web::Json(PositionsResult { accepted: results.len() - rejected.len(), rejected }))
}

/// Applies the fixes that are places; the result of each is at its index.
fn apply(
    state: &AppState,
    driver: &DriverId,
    points: &[Fix],
) -> Result<Vec<Result<(), FixRejection>>, Problem> {
    let fixes: Vec<_> = points.iter().map(grid::Fix::try_from).collect();
    let places: Vec<grid::Fix> = fixes.iter().filter_map(|fix| fix.ok()).collect();
    let mut applied = state.dispatch.apply_fixes(driver, &places)?.into_iter();
    let result = |fix: Result<grid::Fix, FixRejection>| {
        // Every place has its result.
        fix.and_then(|_| applied.next().unwrap_or(Err(FixRejection::OutOfRange)))
    };
    Ok(fixes.into_iter().map(result).collect())
}

/// List a driver's live offers
#[utoipa::path(get, path = "/v1/drivers/{driver_id}/offers", tag = "drivers",
    operation_id = "list_driver_offers",
    params(("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "Offers that wait for an answer", body = OfferList)))]
pub(super) async fn offers(
    state: web::Data<AppState>,
    driver: web::Path<String>,
) -> Result<web::Json<OfferList>, Problem> {
    let view = state.dispatch.driver(&path::driver_id(&driver)?).await?;
    Ok(web::Json(OfferList { offers: view.offers.iter().map(OfferView::from).collect() }))
}

/// Find available drivers
#[utoipa::path(get, path = "/v1/drivers/nearby", tag = "drivers", operation_id = "nearby_drivers",
    params(
        ("lat" = f64, Query, minimum = -90, maximum = 90, description = "Latitude"),
        ("lng" = f64, Query, minimum = -180, maximum = 180, description = "Longitude"),
        ("radius_m" = Option<f64>, Query, minimum = 1, maximum = 50_000,
            description = "How far to look, 3000 unless given"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 200,
            description = "Drivers in the answer, 20 unless given"),
        ("service_tier" = Option<String>, Query, description = "Only drivers of this tier")),
    responses((status = 200, description = "Available drivers, nearest first",
        body = NearbyList)))]
pub(super) async fn nearby(
    state: web::Data<AppState>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let params = Params::of(&http, &["lat", "lng", "radius_m", "limit", "service_tier"])?;
    let at = place(&params)?;
    let radius = params.parsed("radius_m")?.unwrap_or(RADIUS_M_DEFAULT);
    if !(1.0..=RADIUS_M_MAX).contains(&radius) {
        return Err(fault("radius_m", format!("a radius is within 1..={RADIUS_M_MAX}")));
    }
    let limit = params.limit(NEARBY_DEFAULT)?;
    let tier = params.made("service_tier", ServiceTierId::new)?;
    let nowhere = || RequestFault::NotServiceable("the place is in no market".to_owned());
    let market = state.dispatch.markets().find(at).ok_or_else(nowhere)?;
    check_tiers(market, tier.as_slice())?;
    let found = state.dispatch.nearby(at, Meters::new(radius), limit, tier.as_ref())?;
    let drivers = found.iter().map(|driver| near(market, driver)).collect();
    Ok(HttpResponse::Ok().json(NearbyList { drivers }))
}

fn place(params: &Params) -> Result<Position, Problem> {
    let number = |name| -> Result<f64, Problem> {
        params.parsed(name)?.ok_or_else(|| fault(name, "the parameter is needed"))
    };
    let (lat, lng) = (number("lat")?, number("lng")?);
    Position::from_degrees(lat, lng).map_err(|error| {
        let name = if (-90.0..=90.0).contains(&lat) { "lng" } else { "lat" };
        fault(name, error)
    })
}

fn near<'a>(market: &'a Market, driver: &'a NearbyDriver) -> NearbyDriverView<'a> {
    NearbyDriverView {
        driver_id: driver.driver.as_str(),
        service_tiers: TierNames { of: market.tiers(), tiers: driver.tiers },
        position: PositionView::from(&driver.reading),
        distance_m: metres(driver.distance),
        pickup_eta_s: driver.pickup_eta.get(),
    }
}
