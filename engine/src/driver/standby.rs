//! A driver who stands by: reserved for a ride that another driver has, in case that one loses it.
//!
//! The ride decides when it is over, within `standby_hold_ms`. Until the ride needs him he may leave
//! at any time, and nothing is held against him; once he has said that he is ready only the ride's
//! answer frees him. He gets no other offers meanwhile: who said that he would come must be free to.

use crate::driver::machine::{DriverMachine, Duty, WaitsFor};
use crate::effect::{AcceptAnswer, Outbox};
use crate::id::{OfferId, RideId};
use crate::offer::Exclusion;
use crate::time::Timestamp;

impl DriverMachine {
    /// The ride he stands by for.
    pub fn standby_ride(&self) -> Option<&RideId> {
        match &self.duty {
            Duty::Reserved { ride, waits_for: WaitsFor::Standby, .. } => Some(ride),
            Duty::Reserved { .. } | Duty::Free | Duty::Serving { .. } => None,
        }
    }

    /// Until when he stands by at most, if `id` is the offer he does it with.
    pub(super) fn stands_by_until(&self, id: &OfferId) -> Option<Timestamp> {
        let Duty::Reserved { offer, waits_for: WaitsFor::Standby, .. } = &self.duty else {
            return None;
        };
        self.offers.get(id).filter(|_| offer == id).map(|own| own.expires_at)
    }

    /// His accept stands by now: other rides need not wait for him.
    pub(super) fn on_standby(
        &mut self,
        id: &OfferId,
        expires_at: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let asks_again_at = now.plus_millis(self.policy.accept_retry_ms);
        let Duty::Reserved { offer, askers, waits_for, retry_at, .. } = &mut self.duty else {
            return;
        };
        let Some(own) = self.offers.get_mut(id).filter(|_| offer == id) else { return };
        own.expires_at = expires_at;
        own.standby = true;
        *waits_for = WaitsFor::Standby;
        // Later than now, whatever the ride's clock says: a driver must not ask in circles.
        *retry_at = expires_at.max(asks_again_at);
        for asker in std::mem::take(askers) {
            Self::answer_accept(Some(asker), id, AcceptAnswer::Standby { expires_at }, out);
        }
        // What happened while the ride took his word.
        if let Err(why) = self.may_wait(now) {
            self.free_of_waiting();
            return self.release_offers(why, out);
        }
        self.release_offers(Exclusion::Reserved, out);
    }

    /// An offer that came again with his yes: he stands by as before.
    pub(super) fn resume_standby(&mut self, id: &OfferId, out: &mut Outbox) {
        let Some(own) = self.offers.get(id).filter(|own| own.standby) else { return };
        self.duty = Duty::Reserved {
            offer: id.clone(),
            ride: own.ride.clone(),
            fare: None,
            waits_for: WaitsFor::Standby,
            askers: Vec::new(),
            retry_at: own.expires_at,
        };
        self.release_offers(Exclusion::Reserved, out);
    }
}
