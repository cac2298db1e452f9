//! What a phone is told, as JSON text.

use muster_actors::{CallError, Dispatch};
use muster_engine::driver::PhoneFrame;
use muster_engine::effect::{AcceptAnswer, SessionId};
use muster_engine::grid::FixRejection;
use muster_engine::ride::{CancelledBy, OPERATOR_REASSIGNED, ReallocationCause, RideRecord};
use serde::Serialize;

use crate::wire::{
    AcceptResultView, DriverView, GateCallView, LiveDriver, OfferView, Problem, RideView, rfc3339,
};

/// Why a driver is nudged.
const PICKUP_STALLED: &str = "pickup_stalled";

/// A frame to a phone.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerFrame<'a> {
    Welcome {
        session_id: String,
        seq: u64,
        server_time: String,
        heartbeat_s: u64,
        driver: Box<DriverView>,
    },
    Offer {
        seq: u64,
        offer: Box<OfferView>,
    },
    OfferWithdrawn {
        seq: u64,
        offer_id: &'a str,
        reason: &'static str,
    },
    AcceptResult {
        offer_id: &'a str,
        #[serde(flatten)]
        result: Box<AcceptResultView>,
    },
    Assigned {
        seq: u64,
        ride: Box<RideView>,
    },
    Nudge {
        seq: u64,
        ride_id: &'a str,
        reason: &'static str,
    },
    RideCancelled {
        seq: u64,
        ride_id: &'a str,
        by: &'static str,
        reason: Option<&'a str>,
    },
    RideUpdated {
        ride: Box<RideView>,
    },
    QueueCall {
        seq: u64,
        zone: &'a str,
        call: GateCallView,
    },
    QueueCallOver {
        seq: u64,
        zone: &'a str,
        call_id: &'a str,
    },
    QueueJoined {
        zone: &'a str,
    },
    QueueLeft {
        zone: &'a str,
        reason: &'static str,
    },
    Rejected {
        code: &'static str,
        index: usize,
    },
    Error {
        code: &'a str,
        detail: &'a str,
    },
    Pong {
        at: u64,
        server_time: String,
    },
    Bye {
        reason: &'static str,
    },
}

impl ServerFrame<'_> {
    pub(super) fn text(&self) -> String {
        // Every frame is a struct of strings and numbers: it has a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The text of a frame that the driver's machine sent.
pub(super) fn phone_frame(
    frame: &PhoneFrame,
    session: SessionId,
    heartbeat_s: u64,
    dispatch: &Dispatch,
) -> String {
    match frame {
        PhoneFrame::Welcome { seq, driver } => ServerFrame::Welcome {
            session_id: session.0.to_string(),
            seq: *seq,
            server_time: rfc3339(dispatch.now()),
            heartbeat_s,
            driver: Box::new(DriverView::now(dispatch, driver)),
        }
        .text(),
        PhoneFrame::Offer { seq, offer } => {
            let offer = Box::new(OfferView::from(offer.as_ref()));
            ServerFrame::Offer { seq: *seq, offer }.text()
        }
        PhoneFrame::OfferWithdrawn { seq, offer, reason } => {
            let (offer_id, reason) = (offer.as_str(), reason.name());
            ServerFrame::OfferWithdrawn { seq: *seq, offer_id, reason }.text()
        }
        PhoneFrame::Assigned { seq, ride } => {
            let ride = Box::new(RideView::now_for_driver(dispatch, ride));
            ServerFrame::Assigned { seq: *seq, ride }.text()
        }
        PhoneFrame::Nudge { seq, ride } => {
            let ride_id = ride.request.ride.as_str();
            ServerFrame::Nudge { seq: *seq, ride_id, reason: PICKUP_STALLED }.text()
        }
        PhoneFrame::RideCancelled { seq, ride } => {
            let (by, reason) = cancellation(ride);
            let ride_id = ride.request.ride.as_str();
            ServerFrame::RideCancelled { seq: *seq, ride_id, by: by.name(), reason }.text()
        }
        PhoneFrame::ForwardReturned { seq, ride, why } => ServerFrame::RideCancelled {
            seq: *seq,
            ride_id: ride.request.ride.as_str(),
            by: "system",
            reason: Some(why.name()),
        }
        .text(),
        PhoneFrame::AcceptResult { offer, answer } => {
            accept_result(offer.as_str(), answer, dispatch)
        }
        PhoneFrame::QueueCall { .. }
        | PhoneFrame::QueueCallOver { .. }
        | PhoneFrame::QueueJoined { .. }
        | PhoneFrame::QueueLeft { .. } => queue_frame(frame),
        PhoneFrame::AcceptRefused { refusal, .. } | PhoneFrame::OtpRefused { refusal } => {
            let problem = Problem::from(CallError::Refused(*refusal));
            ServerFrame::Error { code: problem.code, detail: &problem.detail }.text()
        }
        PhoneFrame::RideUpdated { ride } => {
            let ride = Box::new(RideView::now_for_driver(dispatch, ride));
            ServerFrame::RideUpdated { ride }.text()
        }
    }
}

/// Who called the ride off for its driver, and why. A ride that goes on without him was given back by
/// him, or taken from him.
fn cancellation(ride: &RideRecord) -> (CancelledBy, Option<&str>) {
    let lost = ride.attempts.reallocated.last().map(|lost| lost.cause);
    match (ride.cancelled_by, lost) {
        (Some(by), _) => (by, ride.reason.as_deref()),
        (None, None | Some(ReallocationCause::Driver)) => (CancelledBy::Driver, None),
        (None, Some(cause @ ReallocationCause::DriverLost)) => {
            (CancelledBy::Driver, Some(cause.name()))
        }
        (None, Some(ReallocationCause::Operator)) => {
            (CancelledBy::Operator, Some(OPERATOR_REASSIGNED))
        }
        (None, Some(cause @ ReallocationCause::DriverStalled)) => {
            (CancelledBy::Operator, Some(cause.name()))
        }
    }
}

/// What a queue tells a phone; nothing for other frames.
fn queue_frame(frame: &PhoneFrame) -> String {
    let told = match frame {
        PhoneFrame::QueueCall { seq, zone, call } => {
            ServerFrame::QueueCall { seq: *seq, zone: zone.as_str(), call: call.into() }
        }
        PhoneFrame::QueueCallOver { seq, zone, call } => {
            ServerFrame::QueueCallOver { seq: *seq, zone: zone.as_str(), call_id: call.as_str() }
        }
        PhoneFrame::QueueJoined { zone } => ServerFrame::QueueJoined { zone: zone.as_str() },
        PhoneFrame::QueueLeft { zone, reason } => {
            ServerFrame::QueueLeft { zone: zone.as_str(), reason: reason.name() }
        }
        PhoneFrame::Welcome { .. }
        | PhoneFrame::Offer { .. }
        | PhoneFrame::OfferWithdrawn { .. }
        | PhoneFrame::Assigned { .. }
        | PhoneFrame::Nudge { .. }
        | PhoneFrame::RideCancelled { .. }
        | PhoneFrame::ForwardReturned { .. }
        | PhoneFrame::AcceptResult { .. }
        | PhoneFrame::AcceptRefused { .. }
        | PhoneFrame::OtpRefused { .. }
        | PhoneFrame::RideUpdated { .. } => return String::new(),
    };
    told.text()
}

fn accept_result(offer_id: &str, answer: &AcceptAnswer, dispatch: &Dispatch) -> String {
    let live = match answer {
        AcceptAnswer::Won(ride) => LiveDriver::of(dispatch, ride),
        AcceptAnswer::Lost(_) | AcceptAnswer::Quoted(_) | AcceptAnswer::Standby { .. } => None,
    };
    let result = Box::new(AcceptResultView::new(answer, live.as_ref()));
    ServerFrame::AcceptResult { offer_id, result }.text()
}

pub(super) fn rejected(index: usize, rejection: FixRejection) -> String {
    ServerFrame::Rejected { code: rejection.code(), index }.text()
}
