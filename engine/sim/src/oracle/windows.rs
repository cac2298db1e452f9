//! Judges dispatch windows: what is matched, and what rides make of it.

use std::collections::BTreeSet;

use muster_engine::id::DriverId;
use muster_engine::invariant::Invariant;
use muster_engine::matching::{WindowMatch, WindowOutcome, WindowRequest};
use muster_engine::ride::{RideCommit, WaveDecision};

use crate::oracle::durable::{Judgement, require};
use crate::world::World;

impl World {
    /// Every request is answered once, no driver is matched twice, nobody who was passed over is
    /// matched, and a matching that is called optimal is.
    pub(crate) fn judge_window(&mut self, requests: &[WindowRequest], outcome: &WindowOutcome) {
        let judgement = judge(requests, outcome);
        if let Err((invariant, what)) = judgement {
            self.broken(invariant, format!("window {}: {what}", outcome.number));
        }
    }

    /// A wave that comes from a window is as many offers as policy says at most, and no other ride has
    /// one of its drivers from there.
    pub(super) fn m2_one_match(&self, commit: &RideCommit) -> Judgement {
        let Some(decision) = &commit.decision else { return Ok(()) };
        let Some(window) = decision.window.filter(|_| !decision.offered.is_empty()) else {
            return Ok(());
        };
        let offered = decision.offered.len();
        let most = self.options.policy.match_offers_parallel as usize;
        require(offered <= most, Invariant::M2, || format!("{offered} offers from one window"))?;
        let drivers: BTreeSet<&DriverId> = drivers_asked(decision).collect();
        let ride = &commit.record.request.ride;
        let others = self.store.rides.iter().filter(|(id, _)| *id != ride);
        let same_market =
            |id: &muster_engine::id::RideId| self.market_of_ride(id) == self.market_of_ride(ride);
        let twice = others.filter(|(id, _)| same_market(id)).find(|(_, history)| {
            let decisions = history.commits.iter().filter_map(|commit| commit.decision.as_ref());
            let matched = |decision: &WaveDecision| {
                let same = decision.window.is_some_and(|other| other.number == window.number);
                same && drivers_asked(decision).any(|driver| drivers.contains(driver))
            };
            decisions.into_iter().any(matched)
        });
        require(twice.is_none(), Invariant::M2, || {
            let number = window.number;
            format!("{:?} has one of {drivers:?} from window {number} too", twice.map(|(id, _)| id))
        })
    }
}

fn drivers_asked(decision: &WaveDecision) -> impl Iterator<Item = &DriverId> {
    decision.offered.iter().map(|(_, live)| &live.driver)
}

fn judge(requests: &[WindowRequest], outcome: &WindowOutcome) -> Judgement {
    let asked = requests.iter().map(|request| (&request.ride, request.join));
    let answered = outcome.matches.iter().map(|matched| (&matched.ride, matched.join));
    require(asked.eq(answered), Invariant::M14, || "requests are not answered".to_owned())?;
    let mut taken: BTreeSet<&DriverId> = BTreeSet::new();
    let mut served = 0;
    for (request, matched) in requests.iter().zip(&outcome.matches) {
        let drivers: Vec<&DriverId> = drivers_of(matched).collect();
        let most = request.query.ranking.policy.match_offers_parallel as usize;
        require(drivers.len() <= most, Invariant::M2, || format!("{drivers:?} for one request"))?;
        served += usize::from(!drivers.is_empty());
        for driver in drivers {
            require(taken.insert(driver), Invariant::M2, || format!("{driver} is matched twice"))?;
            let query = &request.query;
            let out = query.asked.contains(driver) || query.blocked.contains(driver);
            require(!out, Invariant::M3, || format!("{driver} is matched, but left out"))?;
        }
    }
    let facts = outcome.facts;
    let counts = facts.served as usize == served && facts.requests as usize == requests.len();
    require(counts, Invariant::M14, || format!("{facts:?} miscounts"))?;
    let proven = facts.gap_ms >= 0 && facts.optimal == (facts.gap_ms == 0);
    require(proven, Invariant::M14, || format!("{facts:?} is not proven"))
}

fn drivers_of(matched: &WindowMatch) -> impl Iterator<Item = &DriverId> {
    let found = matched.candidates.found.iter();
    let forward = matched.candidates.forward.iter().map(|forward| &forward.ranked);
    found.chain(forward).map(|ranked| &ranked.candidate.driver)
}
