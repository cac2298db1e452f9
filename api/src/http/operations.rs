//! Health, version, documents, drain: for those who run the server.

use actix_web::http::header::{ContentType, LOCATION};
use actix_web::{HttpResponse, web};
use muster_actors::CallError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::openapi;
use crate::http::state::AppState;
use crate::kafka::schemas;
use crate::wire::Problem;

const ASYNCAPI: &str = include_str!("../../asyncapi.yaml");

/// How the server stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ServerStatus {
    /// `ok`, `ready` or `draining`.
    #[schema(example = "ready")]
    status: &'static str,
}

/// What runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VersionView {
    /// The version of the server.
    #[schema(example = "0.1.0")]
    version: String,
    /// The revision it was built from.
    revision: String,
    /// Engine seconds per real second; 1 unless the server replays.
    #[schema(example = 1.0)]
    clock_speed: f64,
}

/// Is the process alive
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "The process lives", body = ServerStatus)))]
pub(super) async fn healthz() -> web::Json<ServerStatus> {
    web::Json(ServerStatus { status: "ok" })
}

/// Is the server ready
///
/// Everything is recovered before the server listens, so it is ready until it drains.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses((status = 200, description = "Recovered, and owns its markets",
        body = ServerStatus)))]
pub(super) async fn readyz(state: web::Data<AppState>) -> Result<web::Json<ServerStatus>, Problem> {
    if *state.dispatch.draining().borrow() {
        return Err(CallError::Draining.into());
    }
    Ok(web::Json(ServerStatus { status: "ready" }))
}

/// Which version runs
#[utoipa::path(get, path = "/version", tag = "operations", operation_id = "version",
    responses((status = 200, description = "What runs", body = VersionView)))]
pub(super) async fn version(state: web::Data<AppState>) -> web::Json<VersionView> {
    web::Json(VersionView {
        version: state.build.version.clone(),
        revision: state.build.revision.clone(),
        clock_speed: state.dispatch.clock_speed(),
    })
}

/// Shut the server down in order
///
/// From here on new rides, sockets and event streams are refused; rides under way go on until the
/// process ends.
#[utoipa::path(post, path = "/v1/admin/drain", tag = "operations", operation_id = "drain",
    responses((status = 202, description = "The drain has begun", body = ServerStatus)))]
pub(super) async fn drain(state: web::Data<AppState>) -> HttpResponse {
    tracing::info!("drain was asked for over http");
    state.dispatch.begin_drain();
    HttpResponse::Accepted().json(ServerStatus { status: "draining" })
}

/// The description of this interface.
pub(super) async fn openapi_json() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(openapi::text())
}

/// The description of the socket.
pub(super) async fn asyncapi_yaml() -> HttpResponse {
    HttpResponse::Ok().content_type("application/yaml").body(ASYNCAPI)
}

/// A schema of a topic's values, beside the document that refers to it.
pub(super) async fn topic_schema(file: web::Path<String>) -> Result<HttpResponse, Problem> {
    let name = file.strip_suffix(".json").unwrap_or_default();
    let text = schemas::of_name(name);
    let unknown = || Problem::new(404, "unknown_schema", "no schema has this name");
    let text = text.ok_or_else(unknown)?;
    Ok(HttpResponse::Ok().content_type("application/schema+json").body(text))
}

/// The browser of this interface lives one level down.
pub(super) async fn docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}
