//! Around every request: ids, timing, and problems in place of bare errors.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use muster_actors::{current_origin, on_behalf};
use muster_engine::id::stable_hash;
use muster_engine::origin::Origin;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::http::problem;
use crate::http::state::AppState;
use crate::wire::PROBLEM_JSON;

/// The longest correlation id that is taken over.
const CORRELATION_CHARS_MAX: usize = 128;

const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The correlation id of the request that is being answered.
pub(super) fn correlation_id() -> String {
    current_origin().map(|origin| origin.correlation_id.clone()).unwrap_or_default()
}

/// Keeps the ids of the request for `future` when it is run as a task of its own.
pub(super) fn in_correlation<F: Future>(future: F) -> impl Future<Output = F::Output> {
    on_behalf(current_origin(), future).in_current_span()
}

/// The outermost middleware. Takes over or draws the ids, answers with them, turns answers that
/// no handler gave into problems, logs the request and tells the observer.
///
/// # Errors
/// Errors of inner middleware that have no answer of their own.
pub async fn trace(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let ids = Arc::new(origin_of(request.headers()));
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let method = request.method().to_string();
    let span = tracing::debug_span!(
        "http_request",
        correlation_id = %ids.correlation_id,
        traceparent = %ids.traceparent
    );
    let answer = async { next.call(request).await.map(with_problem) };
    let answer = on_behalf(Some(Arc::clone(&ids)), answer).instrument(span).await?;
    let answer = put_into(&ids, answer);
    let route = answer.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (status, seconds) = (answer.status().as_u16(), began.elapsed().as_secs_f64());
    tracing::debug!(
        method,
        route,
        status,
        duration_ms = seconds * 1_000.0,
        correlation_id = ids.correlation_id,
        "request answered"
    );
    if let Some(state) = state {
        state.observe.answered(&method, &route, status, seconds);
    }
    Ok(answer)
}

/// An error that is no problem yet becomes one.
fn with_problem<B: MessageBody + 'static>(answer: ServiceResponse<B>) -> ServiceResponse<BoxBody> {
    let status = answer.status();
    let content_type = answer.headers().get(CONTENT_TYPE);
    let told = content_type.is_some_and(|value| value.as_bytes() == PROBLEM_JSON.as_bytes());
    let failed = status.is_client_error() || status.is_server_error();
    if !failed || told {
        return answer.map_into_boxed_body();
    }
    let kept = [ALLOW, RETRY_AFTER].map(|name| (name.clone(), answer.headers().get(name).cloned()));
    let (request, _) = answer.into_parts();
    let mut response = problem::of_status(status).error_response();
    for (name, value) in kept {
        if let Some(value) = value {
            response.headers_mut().insert(name, value);
        }
    }
    ServiceResponse::new(request, response)
}

/// The ids of a request; one that is absent or malformed is drawn.
fn origin_of(headers: &HeaderMap) -> Origin {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let correlation = text(X_CORRELATION_ID).filter(|id| is_correlation_id(id));
    let traceparent = text(TRACEPARENT).filter(|parent| is_traceparent(parent));
    Origin {
        correlation_id: correlation.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned),
        traceparent: traceparent.map_or_else(draw_traceparent, str::to_owned),
    }
}

fn put_into(ids: &Origin, mut answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    for (name, id) in [(X_CORRELATION_ID, &ids.correlation_id), (TRACEPARENT, &ids.traceparent)] {
        if let Ok(value) = HeaderValue::from_str(id) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

fn is_correlation_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    (1..=CORRELATION_CHARS_MAX).contains(&id.len()) && id.chars().all(plain)
}

/// Version 00 of W3C Trace Context: `00-<trace id>-<parent id>-<flags>` in lower-case hexadecimal,
/// neither id all zeros.
fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let some = |part: &str| part.bytes().any(|b| b != b'0');
    match parts.as_slice() {
        ["00", trace, parent, flags] => {
            hex(trace, 32) && hex(parent, 16) && hex(flags, 2) && some(trace) && some(parent)
        }
        _ => false,
    }
}

fn draw_traceparent() -> String {
    let trace = Uuid::now_v7();
    // The low bit keeps the parent id from being zero.
    let parent = stable_hash(trace.as_bytes(), 0) | 1;
    format!("00-{}-{parent:016x}-01", trace.simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_taken_over_only_when_it_is_well_formed() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(is_traceparent(&draw_traceparent()));
        for text in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(text), "{text:?}");
        }
    }

    #[test]
    fn a_correlation_id_is_short_and_plain() {
        assert!(is_correlation_id("018f-a.b:c_D"));
        for id in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_correlation_id(id), "{id:?}");
        }
    }
}
