//! A driver with a phone: connects, decides on offers, drives rides, and does much of it wrongly.

use std::collections::{BTreeMap, BTreeSet};

use muster_engine::driver::{DriverCommand, DriverView, PhoneFrame};
use muster_engine::effect::SessionId;
use muster_engine::grid::DriverStatus;
use muster_engine::id::{OfferId, stable_hash};
use muster_engine::invariant::Invariant;
use muster_engine::offer::{FareBounds, Offer, OfferKind};
use muster_engine::ride::{RideProgress, RideRecord, RideStatus};
use muster_engine::time::Timestamp;
use muster_engine::units::Money;
use muster_engine::zone::GateCall;

use crate::city;
use crate::dice::Dice;
use crate::link::{Actor, Payload};
use crate::swarm::{DriverPlan, Habit};
use crate::world::calls::Call;
use crate::world::{EPOCH, Errand, World};

/// How often a driver looks at his phone.
const LOOK_MS: u64 = 1_000;

/// A ride as the phone knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PhoneRide {
    pub(crate) ride: usize,
    pub(crate) status: DriverStatus,
    next_step_at: Timestamp,
    otp_tries: u32,
}

/// One driver with his phone.
#[derive(Debug)]
pub(crate) struct Phone {
    pub(crate) habit: Habit,
    pub(crate) dice: Dice,
    pub(crate) session: Option<SessionId>,
    last_seq: Option<u64>,
    pub(crate) registered: bool,
    pub(crate) online: bool,
    wants_online: bool,
    offers: BTreeMap<OfferId, Timestamp>,
    pub(crate) ride: Option<PhoneRide>,
    /// The ride after it, and when he thinks of it again.
    forward: Option<(usize, Timestamp)>,
    /// Metres east and north in his market.
    pub(crate) at: (f64, f64),
    pub(crate) heading: f64,
    pub(crate) silent_until: Timestamp,
    /// It does not connect before.
    pub(crate) away_until: Timestamp,
    pub(crate) market: usize,
    /// What each sequence number carried.
    frames: BTreeMap<u64, u64>,
    /// Offers that were told to be off the table.
    withdrawn: BTreeSet<OfferId>,
}

impl Phone {
    pub(crate) fn new(plan: &DriverPlan, dice: Dice) -> Self {
        Self {
            habit: plan.habit,
            dice,
            session: None,
            last_seq: None,
            registered: false,
            online: false,
            wants_online: true,
            offers: BTreeMap::new(),
            ride: None,
            forward: None,
            at: plan.home,
            heading: 0.0,
            silent_until: EPOCH,
            away_until: EPOCH,
            market: plan.market,
            frames: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// The faults have stopped: work, and be willing.
    pub(crate) const fn calm(&mut self) {
        self.habit = Habit::WILLING;
        self.wants_online = true;
        self.silent_until = EPOCH;
    }

    /// Whether it has no connection and may have one.
    fn is_gone(&self, now: Timestamp) -> bool {
        self.session.is_none() && self.away_until <= now
    }

    /// The connection broke.
    pub(crate) const fn lose_session(&mut self) {
        self.session = None;
    }

    /// What he asks for a ride that takes quotes, too much when `greedy`; now and then nothing, which
    /// asks for the requested fare.
    fn fare_for(&mut self, kind: &OfferKind, greedy: bool) -> Option<Money> {
        let OfferKind::Quote { bounds } = kind else { return None };
        let roll = self.dice.unit();
        let Some(FareBounds { min, max }) = bounds else {
            return (roll < 0.9).then(|| city::usd(self.dice.between(500, 2_000)));
        };
        let most = if greedy { max.amount * 2 } else { max.amount };
        (roll < 0.8).then(|| city::usd(self.dice.between(min.amount, most)))
    }

    pub(crate) fn on_view(&mut self, view: &DriverView) {
        self.registered = true;
        self.online = view.record.online;
    }
}

impl World {
    pub(super) fn phone_tick(&mut self, driver: usize) {
        let next = self.now.plus_millis(LOOK_MS + self.phones[driver].dice.between(0, 200));
        self.agenda.add(next, Errand::PhoneTick(driver));
        self.strike_phone(driver);
        let phone = &self.phones[driver];
        if !phone.registered {
            return self.call(Call::PutProfile { driver, blocked_until: None });
        }
        if phone.online != phone.wants_online {
            self.call(Call::SetOnline { driver, online: phone.wants_online });
        } else if phone.is_gone(self.now) && self.up && !self.settling {
            self.connect(driver);
        }
        self.drive_on(driver);
        self.mind_forward(driver);
        self.try_otp(driver);
    }

    fn strike_phone(&mut self, driver: usize) {
        if self.fate.chance(self.faults.socket_drop) && self.phones[driver].session.is_some() {
            self.count("fault: socket dropped");
            self.drop_session(driver);
        }
        if self.fate.chance(self.faults.socket_twice) && self.phones[driver].session.is_some() {
            self.count("fault: second session");
            self.connect(driver);
        }
        if self.fate.chance(self.faults.driver_flap) {
            self.count("fault: driver went offline or came back");
            self.phones[driver].wants_online ^= true;
        }
        if self.fate.chance(self.faults.driver_regret)
            && let Some(offer) = self.phones[driver].offers.keys().next().cloned()
        {
            self.count("fault: driver takes an answer back");
            self.call(Call::Decline { driver, offer });
        }
        if self.fate.chance(0.02) {
            self.call(Call::GetDriver { driver });
        }
    }

    /// The phone loses its connection; the server notices later.
    fn drop_session(&mut self, driver: usize) {
        if let Some(session) = self.phones[driver].session.take() {
            let later = self.fate.between(1, 5_000);
            self.agenda.add(self.now.plus_millis(later), Errand::Disconnect(driver, session));
        }
    }

    fn connect(&mut self, driver: usize) {
        if self.drivers[driver].shell.is_none() {
            self.phones[driver].registered = false;
            return;
        }
        let session = SessionId(self.number());
        let phone = &mut self.phones[driver];
        phone.session = Some(session);
        phone.offers.clear();
        let last_seq = phone.last_seq;
        self.drivers[driver].attached.push(session);
        let command = DriverCommand::Connect { session, last_seq };
        self.send(Actor::Edge, Actor::Driver(driver), Payload::Driver(command));
    }

    pub(super) fn on_disconnect(&mut self, driver: usize, session: SessionId) {
        if self.up && self.drivers[driver].shell.is_some() {
            self.drivers[driver].attached.retain(|own| *own != session);
            let command = DriverCommand::Disconnect { session };
            self.send(Actor::Edge, Actor::Driver(driver), Payload::Driver(command));
        }
    }

    pub(super) fn on_goodbye(&mut self, driver: usize, session: SessionId) {
        if self.phones[driver].session == Some(session) {
            self.phones[driver].lose_session();
        }
    }

    /// A frame reaches the phone, if it still listens on that session.
    pub(super) fn on_frame(&mut self, driver: usize, session: SessionId, frame: PhoneFrame) {
        if self.phones[driver].session != Some(session) {
            return;
        }
        if let Some(seq) = frame.seq() {
            let print = stable_hash(format!("{frame:?}").as_bytes(), 0);
            let known = *self.phones[driver].frames.entry(seq).or_insert(print);
            if known != print {
                let detail = format!("d{driver:02} got two frames with the number {seq}");
                return self.broken(Invariant::M9, detail);
            }
            if self.phones[driver].last_seq.is_some_and(|last| last >= seq) {
                return self.count("frames seen before");
            }
            self.phones[driver].last_seq = Some(seq);
            if self.fate.chance(self.faults.ack_lost) {
                self.count("fault: acknowledgement lost");
            } else {
                let ack = Payload::Driver(DriverCommand::Ack { seq });
                self.send(Actor::Edge, Actor::Driver(driver), ack);
            }
        }
        self.read_frame(driver, frame);
    }

    fn read_frame(&mut self, driver: usize, frame: PhoneFrame) {
        match frame {
            PhoneFrame::Welcome { driver: view, .. } => self.on_welcome(driver, &view),
            PhoneFrame::Offer { offer, .. } => {
                self.count("offers shown");
                self.phones[driver].offers.insert(offer.id.clone(), offer.expires_at);
                self.decide(driver, &offer);
            }
            PhoneFrame::OfferWithdrawn { offer, .. } => {
                self.phones[driver].offers.remove(&offer);
                self.phones[driver].withdrawn.insert(offer);
            }
            PhoneFrame::Assigned { ride, .. } => {
                self.m4_told_one_end(driver, &ride);
                self.on_ride_of_phone(driver, &ride);
            }
            PhoneFrame::RideCancelled { ride, .. }
            | PhoneFrame::ForwardReturned { ride, .. }
            | PhoneFrame::RideUpdated { ride } => self.on_ride_of_phone(driver, &ride),
            PhoneFrame::Nudge { .. } => self.count("nudges shown"),
            // These phones ask as callers do, and are answered as callers are.
            PhoneFrame::AcceptResult { .. }
            | PhoneFrame::AcceptRefused { .. }
            | PhoneFrame::OtpRefused { .. } => {}
            PhoneFrame::QueueCall { call, .. } => self.on_queue_call(driver, call),
            PhoneFrame::QueueCallOver { .. } => self.count("calls to the gate over"),
            PhoneFrame::QueueJoined { .. } => self.count("places in the queue told"),
            PhoneFrame::QueueLeft { .. } => self.count("ends of places told"),
        }
    }

    /// Called to the gate: yes, no, or nothing.
    fn on_queue_call(&mut self, driver: usize, call: GateCall) {
        self.count("calls to the gate shown");
        if call.arrive_by.is_some() || self.phones[driver].dice.chance(0.3) {
            return;
        }
        let accept = self.phones[driver].dice.chance(0.7);
        self.call(Call::RespondAtGate { driver, call: call.id, accept });
    }

    /// M4 as a driver sees it: an offer that he was told is off does not become his ride.
    fn m4_told_one_end(&mut self, driver: usize, ride: &RideRecord) {
        let Some(assignment) = &ride.assignment else { return };
        if self.phones[driver].withdrawn.contains(&assignment.offer) {
            let offer = &assignment.offer;
            let detail = format!("d{driver:02} is told that {offer} is off, then that it is his");
            self.broken(Invariant::M4, detail);
        }
    }

    fn on_welcome(&mut self, driver: usize, view: &DriverView) {
        self.learn_duty(driver, view);
        let phone = &mut self.phones[driver];
        phone.offers.clear();
        for offer in &view.offers {
            phone.offers.insert(offer.id.clone(), offer.expires_at);
        }
    }

    /// What the phone learns from his whole state.
    pub(super) fn learn_duty(&mut self, driver: usize, view: &DriverView) {
        let next_step_at = self.now.plus_millis(1_000);
        let phone = &mut self.phones[driver];
        phone.on_view(view);
        let ride = view.ride.as_ref().map(|ride| city::ordinal(ride.as_str()));
        let status = view.status;
        let told = ride.map(|ride| PhoneRide { ride, status, next_step_at, otp_tries: 0 });
        let key = |own: Option<PhoneRide>| own.map(|own| (own.ride, own.status));
        if key(told) != key(phone.ride) {
            phone.ride = told;
        }
        let next = view.forward_ride.as_ref().map(|ride| city::ordinal(ride.as_str()));
        if next != phone.forward.map(|(ride, _)| ride) {
            phone.forward = next.map(|ride| (ride, next_step_at));
        }
    }

    /// What the phone learns about a ride.
    pub(super) fn on_ride_of_phone(&mut self, driver: usize, ride: &RideRecord) {
        let number = city::ordinal(ride.request.ride.as_str());
        let mine = ride.assignment.as_ref().is_some_and(|a| a.driver.id == city::driver_id(driver));
        let status = match ride.status {
            RideStatus::Assigned => Some(DriverStatus::EnRoute),
            RideStatus::Arrived => Some(DriverStatus::AtPickup),
            RideStatus::InProgress => Some(DriverStatus::OnTrip),
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Completed
            | RideStatus::Cancelled
            | RideStatus::Unfulfilled => None,
        };
        let phone = &mut self.phones[driver];
        phone.forward = phone.forward.filter(|(own, _)| *own != number);
        let Some(status) = status.filter(|_| mine) else {
            let was_his = phone.ride.is_some_and(|own| own.ride == number);
            phone.ride = phone.ride.filter(|own| own.ride != number);
            // What is next, he asks: news of it may have come before.
            return if was_his {
                self.call(Call::GetDriver { driver })
            };
        };
        if ride.forward().is_some() {
            let later = self.now.plus_millis(phone.dice.between(500, 12_000));
            phone.forward = Some((number, later));
            return;
        }
        if phone.ride.is_none_or(|own| own.ride != number || own.status != status) {
            let least_ms = match status {
                DriverStatus::OnTrip => phone.habit.trip_ms,
                DriverStatus::EnRoute => phone.habit.pickup_ms,
                DriverStatus::Offline
                | DriverStatus::Available
                | DriverStatus::Reserved
                | DriverStatus::AtPickup => 0,
            };
            let next_step_at = self.now.plus_millis(least_ms + phone.dice.between(500, 12_000));
            phone.ride = Some(PhoneRide { ride: number, status, next_step_at, otp_tries: 0 });
        }
    }

    /// Accept, decline, wait too long, or let it be.
    fn decide(&mut self, driver: usize, shown: &Offer) {
        let (offer, expires_at) = (&shown.id, shown.expires_at);
        let phone = &mut self.phones[driver];
        let (habit, roll) = (phone.habit, phone.dice.unit());
        let think = phone.dice.between(10, habit.think_ms_max.max(10));
        let at = self.now.plus_millis(think);
        let greedy = self.fate.chance(self.faults.greedy_fare);
        let fare = phone.fare_for(&shown.kind, greedy);
        let accept = |offer: &OfferId| {
            let fare = fare.clone().filter(|_| *offer == shown.id);
            Call::Accept { driver, offer: offer.clone(), fare }
        };
        let (yes, no) = (habit.accept, habit.accept + habit.decline);
        if roll < yes {
            self.call_at(at, accept(offer));
        } else if roll < no {
            self.call_at(at, Call::Decline { driver, offer: offer.clone() });
        } else if roll < no + habit.accept_late {
            let around = self.phones[driver].dice.between(0, 800);
            let at = expires_at.minus_millis(400).plus_millis(around).max(self.now);
            self.count("late accepts");
            self.call_at(at, accept(offer));
        } else if roll < no + habit.accept_late + habit.accept_all {
            self.count("accepts of everything at once");
            let all: Vec<OfferId> = self.phones[driver].offers.keys().cloned().collect();
            for offer in &all {
                self.call_at(at, accept(offer));
            }
        } else {
            self.count("offers ignored");
        }
    }

    /// A call that the client makes at `at`, over the network's faults.
    fn call_at(&mut self, at: Timestamp, call: Call) {
        if self.fate.chance(self.faults.call_drop) {
            return self.count("fault: call dropped");
        }
        if self.fate.chance(self.faults.call_duplicate) {
            self.count("fault: call duplicated");
            let again = at.plus_millis(self.fate.between(0, 500));
            self.agenda.add(again, Errand::CallArrives(call.clone()));
        }
        self.agenda.add(at, Errand::CallArrives(call));
    }

    /// The next step of the ride, repeated until it is answered.
    fn drive_on(&mut self, driver: usize) {
        let Some(ride) = self.phones[driver].ride.filter(|ride| ride.next_step_at <= self.now)
        else {
            return;
        };
        let step = self.next_step(driver, &ride);
        if let Some(own) = self.phones[driver].ride.as_mut() {
            own.next_step_at = self.now.plus_millis(3_000);
            own.otp_tries += 1;
        }
        self.call(Call::Progress { ride: ride.ride, driver: Some(driver), step });
    }

    /// He gives his next ride back, or goes about it too early and must be refused.
    fn mind_forward(&mut self, driver: usize) {
        let due = self.phones[driver].forward.filter(|(_, at)| *at <= self.now);
        let Some((ride, _)) = due else { return };
        let phone = &mut self.phones[driver];
        phone.forward = Some((ride, self.now.plus_millis(6_000)));
        let gives_back = phone.dice.chance(phone.habit.give_back);
        let hasty = phone.dice.chance(0.2);
        let step = if gives_back {
            RideProgress::Cancel { reason: None }
        } else if hasty {
            RideProgress::Arrived
        } else {
            return;
        };
        self.call(Call::Progress { ride, driver: Some(driver), step });
    }

    fn next_step(&mut self, driver: usize, ride: &PhoneRide) -> RideProgress {
        // The rider reads the password from the ride as it is told to everyone.
        let otp = self.ride(ride.ride).and_then(|told| told.otp.clone());
        let phone = &mut self.phones[driver];
        if phone.dice.chance(phone.habit.give_back) {
            let no_show = phone.habit != Habit::FICKLE && phone.dice.chance(0.2);
            let reason = no_show.then(|| "rider_no_show".to_owned());
            return RideProgress::Cancel { reason };
        }
        match ride.status {
            DriverStatus::AtPickup => {
                let wrong = ride.otp_tries == 0 && phone.dice.chance(phone.habit.wrong_otp);
                RideProgress::Start { otp: if wrong { Some("nope".to_owned()) } else { otp } }
            }
            DriverStatus::OnTrip => RideProgress::Complete,
            DriverStatus::Offline
            | DriverStatus::Available
            | DriverStatus::Reserved
            | DriverStatus::EnRoute => RideProgress::Arrived,
        }
    }
}
