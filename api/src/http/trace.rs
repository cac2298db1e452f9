//! Around every request: ids, its span, timing, and problems in place of bare errors.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ALLOW, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use muster_actors::{current_origin, on_behalf};
use muster_engine::origin::Origin;
use opentelemetry::trace::SpanContext;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::http::problem;
use crate::http::state::AppState;
use crate::telemetry::{TraceSpan, traceparent};
use crate::wire::PROBLEM_JSON;

/// The longest correlation id that is taken over.
const CORRELATION_CHARS_MAX: usize = 128;

/// Asked every few seconds by machines: their traces would say nothing.
const UNTRACED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

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
    let state = request.app_data::<web::Data<AppState>>().cloned();
    let method = request.method().clone();
    let (ids, traced) = origin_of(request.headers(), |parent| {
        let traces = state.as_ref()?.traces.as_ref()?;
        (!UNTRACED.contains(&request.path())).then(|| traces.request(method.as_str(), parent))
    });
    let span = tracing::debug_span!(
        "http_request",
        correlation_id = %ids.correlation_id,
        traceparent = %ids.traceparent
    );
    let answer = async { next.call(request).await.map(with_problem) };
    let answer = on_behalf(Some(beneath(&ids, traced.as_ref())), answer).instrument(span).await?;
    let answer = put_into(&ids, answer);
    let route = answer.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (status, seconds) = (answer.status().as_u16(), began.elapsed().as_secs_f64());
    tracing::debug!(
        %method,
        route,
        status,
        duration_ms = seconds * 1_000.0,
        correlation_id = ids.correlation_id,
        "request answered"
    );
    if let Some(traced) = traced {
        traced.answered(method.as_str(), &route, status, &ids.correlation_id);
    }
    if let Some(state) = state {
        state.observe.answered(method.as_str(), &route, status, seconds);
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

/// The ids of a request, and its span if `begin` begins one. What is absent or malformed is drawn.
fn origin_of(
    headers: &HeaderMap,
    begin: impl FnOnce(Option<SpanContext>) -> Option<TraceSpan>,
) -> (Arc<Origin>, Option<TraceSpan>) {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let parent = text(TRACEPARENT).and_then(traceparent::parse);
    let span = begin(parent);
    let own = span.as_ref().map(TraceSpan::traceparent);
    let parent = text(TRACEPARENT).filter(|text| traceparent::parse(text).is_some());
    let ids = origin(text(X_CORRELATION_ID), parent.or(own.as_deref()));
    (Arc::new(ids), span)
}

/// The ids that something came with; what is absent or malformed is drawn.
pub(crate) fn origin(correlation_id: Option<&str>, traceparent: Option<&str>) -> Origin {
    let correlation = correlation_id.filter(|id| is_correlation_id(id));
    let parent = traceparent.filter(|text| traceparent::parse(text).is_some());
    Origin {
        correlation_id: correlation.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned),
        traceparent: parent.map_or_else(traceparent::draw, str::to_owned),
    }
}

/// What the work of a request goes back to: to its span, if one is kept.
fn beneath(ids: &Arc<Origin>, span: Option<&TraceSpan>) -> Arc<Origin> {
    let Some(span) = span.filter(|span| span.is_kept()) else { return Arc::clone(ids) };
    let correlation_id = ids.correlation_id.clone();
    Arc::new(Origin { correlation_id, traceparent: span.traceparent() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_is_drawn() {
        let parent = traceparent::draw();
        let taken = origin(Some("id-1"), Some(&parent));
        assert_eq!((taken.correlation_id.as_str(), taken.traceparent), ("id-1", parent));
        let drawn = origin(Some("not an id"), Some("00-x"));
        assert!(is_correlation_id(&drawn.correlation_id) && drawn.correlation_id != "not an id");
        assert!(traceparent::parse(&drawn.traceparent).is_some());
    }

    #[test]
    fn a_correlation_id_is_short_and_plain() {
        assert!(is_correlation_id("018f-a.b:c_D"));
        for id in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_correlation_id(id), "{id:?}");
        }
    }
}
