//! What a phone says, heard frame by frame: positions straight into the driver's slot, everything else to
//! the engine.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_http::ws::{CloseCode, Frame, Message, ProtocolError};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use muster_actors::{CallError, Dispatch, DriverLink};
use muster_engine::effect::Refusal;
use muster_engine::grid::{Fix, FixRejection};
use muster_engine::id::{CallId, DriverId, OfferId, RideId, ZoneId};
use muster_engine::ride::RideProgress;

use super::binary::decode_positions;
use super::client::{ClientFrame, OnlineStatus};
use super::server::{ServerFrame, rejected};
use super::session::End;
use super::socket::{Frames, Outgoing};
use super::{INVALID_FRAMES_MAX, StreamState};
use crate::wire::{Faults, Money, Problem, rfc3339};

/// Calls of one phone that may wait for their answer; a phone has one thing to say at a time.
const CALLS_MAX: usize = 16;
/// One frame of positions in so many is timed: two looks at the clock cost as much as a fix.
const TIMED_FRAMES: u32 = 64;

type Call = Pin<Box<dyn Future<Output = Option<String>>>>;

/// Who listens to one phone.
pub(super) struct Listener {
    pub(super) state: Arc<StreamState>,
    pub(super) link: DriverLink,
    invalid_in_a_row: u32,
    /// Whether the phone spoke since the last heartbeat.
    heard: bool,
    /// Frames of positions so far; goes round.
    position_frames: u32,
    /// Most phones wait for no answer.
    calls: Option<Box<FuturesUnordered<Call>>>,
}

impl Listener {
    pub(super) const fn new(state: Arc<StreamState>, link: DriverLink) -> Self {
        Self { state, link, invalid_in_a_row: 0, heard: false, position_frames: 0, calls: None }
    }

    /// Whether the phone spoke since this was asked last.
    pub(super) const fn take_heard(&mut self) -> bool {
        std::mem::replace(&mut self.heard, false)
    }

    /// Whether a call of the phone is under way.
    pub(super) const fn waits_for_answers(&self) -> bool {
        self.calls.is_some()
    }

    /// The answer to a call, when there is one.
    pub(super) fn poll_answer(&mut self, context: &mut Context<'_>) -> Poll<Option<String>> {
        let Some(calls) = &mut self.calls else { return Poll::Pending };
        match calls.poll_next_unpin(context) {
            Poll::Ready(Some(answer)) => Poll::Ready(answer),
            Poll::Ready(None) => {
                self.calls = None;
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Hears what was read, to the end of the session if it comes to that.
    pub(super) fn hear(
        &mut self,
        mut frames: Frames<'_>,
        out: &mut Outgoing<'_>,
    ) -> Result<(), End> {
        self.heard = true;
        loop {
            match frames.next() {
                Ok(Some(frame)) => self.hear_frame(frame, out)?,
                Ok(None) => return Ok(()),
                Err(ProtocolError::Overflow) => {
                    return Err(End::new(CloseCode::Size, "protocol_error"));
                }
                Err(_) => return Err(End::new(CloseCode::Protocol, "protocol_error")),
            }
        }
    }

    fn hear_frame(&mut self, frame: Frame, out: &mut Outgoing<'_>) -> Result<(), End> {
        match frame {
            Frame::Text(bytes) => {
                let Ok(text) = std::str::from_utf8(&bytes) else {
                    return Err(End::new(CloseCode::Protocol, "protocol_error"));
                };
                match ClientFrame::parse(text) {
                    Ok(frame) => self.obey(frame, out),
                    Err(detail) => self.invalid(&detail, out),
                }
            }
            Frame::Binary(bytes) => match decode_positions(&bytes) {
                Ok(fixes) => {
                    self.apply(fixes, out);
                    Ok(())
                }
                Err(fault) => self.invalid(&fault.to_string(), out),
            },
            Frame::Ping(payload) => {
                out.push(Message::Pong(payload));
                Ok(())
            }
            Frame::Pong(_) => Ok(()),
            Frame::Continuation(_) => self.invalid("a frame must not be split into fragments", out),
            Frame::Close(_) => Err(End::GONE),
        }
    }

    fn invalid(&mut self, detail: &str, out: &mut Outgoing<'_>) -> Result<(), End> {
        self.invalid_in_a_row += 1;
        say(out, &ServerFrame::Error { code: "invalid_frame", detail });
        if self.invalid_in_a_row >= INVALID_FRAMES_MAX {
            return Err(End::new(CloseCode::Policy, "protocol_error"));
        }
        Ok(())
    }

    fn apply(
        &mut self,
        fixes: impl Iterator<Item = Result<Fix, FixRejection>>,
        out: &mut Outgoing<'_>,
    ) {
        self.invalid_in_a_row = 0;
        self.position_frames = self.position_frames.wrapping_add(1);
        let began = self.position_frames.is_multiple_of(TIMED_FRAMES).then(Instant::now);
        let metrics = &self.state.metrics;
        let done = self.link.apply_all(fixes, |index, rejection| {
            metrics.fix_refused(rejection);
            out.push(Message::Text(rejected(index, rejection).into()));
        });
        metrics.fixes_applied(done.fixes);
        if let Some(began) = began {
            metrics.fix_took(began.elapsed().as_secs_f64() / done.seen.max(1) as f64);
        }
    }

    fn obey(&mut self, frame: ClientFrame, out: &mut Outgoing<'_>) -> Result<(), End> {
        self.invalid_in_a_row = 0;
        match frame {
            ClientFrame::Positions { points } => {
                self.apply(points.iter().map(Fix::try_from), out);
            }
            ClientFrame::Ack { seq } => self.link.acknowledge(seq),
            ClientFrame::Ping { at } => {
                let server_time = rfc3339(self.state.dispatch.now());
                say(out, &ServerFrame::Pong { at, server_time });
            }
            ClientFrame::Accept { offer_id, fare } => return self.accept(&offer_id, fare, out),
            ClientFrame::EnterOtp { otp } => self.enter_otp(otp, out),
            ClientFrame::Status { .. }
            | ClientFrame::Decline { .. }
            | ClientFrame::Arrived { .. }
            | ClientFrame::Start { .. }
            | ClientFrame::Complete { .. }
            | ClientFrame::QueueRespond { .. }
            | ClientFrame::Cancel { .. } => self.call(frame, out),
        }
        Ok(())
    }

    /// Hands an accept to the driver's machine, which answers by a frame in its place.
    fn accept(
        &mut self,
        offer_id: &str,
        fare: Option<Money>,
        out: &mut Outgoing<'_>,
    ) -> Result<(), End> {
        let mut faults = Faults::default();
        let fare = fare.and_then(|fare| fare.checked("/fare", &mut faults));
        if let Err(fault) = faults.finish() {
            return self.invalid(&Problem::from(fault).detail, out);
        }
        let error = match OfferId::new(offer_id) {
            Ok(offer) => match self.link.accept(offer, fare) {
                true => return Ok(()),
                false => CallError::Overloaded("driver"),
            },
            Err(_) => CallError::Refused(Refusal::UnknownOffer),
        };
        say_problem(out, &Problem::from(error));
        Ok(())
    }

    /// Hands a one-time password to the driver's machine, which answers by a frame in its place.
    fn enter_otp(&self, otp: String, out: &mut Outgoing<'_>) {
        if !self.link.enter_otp(otp) {
            say_problem(out, &Problem::from(CallError::Overloaded("driver")));
        }
    }

    /// Starts a call whose answer comes later; positions go on meanwhile.
    fn call(&mut self, frame: ClientFrame, out: &mut Outgoing<'_>) {
        let calls = self.calls.get_or_insert_default();
        if calls.len() >= CALLS_MAX {
            let detail = "too many calls wait for their answer";
            return say(out, &ServerFrame::Error { code: "overloaded", detail });
        }
        let (dispatch, driver) = (self.state.dispatch.clone(), self.link.driver().clone());
        calls.push(Box::pin(async move {
            match perform(&dispatch, driver, frame).await {
                Ok(answer) => answer,
                Err(error) => {
                    let problem = Problem::from(error);
                    let (code, detail) = (problem.code, problem.detail.as_str());
                    Some(ServerFrame::Error { code, detail }.text())
                }
            }
        }));
    }
}

fn say(out: &mut Outgoing<'_>, frame: &ServerFrame<'_>) {
    out.push(Message::Text(frame.text().into()));
}

fn say_problem(out: &mut Outgoing<'_>, problem: &Problem) {
    say(out, &ServerFrame::Error { code: problem.code, detail: &problem.detail });
}

/// Performs a call; the answer is a frame, or nothing when the machine sends one by itself.
async fn perform(
    dispatch: &Dispatch,
    driver: DriverId,
    frame: ClientFrame,
) -> Result<Option<String>, CallError> {
    let ride_of = |id: &str| RideId::new(id).map_err(|_| CallError::Refused(Refusal::UnknownRide));
    let offer_of =
        |id: &str| OfferId::new(id).map_err(|_| CallError::Refused(Refusal::UnknownOffer));
    let step = async |ride: RideId, step| {
        dispatch.progress(&ride, Some(driver.clone()), step).await.map(|_| None)
    };
    match frame {
        ClientFrame::Status { status } => {
            dispatch.set_online(&driver, status == OnlineStatus::Online).await.map(|_| None)
        }
        ClientFrame::Decline { offer_id, reason } => {
            let offer = offer_of(&offer_id)?;
            dispatch.decline(Some(&driver), &offer, reason).await.map(|_| None)
        }
        ClientFrame::Arrived { ride_id } => step(ride_of(&ride_id)?, RideProgress::Arrived).await,
        ClientFrame::Start { ride_id, otp } => {
            step(ride_of(&ride_id)?, RideProgress::Start { otp }).await
        }
        ClientFrame::Complete { ride_id } => step(ride_of(&ride_id)?, RideProgress::Complete).await,
        ClientFrame::Cancel { ride_id, reason } => {
            step(ride_of(&ride_id)?, RideProgress::Cancel { reason }).await
        }
        ClientFrame::QueueRespond { zone, call_id, accept } => {
            let market = dispatch.driver(&driver).await?.record.profile.market;
            let zone = ZoneId::new(&zone).map_err(|_| CallError::UnknownZone)?;
            let unknown = |_| CallError::Refused(Refusal::UnknownCall);
            let call = CallId::new(&call_id).map_err(unknown)?;
            dispatch.answer_call(&market, &zone, &driver, call, accept).await.map(|_| None)
        }
        ClientFrame::Positions { .. }
        | ClientFrame::EnterOtp { .. }
        | ClientFrame::Accept { .. }
        | ClientFrame::Ack { .. }
        | ClientFrame::Ping { .. } => Ok(None),
    }
}
