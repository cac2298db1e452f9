//! Calls of clients: over a network that drops, repeats and delays, to an edge that answers once.

use std::sync::Arc;

use muster_engine::driver::{DriverCommand, RiderBlocks};
use muster_engine::effect::{Answer, Asker, Refusal, ReplyTo};
use muster_engine::geo::Position;
use muster_engine::id::{CallId, DriverId, OfferId};
use muster_engine::invariant::Invariant;
use muster_engine::ride::{CancelledBy, RideCommand, RideMachine, RideProgress};
use muster_engine::time::Timestamp;
use muster_engine::units::Money;
use muster_engine::zone::ZoneCommand;

use crate::city;
use crate::link::{Actor, Payload};
use crate::shell::Shell;
use crate::world::{Errand, RideSite, World};

/// A call as the client means it.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    PutProfile { driver: usize, blocked_until: Option<Timestamp> },
    SetOnline { driver: usize, online: bool },
    Accept { driver: usize, offer: OfferId, fare: Option<Money> },
    Decline { driver: usize, offer: OfferId },
    GetDriver { driver: usize },
    EnterOtp { driver: usize, otp: String },
    RespondAtGate { driver: usize, call: CallId, accept: bool },
    QueueAdd { driver: usize, position: Option<usize> },
    QueueRemove { driver: usize },
    Request { ride: usize },
    Cancel { ride: usize, by: CancelledBy },
    Retry { ride: usize },
    ChangeDropoff { ride: usize, dropoff: Position },
    Select { ride: usize, quote: OfferId },
    Progress { ride: usize, driver: Option<usize>, step: RideProgress },
    GetRide { ride: usize },
}

/// Who waits for an answer, and whose turn it is to give it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// The phone that called, if it was one.
    pub(crate) phone: Option<usize>,
    pub(crate) machine: Actor,
    /// The machine has taken the call in.
    pub(crate) taken: bool,
}

impl World {
    /// Sends a call on its way.
    pub(super) fn call(&mut self, call: Call) {
        if self.fate.chance(self.faults.call_drop) {
            return self.count("fault: call dropped");
        }
        if self.fate.chance(self.faults.call_duplicate) && call.may_be_repeated() {
            self.count("fault: call duplicated");
            self.arrange(call.clone());
        }
        self.arrange(call);
    }

    fn arrange(&mut self, call: Call) {
        let mut delay = self.fate.between(1, 80);
        if self.fate.chance(self.faults.call_delay) {
            self.count("fault: call delayed");
            delay = self.fate.between(80, 4_000);
        }
        self.agenda.add(self.now.plus_millis(delay), Errand::CallArrives(call));
    }

    /// A call reaches the edge; a process that is down or still recovers takes none.
    pub(super) fn on_call(&mut self, call: &Call) {
        if !self.up || self.settling {
            return self.count("calls refused while down");
        }
        match call {
            Call::PutProfile { driver, blocked_until } => {
                let market = &self.markets[self.drivers[*driver].market].market;
                let profile =
                    city::profile(market, &self.options.drivers[*driver].taste, *blocked_until);
                self.ensure_driver(*driver);
                self.ask_driver(*driver, |reply| DriverCommand::PutProfile {
                    profile: Box::new(profile),
                    reply: Some(reply),
                });
            }
            Call::SetOnline { driver, online } => {
                let online = *online;
                self.ask_driver(*driver, |reply| DriverCommand::SetOnline {
                    online,
                    reply: Some(reply),
                });
            }
            Call::Accept { driver, offer, fare } => {
                let (offer, fare) = (offer.clone(), fare.clone());
                self.ask_driver(*driver, |reply| DriverCommand::Accept {
                    offer,
                    fare,
                    asker: Some(Asker::Caller(reply)),
                });
            }
            Call::Decline { driver, offer } => {
                let offer = offer.clone();
                self.ask_driver(*driver, |reply| DriverCommand::Decline {
                    offer,
                    reason: None,
                    reply: Some(reply),
                });
            }
            Call::GetDriver { driver } => {
                self.ask_driver(*driver, |reply| DriverCommand::Get { reply });
            }
            Call::EnterOtp { driver, otp } => {
                let otp = otp.clone();
                self.ask_driver(*driver, |reply| DriverCommand::EnterOtp {
                    otp,
                    asker: Some(Asker::Caller(reply)),
                });
            }
            Call::RespondAtGate { .. } | Call::QueueAdd { .. } | Call::QueueRemove { .. } => {
                self.on_zone_call(call);
            }
            Call::Request { ride } => self.on_request(*ride),
            Call::Cancel { .. }
            | Call::Retry { .. }
            | Call::ChangeDropoff { .. }
            | Call::Select { .. }
            | Call::Progress { .. }
            | Call::GetRide { .. } => self.on_ride_call(call),
        }
    }

    fn on_ride_call(&mut self, call: &Call) {
        match call.clone() {
            Call::Cancel { ride, by } => self.ask_ride(ride, None, |reply| RideCommand::Cancel {
                by,
                reason: None,
                reply: Some(reply),
            }),
            Call::Retry { ride } => self.ask_ride(ride, None, |reply| RideCommand::Retry {
                tip: None,
                service_tiers: None,
                reply: Some(reply),
            }),
            Call::ChangeDropoff { ride, dropoff } => {
                self.ask_ride(ride, None, |reply| RideCommand::ChangeDropoff {
                    dropoff,
                    reply: Some(reply),
                });
            }
            Call::Select { ride, quote } => {
                self.ask_ride(ride, None, |reply| RideCommand::SelectQuote {
                    quote,
                    reply: Some(reply),
                });
            }
            Call::Progress { ride, driver, step } => self.ask_ride(ride, driver, |reply| {
                let driver = driver.map(city::driver_id);
                RideCommand::Progress { driver, step, reply: Some(reply) }
            }),
            Call::GetRide { ride } => self.ask_ride(ride, None, |reply| RideCommand::Get { reply }),
            Call::PutProfile { .. }
            | Call::SetOnline { .. }
            | Call::Accept { .. }
            | Call::Decline { .. }
            | Call::GetDriver { .. }
            | Call::EnterOtp { .. }
            | Call::RespondAtGate { .. }
            | Call::QueueAdd { .. }
            | Call::QueueRemove { .. }
            | Call::Request { .. } => {}
        }
    }

    fn on_zone_call(&mut self, call: &Call) {
        match call.clone() {
            Call::RespondAtGate { driver, call, accept } => {
                self.ask_zone(driver, |reply, driver| ZoneCommand::Respond {
                    driver,
                    call,
                    accept,
                    reply: Some(reply),
                })
            }
            Call::QueueAdd { driver, position } => {
                let record = self.drivers[driver].durable.clone();
                let Some(record) = record.filter(|record| record.online) else { return };
                let tiers = record.profile.service_tiers.clone();
                let service_tier = tiers[0].clone();
                self.ask_zone(driver, |reply, driver| ZoneCommand::Add {
                    driver,
                    tiers,
                    service_tier,
                    position,
                    reply: Some(reply),
                });
            }
            Call::QueueRemove { driver } => self.ask_zone(driver, |reply, driver| {
                ZoneCommand::Remove { driver, note: None, reply: Some(reply) }
            }),
            Call::PutProfile { .. }
            | Call::SetOnline { .. }
            | Call::Accept { .. }
            | Call::Decline { .. }
            | Call::GetDriver { .. }
            | Call::EnterOtp { .. }
            | Call::Request { .. }
            | Call::ChangeDropoff { .. }
            | Call::Cancel { .. }
            | Call::Retry { .. }
            | Call::Select { .. }
            | Call::Progress { .. }
            | Call::GetRide { .. } => {}
        }
    }

    fn ask_zone(&mut self, driver: usize, ask: impl FnOnce(ReplyTo, DriverId) -> ZoneCommand) {
        let market = self.drivers[driver].market;
        if !self.zones.contains_key(&market) {
            return;
        }
        let to = Actor::Zone(market);
        let reply = self.reply_for(None, to);
        let command = ask(reply, city::driver_id(driver));
        self.send(Actor::Edge, to, Payload::Zone(command));
    }

    /// A driver nobody knows yet gets a machine that is not durable before its first command is.
    fn ensure_driver(&mut self, driver: usize) {
        if self.drivers[driver].shell.is_some() {
            return;
        }
        let site = &self.drivers[driver];
        let taste = &self.options.drivers[driver].taste;
        let profile = city::profile(&self.markets[site.market].market, taste, None);
        let id = site.id.clone();
        let record = muster_engine::driver::DriverRecord {
            driver: id,
            profile,
            online: false,
            rider_blocks: RiderBlocks::default(),
            stats: muster_engine::driver::DriverStats::default(),
        };
        let machine = self.driver_machine(driver, record);
        let incarnation = self.number();
        self.drivers[driver].shell = Some(Shell::new(machine, incarnation));
    }

    /// A ride that does not exist yet gets a machine; an id that is taken is refused.
    fn on_request(&mut self, ride: usize) {
        let taken = self.rides.contains_key(&ride) || self.ride(ride).is_some();
        if taken {
            self.riders[ride].view = self.ride(ride).cloned();
            return self.count("requests refused: the id is taken");
        }
        let plan = self.options.rides[ride].clone();
        let site = &self.markets[plan.market];
        let request = city::request(ride, &site.market, &plan, self.now);
        let (rules, book) = (Arc::clone(&site.market), Arc::clone(&site.book));
        let machine = RideMachine::new(request, rules, book);
        let shell = Shell::new(machine, self.number());
        self.rides.insert(ride, RideSite { market: plan.market, shell, told: None });
        self.ask_ride(ride, None, |reply| RideCommand::Request { reply: Some(reply) });
    }

    fn reply_for(&mut self, phone: Option<usize>, machine: Actor) -> ReplyTo {
        let reply = self.number();
        self.replies.insert(reply, Caller { phone, machine, taken: false });
        ReplyTo(reply)
    }

    fn ask_driver(&mut self, driver: usize, ask: impl FnOnce(ReplyTo) -> DriverCommand) {
        if self.drivers[driver].shell.is_none() {
            // Unknown driver: his phone registers again.
            self.phones[driver].registered = false;
            return;
        }
        let to = Actor::Driver(driver);
        let reply = self.reply_for(Some(driver), to);
        self.send(Actor::Edge, to, Payload::Driver(ask(reply)));
    }

    fn ask_ride(
        &mut self,
        ride: usize,
        phone: Option<usize>,
        ask: impl FnOnce(ReplyTo) -> RideCommand,
    ) {
        if !self.rides.contains_key(&ride) && !self.ensure_ride(ride) {
            return;
        }
        let to = Actor::Ride(ride);
        let reply = self.reply_for(phone, to);
        self.send(Actor::Edge, to, Payload::Ride(ask(reply)));
    }

    /// The machine that owes the answer has taken the call in.
    pub(super) fn mark_taken(&mut self, reply: Option<ReplyTo>) {
        if let Some(caller) = reply.and_then(|reply| self.replies.get_mut(&reply.0)) {
            caller.taken = true;
        }
    }

    /// Nobody will answer this call.
    pub(super) fn time_out(&mut self, reply: Option<ReplyTo>) {
        if let Some(reply) = reply {
            self.replies.remove(&reply.0);
        }
    }

    /// A machine died with the calls it had taken in: their callers time out.
    pub(super) fn forget_callers_of(&mut self, actor: Actor) {
        self.replies.retain(|_, caller| !(caller.taken && caller.machine == actor));
    }

    /// An answer comes out: to somebody who waits for it, and only once (M9).
    pub(super) fn on_answer(&mut self, reply: ReplyTo, answer: Answer) {
        let Some(caller) = self.replies.remove(&reply.0) else {
            let detail = format!("call {} is answered a second time", reply.0);
            return self.broken(Invariant::M9, detail);
        };
        match answer {
            Answer::Driver(view) => {
                if let Some(driver) = caller.phone {
                    self.learn_duty(driver, &view);
                }
            }
            Answer::Ride(ride) => {
                if let Some(driver) = caller.phone {
                    self.on_ride_of_phone(driver, &ride);
                }
            }
            Answer::Accept(muster_engine::effect::AcceptAnswer::Won(_)) => {
                self.count("accepts answered: won");
            }
            Answer::Accept(muster_engine::effect::AcceptAnswer::Lost(_)) => {
                self.count("accepts answered: lost");
            }
            Answer::Queue(_) => self.count("queues answered"),
            Answer::Accept(muster_engine::effect::AcceptAnswer::Quoted(_)) => {
                self.count("accepts answered: quoted");
            }
            Answer::Accept(muster_engine::effect::AcceptAnswer::Standby { .. }) => {
                self.count("accepts answered: standby");
            }
            Answer::Refused(Refusal::QuoteExpired | Refusal::QuoteUnavailable) => {
                self.count("choices of a quote that failed");
            }
            Answer::Refused(refusal) => {
                self.count("calls refused by a machine");
                if refusal == Refusal::RideIsForward {
                    self.count("steps of a forward ride refused");
                }
            }
        }
    }
}

impl Call {
    /// A retry has no id of its own: the edge's idempotency key stops its repetition. The same goes
    /// for a step that an operator reports in the place of whoever is the driver.
    const fn may_be_repeated(&self) -> bool {
        !matches!(self, Self::Retry { .. } | Self::Progress { driver: None, .. })
    }
}
