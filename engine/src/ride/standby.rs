//! A driver who stands by: asked while the assigned one is far away, held until the ride needs him.
//!
//! ```text
//! assigned, asked → accepted: held, at most standby_hold_ms → released: the driver is near, arrived
//!                                │                            expired, or taken back by himself
//!                                └ the driver loses the ride → called → ready: it is his
//!                                                                └ not able: an ordinary search
//! ```
//!
//! A standby is a live offer that its driver has accepted; everything that ends offers ends it. The
//! ride is put to his machine before it is his: only that knows whether he can still take it.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Outbox};
use crate::event::EventKind;
use crate::id::{DriverId, OfferId};
use crate::offer::{OfferEnd, Standby, StandbyOutcome, WithdrawReason};
use crate::ride::machine::RideMachine;
use crate::ride::quotes::Acceptance;
use crate::ride::record::{LiveOffer, RideEventKind, RideStatus};
use crate::time::{Deadline, DeadlineReason, Timestamp};

impl RideMachine {
    pub(super) fn has_standby(&self, offer: &OfferId) -> bool {
        self.record.offers.get(offer).is_some_and(|live| live.standby.is_some())
    }

    /// The first who says yes stands by; a repeated yes is answered as the first. A ride that has
    /// lost its driver meanwhile is his at once.
    pub(super) fn on_standby_accepted(
        &mut self,
        offer: OfferId,
        live: LiveOffer,
        acceptance: Acceptance,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if live.standby.is_some() {
            return answer_standby(live.driver, offer, live.expires_at, out);
        }
        if self.record.status == RideStatus::Searching {
            return self.win(offer, live, acceptance, now, out);
        }
        let expires_at = now.plus_millis(self.policy.standby_hold_ms);
        let standby = Some(Standby { vehicle: acceptance.vehicle, accepted_at: now });
        let driver = live.driver.clone();
        self.record.offers.insert(offer.clone(), LiveOffer { standby, expires_at, ..live });
        let others = self.withdraw_all_but_standby(now, out);
        self.commit(RideEventKind::StandbyHeld, now, None, out);
        self.publish(EventKind::Standby { outcome: StandbyOutcome::Held }, out);
        answer_standby(driver, offer, expires_at, out);
        others.into_iter().for_each(|effect| out.push(effect));
    }

    /// Nobody else is asked any more; returns what to tell them once that is durable.
    pub(super) fn withdraw_all_but_standby(
        &mut self,
        now: Timestamp,
        out: &mut Outbox,
    ) -> Vec<Effect> {
        let others = self.record.offers.iter().filter(|(_, live)| live.standby.is_none());
        let others = others.map(|(id, _)| id.clone()).collect();
        self.withdraw(others, WithdrawReason::Taken, now, out)
    }

    /// The search that begins has asked the driver who stands by.
    pub(super) fn keep_standby(&mut self) {
        if let Some(driver) = self.record.standby().map(|(_, live)| live.driver.clone()) {
            self.record.count_offer(&driver);
        }
    }

    /// Calls the driver who stands by for a ride without a driver.
    pub(super) fn call_standby(&mut self, now: Timestamp, out: &mut Outbox) {
        self.standby_watch.call_at = now;
        self.call_standby_again(now, out);
    }

    /// When he is called again: his machine may have died with the call.
    pub(super) fn standby_call(&self) -> Option<Deadline> {
        self.record.standby()?;
        Some(Deadline { at: self.standby_watch.call_at, reason: DeadlineReason::StandbyCall })
    }

    pub(super) fn call_standby_again(&mut self, now: Timestamp, out: &mut Outbox) {
        let waits = self.record.status == RideStatus::Searching;
        if !waits || self.standby_watch.call_at > now {
            return;
        }
        let Some((id, live)) = self.record.standby() else { return };
        let command = DriverCommand::CallStandby { offer: Box::new(self.offer(id, live)) };
        out.push(Effect::ToDriver(live.driver.clone(), command));
        self.standby_watch.call_at = now.plus_millis(self.policy.accept_retry_ms);
    }

    /// The standby can take the ride: it is his, if it still looks for a driver.
    pub(super) fn on_standby_ready(
        &mut self,
        offer: OfferId,
        driver: DriverId,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let live = self.record.offers.get(&offer).filter(|live| live.driver == driver).cloned();
        let vehicle =
            live.as_ref().and_then(|live| Some(Arc::clone(&live.standby.as_ref()?.vehicle)));
        let acceptance = Acceptance { vehicle: vehicle.unwrap_or_else(|| "{}".into()), fare: None };
        match live.filter(|live| live.standby.is_some()) {
            Some(live) if self.record.status == RideStatus::Searching => {
                self.win(offer, live, acceptance, now, out);
            }
            // He waits on; or it is his already, or not live any more: as for an accept that comes
            // again.
            Some(_) | None => self.on_accepted(offer, driver, acceptance, now, out),
        }
    }

    /// He took it back or cannot keep it; nothing is held against him.
    pub(super) fn on_standby_left(&mut self, offer: &OfferId, now: Timestamp, out: &mut Outbox) {
        self.end_offer(offer, OfferEnd::Withdrawn, now, out);
        self.publish(EventKind::Standby { outcome: StandbyOutcome::Withdrawn }, out);
        self.commit(RideEventKind::StandbyEnded, now, None, out);
        self.look_on(now, out);
    }
}

fn answer_standby(driver: DriverId, offer: OfferId, expires_at: Timestamp, out: &mut Outbox) {
    let answer = AcceptAnswer::Standby { expires_at };
    out.push(Effect::ToDriver(driver, DriverCommand::AcceptAnswered { offer, answer }));
}
