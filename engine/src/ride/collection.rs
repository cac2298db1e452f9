//! The best of the acceptors: several drivers of a dispatch window are asked at once, and of those who
//! accept within `match_collect_ms` of the first the one of the least cost has the ride.
//!
//! ```text
//! accepted ─▶ collected ── nobody who would cost less can accept any more, or the time is over ─▶ won
//!                 └─ the others: taken back, as in any race
//! ```
//!
//! Nothing of it is durable, for nobody is told anything: a driver who accepted is reserved and asks
//! again until he is answered, so a machine that was rebuilt collects anew.

use std::collections::BTreeMap;

use crate::effect::Outbox;
use crate::id::{DriverId, OfferId};
use crate::policy::MatchAccept;
use crate::ride::machine::RideMachine;
use crate::ride::quotes::Acceptance;
use crate::ride::record::{LiveOffer, RideStatus};
use crate::time::{Deadline, DeadlineReason, Timestamp};

/// How long before an accepted offer runs out the choice is made at the latest, in milliseconds: an
/// accept must not be lost to a timer that is a little late.
const DECISION_MARGIN_MS: u64 = 500;

/// Drivers who accepted and are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Collection {
    acceptances: BTreeMap<OfferId, Acceptance>,
    /// When the choice is made at the latest, while anyone waits for it.
    closes_at: Option<Timestamp>,
}

impl RideMachine {
    /// Whether an accept of this offer waits for a better one.
    pub(super) fn collects(&self, live: &LiveOffer) -> bool {
        self.policy.match_accept == MatchAccept::BestOfAcceptors && live.cost_ms.is_some()
    }

    /// Keeps an accept until the choice is made; a repeated one changes nothing.
    pub(super) fn on_collected(
        &mut self,
        offer: OfferId,
        live: &LiveOffer,
        acceptance: Acceptance,
        now: Timestamp,
    ) {
        let closes_at = self.collection.closes_at;
        let closes_at = closes_at.unwrap_or_else(|| now.plus_millis(self.policy.match_collect_ms));
        let latest = live.expires_at.minus_millis(DECISION_MARGIN_MS);
        self.collection.closes_at = Some(closes_at.min(latest));
        self.collection.acceptances.entry(offer).or_insert(acceptance);
    }

    /// A driver whose machine was rebuilt knows of no accept, and may accept another ride.
    pub(super) fn forget_acceptance(&mut self, driver: &DriverId) {
        let offers = &self.record.offers;
        let of_him = |offer: &OfferId| offers.get(offer).is_some_and(|live| live.driver == *driver);
        self.collection.acceptances.retain(|offer, _| !of_him(offer));
    }

    /// Gives the ride to the best of those who accepted, once nobody who would cost less can accept
    /// any more, or the time is over.
    pub(super) fn decide_collection(&mut self, now: Timestamp, out: &mut Outbox) {
        let searching = self.record.status == RideStatus::Searching;
        let offers = &self.record.offers;
        self.collection.acceptances.retain(|offer, _| searching && offers.contains_key(offer));
        let cost = |live: &LiveOffer| live.cost_ms.unwrap_or(i64::MAX);
        let accepted = |offer: &OfferId| self.collection.acceptances.contains_key(offer);
        let acceptors = offers.iter().filter(|(offer, _)| accepted(offer));
        let Some((offer, live)) = acceptors.min_by_key(|(_, live)| cost(live)) else {
            self.collection.closes_at = None;
            return;
        };
        let better =
            |(other, its): (&OfferId, &LiveOffer)| !accepted(other) && cost(its) < cost(live);
        let over = self.collection.closes_at.is_none_or(|at| at <= now);
        if !over && offers.iter().any(better) {
            return;
        }
        let (offer, live) = (offer.clone(), live.clone());
        let acceptance = std::mem::take(&mut self.collection).acceptances.remove(&offer);
        if let Some(acceptance) = acceptance {
            self.win(offer, live, acceptance, now, out);
        }
    }

    /// When the choice is made at the latest.
    pub(super) fn collection_deadline(&self) -> Option<Deadline> {
        let at = self.collection.closes_at?;
        Some(Deadline { at, reason: DeadlineReason::CollectionClose })
    }
}
