//! Who was offered the ride how often in the attempt under way, and who may be again.

use std::collections::BTreeSet;

use crate::id::DriverId;
use crate::offer::OfferEnd;
use crate::ride::machine::RideMachine;
use crate::ride::record::RideRecord;
use crate::time::Timestamp;

impl RideRecord {
    /// Offers of the attempt under way that reached this driver, as far as the ride knows.
    pub fn offers_to(&self, driver: &DriverId) -> u32 {
        let again = self.attempts.offers_again.get(driver).copied().unwrap_or(0);
        u32::from(self.asked.contains(driver)) + again
    }

    pub(super) fn count_offer(&mut self, driver: &DriverId) {
        if !self.asked.insert(driver.clone()) {
            *self.attempts.offers_again.entry(driver.clone()).or_insert(0) += 1;
        }
    }

    /// The driver never saw the offer: it does not count.
    pub(super) fn uncount_offer(&mut self, driver: &DriverId) {
        let again = &mut self.attempts.offers_again;
        match again.get_mut(driver) {
            Some(offers) if *offers > 1 => *offers -= 1,
            Some(_) => {
                again.remove(driver);
            }
            None => {
                self.asked.remove(driver);
            }
        }
    }
}

impl RideMachine {
    /// Drivers that a search of `radius_m` passes over. Nobody is asked again before the search
    /// looks as far as it may: whoever was not asked yet comes first, however far away.
    pub(super) fn passed_over(&self, radius_m: u32) -> BTreeSet<DriverId> {
        let record = &self.record;
        let again = self.repeats_offers() && radius_m >= self.policy.search_radius_m_max;
        let holds_one = |driver: &DriverId| record.offers.values().any(|o| o.driver == *driver);
        let most = self.policy.offers_per_attempt_max;
        let is_out =
            |driver: &&DriverId| !again || record.offers_to(driver) >= most || holds_one(driver);
        let asked = record.asked.iter().filter(is_out);
        let tried = record.instant.iter().flat_map(|instant| &instant.asked);
        asked.chain(self.set_aside.keys()).chain(tried).cloned().collect()
    }

    /// Drivers who come after all others, because they were asked before.
    pub(super) fn asked_before(&self) -> BTreeSet<DriverId> {
        if self.repeats_offers() { self.record.asked.clone() } else { BTreeSet::new() }
    }

    /// A driver who has just said no, or nothing, is left alone for a moment.
    pub(super) fn set_aside_after(&mut self, driver: &DriverId, end: OfferEnd, now: Timestamp) {
        let answered = match end {
            OfferEnd::Declined | OfferEnd::Expired => true,
            OfferEnd::Accepted | OfferEnd::Withdrawn => false,
        };
        if answered && self.repeats_offers() {
            self.set_aside.insert(driver.clone(), now.plus_millis(self.policy.search_retry_ms));
        }
    }

    fn repeats_offers(&self) -> bool {
        self.policy.offers_per_attempt_max > 1
    }
}
