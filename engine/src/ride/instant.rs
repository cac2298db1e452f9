//! The part of an instant attempt that asks nobody: drivers who opted in are offered the ride one
//! after the other, best first, and their machines accept for them.
//!
//! It looks no farther than the first wave. When nobody is left it is over, and waves follow.

use std::collections::BTreeSet;

use crate::effect::Outbox;
use crate::id::{DriverId, OfferId};
use crate::offer::{FareBounds, OfferKind};
use crate::policy::{DispatchMode, DispatchPolicy};
use crate::ride::command::Candidates;
use crate::ride::machine::RideMachine;
use crate::ride::record::{LiveOffer, RideEventKind};
use crate::ride::seeking::Seeking;
use crate::time::Timestamp;

/// How far the part of an attempt has come that asks nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct InstantSearch {
    /// Drivers tried, at most `instant_attempts_max` of the policy. One whose machine refused may
    /// still be asked by a wave.
    pub asked: BTreeSet<DriverId>,
}

/// What an attempt under `policy` begins with.
pub(super) fn instant_search(policy: &DispatchPolicy) -> Option<InstantSearch> {
    match policy.mode {
        DispatchMode::Instant => Some(InstantSearch::default()),
        DispatchMode::Broadcast
        | DispatchMode::Sequential
        | DispatchMode::Quotes
        | DispatchMode::Queue
        | DispatchMode::Otp
        | DispatchMode::Batched => None,
    }
}

impl RideMachine {
    /// Looks for the next driver who need not be asked, unless enough were tried.
    pub(super) fn begin_instant(&mut self, now: Timestamp, out: &mut Outbox) {
        let tried = self.record.instant.as_ref().map_or(0, |instant| instant.asked.len());
        if tried >= self.policy.instant_attempts_max as usize {
            self.end_instant(None, now, out);
        } else {
            self.seek(Seeking::Instant, now, out);
        }
    }

    /// Goes on as broadcast. `nobody` is the search that found none, with its reasons.
    pub(super) fn end_instant(
        &mut self,
        nobody: Option<Candidates>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.record.instant = None;
        let decision = nobody.map(|candidates| {
            self.count_excluded(&candidates, out);
            self.decision(candidates, Vec::new(), now)
        });
        self.commit(RideEventKind::InstantEnded, now, decision, out);
        self.begin_wave(now, out);
    }

    /// Whoever is offered the ride is not offered it again by the same part of the attempt.
    pub(super) fn note_asked(&mut self, live: &LiveOffer) {
        self.record.count_offer(&live.driver);
        if let Some(instant) = self.record.instant.as_mut() {
            instant.asked.insert(live.driver.clone());
        }
    }

    pub(super) fn is_instant(&self, offer: &OfferId) -> bool {
        self.record.offers.get(offer).is_some_and(|live| live.kind == OfferKind::Instant)
    }

    /// What an accept of the offers planned now does.
    pub(super) fn offer_kind(&self, seeking: Seeking) -> OfferKind {
        match (seeking, self.policy.mode) {
            (Seeking::Instant, _) => OfferKind::Instant,
            (Seeking::Standby(_), _) => OfferKind::Standby,
            (
                Seeking::Wave
                | Seeking::Widest
                | Seeking::Places(_)
                | Seeking::ForwardPlaces(_)
                | Seeking::Window { .. },
                DispatchMode::Quotes,
            ) => {
                let policy = &self.policy;
                let (min, max) = (policy.quote_fare_permille_min, policy.quote_fare_permille_max);
                let fare = self.record.request.fare.as_ref();
                OfferKind::Quote { bounds: fare.map(|fare| FareBounds::around(fare, min, max)) }
            }
            (
                Seeking::Wave
                | Seeking::Widest
                | Seeking::Places(_)
                | Seeking::ForwardPlaces(_)
                | Seeking::Window { .. },
                DispatchMode::Broadcast
                | DispatchMode::Sequential
                | DispatchMode::Instant
                | DispatchMode::Queue
                | DispatchMode::Otp
                | DispatchMode::Batched,
            ) => OfferKind::Ride,
        }
    }
}
