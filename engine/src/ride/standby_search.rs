//! The search for a better driver: while the assigned one is far from the pickup, the ride looks
//! again and again for one who would be there much sooner, and asks him to stand by.
//!
//! Such a search is an attempt of its own, under the policy of its kind; the ride stays with its
//! driver. It ends at its limits of time and waves, and when the driver is near.

use crate::effect::{Effect, Outbox};
use crate::grid::Reading;
use crate::id::{DriverId, OfferId};
use crate::offer::WithdrawReason;
use crate::policy::AttemptKind;
use crate::ride::command::Candidates;
use crate::ride::machine::RideMachine;
use crate::ride::record::{AttemptOffers, RideEventKind, RideStatus};
use crate::ride::seeking::Seeking;
use crate::time::{Deadline, DeadlineReason, Timestamp};
use crate::units::Meters;

/// When the ride looks for a better driver, and when it calls the one who stands by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StandbyWatch {
    check_at: Option<Timestamp>,
    /// Whether the assigned driver's position was asked for.
    asks: bool,
    /// When who stands by is called again, while he is.
    pub(super) call_at: Timestamp,
}

impl RideMachine {
    /// Begins to look, if the policy says so. A rider who chose his driver among quotes keeps him;
    /// a driver with another ride to finish first is looked at from his promotion on.
    pub(super) fn watch_for_better_driver(&mut self, now: Timestamp) {
        let chosen = self.record.assignment.as_ref().is_none_or(|a| a.fare.is_some());
        let comes = self.record.status == RideStatus::Assigned && self.record.forward().is_none();
        self.standby_watch.asks = false;
        self.standby_watch.check_at =
            if comes && !chosen { self.next_standby_check(now) } else { None };
    }

    fn next_standby_check(&self, now: Timestamp) -> Option<Timestamp> {
        let every_ms = self.policy.standby_check_ms;
        (every_ms > 0).then(|| now.plus_millis(every_ms))
    }

    /// When an assigned ride looks for a better driver, or an offer to stand by ends.
    pub(super) fn standby_due(&self) -> Option<Deadline> {
        let check = self.standby_watch.check_at;
        let check = check.map(|at| Deadline { at, reason: DeadlineReason::StandbyCheck });
        let close = self.record.offers.values().map(|live| live.expires_at).min();
        let close = close.map(|at| Deadline { at, reason: DeadlineReason::WaveClose });
        check.into_iter().chain(close).min()
    }

    /// Ends what ran out, and looks where the driver is, if it is time.
    pub(super) fn tend_standby(&mut self, now: Timestamp, out: &mut Outbox) {
        let offers = self.record.offers.iter();
        let expired = offers.filter(|(_, live)| live.expires_at <= now);
        let expired: Vec<OfferId> = expired.map(|(id, _)| id.clone()).collect();
        let told: Vec<Effect> =
            expired.iter().filter_map(|offer| self.expire(offer, now, out)).collect();
        if !told.is_empty() {
            self.commit(RideEventKind::StandbyEnded, now, None, out);
        } else if !expired.is_empty() {
            self.commit(RideEventKind::OffersEnded, now, None, out);
        }
        told.into_iter().for_each(|effect| out.push(effect));
        let due = self.standby_watch.check_at.is_some_and(|at| at <= now);
        let Some(assignment) = self.record.assignment.as_ref().filter(|_| due) else { return };
        out.push(Effect::LocateDriver(assignment.driver.id.clone()));
        self.standby_watch.asks = true;
        self.standby_watch.check_at = self.next_standby_check(now);
    }

    /// Judges where the assigned driver is: near enough ends the search, far away goes on with it.
    /// One who is not heard counts where he was last.
    pub(super) fn look_for_better_driver(
        &mut self,
        driver: &DriverId,
        reading: Option<Reading>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let asked = std::mem::take(&mut self.standby_watch.asks);
        let assignment = self.record.assignment.as_ref().filter(|a| a.driver.id == *driver);
        let Some(assignment) = assignment.filter(|_| asked) else { return };
        if self.record.status != RideStatus::Assigned {
            return;
        }
        let pickup = self.record.request.pickup;
        let seen = reading.map(|reading| reading.position.distance(pickup));
        let distance = seen.unwrap_or(assignment.distance);
        if distance.get() <= f64::from(self.policy.standby_abort_radius_m) {
            return self.end_better_driver_search(now, out);
        }
        if !self.record.offers.is_empty() {
            return;
        }
        if self.record.policy.attempt != AttemptKind::BetterDriverSearch {
            self.begin_better_driver_search(now, out);
        }
        let over = now >= self.record.search_deadline
            || self.record.wave >= self.policy.wave_count_max
            || self.policy.standby_check_ms == 0;
        if over {
            self.standby_watch.check_at = None;
        } else if let Some(radius_m) = self.radius_of_better(distance) {
            self.seek(Seeking::Standby(radius_m), now, out);
        }
    }

    /// The distance from which a driver is sooner at the pickup by what the policy asks for.
    fn radius_of_better(&self, assigned: Meters) -> Option<u32> {
        let eta_s = self.policy.pickup_eta(assigned).get();
        let most_s = eta_s.checked_sub(self.policy.standby_gain_s)?;
        let radius_m = self.policy.distance_m_within(most_s);
        Some(radius_m.min(self.policy.search_radius_m_max)).filter(|radius_m| *radius_m > 0)
    }

    fn begin_better_driver_search(&mut self, now: Timestamp, out: &mut Outbox) {
        self.pin_policy(AttemptKind::BetterDriverSearch, now);
        let record = &mut self.record;
        record.attempt += 1;
        record.wave = 0;
        record.search_began_at = now;
        record.search_deadline = now.plus_millis(self.policy.search_limit_ms);
        record.asked.clear();
        record.attempts.offers_again.clear();
        record.attempt_offers = AttemptOffers::default();
        self.empty_searches = 0;
        self.set_aside.clear();
        self.commit(RideEventKind::BetterDriverSearchStarted, now, None, out);
    }

    /// The driver is near: whoever stands by, or is asked to, is let go.
    fn end_better_driver_search(&mut self, now: Timestamp, out: &mut Outbox) {
        self.standby_watch.check_at = None;
        if self.record.offers.is_empty() {
            return;
        }
        let released = self.withdraw_all(WithdrawReason::StandbyReleased, now, out);
        self.commit(RideEventKind::StandbyEnded, now, None, out);
        released.into_iter().for_each(|effect| out.push(effect));
    }

    /// Asks the better drivers that were found. That there was nobody is history once.
    pub(super) fn on_better_drivers(
        &mut self,
        radius_m: u32,
        candidates: Candidates,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        if self.record.status != RideStatus::Assigned {
            return;
        }
        if !candidates.found.is_empty() {
            self.record.search_radius_m = radius_m;
            self.record.wave += 1;
            return self.send_wave(Seeking::Standby(radius_m), candidates, now, out);
        }
        if self.empty_searches == 0 {
            self.record.search_radius_m = radius_m;
            self.count_excluded(&candidates, out);
            let decision = self.decision(candidates, Vec::new(), now);
            self.commit(RideEventKind::NoCandidates, now, Some(decision), out);
        }
        self.empty_searches += 1;
    }
}
