//! `Idempotency-Key`: a call that is repeated has one effect and one answer.
//!
//! ```text
//! key seen before, same call   → the saved answer
//! key seen before, other call  → 422 idempotency_key_reused
//! key being worked on          → 409 request_in_progress
//! ```
//!
//! The answer is saved after the effect is durable, while the client reads it already. A ride request
//! is not saved again: the ride remembers the key it was requested with, and its first state is the
//! answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::{self, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, ResponseError, web};
use muster_engine::id::stable_hash;
use muster_engine::ride::{RequestKey, RideRecord};

use crate::http::body::Body;
use crate::http::problem::{of_status, unreadable};
use crate::http::rides::taken;
use crate::http::state::AppState;
use crate::http::trace::in_correlation;
use crate::store::{ANSWER_KEPT_MS, FirstCall, SavedAnswer};
use crate::wire::Problem;

/// The longest key.
const KEY_BYTES_MAX: usize = 255;

/// Where rides are requested.
const RIDES_PATH: &str = "/v1/rides";

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The keys of calls that are being worked on, with the answer once it is given and being saved.
#[derive(Debug, Clone, Default)]
pub(super) struct KeysInFlight(Arc<Mutex<BTreeMap<String, Option<SavedAnswer>>>>);

/// A key that is being worked on, until it is dropped.
#[derive(Debug)]
struct Ticket {
    keys: KeysInFlight,
    request_key: RequestKey,
}

enum Admission {
    /// The call carries no key.
    Free,
    /// The call is the first with its key.
    First(Ticket),
    /// The call was answered before.
    Replay(SavedAnswer),
    /// The call requested this ride before.
    Requested(Box<RideRecord>),
}

/// The middleware around every mutating route.
///
/// # Errors
/// Only when the handler panicked.
pub(super) async fn guard(
    state: web::Data<AppState>,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    match admit(&state, &mut request).await {
        Ok(Admission::Free) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Ok(Admission::First(ticket)) => {
            // A task of its own: a client that hangs up does not stop a call half way.
            let work = in_correlation(run(state, request, next, ticket));
            match actix_web::rt::spawn(work).await {
                Ok(answer) => answer,
                Err(error) => {
                    tracing::error!(%error, "a handler ended without an answer");
                    Err(of_status(StatusCode::INTERNAL_SERVER_ERROR).into())
                }
            }
        }
        Ok(Admission::Replay(answer)) => Ok(request.into_response(replayed(answer))),
        Ok(Admission::Requested(ride)) => Ok(request.into_response(taken(&state, &ride))),
        Err(problem) => Ok(request.into_response(problem.error_response())),
    }
}

async fn admit(state: &AppState, request: &mut ServiceRequest) -> Result<Admission, Problem> {
    let Some(key) = key_of(request.headers())? else { return Ok(Admission::Free) };
    let body = request.extract::<Body>().await?;
    let fingerprint = fingerprint(request.method(), request.path(), body.bytes());
    request.extensions_mut().insert(body);
    if let Some(answer) = state.keys.answer(&key) {
        let same = answer.fingerprint == fingerprint;
        return if same { Ok(Admission::Replay(answer)) } else { Err(key_reused()) };
    }
    let ticket = state.keys.begin(RequestKey { key, fingerprint })?;
    let unknown = !state.history.may_have_answered(&ticket.request_key.key);
    if unknown && *request.method() == Method::POST && request.path() == RIDES_PATH {
        // Whether a ride was requested with this key, its own commit tells without a look ahead.
        request.extensions_mut().insert(ticket.request_key.clone());
        return Ok(Admission::First(ticket));
    }
    let first = state.history.first_call(&ticket.request_key.key).await.map_err(unreadable)?;
    let kept_since = state.dispatch.now().minus_millis(ANSWER_KEPT_MS);
    let fingerprint = Some(ticket.request_key.fingerprint.as_str());
    match first {
        Some(FirstCall::Answered(answer)) if answer.at > kept_since => {
            let same = fingerprint == Some(answer.fingerprint.as_str());
            if same { Ok(Admission::Replay(answer)) } else { Err(key_reused()) }
        }
        Some(FirstCall::Requested(ride)) if ride.request.requested_at > kept_since => {
            let key = ride.request.request_key.as_ref();
            let same = fingerprint == key.map(|key| key.fingerprint.as_str());
            if same { Ok(Admission::Requested(ride)) } else { Err(key_reused()) }
        }
        Some(_) | None => {
            request.extensions_mut().insert(ticket.request_key.clone());
            Ok(Admission::First(ticket))
        }
    }
}

/// The key was used for another call.
pub(super) fn key_reused() -> Problem {
    let detail = "the idempotency key was used with another method, path or body";
    Problem::new(422, "idempotency_key_reused", detail)
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    let bytes = key.as_bytes();
    let plain =
        (1..=KEY_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match key.to_str() {
        Ok(text) if plain && keys.next().is_none() => Ok(Some(text.to_owned())),
        Ok(_) | Err(_) => {
            let detail = "one idempotency key of 1 to 255 visible ASCII characters is taken";
            Err(Problem::new(400, "invalid_idempotency_key", detail))
        }
    }
}

/// 128 bits over the call; equal calls have equal ones in every build.
fn fingerprint(method: &Method, path: &str, body: &[u8]) -> String {
    let mut call = format!("{method} {path}\n").into_bytes();
    call.extend_from_slice(body);
    format!("{:016x}{:016x}", stable_hash(&call, 0), stable_hash(&call, u64::MAX))
}

async fn run(
    state: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    ticket: Ticket,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let (request, response) = next.call(request).await?.into_parts();
    let (mut response, body) = response.into_parts();
    let status = response.status();
    let bytes = body::to_bytes(body).await.unwrap_or_default();
    // A ride that was taken remembers its key.
    if is_final(status) && status != StatusCode::ACCEPTED {
        let answer = SavedAnswer {
            fingerprint: ticket.request_key.fingerprint.clone(),
            status: status.as_u16(),
            content_type: content_type(response.headers()),
            body: bytes.to_vec(),
            at: state.dispatch.now(),
        };
        // The effect is durable; the client need not wait until the words of the answer are. Until
        // then a repeat is answered from memory.
        ticket.answered(answer.clone());
        actix_web::rt::spawn(in_correlation(async move {
            if let Err(error) = state.history.save_answer(&ticket.request_key.key, answer).await {
                tracing::warn!(%error, "an answer was not saved under its idempotency key");
            }
            drop(ticket);
        }));
    }
    // An error attached to the response would answer once more in its own words.
    let mut answer = HttpResponse::build(status);
    let mut answer = answer.body(bytes);
    std::mem::swap(answer.headers_mut(), response.headers_mut());
    Ok(ServiceResponse::new(request, answer))
}

/// Whether a repeat would be answered in the same way: not when the server was to blame, nor when
/// the client was only too fast.
fn is_final(status: StatusCode) -> bool {
    !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS
}

fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    text.unwrap_or_default().to_owned()
}

fn replayed(answer: SavedAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    if let Ok(value) = HeaderValue::from_str(&answer.content_type) {
        response.insert_header((CONTENT_TYPE, value));
    }
    response.body(answer.body)
}

impl KeysInFlight {
    fn begin(&self, request_key: RequestKey) -> Result<Ticket, Problem> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.contains_key(&request_key.key) {
            let detail = "a call with this idempotency key is being worked on";
            return Err(Problem::new(409, "request_in_progress", detail).retry_after(1));
        }
        keys.insert(request_key.key.clone(), None);
        Ok(Ticket { keys: self.clone(), request_key })
    }

    /// The answer that was given and is being saved.
    fn answer(&self, key: &str) -> Option<SavedAnswer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key)?.clone()
    }
}

impl Ticket {
    fn answered(&self, answer: SavedAnswer) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.insert(self.request_key.key.clone(), Some(answer));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&self.request_key.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_method_path_and_body_apart() {
        let first = fingerprint(&Method::POST, "/v1/rides", b"{}");
        assert_eq!(first, fingerprint(&Method::POST, "/v1/rides", b"{}"));
        assert_eq!(first.len(), 32);
        assert_ne!(first, fingerprint(&Method::PUT, "/v1/rides", b"{}"));
        assert_ne!(first, fingerprint(&Method::POST, "/v1/ride", b"{}"));
        assert_ne!(first, fingerprint(&Method::POST, "/v1/rides", b"{ }"));
    }

    #[test]
    fn a_key_is_worked_on_once_at_a_time() {
        let keys = KeysInFlight::default();
        let key = || RequestKey { key: "k".to_owned(), fingerprint: "f".to_owned() };
        let ticket = keys.begin(key()).unwrap();
        assert_eq!(keys.begin(key()).unwrap_err().code, "request_in_progress");
        let answer = SavedAnswer {
            fingerprint: "f".to_owned(),
            status: 202,
            content_type: String::new(),
            body: Vec::new(),
            at: muster_engine::time::Timestamp::default(),
        };
        assert_eq!(keys.answer("k"), None);
        ticket.answered(answer.clone());
        assert_eq!(keys.answer("k"), Some(answer), "a repeat is answered while it is saved");
        drop(ticket);
        assert!(keys.begin(key()).is_ok());
    }
}
