//! Problems as HTTP answers.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use muster_actors::StoreError;

use crate::http::trace;
use crate::wire::{PROBLEM_JSON, Problem};

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let told = self.body(trace::correlation_id());
        let mut response = HttpResponse::build(self.status_code());
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        match serde_json::to_vec(&told) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

/// A read of the store that failed: the client is told to come back, the log is told why.
pub(super) fn unreadable(error: StoreError) -> Problem {
    tracing::warn!(%error, "the store could not be read");
    Problem::from(muster_actors::CallError::Store(error))
}

/// An answer that no route gave.
pub(super) fn of_status(status: StatusCode) -> Problem {
    let (code, detail) = match status.as_u16() {
        404 => ("not_found", "no such resource"),
        405 => ("method_not_allowed", "the resource does not know this method"),
        413 => ("body_too_large", "the body is too large"),
        415 => ("unsupported_media_type", "the media type is not taken"),
        400..=499 => ("bad_request", "the request cannot be taken"),
        _ => ("internal_error", "the server failed; the request may or may not have had an effect"),
    };
    Problem::new(status.as_u16(), code, detail)
}
