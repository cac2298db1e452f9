//! Rides that nobody is searched for: the rider shows a one-time password, and any eligible driver
//! at the zone who enters it has the ride, on its way at once.

use std::sync::Arc;

use crate::driver::DriverCommand;
use crate::effect::{AcceptAnswer, Effect, Outbox};
use crate::event::EventKind;
use crate::id::{OfferId, stable_hash};
use crate::policy::DispatchMode;
use crate::ride::command::OtpEntry;
use crate::ride::machine::RideMachine;
use crate::ride::needs::attribute;
use crate::ride::record::{AssignedDriver, Assignment, RideEventKind, RideStatus};
use crate::time::Timestamp;
use crate::travel::EtaSource;
use crate::zone::StandingOffer;

/// Ordinals of offers that are sent stay far below this: the standing offer's is above.
const STANDING_ORDINAL: u64 = 1 << 63;

impl RideMachine {
    /// Makes an attempt wait for a driver instead of searching, when policy or request say so and
    /// the pickup lies at a zone where passwords are taken.
    pub(super) fn enter_otp_wait(&mut self, now: Timestamp) {
        let asked = self.record.request.attributes.get(attribute::OTP_RIDE);
        let wanted =
            self.policy.mode == DispatchMode::Otp || asked.is_some_and(|value| value == "true");
        self.record.otp_ride = wanted && self.places.otp().is_some();
        self.record.otp_draws = 0;
        if self.record.otp_ride {
            self.record.instant = None;
            self.record.otp = Some(self.standing_otp());
            self.record.search_deadline = now.plus_millis(self.policy.otp_limit_ms);
        }
    }

    /// Six digits from the request's secret bits; each attempt and each draw has others.
    fn standing_otp(&self) -> String {
        let request = &self.record.request;
        let draw = u64::from(self.record.attempt) << 32 | u64::from(self.record.otp_draws);
        let seed = request.entropy ^ STANDING_ORDINAL ^ draw;
        format!("{:06}", stable_hash(request.ride.as_str().as_bytes(), seed) % 1_000_000)
    }

    /// The offer that whoever enters the password takes.
    pub(super) fn standing_offer(&self) -> Option<Arc<StandingOffer>> {
        let record = &self.record;
        let otp = record.otp.clone().filter(|_| record.otp_ride)?;
        Some(Arc::new(StandingOffer {
            ride: record.request.ride.clone(),
            offer: self.standing_id(),
            otp,
            tiers: record.service_tiers.clone(),
            terms: self.terms(),
        }))
    }

    fn standing_id(&self) -> OfferId {
        let ordinal = STANDING_ORDINAL | u64::from(self.record.attempt);
        let began_ms = self.record.search_began_at.as_millis();
        OfferId::derive(&self.record.request.ride, ordinal, began_ms)
    }

    /// Another ride at the zone has the same password: draw another.
    pub(super) fn on_otp_taken(&mut self, otp: &str, now: Timestamp, out: &mut Outbox) {
        let waits = self.record.status == RideStatus::Searching && self.record.otp_ride;
        if waits && self.record.otp.as_deref() == Some(otp) {
            self.record.otp_draws += 1;
            self.record.otp = Some(self.standing_otp());
            self.commit(RideEventKind::OtpDrawn, now, None, out);
        }
    }

    /// The first driver who enters the password of a ride that waits has it, assigned and started in
    /// one transition; a repetition has no further effect.
    pub(super) fn on_otp_entered(&mut self, entry: OtpEntry, now: Timestamp, out: &mut Outbox) {
        let (offer, driver) = (entry.offer.clone(), entry.driver.clone());
        let record = &self.record;
        let his = |a: &Assignment| a.offer == offer && a.driver.id == driver;
        if record.assignment.as_ref().is_some_and(his) && record.status.has_driver() {
            let answer = AcceptAnswer::Won(Arc::clone(&self.told));
            let command = DriverCommand::AcceptAnswered { offer, answer };
            return out.push(Effect::ToDriver(driver, command));
        }
        let waits = record.status == RideStatus::Searching && record.otp_ride;
        let refused =
            record.request.blocked_drivers.contains(&driver) || record.gave_back.contains(&driver);
        let right = record.otp.as_ref() == Some(&entry.otp) && offer == self.standing_id();
        if !waits || !right || refused {
            return self.answer_lost(driver, offer, self.lost_because(), out);
        }
        self.take_by_otp(entry, now);
        self.commit(RideEventKind::OtpEntered, now, None, out);
        self.publish_assigned(now, out);
        self.publish(EventKind::RideStarted, out);
        let answer = AcceptAnswer::Won(Arc::clone(&self.told));
        out.push(Effect::ToDriver(driver, DriverCommand::AcceptAnswered { offer, answer }));
    }

    fn take_by_otp(&mut self, entry: OtpEntry, now: Timestamp) {
        let OtpEntry { offer, driver, vehicle, service_tier, distance, otp: _ } = entry;
        let record = &mut self.record;
        record.status = RideStatus::InProgress;
        record.arrived_at = Some(now);
        record.started_at = Some(now);
        record.assignment = Some(Assignment {
            offer,
            driver: AssignedDriver { id: driver, service_tier, vehicle },
            distance,
            pickup_eta: self.policy.pickup_eta(distance),
            eta_source: EtaSource::GreatCircle,
            assigned_at: now,
            nudged_at: None,
            forward: None,
            fare: None,
        });
        self.retry_at = None;
        self.seeking = None;
    }
}
