//! Zones of a market, their queues, and one-time passwords entered there.

use std::sync::Arc;

use actix_web::web;
use muster_actors::CallError;
use muster_engine::effect::Refusal;
use muster_engine::id::{DriverId, MarketId, ServiceTierId, ZoneId};
use muster_engine::market::Market;
use muster_engine::zone::QueueOrder;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::body::Body;
use crate::http::path;
use crate::http::ride_calls::{ReasonBody, checked_reason};
use crate::http::state::AppState;
use crate::wire::{
    AcceptResultView, Faults, LiveDriver, Problem, QueuePositionView, QueuePositions, QueueView,
    ZoneList, check_tiers,
};

/// The longest one-time password that is looked at.
const OTP_CHARS_MAX: usize = 16;

/// Places a driver in a queue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceBody {
    /// The tier whose queue the position counts in; one the driver serves.
    #[schema(example = "standard")]
    service_tier: String,
    /// Counted from 1; absent: the end.
    #[schema(minimum = 1)]
    position: Option<usize>,
}

/// Answers a call to a gate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RespondBody {
    /// The call.
    call_id: String,
    /// Whether he comes.
    accept: bool,
}

/// Enters a rider's one-time password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EnterOtpBody {
    /// The driver who enters it.
    driver_id: String,
    /// What the rider showed him.
    #[schema(example = "012345")]
    otp: String,
}

type Queue = Result<web::Json<QueueView>, Problem>;

/// List the zones of a market
#[utoipa::path(get, path = "/v1/markets/{market}/zones", tag = "zones", operation_id = "list_zones",
    params(("market" = String, Path, description = "The market")),
    responses((status = 200, description = "The zones, most specific first", body = ZoneList)))]
pub(super) async fn list(
    state: web::Data<AppState>,
    market: web::Path<String>,
) -> Result<web::Json<ZoneList>, Problem> {
    Ok(web::Json(ZoneList::from(known(&state, &path::market_id(&market)?)?.as_ref())))
}

/// Look at the queue of a zone
#[utoipa::path(get, path = "/v1/markets/{market}/zones/{zone}/queue", tag = "zones",
    operation_id = "get_queue",
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone")),
    responses((status = 200, description = "The queue of each tier", body = QueueView)))]
pub(super) async fn queue(state: web::Data<AppState>, place: web::Path<(String, String)>) -> Queue {
    let (market, zone) = ids(&place.0, &place.1)?;
    let order = state.dispatch.zone_queue(&market, &zone)?;
    Ok(web::Json(QueueView::new(known(&state, &market)?, &order)))
}

/// Look at a driver's position in the queue of a zone
#[utoipa::path(get, path = "/v1/markets/{market}/zones/{zone}/queue/{driver_id}", tag = "zones",
    operation_id = "get_queue_position",
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone"),
        ("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "A range of positions for each tier he serves",
        body = QueuePositions)))]
pub(super) async fn position(
    state: web::Data<AppState>,
    place: web::Path<(String, String, String)>,
) -> Result<web::Json<QueuePositions>, Problem> {
    let (market, zone) = ids(&place.0, &place.1)?;
    let order = state.dispatch.zone_queue(&market, &zone)?;
    let positions = QueuePositionView::all(&order, &path::driver_id(&place.2)?);
    if positions.is_empty() {
        return Err(CallError::Refused(Refusal::NotQueued).into());
    }
    Ok(web::Json(QueuePositions { positions }))
}

/// Place a driver in the queue of a zone
///
/// A driver who has a place moves. He needs not be at the zone; once he was, he loses his place when
/// he leaves it.
#[utoipa::path(post, path = "/v1/markets/{market}/zones/{zone}/queue/{driver_id}", tag = "zones",
    operation_id = "place_in_queue", request_body = PlaceBody,
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone"),
        ("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The queue of each tier", body = QueueView)))]
pub(super) async fn add(
    state: web::Data<AppState>,
    place: web::Path<(String, String, String)>,
    body: Body,
) -> Queue {
    let (market, zone) = ids(&place.0, &place.1)?;
    let driver = path::driver_id(&place.2)?;
    let PlaceBody { service_tier, position } = body.json()?;
    let mut faults = Faults::default();
    let tier = faults.keep("/service_tier", ServiceTierId::new(&service_tier));
    if position == Some(0) {
        faults.add("/position", "positions are counted from 1");
    }
    faults.finish()?;
    let sold = known(&state, &market)?;
    let Some(tier) = tier else { return Err(CallError::UnknownMarket.into()) };
    check_tiers(sold, std::slice::from_ref(&tier))?;
    let queue = state.dispatch.add_to_queue(&market, &zone, &driver, tier, position).await?;
    Ok(web::Json(QueueView::new(sold, &QueueOrder::of(queue))))
}

/// Take a driver out of the queue of a zone
///
/// He gets no other place until he has left the zone, or for as long as the zone's
/// `rejoin_after_ms` says.
#[utoipa::path(delete, path = "/v1/markets/{market}/zones/{zone}/queue/{driver_id}", tag = "zones",
    operation_id = "remove_from_queue", request_body = Option<ReasonBody>,
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone"),
        ("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The queue of each tier", body = QueueView)))]
pub(super) async fn remove(
    state: web::Data<AppState>,
    place: web::Path<(String, String, String)>,
    body: Body,
) -> Queue {
    let (market, zone) = ids(&place.0, &place.1)?;
    let driver = path::driver_id(&place.2)?;
    let call: ReasonBody = body.json_or_default()?;
    let note = checked_reason(call.reason)?;
    let queue = state.dispatch.remove_from_queue(&market, &zone, &driver, note).await?;
    Ok(web::Json(QueueView::new(known(&state, &market)?, &QueueOrder::of(queue))))
}

/// Answer a call to a gate
#[utoipa::path(post, path = "/v1/markets/{market}/zones/{zone}/queue/{driver_id}/respond",
    tag = "zones", operation_id = "answer_queue_call", request_body = RespondBody,
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone"),
        ("driver_id" = String, Path, description = "The driver")),
    responses((status = 200, description = "The queue of each tier", body = QueueView)))]
pub(super) async fn respond(
    state: web::Data<AppState>,
    place: web::Path<(String, String, String)>,
    body: Body,
) -> Queue {
    let (market, zone) = ids(&place.0, &place.1)?;
    let driver = path::driver_id(&place.2)?;
    let RespondBody { call_id, accept } = body.json()?;
    let call = path::call_id(&call_id)?;
    let queue = state.dispatch.answer_call(&market, &zone, &driver, call, accept).await?;
    Ok(web::Json(QueueView::new(known(&state, &market)?, &QueueOrder::of(queue))))
}

/// Enter a rider's one-time password
///
/// For rides that wait at the zone instead of being searched for: the driver who enters the password
/// has the ride, started. The driver must be at the zone; a repetition is answered the same.
#[utoipa::path(post, path = "/v1/markets/{market}/zones/{zone}/otp", tag = "zones",
    operation_id = "enter_otp", request_body = EnterOtpBody,
    params(("market" = String, Path, description = "The market"),
        ("zone" = String, Path, description = "The zone")),
    responses((status = 200, description = "Whether the ride is his", body = AcceptResultView)))]
pub(super) async fn enter_otp(
    state: web::Data<AppState>,
    place: web::Path<(String, String)>,
    body: Body,
) -> Result<web::Json<AcceptResultView>, Problem> {
    let (market, zone) = ids(&place.0, &place.1)?;
    let watched = known(&state, &market)?.zones().get(&zone).filter(|zone| zone.otp);
    watched.ok_or(CallError::UnknownZone)?;
    let EnterOtpBody { driver_id, otp } = body.json()?;
    let mut faults = Faults::default();
    if otp.is_empty() || otp.chars().count() > OTP_CHARS_MAX {
        faults.add("/otp", format!("1 to {OTP_CHARS_MAX} characters are taken"));
    }
    faults.finish()?;
    let driver: DriverId = path::driver_id(&driver_id)?;
    let answer = state.dispatch.enter_otp(&driver, otp).await?;
    let live = match &answer {
        muster_engine::effect::AcceptAnswer::Won(ride) => LiveDriver::of(&state.dispatch, ride),
        muster_engine::effect::AcceptAnswer::Lost(_)
        | muster_engine::effect::AcceptAnswer::Quoted(_)
        | muster_engine::effect::AcceptAnswer::Standby { .. } => None,
    };
    Ok(web::Json(AcceptResultView::new(&answer, live.as_ref())))
}

fn ids(market: &str, zone: &str) -> Result<(MarketId, ZoneId), Problem> {
    Ok((path::market_id(market)?, path::zone_id(zone)?))
}

fn known<'s>(state: &'s AppState, market: &MarketId) -> Result<&'s Arc<Market>, Problem> {
    state.dispatch.markets().get(market).ok_or_else(|| CallError::UnknownMarket.into())
}
