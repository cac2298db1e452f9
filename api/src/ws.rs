//! `GET /v1/drivers/{driver_id}/stream`: the driver's WebSocket.

mod binary;
mod client;
mod server;
mod session;

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use muster_actors::{CallError, Dispatch, current_origin, on_behalf};
use muster_engine::id::DriverId;
use std::sync::Arc;

pub use binary::{BINARY_FIX_BYTES, BinaryFault, decode_positions};
pub use client::{ClientFrame, FIXES_PER_FRAME_MAX};

use crate::telemetry::Metrics;
use crate::wire::Problem;

/// The largest frame a phone may send, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Invalid frames in a row that end a session.
pub const INVALID_FRAMES_MAX: u32 = 10;
/// Text frames only.
pub const JSON_PROTOCOL: &str = "muster.json.v1";
/// Positions as binary frames, everything else as text.
pub const BINARY_PROTOCOL: &str = "muster.bin.v1";

/// What the driver streams share.
pub struct StreamState {
    /// The engine.
    pub dispatch: Dispatch,
    /// Where sessions and fixes are counted.
    pub metrics: Arc<Metrics>,
    /// Heartbeat.
    pub heartbeat: Duration,
    /// Sessions open at once.
    pub sessions_max: usize,
}

#[derive(serde::Deserialize)]
struct StreamQuery {
    last_seq: Option<u64>,
    #[serde(rename = "access_token")]
    _access_token: Option<String>,
}

/// Adds the route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.route("/v1/drivers/{driver_id}/stream", web::get().to(stream));
}

async fn stream(
    request: HttpRequest,
    body: web::Payload,
    path: web::Path<String>,
    state: web::Data<StreamState>,
) -> Result<HttpResponse, actix_web::Error> {
    let query = web::Query::<StreamQuery>::from_query(request.query_string())
        .map_err(|error| Problem::new(400, "invalid_query", error.to_string()))?;
    let unknown = || Problem::new(404, "unknown_driver", "no driver has this id");
    let driver = DriverId::new(&path).map_err(|_| unknown())?;
    if state.metrics.sessions() >= state.sessions_max {
        return Err(Problem::from(CallError::Overloaded("sessions")).into());
    }
    let protocols = [JSON_PROTOCOL, BINARY_PROTOCOL];
    let (response, sink, stream) = actix_ws::handle_with_protocols(&request, body, &protocols)?;
    let link = state.dispatch.connect(&driver, query.last_seq).map_err(Problem::from)?;
    let stream = stream.max_frame_size(FRAME_BYTES_MAX);
    // What the phone says goes back to the call that opened its session.
    let session = session::run(state.into_inner(), link, sink, stream);
    actix_web::rt::spawn(on_behalf(current_origin(), session));
    Ok(response)
}
