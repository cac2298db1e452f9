//! Judges the choice between drivers who accepted: the best of them has the ride, in time.

use muster_engine::effect::Effect;
use muster_engine::id::{DriverId, OfferId};
use muster_engine::invariant::Invariant;
use muster_engine::policy::MatchAccept;
use muster_engine::ride::{RideCommand, RideEventKind, RideRecord, RideStatus};
use muster_engine::time::Timestamp;

use crate::oracle::Oracle;
use crate::world::World;
use crate::world::turns::Turn;

/// An accept that came to a ride while its offer was live.
#[derive(Debug, Clone)]
pub(crate) struct Accept {
    offer: OfferId,
    driver: DriverId,
    cost_ms: i64,
    at: Timestamp,
    /// His machine was rebuilt in the turn under way: it depends on the turn whether this counts.
    forgotten: bool,
}

impl Oracle {
    /// What the turn of a ride adds to the accepts it knows of, or makes it forget.
    pub(crate) fn note_accept(
        &mut self,
        ride: usize,
        turn: &Turn<RideCommand>,
        before: &RideRecord,
        now: Timestamp,
    ) {
        let accepts = self.collected.entry(ride).or_default();
        accepts.retain(|accept| !accept.forgotten);
        match turn {
            Turn::Command(RideCommand::OfferAccepted { offer, driver, .. }) => {
                let live = before.offers.get(offer).filter(|live| live.expires_at > now);
                let cost_ms = live.and_then(|live| live.cost_ms);
                let known = accepts.iter().any(|accept| accept.offer == *offer);
                if let Some(cost_ms) = cost_ms.filter(|_| !known) {
                    let (offer, driver) = (offer.clone(), driver.clone());
                    accepts.push(Accept { offer, driver, cost_ms, at: now, forgotten: false });
                }
            }
            Turn::Command(RideCommand::DriverRebuilt { driver }) => {
                let of_him = accepts.iter_mut().filter(|accept| accept.driver == *driver);
                of_him.for_each(|accept| accept.forgotten = true);
            }
            Turn::Command(_) | Turn::Deadline => {}
        }
    }

    /// The machine of a ride was rebuilt, and knows of no accept.
    pub(crate) fn forget_collected(&mut self, ride: usize) {
        self.collected.remove(&ride);
    }
}

impl World {
    /// M3: of those who accepted and whose offers are live, the one of the least cost wins. M14: the
    /// choice waits no longer than policy allows.
    pub(crate) fn check_collection(
        &mut self,
        ride: usize,
        before: &RideRecord,
        effects: &[Effect],
    ) {
        let policy = &self.options.policy;
        if policy.match_accept != MatchAccept::BestOfAcceptors {
            return;
        }
        let Some(after) = self.rides.get(&ride).map(|site| site.shell.machine.record()) else {
            return;
        };
        let live = |accept: &&Accept| {
            let live = before.offers.get(&accept.offer);
            live.is_some_and(|live| live.expires_at > self.now)
        };
        let accepts = self.oracle.collected.get(&ride).into_iter().flatten().filter(live);
        let accepts: Vec<&Accept> = accepts.collect();
        // A deadline that falls due is heard before what the turn is about.
        let best = |counts: &dyn Fn(&&&Accept) -> bool| {
            accepts.iter().filter(counts).map(|accept| accept.cost_ms).min()
        };
        let before_turn = best(&|accept| accept.at < self.now);
        let after_turn = best(&|accept| !accept.forgotten);
        let won = effects.iter().find_map(|effect| {
            let Effect::PersistRide(commit) = effect else { return None };
            let assigned = commit.kind == RideEventKind::DriverAssigned;
            let offer = &commit.record.assignment.as_ref()?.offer;
            before.offers.get(offer).and_then(|live| live.cost_ms).filter(|_| assigned)
        });
        if let Some(won_ms) = won
            && ![before_turn, after_turn].contains(&Some(won_ms))
        {
            let detail = format!("r{ride:02} is won at {won_ms} ms, the best is {after_turn:?}");
            return self.broken(Invariant::M3, detail);
        }
        let waits =
            |accept: &&&Accept| !accept.forgotten && after.offers.contains_key(&accept.offer);
        let searching = after.status == RideStatus::Searching;
        let first = accepts.iter().filter(waits).map(|accept| accept.at).min();
        let late = first.filter(|_| searching).is_some_and(|first| {
            self.now.millis_since(first) > self.options.policy.match_collect_ms
        });
        if late {
            let detail = format!("r{ride:02} has collected accepts since {first:?}");
            self.broken(Invariant::M14, detail);
        } else if won.is_some() && accepts.len() > 1 {
            self.count("choices between several who accepted");
        } else if won.is_some() {
            self.count("choices of the only one who accepted");
        }
    }
}
