//! One phone's session: its loop, its limits, its end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use actix_http::ws::{CloseCode, CloseReason, Message};
use actix_web::rt::net::TcpStream;
use actix_web::web::BytesMut;
use futures_util::task::AtomicWaker;
use muster_actors::{DriverLink, SessionFrame};
use tokio::time::Sleep;

use super::StreamState;
use super::listener::Listener;
use super::server::{ServerFrame, phone_frame};
use super::socket::Socket;

/// Heartbeats without any traffic after which a phone is gone.
const SILENT_HEARTBEATS_MAX: u32 = 3;
/// A phone that does not take a frame for this long is a slow reader and let go.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How long a phone has to close its side after the last word.
const LINGER: Duration = Duration::from_secs(2);

const SUPERSEDED: u16 = 4001;
const IDLE: u16 = 4008;

/// How a session ended.
pub(super) struct End {
    code: CloseCode,
    bye: Option<&'static str>,
}

impl End {
    pub(super) const fn new(code: CloseCode, bye: &'static str) -> Self {
        Self { code, bye: Some(bye) }
    }

    pub(super) const GONE: Self = Self { code: CloseCode::Away, bye: None };
}

/// What a session waits for.
enum Step {
    /// The phone spoke.
    Heard(Result<(), End>),
    /// The engine has something to say.
    Told(Option<SessionFrame>),
    /// A call is answered.
    Answered(Option<String>),
    /// A heartbeat is due.
    Beat,
    /// The process drains.
    Draining,
}

struct Phone {
    listener: Listener,
    socket: Socket,
    bell: Arc<Bell>,
    /// Rings it.
    cord: Waker,
    /// Heartbeats since the phone last spoke.
    silent_heartbeats: u32,
    /// Whether the phone was the last to be attended to.
    phone_was_last: bool,
}

/// Rings when anything but the phone wants attention. A phone that speaks wakes the session without it:
/// nearly always it is the only one, and the engine, the clock and the rest need not be asked then, each of
/// which would fetch memory that a busy machine has long forgotten.
struct Bell {
    rung: AtomicBool,
    session: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.session.wake();
    }
}

/// Runs a session to its end; `heard` came right behind the handshake.
pub(super) async fn run(
    state: Arc<StreamState>,
    link: DriverLink,
    stream: TcpStream,
    heard: BytesMut,
) {
    state.metrics.session_opened();
    let bell = Arc::new(Bell { rung: AtomicBool::new(true), session: AtomicWaker::new() });
    let mut phone = Phone {
        cord: Waker::from(Arc::clone(&bell)),
        bell,
        listener: Listener::new(Arc::clone(&state), link),
        socket: Socket::new(stream, &heard),
        silent_heartbeats: 0,
        phone_was_last: false,
    };
    drop(heard);
    let end = phone.serve().await;
    let told = phone.close(end).await;
    let Phone { listener, socket, .. } = phone;
    drop(listener);
    state.metrics.session_closed();
    if told {
        // A phone that does not close its side is cut off.
        let _cut_off = Box::pin(tokio::time::timeout(LINGER, socket.linger())).await;
    }
}

impl Phone {
    async fn serve(&mut self) -> End {
        let heartbeat = self.listener.state.heartbeat;
        let mut draining = self.listener.state.dispatch.draining();
        let mut drained = pin!(draining.wait_for(|draining| *draining));
        let mut beat = pin!(tokio::time::sleep(heartbeat));
        let mut step = Step::Heard(self.socket.hear_first(|f, out| self.listener.hear(f, out)));
        loop {
            let done = match step {
                Step::Heard(heard) => heard,
                Step::Told(frame) => self.tell(frame),
                Step::Answered(text) => {
                    self.say(text);
                    Ok(())
                }
                Step::Beat => {
                    let next = beat.deadline() + heartbeat;
                    beat.as_mut().reset(next);
                    self.beat()
                }
                Step::Draining => Err(End::new(CloseCode::Restart, "draining")),
            };
            if let Err(end) = done {
                return end;
            }
            if !self.socket.is_flushed()
                && let Err(end) = self.flush().await
            {
                return end;
            }
            step = poll_fn(|context| {
                self.poll_step(context, beat.as_mut(), |context| {
                    drained.as_mut().poll(context).is_ready()
                })
            })
            .await;
        }
    }

    /// Attends to the phone and to everything else in turn, so that neither starves the other.
    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        beat: Pin<&mut Sleep>,
        draining: impl FnOnce(&mut Context<'_>) -> bool,
    ) -> Poll<Step> {
        let phone_first = !std::mem::take(&mut self.phone_was_last);
        if phone_first && let Poll::Ready(heard) = self.poll_phone(context) {
            return Poll::Ready(Step::Heard(heard));
        }
        if self.bell.rung.swap(false, Ordering::AcqRel) {
            self.bell.session.register(context.waker());
            if let Poll::Ready(step) = self.poll_rest(beat, draining) {
                // There may be more.
                self.bell.rung.store(true, Ordering::Release);
                return Poll::Ready(step);
            }
        }
        if phone_first { Poll::Pending } else { self.poll_phone(context).map(Step::Heard) }
    }

    fn poll_rest(
        &mut self,
        beat: Pin<&mut Sleep>,
        draining: impl FnOnce(&mut Context<'_>) -> bool,
    ) -> Poll<Step> {
        let context = &mut Context::from_waker(&self.cord);
        if let Poll::Ready(frame) = self.listener.link.poll_next(context) {
            return Poll::Ready(Step::Told(frame));
        }
        if let Poll::Ready(answer) = self.listener.poll_answer(context) {
            return Poll::Ready(Step::Answered(answer));
        }
        if beat.poll(context).is_ready() {
            return Poll::Ready(Step::Beat);
        }
        if draining(context) {
            return Poll::Ready(Step::Draining);
        }
        Poll::Pending
    }

    fn poll_phone(&mut self, context: &mut Context<'_>) -> Poll<Result<(), End>> {
        let listener = &mut self.listener;
        let heard = self.socket.poll_hear(context, |frames, out| listener.hear(frames, out));
        heard.map(|heard| {
            self.phone_was_last = true;
            if listener.waits_for_answers() {
                self.bell.rung.store(true, Ordering::Release);
            }
            // A connection that is over needs no goodbye.
            heard.unwrap_or(Err(End::GONE))
        })
    }

    /// Says the last word; returns whether it is on its way.
    async fn close(&mut self, end: End) -> bool {
        if let Some(reason) = end.bye {
            self.say(Some(ServerFrame::Bye { reason }.text()));
        }
        let reason = CloseReason { code: end.code, description: end.bye.map(str::to_owned) };
        self.socket.push(Message::Close(Some(reason)));
        if end.bye.is_none() {
            // A phone that is gone needs no goodbye; one that said it has the close frame at once.
            let flushed = poll_fn(|context| Poll::Ready(self.socket.poll_flush(context))).await;
            return matches!(flushed, Poll::Ready(Ok(())));
        }
        self.flush().await.is_ok()
    }

    /// Passes on what the engine has to say.
    fn tell(&mut self, frame: Option<SessionFrame>) -> Result<(), End> {
        match frame {
            Some(SessionFrame::Phone(frame)) => {
                let heartbeat_s = self.listener.state.heartbeat.as_secs();
                let session = self.listener.link.session();
                let text = phone_frame(&frame, session, heartbeat_s, &self.listener.state.dispatch);
                self.say(Some(text));
                Ok(())
            }
            Some(SessionFrame::Superseded) => {
                Err(End::new(CloseCode::Other(SUPERSEDED), "superseded"))
            }
            Some(SessionFrame::Restarted) => Err(End::new(CloseCode::Restart, "draining")),
            // The engine let a slow reader go.
            None => Err(End::GONE),
        }
    }

    fn say(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.socket.push(Message::Text(text.into()));
        }
    }

    /// Sends what was said. Nothing more is heard until the phone has taken it.
    async fn flush(&mut self) -> Result<(), End> {
        let socket = &mut self.socket;
        // Nearly always the kernel takes it at once, and no timer is needed.
        let sent = match poll_fn(|context| Poll::Ready(socket.poll_flush(context))).await {
            Poll::Ready(sent) => sent,
            Poll::Pending => {
                let sent = poll_fn(|context| socket.poll_flush(context));
                match Box::pin(tokio::time::timeout(SEND_WITHIN, sent)).await {
                    Ok(sent) => sent,
                    Err(_) => return Err(End::GONE),
                }
            }
        };
        sent.map_err(|_| End::GONE)
    }

    fn beat(&mut self) -> Result<(), End> {
        self.silent_heartbeats =
            if self.listener.take_heard() { 0 } else { self.silent_heartbeats + 1 };
        if self.silent_heartbeats >= SILENT_HEARTBEATS_MAX {
            return Err(End::new(CloseCode::Other(IDLE), "idle"));
        }
        self.socket.push(Message::Ping(Default::default()));
        Ok(())
    }
}
