//! The first accept of a live offer wins the ride.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Outbox};
use crate::event::EventKind;
use crate::forward::ForwardOutcome;
use crate::id::{DriverId, OfferId, stable_hash};
use crate::offer::{OfferEnd, OfferKind, StandbyOutcome, WithdrawReason};
use crate::ride::machine::RideMachine;
use crate::ride::quotes::Acceptance;
use crate::ride::record::{AssignedDriver, Assignment, LiveOffer, RideEventKind, RideStatus};
use crate::time::Timestamp;

impl RideMachine {
    /// The first accept of a live offer wins; everyone else is let go without penalty.
    pub(super) fn on_accepted(
        &mut self,
        offer: OfferId,
        driver: DriverId,
        acceptance: Acceptance,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let already = self.record.assignment.as_ref().is_some_and(|a| a.offer == offer);
        if already && self.record.status.has_driver() {
            let answer = AcceptAnswer::Won(Arc::clone(&self.told));
            let command = DriverCommand::AcceptAnswered { offer, answer };
            return out.push(Effect::ToDriver(driver, command));
        }
        let live = self.record.offers.get(&offer);
        let Some(live) = live.filter(|live| live.driver == driver).cloned() else {
            return self.answer_lost(driver, offer, self.lost_because(), out);
        };
        if self.takes_as_quote(&live) {
            return self.on_quoted(offer, live, acceptance, now, out);
        }
        if live.kind == OfferKind::Standby {
            return self.on_standby_accepted(offer, live, acceptance, now, out);
        }
        if self.collects(&live) {
            return self.on_collected(offer, &live, acceptance, now);
        }
        self.win(offer, live, acceptance, now, out);
    }

    /// The ride is this driver's.
    pub(super) fn win(
        &mut self,
        offer: OfferId,
        live: LiveOffer,
        acceptance: Acceptance,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let (driver, stood_by) = (live.driver.clone(), live.standby.is_some());
        self.end_offer(&offer, OfferEnd::Accepted, now, out);
        let losers = self.withdraw_all(WithdrawReason::Taken, now, out);
        self.assign(offer.clone(), live, acceptance, now);
        self.commit(RideEventKind::DriverAssigned, now, None, out);
        self.publish_assigned(now, out);
        if stood_by {
            self.publish(EventKind::Standby { outcome: StandbyOutcome::Promoted }, out);
        }
        let answer = AcceptAnswer::Won(Arc::clone(&self.told));
        out.push(Effect::ToDriver(driver, DriverCommand::AcceptAnswered { offer, answer }));
        losers.into_iter().for_each(|effect| out.push(effect));
    }

    fn assign(&mut self, offer: OfferId, live: LiveOffer, by: Acceptance, now: Timestamp) {
        let Acceptance { vehicle, fare } = by;
        let driver = AssignedDriver { id: live.driver, service_tier: live.service_tier, vehicle };
        self.record.status = RideStatus::Assigned;
        self.record.otp = self.policy.otp_required.then(|| self.one_time_password());
        self.record.assignment = Some(Assignment {
            offer,
            driver,
            distance: live.distance,
            pickup_eta: live.pickup_eta,
            assigned_at: now,
            nudged_at: None,
            forward: live.forward,
            fare,
        });
        self.record.instant = None;
        self.retry_at = None;
        self.seeking = None;
        self.watch_pickup(Some(live.distance), now);
    }

    /// Four digits from the request's secret bits; another driver of the same ride gets others.
    fn one_time_password(&self) -> String {
        let request = &self.record.request;
        let seed = request.entropy ^ u64::from(self.record.attempt);
        format!("{:04}", stable_hash(request.ride.as_str().as_bytes(), seed) % 10_000)
    }

    pub(super) fn publish_assigned(&self, now: Timestamp, out: &mut Outbox) {
        let eta = self.record.assignment.as_ref().map_or(0, |a| a.pickup_eta.get());
        let began = self.record.search_began_at;
        let kind = EventKind::RideAssigned { after_ms: now.millis_since(began), pickup_eta_s: eta };
        self.publish(kind, out);
        if self.record.forward().is_some() {
            self.publish(EventKind::Forward { outcome: ForwardOutcome::Assigned }, out);
        }
    }
}
