//! A driver who stands by: reserved for a ride that another driver has, in case that one loses it.
//!
//! The ride decides when it is over, within `standby_hold_ms`. Until the ride needs him he may leave
//! at any time, and nothing is held against him; once he has said that he is ready only the ride's
//! answer frees him. He gets no other offers meanwhile: who said that he would come must be free to.

use crate::driver::machine::{DriverMachine, Duty, Reserved, WaitsFor};
use crate::effect::{AcceptAnswer, Outbox};
use crate::id::{OfferId, RideId};
use crate::offer::Exclusion;
use crate::time::Timestamp;

impl DriverMachine {
    /// The ride he stands by for.
    pub fn standby_ride(&self) -> Option<&RideId> {
        self.reserved_for(WaitsFor::Standby).map(|own| &own.ride)
    }

    /// Until when he stands by at most, if `id` is the offer he does it with.
    pub(super) fn stands_by_until(&self, id: &OfferId) -> Option<Timestamp> {
        self.reserved_for(WaitsFor::Standby).filter(|own| own.offer == *id)?;
        self.offered.live.get(id).map(|offer| offer.expires_at)
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
        let Some((own, offer)) = self.accepted_mut(id) else { return };
        offer.expires_at = expires_at;
        offer.standby = true;
        own.waits_for = WaitsFor::Standby;
        // Later than now, whatever the ride's clock says: a driver must not ask in circles.
        own.retry_at = expires_at.max(asks_again_at);
        for asker in std::mem::take(&mut own.askers) {
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
        let stands_by = self.offered.live.get(id).filter(|own| own.standby);
        let Some(own) = stands_by else { return };
        self.duty = Duty::Reserved(Box::new(Reserved {
            offer: id.clone(),
            ride: own.ride.clone(),
            fare: None,
            waits_for: WaitsFor::Standby,
            askers: Vec::new(),
            retry_at: own.expires_at,
        }));
        self.release_offers(Exclusion::Reserved, out);
    }
}
