//! What the log tells of its riders and drivers, in the same book as a simulation's.

use muster_engine::ride::RideEventKind;

use super::RecordedCity;
use super::rides::RecordedRide;
use crate::ledger::{Activity, Ended, Ledger};
use crate::world::Plan;

impl RecordedCity {
    /// The book of what was recorded. A ride under way at the end of the log counts as if it went on
    /// as estimated: a simulation lets it go on, too.
    pub(crate) fn ledger(&self, plan: &Plan<'_>) -> Ledger {
        let mut ledger = Ledger::new(plan);
        for (number, ride) in self.rides.iter().enumerate() {
            self.note_ride(&mut ledger, plan, number, ride);
        }
        for (number, driver) in self.drivers.iter().enumerate() {
            for (from_ms, until_ms) in driver.spans(self.until_ms) {
                for idle in gaps(from_ms, until_ms, &driver.served) {
                    ledger.spent(number, Activity::Idle, idle);
                }
            }
        }
        ledger
    }

    fn note_ride(&self, ledger: &mut Ledger, plan: &Plan<'_>, number: usize, ride: &RecordedRide) {
        ledger.requested(number, ride.requested_ms);
        for spell in &ride.spells {
            let Some(driver) = self.driver(&spell.driver) else { continue };
            let arrives_ms = spell.assigned_ms + spell.eta_ms;
            let arrived_ms = spell.arrived_ms.unwrap_or(arrives_ms);
            let way_ms = arrived_ms.saturating_sub(spell.assigned_ms);
            ledger.assigned(number, driver, spell.assigned_ms, way_ms);
            ledger.arrived(number, arrived_ms);
            if let Some(started_ms) = spell.started_ms {
                ledger.boarded(number, started_ms);
            } else if spell.until_ms.is_none() {
                ledger.boarded(number, arrived_ms.max(self.until_ms));
            }
            let until_ms = spell.until_ms.unwrap_or(self.until_ms);
            let arrived_ms = spell.arrived_ms.unwrap_or(until_ms).min(until_ms);
            let started_ms = spell.started_ms.unwrap_or(until_ms).min(until_ms);
            ledger.spent(driver, Activity::ToPickup, (spell.assigned_ms, arrived_ms));
            ledger.spent(driver, Activity::AtPickup, (arrived_ms, started_ms));
            ledger.spent(driver, Activity::OnTrip, (started_ms, until_ms));
            let completed = ride.ended.as_ref().filter(|e| e.event == RideEventKind::RideCompleted);
            if let Some(ended) = completed.filter(|_| !spell.lost) {
                let trip = &self.trips[number];
                let way_m = plan.travel.way_m(trip.pickup, trip.dropoff);
                ledger.completed(driver, ended.at_ms, way_m);
            }
        }
        let lost = ride.spells.iter().filter(|spell| spell.lost).count();
        let reallocations = u32::try_from(lost).unwrap_or(u32::MAX);
        let (offers, refused) = (ride.offers, ride.refused);
        if let Some(end) = &ride.ended {
            let by = end.by.map(|by| by.name().to_owned());
            let reason = end.reason.clone().or(by).unwrap_or_else(|| end.event.name().to_owned());
            let ended = Ended { at_ms: end.at_ms, reason, offers, refused, reallocations };
            ledger.ended(number, ended);
        } else if !ride.spells.is_empty() {
            let reason = "under_way_at_end".to_owned();
            let at_ms = self.until_ms;
            ledger.ended(number, Ended { at_ms, reason, offers, refused, reallocations });
        }
    }
}

/// What is left of a span without the parts in `taken`, which are by time.
fn gaps(from_ms: u64, until_ms: u64, taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at_ms = from_ms;
    for &(begins_ms, ends_ms) in taken {
        if begins_ms.min(until_ms) > at_ms {
            gaps.push((at_ms, begins_ms.min(until_ms)));
        }
        at_ms = at_ms.max(ends_ms);
    }
    if at_ms < until_ms {
        gaps.push((at_ms, until_ms));
    }
    gaps
}
