//! Around every request: ids, its span, timing, and problems in place of bare errors.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
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

/// The ids that tie a request to its traces in logs and events.
#[derive(Debug, Clone)]
struct TraceIds {
    correlation: String,
    traceparent: String,
}

tokio::task_local! {
    static CORRELATION: String;
}

/// The correlation id of the request that is being answered.
pub(super) fn correlation_id() -> String {
    CORRELATION.try_with(Clone::clone).unwrap_or_default()
}

/// Keeps the correlation id for `future` when it is run as a task of its own.
pub(super) fn in_correlation<F: Future>(future: F) -> impl Future<Output = F::Output> {
    CORRELATION.scope(correlation_id(), future).in_current_span()
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
    let method = request.method().to_string();
    let (ids, traced) = TraceIds::of(&request, |parent| {
        let traces = state.as_ref()?.traces.as_ref()?;
        (!UNTRACED.contains(&request.path())).then(|| traces.request(&method, parent))
    });
    let span = tracing::debug_span!(
        "http_request",
        correlation_id = %ids.correlation,
        traceparent = %ids.traceparent
    );
    let answer = async { next.call(request).await.map(with_problem) };
    let answer = CORRELATION.scope(ids.correlation.clone(), answer).instrument(span).await?;
    let answer = ids.put_into(answer);
    let route = answer.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let (status, seconds) = (answer.status().as_u16(), began.elapsed().as_secs_f64());
    tracing::debug!(
        method,
        route,
        status,
        duration_ms = seconds * 1_000.0,
        correlation_id = ids.correlation,
        "request answered"
    );
    if let Some(traced) = traced {
        traced.answered(&method, &route, status, &ids.correlation);
    }
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

impl TraceIds {
    /// The ids of a request, and its span if `begin` begins one. What is absent or malformed is drawn.
    fn of(
        request: &ServiceRequest,
        begin: impl FnOnce(Option<SpanContext>) -> Option<TraceSpan>,
    ) -> (Self, Option<TraceSpan>) {
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let correlation = text(X_CORRELATION_ID).filter(|id| is_correlation_id(id));
        let correlation = correlation.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        let given = text(TRACEPARENT);
        let parent = given.and_then(traceparent::parse);
        let taken_over = given.filter(|_| parent.is_some());
        let span = begin(parent);
        let traceparent = match (taken_over, &span) {
            (Some(given), _) => given.to_owned(),
            (None, Some(span)) => span.traceparent(),
            (None, None) => traceparent::draw(),
        };
        (Self { correlation, traceparent }, span)
    }

    fn put_into(&self, mut answer: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        let ids = [(X_CORRELATION_ID, &self.correlation), (TRACEPARENT, &self.traceparent)];
        for (name, id) in ids {
            if let Ok(value) = HeaderValue::from_str(id) {
                answer.headers_mut().insert(name, value);
            }
        }
        answer
    }
}

fn is_correlation_id(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
    (1..=CORRELATION_CHARS_MAX).contains(&id.len()) && id.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_id_is_short_and_plain() {
        assert!(is_correlation_id("018f-a.b:c_D"));
        for id in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_correlation_id(id), "{id:?}");
        }
    }
}
