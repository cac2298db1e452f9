//! Rides that wait at the zone, and the one-time passwords that some of them are taken by.

use std::sync::Arc;

use crate::effect::{Effect, Outbox};
use crate::id::DriverId;
use crate::ride::RideCommand;
use crate::time::Timestamp;
use crate::zone::command::{QueueNews, StandingOffer, WaitingRide};
use crate::zone::machine::QueueMachine;

/// Rides that one zone remembers at most; beyond it drivers are not called for more, and a ride with
/// a password is found once others are gone and it tells again.
const WAITING_RIDES_MAX: usize = 10_000;

impl QueueMachine {
    /// A password names one ride: who comes second with the same one draws another.
    pub(super) fn on_waits(&mut self, ride: Arc<WaitingRide>, now: Timestamp, out: &mut Outbox) {
        if ride.until <= now {
            return;
        }
        let taken = |otp: &String| {
            let other = self.with_otp(otp, now);
            other.is_some_and(|other| other.ride != ride.ride)
        };
        let otp = ride.standing.as_ref().map(|standing| standing.otp.clone());
        if let Some(otp) = otp.filter(taken) {
            return out.push(Effect::ToRide(ride.ride.clone(), RideCommand::OtpTaken { otp }));
        }
        if self.waiting.len() < WAITING_RIDES_MAX || self.waiting.contains_key(&ride.ride) {
            self.waiting.insert(ride.ride.clone(), ride);
        }
    }

    fn with_otp(&self, otp: &str, now: Timestamp) -> Option<&Arc<StandingOffer>> {
        let alive = self.waiting.values().filter(|ride| ride.until > now);
        alive.filter_map(|ride| ride.standing.as_ref()).find(|standing| standing.otp == otp)
    }

    pub(super) fn on_enter_otp(
        &self,
        driver: &DriverId,
        otp: &str,
        asked_at: Timestamp,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let news = match self.with_otp(otp, now) {
            Some(standing) => QueueNews::OtpFound { asked_at, standing: Arc::clone(standing) },
            None => QueueNews::OtpUnknown { asked_at },
        };
        self.tell(driver, news, out);
    }
}
