//! A driver's phone: the offers on it, one looked at after the other, and what he answers.

use std::collections::VecDeque;
use std::sync::Arc;

use muster_city::behaviour::Answer;
use muster_engine::driver::{DriverCommand, PhoneFrame};
use muster_engine::effect::{AcceptAnswer, Asker};
use muster_engine::id::OfferId;
use muster_engine::offer::Offer;
use muster_engine::ride::RideRecord;

use super::{Errand, Message, World};
use crate::city;

/// Offers on the screen, the one he looks at first.
#[derive(Debug, Default)]
pub(crate) struct Phone {
    offers: VecDeque<Box<Offer>>,
    looks: bool,
}

impl Phone {
    /// The offer he looks at.
    fn looked_at(&self) -> Option<&Offer> {
        self.offers.front().filter(|_| self.looks).map(|offer| &**offer)
    }

    fn remove(&mut self, offer: &OfferId) {
        if self.looked_at().is_some_and(|own| own.id == *offer) {
            self.looks = false;
        }
        self.offers.retain(|own| own.id != *offer);
    }
}

impl World<'_> {
    pub(super) fn on_frame(&mut self, driver: usize, frame: PhoneFrame) {
        if let Some(seq) = frame.seq() {
            self.post.push_back(Message::Driver(driver, DriverCommand::Ack { seq }));
        }
        match frame {
            PhoneFrame::Offer { offer, .. } => {
                self.drivers[driver].phone.offers.push_back(offer);
                self.look(driver);
            }
            PhoneFrame::OfferWithdrawn { offer, .. } | PhoneFrame::AcceptRefused { offer, .. } => {
                self.forget_offer(driver, &offer);
            }
            PhoneFrame::AcceptResult { offer, answer } => {
                self.forget_offer(driver, &offer);
                match answer {
                    AcceptAnswer::Won(ride) => self.on_ride_told(driver, &ride),
                    AcceptAnswer::Lost(_)
                    | AcceptAnswer::Quoted(_)
                    | AcceptAnswer::Standby { .. } => {}
                }
            }
            PhoneFrame::Assigned { ride, .. }
            | PhoneFrame::Nudge { ride, .. }
            | PhoneFrame::RideCancelled { ride, .. }
            | PhoneFrame::RideUpdated { ride } => self.on_ride_told(driver, &ride),
            PhoneFrame::Welcome { .. }
            | PhoneFrame::ForwardReturned { .. }
            | PhoneFrame::QueueCall { .. }
            | PhoneFrame::QueueCallOver { .. }
            | PhoneFrame::QueueJoined { .. }
            | PhoneFrame::QueueLeft { .. }
            | PhoneFrame::OtpRefused { .. } => {}
        }
    }

    fn forget_offer(&mut self, driver: usize, offer: &OfferId) {
        self.drivers[driver].phone.remove(offer);
        self.look(driver);
    }

    /// He looks at the next offer, unless he looks at one.
    fn look(&mut self, driver: usize) {
        let phone = &mut self.drivers[driver].phone;
        let Some(offer) = phone.offers.front().filter(|_| !phone.looks) else { return };
        let ride = city::ordinal(offer.ride.as_str());
        let asked = self.asked.entry((driver, ride)).or_default();
        *asked += 1;
        let live_ms = offer.expires_at.millis_since(self.now);
        let (asked, id, eta_s) = (*asked, offer.id.clone(), f64::from(offer.pickup_eta.get()));
        phone.looks = true;
        let plan = self.answer_of((driver, ride), asked, eta_s, live_ms);
        let accepts = match plan.answer {
            Answer::Accept => true,
            Answer::Decline(_) => false,
            // The offer runs out.
            Answer::Silent => return,
        };
        self.after(plan.delay_ms, Errand::AnswerOffer(driver, id, accepts));
    }

    pub(super) fn answer_offer(&mut self, driver: usize, offer: &OfferId, accepts: bool) {
        let site = &mut self.drivers[driver];
        if site.phone.looked_at().is_none_or(|own| own.id != *offer) {
            return;
        }
        let offer = offer.clone();
        let command = if accepts {
            let asker = Some(Asker::Phone(site.session));
            DriverCommand::Accept { offer, fare: None, asker }
        } else {
            site.phone.remove(&offer);
            DriverCommand::Decline { offer, reason: None, reply: None }
        };
        self.post.push_back(Message::Driver(driver, command));
        self.look(driver);
    }

    /// A driver was told how a ride stands: he drives, or is free of it.
    fn on_ride_told(&mut self, driver: usize, told: &Arc<RideRecord>) {
        let ride = city::ordinal(told.request.ride.as_str());
        let assignment = told.assignment.as_ref();
        let own = assignment.filter(|own| city::ordinal(own.driver.id.as_str()) == driver);
        if !told.status.has_driver() || own.is_none() {
            self.stop_serving(driver, ride);
        } else if own.is_some_and(|own| own.forward.is_none()) {
            self.begin_serving(driver, ride);
        }
    }
}
