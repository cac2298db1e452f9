//! A market's policies: read, replaced, audited.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, IF_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use muster_actors::CallError;
use muster_engine::id::MarketId;

use crate::http::body::Body;
use crate::http::params::Params;
use crate::http::path;
use crate::http::problem::of_status;
use crate::http::state::AppState;
use crate::http::trace::{correlation_id, in_correlation};
use crate::policy::{BookDocument, DeskError, Standing};
use crate::wire::{PolicyHistory, PolicyView, Problem, RequestFault};

/// Changes in one page unless the client says otherwise.
const CHANGES_DEFAULT: usize = 20;

/// Read the policies in force
#[utoipa::path(get, path = "/v1/markets/{market}/policy", tag = "markets",
    operation_id = "get_policy", params(("market" = String, Path, description = "The market")),
    responses((status = 200, description = "The policies, with their version as `ETag`",
        body = PolicyView)))]
pub(super) async fn get(
    state: web::Data<AppState>,
    market: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let market = path::market_id(&market)?;
    let standing = state.policies.standing(&market).await?;
    Ok(shown(&market, &standing))
}

/// Replace the policies of a market
///
/// For searches that begin from here on; those under way keep theirs. What is left out takes the
/// configured value of the market. Durable and recorded once answered; a change of the market's
/// policies in the configuration file replaces it.
#[utoipa::path(put, path = "/v1/markets/{market}/policy", tag = "markets",
    operation_id = "put_policy", request_body = BookDocument,
    params(
        ("market" = String, Path, description = "The market"),
        ("If-Match" = Option<String>, Header,
            description = "The version that must be in force, as `\"3\"`; 412 when another is")),
    responses((status = 200, description = "The policies in force now", body = PolicyView)))]
pub(super) async fn put(
    state: web::Data<AppState>,
    market: web::Path<String>,
    http: HttpRequest,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let market = path::market_id(&market)?;
    let document: BookDocument = body.json()?;
    let versions = versions_of(&http)?;
    let desk = Arc::clone(&state.policies);
    // A task of its own: a client that hangs up must not leave what is durable out of force.
    let work = async move {
        let changed = desk.change(&market, &document, versions.as_deref(), correlation_id()).await;
        changed.map(|standing| shown(&market, &standing))
    };
    match actix_web::rt::spawn(in_correlation(work)).await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(error) => {
            tracing::error!(%error, "a change of policies ended without an answer");
            Err(of_status(StatusCode::INTERNAL_SERVER_ERROR))
        }
    }
}

/// List the changes of a market's policies
#[utoipa::path(get, path = "/v1/markets/{market}/policy/history", tag = "markets",
    operation_id = "policy_history",
    params(
        ("market" = String, Path, description = "The market"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 200,
            description = "Changes at most, 20 unless given")),
    responses((status = 200, description = "The changes, newest first", body = PolicyHistory)))]
pub(super) async fn history(
    state: web::Data<AppState>,
    market: web::Path<String>,
    http: HttpRequest,
) -> Result<web::Json<PolicyHistory>, Problem> {
    let market = path::market_id(&market)?;
    let limit = Params::of(&http, &["limit"])?.limit(CHANGES_DEFAULT)?;
    let limit = u32::try_from(limit).unwrap_or(u32::MAX);
    let changes = state.policies.history(&market, limit).await?;
    Ok(web::Json(PolicyHistory { changes: changes.into_iter().map(Into::into).collect() }))
}

fn shown(market: &MarketId, standing: &Standing) -> HttpResponse {
    let tag = format!("\"{}\"", standing.book.version());
    HttpResponse::Ok().insert_header((ETAG, tag)).json(PolicyView::new(market, standing))
}

/// The versions that `If-Match` names; nothing when any will do.
fn versions_of(http: &HttpRequest) -> Result<Option<Vec<u64>>, Problem> {
    let Some(header) = http.headers().get(IF_MATCH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = |tag: &str| tag.trim().strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    let versions: Option<Vec<u64>> = text.split(',').map(version).collect();
    versions.map(Some).ok_or_else(|| {
        let detail = format!("If-Match is {text:?}, allowed is a version like \"3\" in quotes");
        Problem::new(400, "invalid_if_match", detail)
    })
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::UnknownMarket => CallError::UnknownMarket.into(),
            DeskError::Version { .. } => Self::new(412, "version_mismatch", error.to_string()),
            DeskError::Refused(faults) => RequestFault::Fields(faults).into(),
            DeskError::Store(error) => {
                tracing::warn!(%error, "policies could not be read or changed");
                CallError::Store(error).into()
            }
        }
    }
}
