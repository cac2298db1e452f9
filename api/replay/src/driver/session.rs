//! One driver's task: profile, socket, fixes at their times, and the machine's frames.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message;

use super::hands::{Action, Hands};
use super::machine::DriverMachine;
use super::socket::{self, DriverSocket, Target};
use super::vehicle::Vehicle;
use crate::wire::{ClientFrame, FIXES_PER_FRAME_MAX, Fix, Received, ServerFrame};
use crate::world::World;

/// First pause before a connection is tried again; it doubles.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two connections.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// Connections tried in a row before the driver gives up.
const RECONNECTS_MAX: u32 = 30;
/// Time for the welcome after the handshake.
const WELCOME_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to say goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Time for the last status to be worked on before the socket closes.
const FAREWELL: Duration = Duration::from_millis(300);
/// Assumed until the server tells its own.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Why a connection ended.
enum Ended {
    /// The replay is over.
    Stopped,
    /// Another session took the driver over.
    Superseded,
    Lost,
}

/// A driver with a vehicle, on the road until the replay stops.
pub(crate) struct DriverSession {
    pub(crate) world: Arc<World>,
    pub(crate) index: usize,
    pub(crate) driver_id: String,
    pub(crate) profile: serde_json::Value,
    pub(crate) vehicle: Box<dyn Vehicle>,
    pub(crate) machine: DriverMachine,
    last_seq: Option<u64>,
    heartbeat: Duration,
    fixes: Vec<Fix>,
    actions: Vec<Action>,
}

impl DriverSession {
    pub(crate) fn new(
        world: Arc<World>,
        index: usize,
        driver_id: String,
        profile: serde_json::Value,
        vehicle: Box<dyn Vehicle>,
        machine: DriverMachine,
    ) -> Self {
        Self {
            world,
            index,
            driver_id,
            profile,
            vehicle,
            machine,
            last_seq: None,
            heartbeat: HEARTBEAT,
            fixes: Vec::new(),
            actions: Vec::new(),
        }
    }

    /// Lives until the replay stops; tells once whether it came online.
    pub(crate) async fn run(mut self, online: mpsc::Sender<Result<(), String>>) {
        let world = Arc::clone(&self.world);
        let mut first = true;
        let mut failures = 0;
        let mut pause = RECONNECT_PAUSE;
        loop {
            match self.connect(first).await {
                Ok(mut socket) => {
                    failures = 0;
                    pause = RECONNECT_PAUSE;
                    if std::mem::take(&mut first) {
                        let _ = online.send(Ok(())).await;
                    }
                    match self.drive(&mut socket).await {
                        Ended::Stopped => return Self::leave(socket).await,
                        Ended::Superseded => return,
                        Ended::Lost => {
                            world.recorder.reconnects.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Err(error) => {
                    failures += 1;
                    world.recorder.error("connect failed");
                    if failures == RECONNECTS_MAX {
                        let _ = online.send(Err(error)).await;
                        return;
                    }
                }
            }
            if *world.stop.borrow() {
                return;
            }
            sleep(pause + Duration::from_millis(self.index as u64 % 97)).await;
            pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
        }
    }

    async fn connect(&mut self, first: bool) -> Result<DriverSocket, String> {
        let world = Arc::clone(&self.world);
        let _permit = world.connecting.acquire().await.map_err(|error| error.to_string())?;
        if first {
            world.api.put_driver(&self.driver_id, &self.profile).await?;
        }
        let mut socket = socket::open(&Target {
            authority: &world.api.authority(),
            driver_id: &self.driver_id,
            driver_index: self.index,
            binary: world.binary,
            last_seq: self.last_seq,
        })
        .await?;
        let offline = timeout(WELCOME_TIMEOUT, self.await_welcome(&mut socket))
            .await
            .map_err(|_| "no welcome in time".to_owned())??;
        if first || offline {
            send(&mut socket, &ClientFrame::Status { status: "online" }).await?;
        }
        self.vehicle.resume(world.clock.now_ms());
        Ok(socket)
    }

    /// Reads up to the welcome; tells whether the server takes the driver for offline.
    async fn await_welcome(&mut self, socket: &mut DriverSocket) -> Result<bool, String> {
        loop {
            let message = socket.next().await.ok_or("closed before the welcome")?;
            let Message::Text(text) = message.map_err(|error| error.to_string())? else { continue };
            let Some(received) = Received::parse(&text) else { continue };
            if let ServerFrame::Bye { reason } = &received.frame {
                return Err(format!("bye {reason}"));
            }
            if let ServerFrame::Welcome { heartbeat_s, driver, .. } = received.frame {
                if let Some(seconds) = heartbeat_s.filter(|seconds| *seconds >= 1.0) {
                    self.heartbeat = Duration::from_secs_f64(seconds);
                }
                // A server that counts from the start again has forgotten the old numbers.
                if received.seq < self.last_seq {
                    self.last_seq = None;
                }
                return Ok(driver.and_then(|driver| driver.status).as_deref() == Some("offline"));
            }
        }
    }

    /// Drives with an open socket until it is lost or the replay stops.
    async fn drive(&mut self, socket: &mut DriverSocket) -> Ended {
        let world = Arc::clone(&self.world);
        let mut stop = world.stop.clone();
        let mut last_sent = Instant::now();
        self.act(|machine, now_ms, hands| machine.on_reconnected(now_ms, hands));
        loop {
            match self.flush(socket).await {
                Ok(0) => {}
                Ok(_) => last_sent = Instant::now(),
                Err(_) => return Ended::Lost,
            }
            let due_ms =
                self.vehicle.next_fix_at().into_iter().chain(self.machine.next_wake()).min();
            let beat = last_sent + self.heartbeat.mul_f64(0.8);
            let wake = due_ms.map_or(beat, |due_ms| world.clock.instant_of(due_ms).min(beat));
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return Ended::Stopped,
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        if let Some(ended) = self.receive(socket, &text).await {
                            return ended;
                        }
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ended::Lost,
                    Some(Ok(_)) => {}
                },
                () = sleep_until(wake) => {
                    let now_ms = world.clock.now_ms();
                    let missed = self.vehicle.take_fixes(now_ms, &mut self.fixes);
                    world.recorder.fixes_missed.fetch_add(missed, Ordering::Relaxed);
                    self.act(DriverMachine::on_wake);
                    if self.fixes.is_empty() && self.actions.is_empty() && Instant::now() >= beat {
                        self.actions.push(Action::Send(ClientFrame::Ping { at: now_ms }));
                    }
                }
            }
        }
    }

    async fn receive(&mut self, socket: &mut DriverSocket, text: &str) -> Option<Ended> {
        let at = Instant::now();
        let Some(Received { seq, frame }) = Received::parse(text) else {
            self.world.recorder.error("unreadable frame");
            return None;
        };
        if let Some(seq) = seq {
            let repeated = self.last_seq.is_some_and(|last_seq| seq <= last_seq);
            self.last_seq = self.last_seq.max(Some(seq));
            if send(socket, &ClientFrame::Ack { seq }).await.is_err() {
                // The frame itself has arrived: it is acted upon all the same.
                self.world.recorder.error("ack not sent");
            }
            if repeated {
                return None;
            }
        }
        self.world.recorder.received(&self.driver_id, &frame, at);
        if let ServerFrame::Bye { reason } = &frame {
            return Some(if reason == "superseded" { Ended::Superseded } else { Ended::Lost });
        }
        self.act(|machine, now_ms, hands| machine.on_frame(frame, now_ms, hands));
        None
    }

    /// Lets the machine handle something and keeps what it wants done.
    fn act(&mut self, handle: impl FnOnce(&mut DriverMachine, i64, &mut Hands<'_>)) {
        let world = Arc::clone(&self.world);
        let otp = |ride_id: &str| world.codes.told(ride_id);
        let (vehicle, line) = (self.vehicle.as_mut(), &world.line);
        let mut hands = Hands { vehicle, otp: &otp, line, out: &mut self.actions };
        handle(&mut self.machine, world.clock.now_ms(), &mut hands);
    }

    /// Sends the fixes and frames that have gathered; returns how many frames went out.
    async fn flush(&mut self, socket: &mut DriverSocket) -> Result<usize, String> {
        let mut sent = 0;
        for fixes in self.fixes.chunks(FIXES_PER_FRAME_MAX) {
            let message = if self.world.binary {
                Message::binary(Fix::binary_frame(fixes))
            } else {
                Message::text(Fix::json_frame(fixes))
            };
            socket.send(message).await.map_err(|error| error.to_string())?;
            self.world.recorder.fixes_sent.fetch_add(fixes.len() as u64, Ordering::Relaxed);
            sent += 1;
        }
        self.fixes.clear();
        for action in std::mem::take(&mut self.actions) {
            match action {
                // A frame lost with its connection is repeated by the machine on the next one.
                Action::Send(frame) => {
                    send(socket, &frame).await?;
                    sent += 1;
                }
                Action::Note(note) => self.world.recorder.noted(&self.driver_id, &note),
            }
        }
        Ok(sent)
    }

    /// Goes offline and closes the socket in good order.
    async fn leave(mut socket: DriverSocket) {
        let goodbye = async {
            send(&mut socket, &ClientFrame::Status { status: "offline" }).await?;
            // The server stops working for a socket that closes: the status gets a moment.
            let farewell = async { while let Some(Ok(_)) = socket.next().await {} };
            let _ = timeout(FAREWELL, farewell).await;
            socket.close(None).await.map_err(|error| error.to_string())?;
            while let Some(Ok(_)) = socket.next().await {}
            Ok::<(), String>(())
        };
        // Whoever does not answer the goodbye is left behind.
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

async fn send(socket: &mut DriverSocket, frame: &ClientFrame) -> Result<(), String> {
    let text = serde_json::to_string(frame).map_err(|error| error.to_string())?;
    socket.send(Message::text(text)).await.map_err(|error| error.to_string())
}

/// Waits for the end of the replay; a replay that has vanished has ended too.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stopped| *stopped).await;
}
