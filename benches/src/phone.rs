//! One driver's phone: holds the socket, reports fixes, answers offers and drives rides.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::city::{self, Route};
use crate::http::{Pool, Request};
use crate::net::{unix_ms, until_stop};
use crate::wire::{AcceptResult, Frame, OfferView, RideStatus, RideView};
use crate::witness::{Command, Witness};
use crate::ws::{Message, Socket};

/// How drivers behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// Share of offers accepted.
    pub accept: f64,
    /// Share of offers declined; the others run out.
    pub decline: f64,
    /// Share of rides given back before the pickup.
    pub give_back: f64,
    /// Milliseconds until an offer is answered.
    pub think_ms: Range<u64>,
    /// Milliseconds from one step of a ride to the next.
    pub leg_ms: Range<u64>,
    /// Between two fixes.
    pub fix_every: Duration,
}

impl Behaviour {
    /// Drivers who only report where they are.
    pub const fn passive(fix_every: Duration) -> Self {
        Self { accept: 0.0, decline: 0.0, give_back: 0.0, think_ms: 1..2, leg_ms: 1..2, fix_every }
    }
}

/// What the phones of a fleet share.
pub struct Crew {
    /// For what a driver hears from his rider.
    pub pool: Arc<Pool>,
    /// Who listens.
    pub witness: Arc<dyn Witness>,
    /// How drivers behave.
    pub behaviour: Behaviour,
}

#[derive(Debug, Clone, PartialEq)]
enum Duty {
    Free,
    /// Waits for the end of an accept.
    Asking(Command),
    Riding {
        ride: String,
        attempt: u32,
        status: RideStatus,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Todo {
    Fix,
    Ack,
    Accept(OfferView),
    Decline(OfferView),
    /// The next step of the ride at hand.
    Step,
}

/// A connected phone.
pub struct Phone {
    id: String,
    crew: Arc<Crew>,
    socket: Socket,
    route: Route,
    dice: ChaCha8Rng,
    duty: Duty,
    todo: Vec<(Instant, Todo)>,
    last_seq: Arc<AtomicU64>,
    /// The commands of the ride at hand that wait for their answer.
    open: Vec<Command>,
    /// The offer that was accepted last, and when that was due.
    accepted: Option<(String, Instant)>,
}

impl Phone {
    /// Connects, goes online and reports the first fix.
    ///
    /// # Errors
    /// When the server does not take the connection.
    pub async fn connect(
        id: String,
        seed: u64,
        crew: Arc<Crew>,
        last_seq: Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let path = match last_seq.load(Ordering::Relaxed) {
            0 => format!("/v1/drivers/{id}/stream"),
            seq => format!("/v1/drivers/{id}/stream?last_seq={seq}"),
        };
        let mut socket = Socket::open(crew.pool.address(), &path).await?;
        let route = Route::new(seed);
        let now = unix_ms();
        socket.text(r#"{"type":"status","status":"online"}"#).await?;
        socket.binary(&city::fix_frame(route.at(now), now)).await?;
        crew.witness.fix();
        let mut dice = city::dice(seed ^ now);
        let every = crew.behaviour.fix_every;
        let first = Instant::now() + every.mul_f64(dice.random_range(0.2..1.0));
        let todo = vec![(first, Todo::Fix)];
        let (duty, open, accepted) = (Duty::Free, Vec::new(), None);
        Ok(Self { id, crew, socket, route, dice, duty, todo, last_seq, open, accepted })
    }

    /// Works until `stop` or the end of the connection; returns whether it was `stop`.
    pub async fn work(mut self, mut stop: watch::Receiver<bool>) -> bool {
        loop {
            let due = self.todo.iter().map(|(at, _)| *at).min();
            let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
            let done = tokio::select! {
                message = self.socket.next() => match message {
                    Ok(message) => self.hear(message).await,
                    Err(error) => Err(error),
                },
                () = tokio::time::sleep_until(due) => self.act().await,
                () = until_stop(&mut stop) => return true,
            };
            if let Err(error) = done {
                self.crew.witness.odd(&format!("connection: {}", error.kind()));
                self.listen_out().await;
                return false;
            }
        }
    }

    /// Reads what is left on the wire until its end: it was told, too.
    async fn listen_out(&mut self) {
        while let Ok(message) = self.socket.next().await {
            if self.hear(message).await.is_err() {
                return;
            }
        }
    }

    async fn hear(&mut self, message: Message) -> io::Result<()> {
        match message {
            Message::Text(text) => match Frame::parse(&text) {
                Ok(frame) => self.take(frame).await?,
                Err(error) => self.crew.witness.odd(&format!("unreadable frame: {error}")),
            },
            // A server that is gone does not hear it; what it said before still counts.
            Message::Ping(payload) => drop(self.socket.pong(&payload).await),
            Message::Close(code) => self.crew.witness.odd(&format!("closed {code:?}")),
            Message::Other => {}
        }
        Ok(())
    }

    async fn take(&mut self, frame: Frame) -> io::Result<()> {
        match frame {
            Frame::Welcome(driver) => {
                for offer in &driver.offers {
                    self.on_offer(offer);
                }
                if let Some(ride) = driver.ride_id {
                    self.take_up(&ride).await;
                }
            }
            Frame::Offer(seq, offer) => {
                self.note(seq);
                self.on_offer(&offer);
            }
            Frame::OfferWithdrawn(seq, offer) => {
                self.note(seq);
                self.forget_offer(&offer);
            }
            Frame::AcceptResult(result) => self.on_accept_result(&result),
            Frame::Assigned(seq, ride) => {
                self.note(seq);
                self.on_ride(&ride);
            }
            Frame::RideUpdated(ride) => self.on_ride(&ride),
            Frame::RideCancelled(seq, ride) => {
                self.note(seq);
                if matches!(&self.duty, Duty::Riding { ride: own, .. } if *own == ride) {
                    self.become_free();
                }
            }
            Frame::Error(code) => self.on_error(&code),
            Frame::Rejected(code) => self.crew.witness.odd(&format!("fix {code}")),
            Frame::Bye(reason) => self.crew.witness.odd(&format!("bye {reason}")),
            Frame::Other => {}
        }
        Ok(())
    }

    fn note(&mut self, seq: u64) {
        self.last_seq.fetch_max(seq, Ordering::Relaxed);
        if !self.todo.iter().any(|(_, todo)| *todo == Todo::Ack) {
            self.plan(Duration::from_millis(200), Todo::Ack);
        }
    }

    fn plan(&mut self, after: Duration, todo: Todo) {
        self.todo.push((Instant::now() + after, todo));
    }

    fn pause(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.dice.random_range(range))
    }

    fn on_offer(&mut self, offer: &OfferView) {
        self.crew.witness.offer(&self.id, offer);
        let answering =
            self.todo.iter().any(|(_, todo)| matches!(todo, Todo::Accept(_) | Todo::Decline(_)));
        if answering || self.duty != Duty::Free {
            return;
        }
        let roll: f64 = self.dice.random();
        let (accept, decline) = (self.crew.behaviour.accept, self.crew.behaviour.decline);
        let after = self.pause(self.crew.behaviour.think_ms.clone());
        if roll < accept {
            self.plan(after, Todo::Accept(offer.clone()));
        } else if roll < accept + decline {
            self.plan(after, Todo::Decline(offer.clone()));
        }
    }

    fn forget_offer(&mut self, offer: &str) {
        self.crew.witness.offer_over(offer);
        self.todo.retain(|(_, todo)| match todo {
            Todo::Accept(own) | Todo::Decline(own) => own.offer_id != offer,
            Todo::Fix | Todo::Ack | Todo::Step => true,
        });
    }

    fn become_free(&mut self) {
        self.duty = Duty::Free;
        self.todo.retain(|(_, todo)| *todo != Todo::Step);
        self.settle_open();
    }

    fn settle_open(&mut self) {
        for command in self.open.drain(..) {
            self.crew.witness.answered(&command);
        }
    }

    fn on_accept_result(&mut self, result: &AcceptResult) {
        let offer = result.offer_id.clone().unwrap_or_default();
        self.forget_offer(&offer);
        if let Some((_, due)) = self.accepted.take_if(|(accepted, _)| *accepted == offer) {
            self.crew.witness.accept_ended(&result.result, due.elapsed());
        }
        if let Some(ride) = &result.ride {
            self.crew.witness.ride(ride);
        }
        let Duty::Asking(command) = &self.duty else { return };
        if matches!(command, Command::Accept { offer: asked, .. } if *asked == offer) {
            self.crew.witness.answered(command);
            self.duty = Duty::Free;
        }
        if let Some(ride) = &result.ride {
            self.on_ride(ride);
        }
    }

    /// The ride at hand stands so: plan its next step.
    fn on_ride(&mut self, ride: &RideView) {
        self.crew.witness.ride(ride);
        if ride.driver_id() != Some(self.id.as_str()) || !ride.status.has_driver() {
            return self.become_free();
        }
        let riding =
            Duty::Riding { ride: ride.ride_id.clone(), attempt: ride.attempt, status: ride.status };
        if self.duty == riding {
            return;
        }
        if let Duty::Asking(command) = &self.duty {
            self.crew.witness.answered(command);
        }
        self.settle_open();
        self.duty = riding;
        self.todo.retain(|(_, todo)| *todo != Todo::Step);
        let after = self.pause(self.crew.behaviour.leg_ms.clone());
        self.plan(after, Todo::Step);
    }

    fn on_error(&mut self, code: &str) {
        self.crew.witness.odd(&format!("error {code}"));
        match &self.duty {
            Duty::Asking(command) => {
                self.crew.witness.answered(command);
                self.duty = Duty::Free;
            }
            Duty::Riding { .. } => {
                self.settle_open();
                // Whatever was in the way may be gone in a moment.
                if !self.todo.iter().any(|(_, todo)| *todo == Todo::Step) {
                    self.plan(Duration::from_secs(1), Todo::Step);
                }
            }
            Duty::Free => {}
        }
    }

    /// Asks how the ride stands, as the rider's app shows it to the driver.
    async fn look_up(&self, ride: &str) -> Option<RideView> {
        let answer = self.crew.pool.call(&Request::get(&format!("/v1/rides/{ride}"))).await.ok()?;
        let view: RideView = answer.json().ok()?;
        self.crew.witness.ride(&view);
        Some(view)
    }

    async fn take_up(&mut self, ride: &str) {
        if let Some(view) = self.look_up(ride).await {
            self.on_ride(&view);
        }
    }

    /// Does what is due.
    async fn act(&mut self) -> io::Result<()> {
        let now = Instant::now();
        while let Some(place) = self.todo.iter().position(|(at, _)| *at <= now) {
            let (due, todo) = self.todo.swap_remove(place);
            match todo {
                Todo::Fix => self.report_fix(due).await?,
                Todo::Ack => {
                    let seq = self.last_seq.load(Ordering::Relaxed);
                    self.socket.text(&format!(r#"{{"type":"ack","seq":{seq}}}"#)).await?;
                }
                Todo::Accept(offer) => self.accept(offer, due).await?,
                Todo::Decline(offer) => {
                    self.crew.witness.offer_over(&offer.offer_id);
                    let id = offer.offer_id;
                    let text = format!(r#"{{"type":"decline","offer_id":"{id}","reason":"load"}}"#);
                    self.socket.text(&text).await?;
                }
                Todo::Step => self.step().await?,
            }
        }
        Ok(())
    }

    /// Reports, and again so long after this was due: a phone that is late keeps its rate.
    async fn report_fix(&mut self, due: Instant) -> io::Result<()> {
        let now = unix_ms();
        self.crew.witness.fix();
        self.todo.push((due + self.crew.behaviour.fix_every, Todo::Fix));
        self.socket.binary(&city::fix_frame(self.route.at(now), now)).await
    }

    async fn accept(&mut self, offer: OfferView, due: Instant) -> io::Result<()> {
        if self.duty != Duty::Free {
            return Ok(());
        }
        self.accepted = Some((offer.offer_id.clone(), due));
        let (driver, ride) = (self.id.clone(), offer.ride_id);
        let command = Command::Accept { driver, offer: offer.offer_id.clone(), ride };
        self.crew.witness.sent(&command);
        self.duty = Duty::Asking(command);
        let text = format!(r#"{{"type":"accept","offer_id":"{}"}}"#, offer.offer_id);
        self.socket.text(&text).await
    }

    /// Takes the next step of the ride at hand.
    async fn step(&mut self) -> io::Result<()> {
        let Duty::Riding { ride, attempt, status } = self.duty.clone() else { return Ok(()) };
        let (command, text) = match status {
            RideStatus::Assigned if self.dice.random_bool(self.crew.behaviour.give_back) => {
                let text =
                    format!(r#"{{"type":"cancel","ride_id":"{ride}","reason":"flat_tyre"}}"#);
                (Command::GiveBack { ride, attempt }, text)
            }
            RideStatus::Assigned => {
                let text = format!(r#"{{"type":"arrived","ride_id":"{ride}"}}"#);
                (Command::Arrived(ride), text)
            }
            RideStatus::Arrived => {
                let otp = self.look_up(&ride).await.and_then(|view| view.otp);
                let otp = otp.map(|otp| format!(r#","otp":"{otp}""#)).unwrap_or_default();
                let text = format!(r#"{{"type":"start","ride_id":"{ride}"{otp}}}"#);
                (Command::Start(ride), text)
            }
            RideStatus::InProgress => {
                let text = format!(r#"{{"type":"complete","ride_id":"{ride}"}}"#);
                (Command::Complete(ride), text)
            }
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => return Ok(()),
        };
        self.crew.witness.sent(&command);
        self.open.push(command);
        self.socket.text(&text).await
    }
}
