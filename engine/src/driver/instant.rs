//! Rides that a driver takes without being asked.

use crate::driver::machine::DriverMachine;
use crate::grid::TierSet;
use crate::offer::{Exclusion, Offer};

impl DriverMachine {
    /// The tiers he serves whose rides he takes without being asked.
    pub(super) fn instant_tiers(&self) -> TierSet {
        let opted_in = &self.record.profile.preferences.instant_tiers;
        if opted_in.is_empty() {
            return TierSet::EMPTY;
        }
        let tiers = (0..).zip(self.market.tiers()).filter(|(_, tier)| opted_in.contains(*tier));
        self.tiers.intersection(tiers.fold(TierSet::EMPTY, |set, (index, _)| set.with(index)))
    }

    /// Whether the supply index says that his phone is connected.
    pub(super) fn is_in_session(&self) -> bool {
        self.frames.has_session() && !self.instant_tiers().is_empty()
    }

    /// What holds beyond the conditions of an offer that he is asked about. An offer he has yet to
    /// answer is his to decide first.
    pub(super) fn admits_instant(&self, offer: &Offer) -> Result<(), Exclusion> {
        if !self.record.profile.preferences.instant_tiers.contains(&offer.service_tier) {
            return Err(Exclusion::InstantOptOut);
        }
        if !self.frames.has_session() {
            return Err(Exclusion::NoSession);
        }
        if self.offered.live.is_empty() { Ok(()) } else { Err(Exclusion::OfferPending) }
    }
}
