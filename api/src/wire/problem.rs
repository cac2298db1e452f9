//! Errors as `application/problem+json` (RFC 9457).

use muster_actors::CallError;
use muster_engine::effect::Refusal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::wire::fault::{FieldFault, RequestFault};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// The kind of problem for programs; stable.
    pub code: &'static str,
    /// What went wrong this time.
    pub detail: String,
    /// The fields that were not taken.
    pub errors: Vec<FieldFault>,
    /// Seconds after which a repeat may succeed.
    pub retry_after_s: Option<u64>,
}

/// A problem as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A URI that names the kind of problem; it ends in the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:muster:problem:unknown_ride")]
    pub kind: String,
    /// The kind of problem in words.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The kind of problem for programs; stable.
    #[schema(example = "unknown_ride")]
    pub code: &'static str,
    /// Names this request in the server's logs.
    pub correlation_id: String,
    /// The fields that were not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldFault>,
}

/// When a driver who guesses passwords may try again, in seconds.
const RETRY_OTP_S: u64 = 60;

/// Seconds after which a call that met a full or failing server is worth repeating.
const RETRY_BUSY_S: u64 = 1;

/// As [`RETRY_BUSY_S`], for a server that shuts down.
const RETRY_DRAINING_S: u64 = 5;

impl Problem {
    /// A problem of the kind `code`.
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new(), retry_after_s: None }
    }

    /// The problem as it is sent in answer to the request with this correlation id.
    pub fn body(&self, correlation_id: String) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:muster:problem:{}", self.code),
            title: title(self.code),
            status: self.status,
            detail: self.detail.clone(),
            code: self.code,
            correlation_id,
            errors: self.errors.clone(),
        }
    }

    /// This problem with the fields at fault.
    #[must_use]
    pub fn with_errors(self, errors: Vec<FieldFault>) -> Self {
        Self { errors, ..self }
    }

    /// This problem with a hint when to try again.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

/// `unknown_ride` → `Unknown ride`.
fn title(code: &str) -> String {
    let mut words = code.replace('_', " ");
    if let Some(first) = words.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    words
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.status, self.code, self.detail)
    }
}

impl std::error::Error for Problem {}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let (status, code, retry_after_s) = match &error {
            CallError::Refused(refusal @ Refusal::OtpAttemptsExhausted) => {
                (429, refusal.code(), Some(RETRY_OTP_S))
            }
            CallError::Refused(refusal) => (refusal_status(*refusal), refusal.code(), None),
            CallError::UnknownDriver => (404, "unknown_driver", None),
            CallError::UnknownMarket => (404, "unknown_market", None),
            CallError::UnknownZone => (404, "unknown_zone", None),
            CallError::DriverInOtherMarket => (409, "driver_in_other_market", None),
            CallError::Overloaded(_) => (503, "overloaded", Some(RETRY_BUSY_S)),
            CallError::Store(_) => (503, "store_unavailable", Some(RETRY_BUSY_S)),
            CallError::Draining => (503, "draining", Some(RETRY_DRAINING_S)),
            CallError::Unheard | CallError::TimedOut => (503, "timed_out", Some(RETRY_BUSY_S)),
        };
        let problem = Self { retry_after_s, ..Self::new(status, code, call_detail(&error)) };
        let CallError::Refused(refusal) = error else { return problem };
        problem.with_errors(fare_fault(refusal).into_iter().collect())
    }
}

impl From<RequestFault> for Problem {
    fn from(fault: RequestFault) -> Self {
        match fault {
            RequestFault::Fields(errors) => {
                let detail = match errors.first() {
                    Some(first) => format!("{}: {}", first.pointer, first.detail),
                    None => "the request cannot be taken".to_owned(),
                };
                Self::new(422, "validation_failed", detail).with_errors(errors)
            }
            RequestFault::NotServiceable(detail) => Self::new(422, "not_serviceable", detail),
            RequestFault::UnknownMarket(market) => {
                Self::new(422, "unknown_market", format!("no market has the id {market}"))
            }
            RequestFault::UnknownTier { market, tier } => {
                let detail = format!("market {market} does not sell tier {tier}");
                Self::new(422, "unknown_service_tier", detail)
            }
        }
    }
}

const fn refusal_status(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::UnknownRide
        | Refusal::UnknownOffer
        | Refusal::UnknownQuote
        | Refusal::UnknownCall
        | Refusal::NotQueued => 404,
        Refusal::OtpAttemptsExhausted => 429,
        Refusal::FareOutOfBounds | Refusal::FareRequired | Refusal::FareNotNegotiable => 422,
        Refusal::RideAlreadyExists
        | Refusal::RideAlreadyCompleted
        | Refusal::RideAlreadyCancelled
        | Refusal::RideUnfulfilled
        | Refusal::RideAlreadyAssigned
        | Refusal::RideNotAssigned
        | Refusal::NotAssignedDriver
        | Refusal::DriverNotArrived
        | Refusal::RideNotStarted
        | Refusal::RideAlreadyStarted
        | Refusal::OtpMismatch
        | Refusal::AcceptPending
        | Refusal::NotAtZone
        | Refusal::DriverOnRide
        | Refusal::DriverNotEligible
        | Refusal::QuoteExpired
        | Refusal::QuoteUnavailable
        | Refusal::SelectionPending
        | Refusal::DriverOffline
        | Refusal::RideIsForward => 409,
    }
}

/// The field at fault, where a refusal is about one.
fn fare_fault(refusal: Refusal) -> Option<FieldFault> {
    let fare = [Refusal::FareOutOfBounds, Refusal::FareRequired, Refusal::FareNotNegotiable];
    let detail = refusal_detail(refusal).to_owned();
    fare.contains(&refusal).then(|| FieldFault { pointer: "/fare".to_owned(), detail })
}

/// What a client is told; the store's own words stay in the log.
fn call_detail(error: &CallError) -> String {
    match error {
        CallError::Refused(refusal) => refusal_detail(*refusal).to_owned(),
        CallError::Store(_) => "the change could not be made durable at present".to_owned(),
        CallError::UnknownDriver
        | CallError::UnknownMarket
        | CallError::UnknownZone
        | CallError::DriverInOtherMarket
        | CallError::Overloaded(_)
        | CallError::Draining
        | CallError::Unheard
        | CallError::TimedOut => error.to_string(),
    }
}

const fn refusal_detail(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownRide => "no ride has this id",
        Refusal::UnknownOffer => "no offer has this id",
        Refusal::RideAlreadyExists => "a ride with this id exists",
        Refusal::RideAlreadyCompleted => "the ride is completed",
        Refusal::RideAlreadyCancelled => "the ride is cancelled",
        Refusal::RideUnfulfilled => "the ride found no driver and is over",
        Refusal::RideAlreadyAssigned => "the ride has a driver",
        Refusal::RideNotAssigned => "the ride has no driver",
        Refusal::NotAssignedDriver => "the caller is not the ride's driver",
        Refusal::DriverNotArrived => "the driver has not arrived at the pickup",
        Refusal::RideNotStarted => "the ride has not started",
        Refusal::RideAlreadyStarted => "the ride is in progress",
        Refusal::OtpMismatch => "the one-time password is wrong or absent",
        Refusal::AcceptPending => "another accept of this driver waits for its answer",
        Refusal::DriverOffline => "the driver is not online",
        Refusal::RideIsForward => {
            "the ride is forward: its driver has not finished the one before yet"
        }
        Refusal::NotAtZone => "the driver is not at a zone where one-time passwords are taken",
        Refusal::DriverOnRide => "the driver serves a ride",
        Refusal::DriverNotEligible => "the driver may not be offered this ride",
        Refusal::OtpAttemptsExhausted => "too many wrong one-time passwords, try again later",
        Refusal::NotQueued => "the driver has no place in this queue",
        Refusal::UnknownCall => "the driver has no such call to a gate",
        Refusal::UnknownQuote => "no quote of this ride has this id",
        Refusal::QuoteExpired => "the quote has expired",
        Refusal::QuoteUnavailable => {
            "the quote was taken back, or its driver cannot take the ride any more"
        }
        Refusal::SelectionPending => "another selection waits for its driver",
        Refusal::FareOutOfBounds => {
            "the fare is not within fare_min and fare_max of the offer, or in another currency"
        }
        Refusal::FareRequired => "the ride has no fare, so a quote must ask one",
        Refusal::FareNotNegotiable => "the offer takes no fare",
    }
}
