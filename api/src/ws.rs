//! `GET /v1/drivers/{driver_id}/stream`: the driver's WebSocket.

mod binary;
mod client;
mod listener;
mod server;
mod session;
mod socket;
mod upgrade;

use std::time::Duration;

use actix_http::ws::handshake;
use actix_web::http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use muster_actors::{CallError, Dispatch};
use muster_engine::id::DriverId;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

pub use binary::{BINARY_FIX_BYTES, BinaryFault, decode_positions};
pub use client::{ClientFrame, FIXES_PER_FRAME_MAX};
pub(crate) use upgrade::upgrades;

use self::upgrade::{Handover, Opened};
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
    /// The sessions that run: a process that ends waits for their last words.
    pub alive: TaskTracker,
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
    let mut answer = handshake(request.head())?;
    if let Some(protocol) = protocol(request.headers()) {
        answer.insert_header((SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    // Every well-formed handshake comes by the way that has a place for the session.
    let handover = request.extensions().get::<Handover>().cloned();
    let handover = handover
        .ok_or_else(|| Problem::new(426, "upgrade_required", "this is the path of a WebSocket"))?;
    let link = state.dispatch.connect(&driver, query.last_seq).map_err(Problem::from)?;
    handover.leave(Opened::new(state.into_inner(), link));
    Ok(HttpResponse::from(answer.finish().map_into_boxed_body()))
}

/// The first sub-protocol that the phone names and the server speaks.
fn protocol(headers: &HeaderMap) -> Option<&'static str> {
    let named = headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let mut named = named.flat_map(|value| value.split(',')).map(str::trim);
    named.find_map(|named| [JSON_PROTOCOL, BINARY_PROTOCOL].into_iter().find(|own| *own == named))
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn the_first_protocol_that_both_speak_is_taken() {
        let mut headers = HeaderMap::new();
        assert_eq!(protocol(&headers), None);
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("other, muster.bin.v1"));
        headers.append(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("muster.json.v1"));
        assert_eq!(protocol(&headers), Some(BINARY_PROTOCOL));
    }
}
