//! One phone's session: its loop, its limits, its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_ws::{CloseCode, CloseReason, Message, MessageStream, ProtocolError, Session};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use muster_actors::{CallError, Dispatch, DriverLink, SessionFrame};
use muster_engine::effect::Refusal;
use muster_engine::grid::{Fix, FixRejection};
use muster_engine::id::{CallId, DriverId, OfferId, RideId, ZoneId};
use muster_engine::ride::RideProgress;

use super::binary::decode_positions;
use super::client::{ClientFrame, OnlineStatus};
use super::server::{ServerFrame, phone_frame, rejected};
use super::{INVALID_FRAMES_MAX, StreamState};
use crate::wire::{Faults, Money, Problem, rfc3339};

/// Heartbeats without any traffic after which a phone is gone.
const SILENT_HEARTBEATS_MAX: u32 = 3;
/// Calls of one phone that may wait for their answer; a phone has one thing to say at a time.
const CALLS_MAX: usize = 16;
/// A phone that does not take a frame for this long is a slow reader and let go.
const SEND_WITHIN: Duration = Duration::from_secs(10);

const SUPERSEDED: u16 = 4001;
const IDLE: u16 = 4008;

/// How a session ended.
struct End {
    code: CloseCode,
    bye: Option<&'static str>,
}

impl End {
    const fn new(code: CloseCode, bye: &'static str) -> Self {
        Self { code, bye: Some(bye) }
    }

    const GONE: Self = Self { code: CloseCode::Away, bye: None };
}

type Call = Pin<Box<dyn Future<Output = Option<String>>>>;

struct Phone {
    state: Arc<StreamState>,
    link: DriverLink,
    sink: Session,
    invalid_in_a_row: u32,
    heard_at: Instant,
    calls: FuturesUnordered<Call>,
}

/// Runs a session to its end.
pub(super) async fn run(
    state: Arc<StreamState>,
    link: DriverLink,
    sink: Session,
    stream: MessageStream,
) {
    state.metrics.session_opened();
    let mut phone = Phone {
        state: Arc::clone(&state),
        link,
        sink,
        invalid_in_a_row: 0,
        heard_at: Instant::now(),
        calls: FuturesUnordered::new(),
    };
    let end = phone.serve(stream).await;
    phone.close(end).await;
    state.metrics.session_closed();
}

impl Phone {
    async fn serve(&mut self, mut stream: MessageStream) -> End {
        let mut draining = self.state.dispatch.draining();
        let mut heartbeat = tokio::time::interval(self.state.heartbeat);
        loop {
            let step = tokio::select! {
                frame = self.link.next() => self.tell(frame).await,
                message = stream.next() => self.hear(message).await,
                Some(answer) = self.calls.next() => self.send(answer).await,
                _ = heartbeat.tick() => self.beat().await,
                _ = draining.wait_for(|draining| *draining) => {
                    Err(End::new(CloseCode::Restart, "draining"))
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn close(mut self, end: End) {
        if let Some(reason) = end.bye {
            let _gone = self.send(Some(ServerFrame::Bye { reason }.text())).await;
        }
        let reason = CloseReason { code: end.code, description: end.bye.map(str::to_owned) };
        // A phone that is gone needs no goodbye.
        let _gone = tokio::time::timeout(SEND_WITHIN, self.sink.close(Some(reason))).await;
    }

    /// Passes on what the engine has to say.
    async fn tell(&mut self, frame: Option<SessionFrame>) -> Result<(), End> {
        match frame {
            Some(SessionFrame::Phone(frame)) => {
                let heartbeat_s = self.state.heartbeat.as_secs();
                let session = self.link.session();
                let text = phone_frame(&frame, session, heartbeat_s, &self.state.dispatch);
                self.send(Some(text)).await
            }
            Some(SessionFrame::Superseded) => {
                Err(End::new(CloseCode::Other(SUPERSEDED), "superseded"))
            }
            Some(SessionFrame::Restarted) => Err(End::new(CloseCode::Restart, "draining")),
            // The engine let a slow reader go.
            None => Err(End::GONE),
        }
    }

    async fn send(&mut self, text: Option<String>) -> Result<(), End> {
        let Some(text) = text else { return Ok(()) };
        match tokio::time::timeout(SEND_WITHIN, self.sink.text(text)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::GONE),
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if self.heard_at.elapsed() > self.state.heartbeat * SILENT_HEARTBEATS_MAX {
            return Err(End::new(CloseCode::Other(IDLE), "idle"));
        }
        match tokio::time::timeout(SEND_WITHIN, self.sink.ping(b"")).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::GONE),
        }
    }

    async fn hear(&mut self, message: Option<Result<Message, ProtocolError>>) -> Result<(), End> {
        self.heard_at = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => match ClientFrame::parse(&text) {
                Ok(frame) => self.obey(frame).await,
                Err(detail) => self.invalid(&detail).await,
            },
            Some(Ok(Message::Binary(bytes))) => match decode_positions(&bytes) {
                Ok(fixes) => self.apply(fixes).await,
                Err(fault) => self.invalid(&fault.to_string()).await,
            },
            Some(Ok(Message::Ping(payload))) => {
                let pong = self.sink.pong(&payload).await;
                pong.map_err(|_| End::GONE)
            }
            Some(Ok(Message::Pong(_) | Message::Nop)) => Ok(()),
            Some(Ok(Message::Continuation(_))) => {
                self.invalid("a frame must not be split into fragments").await
            }
            Some(Ok(Message::Close(_))) | None => Err(End::GONE),
            Some(Err(ProtocolError::Overflow)) => Err(End::new(CloseCode::Size, "protocol_error")),
            Some(Err(_)) => Err(End::new(CloseCode::Protocol, "protocol_error")),
        }
    }

    async fn invalid(&mut self, detail: &str) -> Result<(), End> {
        self.invalid_in_a_row += 1;
        let frame = ServerFrame::Error { code: "invalid_frame", detail };
        self.send(Some(frame.text())).await?;
        if self.invalid_in_a_row >= INVALID_FRAMES_MAX {
            return Err(End::new(CloseCode::Policy, "protocol_error"));
        }
        Ok(())
    }

    async fn apply(
        &mut self,
        fixes: impl Iterator<Item = Result<Fix, FixRejection>>,
    ) -> Result<(), End> {
        self.invalid_in_a_row = 0;
        for (index, fix) in fixes.enumerate() {
            let began = Instant::now();
            let outcome = fix.and_then(|fix| self.link.apply(&fix));
            self.state.metrics.fix(outcome, began.elapsed().as_secs_f64());
            if let Err(rejection) = outcome {
                self.send(Some(rejected(index, rejection))).await?;
            }
        }
        Ok(())
    }

    async fn obey(&mut self, frame: ClientFrame) -> Result<(), End> {
        self.invalid_in_a_row = 0;
        match frame {
            ClientFrame::Positions { points } => self.apply(points.iter().map(Fix::try_from)).await,
            ClientFrame::Ack { seq } => {
                self.link.acknowledge(seq);
                Ok(())
            }
            ClientFrame::Ping { at } => {
                let server_time = rfc3339(self.state.dispatch.now());
                self.send(Some(ServerFrame::Pong { at, server_time }.text())).await
            }
            ClientFrame::Accept { offer_id, fare } => self.accept(&offer_id, fare).await,
            ClientFrame::EnterOtp { otp } => self.enter_otp(otp).await,
            ClientFrame::Status { .. }
            | ClientFrame::Decline { .. }
            | ClientFrame::Arrived { .. }
            | ClientFrame::Start { .. }
            | ClientFrame::Complete { .. }
            | ClientFrame::QueueRespond { .. }
            | ClientFrame::Cancel { .. } => self.call(frame).await,
        }
    }

    /// Hands an accept to the driver's machine, which answers by a frame in its place.
    async fn accept(&mut self, offer_id: &str, fare: Option<Money>) -> Result<(), End> {
        let mut faults = Faults::default();
        let fare = fare.and_then(|fare| fare.checked("/fare", &mut faults));
        if let Err(fault) = faults.finish() {
            return self.invalid(&Problem::from(fault).detail).await;
        }
        let error = match OfferId::new(offer_id) {
            Ok(offer) => match self.link.accept(offer, fare) {
                true => return Ok(()),
                false => CallError::Overloaded("driver"),
            },
            Err(_) => CallError::Refused(Refusal::UnknownOffer),
        };
        let problem = Problem::from(error);
        let frame = ServerFrame::Error { code: problem.code, detail: &problem.detail };
        self.send(Some(frame.text())).await
    }

    /// Hands a one-time password to the driver's machine, which answers by a frame in its place.
    async fn enter_otp(&mut self, otp: String) -> Result<(), End> {
        if self.link.enter_otp(otp) {
            return Ok(());
        }
        let problem = Problem::from(CallError::Overloaded("driver"));
        let frame = ServerFrame::Error { code: problem.code, detail: &problem.detail };
        self.send(Some(frame.text())).await
    }

    /// Starts a call whose answer comes later; positions go on meanwhile.
    async fn call(&mut self, frame: ClientFrame) -> Result<(), End> {
        if self.calls.len() >= CALLS_MAX {
            let detail = "too many calls wait for their answer";
            return self.send(Some(ServerFrame::Error { code: "overloaded", detail }.text())).await;
        }
        let (dispatch, driver) = (self.state.dispatch.clone(), self.link.driver().clone());
        self.calls.push(Box::pin(async move {
            match perform(&dispatch, driver, frame).await {
                Ok(answer) => answer,
                Err(error) => {
                    let problem = Problem::from(error);
                    let (code, detail) = (problem.code, problem.detail.as_str());
                    Some(ServerFrame::Error { code, detail }.text())
                }
            }
        }));
        Ok(())
    }
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
