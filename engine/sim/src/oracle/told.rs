//! Judges what leaves a machine: nothing that is not durable, nothing to another market.

use std::sync::Arc;

use muster_engine::driver::{DriverCommand, DriverView, PhoneFrame};
use muster_engine::effect::{AcceptAnswer, Answer, Effect};
use muster_engine::grid::DriverStatus;
use muster_engine::id::OfferId;
use muster_engine::invariant::Invariant;
use muster_engine::ride::{RideCommand, RideEventKind, RideRecord};

use crate::city;
use crate::link::Actor;
use crate::world::World;
use crate::world::turns::Turn;

impl World {
    /// M12 and M13 for one effect that is about to be performed.
    pub(crate) fn check_told(&mut self, actor: Actor, effect: &Effect) {
        match effect {
            Effect::ToDriver(driver, command) => {
                self.m12_same_market(actor, Actor::Driver(city::ordinal(driver.as_str())));
                self.m13_driver_command(command);
                if let DriverCommand::Queue { news, .. } = command {
                    self.m13_queue_news(driver, news);
                }
            }
            Effect::ToRide(ride, _) => {
                self.m12_same_market(actor, Actor::Ride(city::ordinal(ride.as_str())));
            }
            Effect::PublishQueue(_, order) => self.m13_order(order),
            Effect::SendFrame(_, frame) => self.m13_frame(frame),
            Effect::Answer(_, answer) => self.m13_answer(answer),
            Effect::PersistRide(_)
            | Effect::PersistDriver(_)
            | Effect::PersistZone(_)
            | Effect::ToZone(..)
            | Effect::ToMarket(_)
            | Effect::MatchWindow(_)
            | Effect::DecideShadow(_)
            | Effect::CloseSession(..)
            | Effect::FindCandidates(_)
            | Effect::LocateDriver(_)
            | Effect::PlaceSupply(_)
            | Effect::RemoveSupply
            | Effect::IndexOffer(_)
            | Effect::ForgetOffer(_)
            | Effect::Publish(_)
            | Effect::Retire => {}
        }
    }

    pub(crate) fn market_of(&self, actor: Actor) -> Option<usize> {
        match actor {
            Actor::Driver(driver) => self.drivers.get(driver).map(|site| site.market),
            Actor::Ride(ride) => self.options.rides.get(ride).map(|plan| plan.market),
            Actor::Zone(_) => Self::market_of_zone(actor),
            Actor::Market(market) => Some(market),
            Actor::Edge | Actor::Gps(_) | Actor::Store | Actor::Session(..) => None,
        }
    }

    fn m12_same_market(&mut self, from: Actor, to: Actor) {
        if self.market_of(from) != self.market_of(to) {
            self.broken(Invariant::M12, format!("{from:?} sends to {to:?} in another market"));
        }
    }

    fn m13_driver_command(&mut self, command: &DriverCommand) {
        match command {
            DriverCommand::Offer { offer, .. }
            | DriverCommand::ConfirmQuote { offer }
            | DriverCommand::CallStandby { offer } => self.m13_offer(&offer.id),
            DriverCommand::AcceptAnswered { offer, answer: AcceptAnswer::Standby { .. } } => {
                self.m13_standby(offer);
            }
            DriverCommand::AcceptAnswered { offer, answer: AcceptAnswer::Quoted(terms) } => {
                self.m13_quote(offer, terms);
            }
            DriverCommand::RideUpdated { ride } => self.m13_ride(ride),
            DriverCommand::AcceptAnswered { answer: AcceptAnswer::Won(ride), .. } => {
                self.m13_ride(ride);
            }
            DriverCommand::Withdraw { offer, .. }
            | DriverCommand::AcceptAnswered { offer, answer: AcceptAnswer::Lost(_) } => {
                self.m13_ended(offer);
            }
            DriverCommand::PutProfile { .. }
            | DriverCommand::SetOnline { .. }
            | DriverCommand::Remove { .. }
            | DriverCommand::PositionChanged
            | DriverCommand::Accept { .. }
            | DriverCommand::EnterOtp { .. }
            | DriverCommand::Queue { .. }
            | DriverCommand::Decline { .. }
            | DriverCommand::Connect { .. }
            | DriverCommand::Disconnect { .. }
            | DriverCommand::Ack { .. }
            | DriverCommand::Get { .. } => {}
        }
    }

    fn m13_frame(&mut self, frame: &PhoneFrame) {
        match frame {
            PhoneFrame::Welcome { driver, .. } => self.m13_view(driver),
            PhoneFrame::Offer { offer, .. } => self.m13_offer(&offer.id),
            PhoneFrame::OfferWithdrawn { offer, .. }
            | PhoneFrame::AcceptResult { offer, answer: AcceptAnswer::Lost(_) }
            | PhoneFrame::AcceptRefused { offer, .. } => self.m13_offer(offer),
            PhoneFrame::AcceptResult { offer, answer: AcceptAnswer::Quoted(terms) } => {
                self.m13_quote(offer, terms);
            }
            PhoneFrame::AcceptResult { offer, answer: AcceptAnswer::Standby { .. } } => {
                self.m13_standby(offer);
            }
            PhoneFrame::AcceptResult { answer: AcceptAnswer::Won(ride), .. } => {
                self.m13_ride(ride);
            }
            PhoneFrame::Assigned { ride, .. }
            | PhoneFrame::Nudge { ride, .. }
            | PhoneFrame::RideCancelled { ride, .. }
            | PhoneFrame::ForwardReturned { ride, .. }
            | PhoneFrame::RideUpdated { ride } => self.m13_ride(ride),
            PhoneFrame::QueueCall { .. }
            | PhoneFrame::QueueCallOver { .. }
            | PhoneFrame::QueueJoined { .. }
            | PhoneFrame::QueueLeft { .. }
            | PhoneFrame::OtpRefused { .. } => {}
        }
    }

    fn m13_answer(&mut self, answer: &Answer) {
        match answer {
            Answer::Ride(ride) | Answer::Accept(AcceptAnswer::Won(ride)) => self.m13_ride(ride),
            Answer::Driver(view) => self.m13_view(view),
            Answer::Queue(queue) => self.m13_queue(queue),
            Answer::Accept(
                AcceptAnswer::Lost(_) | AcceptAnswer::Quoted(_) | AcceptAnswer::Standby { .. },
            )
            | Answer::Refused(_) => {}
        }
    }

    /// The record must be the durable one of its version.
    fn m13_ride(&mut self, told: &Arc<RideRecord>) {
        let history = self.store.rides.get(&told.request.ride);
        let at = usize::try_from(told.version).unwrap_or(usize::MAX).wrapping_sub(1);
        let durable = history.and_then(|history| history.commits.get(at)).map(|c| &c.record);
        let same = durable.is_some_and(|durable| Arc::ptr_eq(durable, told) || durable == told);
        if !same {
            let newest = history.map_or(0, crate::store::RideHistory::version);
            let (ride, version) = (&told.request.ride, told.version);
            let detail = format!("{ride} v{version} is told, durable is v{newest}");
            self.broken(Invariant::M13, detail);
        }
    }

    fn m13_view(&mut self, view: &DriverView) {
        let records = self.store.drivers.get(&view.record.driver);
        let durable = records.is_some_and(|all| all.iter().any(|one| **one == view.record));
        if !durable {
            let driver = &view.record.driver;
            let detail = format!("{driver} online={} is told, not durable", view.record.online);
            self.broken(Invariant::M13, detail);
        }
    }

    fn m13_offer(&mut self, offer: &OfferId) {
        if !self.oracle.offered.contains(offer) {
            self.broken(Invariant::M13, format!("offer {offer} is told, not durable"));
        }
    }

    fn m13_ended(&mut self, offer: &OfferId) {
        let live = self.store.newest_rides().any(|ride| ride.offers.contains_key(offer));
        if live {
            self.broken(Invariant::M13, format!("the end of offer {offer} is told, not durable"));
        }
    }

    /// M3 by the world's own clock: an accept that wins finds its offer live and not expired.
    pub(crate) fn check_accepts(&mut self, before: &RideRecord, effects: &[Effect]) {
        for effect in effects {
            let Effect::PersistRide(commit) = effect else { continue };
            if commit.kind != RideEventKind::DriverAssigned {
                continue;
            }
            let Some(assignment) = &commit.record.assignment else { continue };
            let live = before.offers.get(&assignment.offer);
            let valid = live.is_some_and(|live| {
                live.driver == assignment.driver.id && self.now < live.expires_at
            });
            if !valid {
                let (ride, offer) = (&before.request.ride, &assignment.offer);
                let detail = format!("offer {offer} of {ride} wins, but it is not live");
                self.broken(Invariant::M3, detail);
            }
        }
    }

    /// A driver that has just reserved himself waits for this accept.
    pub(crate) fn note_reserved(&mut self, driver: usize, was_free: bool, effects: &[Effect]) {
        for effect in effects {
            if let Effect::ToRide(_, RideCommand::OfferAccepted { offer, .. }) = effect
                && was_free
            {
                self.oracle.reserved.insert(driver, offer.clone());
            }
        }
    }

    /// Whether this turn tells a reserved driver that he lost.
    pub(crate) fn losing(&self, driver: usize, turn: &Turn<DriverCommand>) -> bool {
        let accepts = |offer: &&OfferId| self.driver(driver).is_some_and(|d| d.accepts(offer));
        let waits_for = self.oracle.reserved.get(&driver).filter(accepts);
        match turn {
            Turn::Command(
                DriverCommand::Withdraw { offer, .. }
                | DriverCommand::AcceptAnswered { offer, answer: AcceptAnswer::Lost(_) },
            ) => waits_for == Some(offer),
            Turn::Command(_) | Turn::Deadline => false,
        }
    }

    /// M11: whoever lost is free at once, without a pause.
    pub(crate) fn check_lost(&mut self, driver: usize, losing: bool, effects: &[Effect]) {
        let Some(machine) = self.driver(driver).filter(|_| losing) else { return };
        let status = machine.status();
        // A deadline that fell due placed him as he stood before.
        let placed = effects.iter().rev().find_map(|effect| {
            let Effect::PlaceSupply(supply) = effect else { return None };
            Some(supply)
        });
        let paused = placed.is_some_and(|supply| supply.cooling_down);
        let visible = machine.record().online && self.drivers[driver].slot.read().is_some();
        let hidden = visible && status == DriverStatus::Available && placed.is_none();
        let waits = self.oracle.reserved.get(&driver).is_some_and(|offer| machine.accepts(offer));
        self.oracle.forget_reserved(driver);
        if waits || paused || hidden {
            let detail = format!("d{driver:02} lost and is {status:?}, supply {placed:?}");
            self.broken(Invariant::M11, detail);
        }
    }
}
