//! The rider goes elsewhere: the request stays as it was made, the record holds the new drop-off.

use crate::driver::DriverCommand;
use crate::effect::{Effect, Outbox, Refusal, ReplyTo};
use crate::geo::Position;
use crate::id::OfferId;
use crate::offer::WithdrawReason;
use crate::ride::machine::RideMachine;
use crate::ride::record::{LiveOffer, RideEventKind, RideStatus};
use crate::time::Timestamp;

impl RideMachine {
    /// Changes the drop-off of a ride that is not over; the same one again changes nothing.
    ///
    /// Live offers of a search are withdrawn and made anew to the same drivers: each has the whole
    /// time to answer again, and his machine checks whether he takes that trip; a quote for the old
    /// one is off, and so is standing by for it. An assigned driver is told; his machine checks whether
    /// the ride after it can wait.
    pub(super) fn on_change_dropoff(
        &mut self,
        dropoff: Position,
        reply: Option<ReplyTo>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        match self.record.status {
            RideStatus::Completed => {
                return Self::refuse(reply, Refusal::RideAlreadyCompleted, out);
            }
            RideStatus::Cancelled => {
                return Self::refuse(reply, Refusal::RideAlreadyCancelled, out);
            }
            RideStatus::Unfulfilled => {
                return Self::refuse(reply, Refusal::RideUnfulfilled, out);
            }
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Assigned
            | RideStatus::Arrived
            | RideStatus::InProgress => {}
        }
        if self.record.dropoff() == Some(dropoff) {
            return self.answer(reply, out);
        }
        self.record.dropoff = Some(dropoff);
        let before = self.record.offers.clone();
        let withdrawn = self.withdraw_all(WithdrawReason::Superseded, now, out);
        let again: Vec<OfferId> =
            before.into_values().map(|live| self.offer_again(live, now)).collect();
        self.commit(RideEventKind::DropoffChanged, now, None, out);
        withdrawn.into_iter().for_each(|effect| out.push(effect));
        for id in again {
            if let Some(live) = self.record.offers.get(&id) {
                let offer = Box::new(self.offer(&id, live));
                let command = DriverCommand::Offer { offer, redelivered: false };
                out.push(Effect::ToDriver(live.driver.clone(), command));
            }
        }
        if self.record.status.has_driver() {
            self.tell_driver(out);
        }
        self.answer(reply, out);
    }

    fn offer_again(&mut self, live: LiveOffer, now: Timestamp) -> OfferId {
        let visible_at = live.visible_at.max(now);
        let expires_at = visible_at.plus_millis(self.policy.offer_ttl_ms);
        let expires_at = expires_at.min(self.record.search_deadline);
        let id = self.next_offer_id(now);
        self.record.attempt_offers.sent += 1;
        let (quote, standby) = (None, None);
        let again = LiveOffer { offered_at: now, visible_at, expires_at, quote, standby, ..live };
        self.record.offers.insert(id.clone(), again);
        id
    }
}
