//! Judges drivers who stand by: for one ride, while it has another driver, on their own word.

use muster_engine::grid::DriverStatus;
use muster_engine::id::OfferId;
use muster_engine::invariant::Invariant;
use muster_engine::offer::OfferKind;
use muster_engine::ride::{RideCommit, RideEventKind, RideRecord, RideStatus};

use crate::city;
use crate::oracle::durable::{Judgement, require};
use crate::world::World;

impl World {
    /// What a transition makes of who stands by.
    pub(super) fn standby_is_kept(
        &self,
        before: Option<&RideRecord>,
        commit: &RideCommit,
    ) -> Judgement {
        m2_one_by_his_own_word(before, commit)?;
        m3_promoted_after_standing_by(before, commit)?;
        self.m2_near_nobody_is_asked(commit)
    }

    /// Offers to stand by are made where policy wants it, for rides that somebody comes to.
    fn m2_near_nobody_is_asked(&self, commit: &RideCommit) -> Judgement {
        let record = &commit.record;
        let asks = record.offers.values().any(|live| live.kind == OfferKind::Standby);
        let comes = record.status == RideStatus::Assigned && record.forward().is_none();
        let lost = record.status == RideStatus::Searching && record.reallocations > 0;
        let wanted = self.options.policy.standby_check_ms > 0 && (comes || lost);
        require(!asks || wanted, Invariant::M2, || "somebody stands by without need".to_owned())
    }

    /// At rest a driver stands by for the one ride that says so, is on no other, and no longer than
    /// policy allows.
    pub(super) fn m8_standby(&mut self, driver: usize) {
        let Some(machine) = self.driver(driver) else { return };
        let id = city::driver_id(driver);
        let rides = self.store.newest_rides();
        let his = rides.filter(|ride| {
            let own = ride.standby().filter(|(_, live)| live.driver == id);
            own.is_some_and(|(_, live)| live.expires_at > self.now)
        });
        let rides: Vec<_> = his.map(|ride| ride.request.ride.clone()).collect();
        let believes = machine.standby_ride().filter(|_| {
            machine.live_offers().any(|live| live.standby && live.expires_at > self.now)
        });
        let called = machine.status() == DriverStatus::Reserved && machine.standby_ride().is_none();
        let agree = rides.first() == believes || (called && believes.is_none());
        if rides.len() > 1 || !agree {
            let (status, believes) = (machine.status(), believes.cloned());
            let detail =
                format!("{id} ({status:?}) stands by for {believes:?}, rides say {rides:?}");
            return self.broken(Invariant::M8, detail);
        }
        if !rides.is_empty() && machine.status() != DriverStatus::Reserved {
            let detail = format!("{id} stands by and is {:?}", machine.status());
            self.broken(Invariant::M2, detail);
        }
    }

    /// That somebody stands by is told when it is durable.
    pub(super) fn m13_standby(&mut self, offer: &OfferId) {
        if !self.oracle.stood_by.contains(offer) {
            self.broken(Invariant::M13, format!("standing by with {offer} is told, not durable"));
        }
    }
}

/// At most one driver stands by, another one than the ride's own, since an accept of an offer to do
/// so that was live; and he goes on until the offer ends.
fn m2_one_by_his_own_word(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let record = &commit.record;
    let held = record.offers.iter().filter(|(_, live)| live.standby.is_some());
    let held: Vec<_> = held.collect();
    require(held.len() <= 1, Invariant::M2, || format!("{} stand by", held.len()))?;
    let driver = record.assignment.as_ref().filter(|_| record.status.has_driver());
    let itself = held.iter().any(|(_, live)| driver.is_some_and(|a| a.driver.id == live.driver));
    require(!itself, Invariant::M2, || "its own driver stands by".to_owned())?;
    let mut new = 0;
    for (id, live) in held {
        let was = before.and_then(|before| before.offers.get(id));
        let stood = was.is_some_and(|was| was.standby.is_some());
        require(!stood || was == Some(live), Invariant::M11, || format!("{id} has changed"))?;
        let asked = was.is_some_and(|was| {
            was.kind == OfferKind::Standby && (stood || commit.at < was.expires_at)
        });
        require(asked, Invariant::M3, || format!("stands by with {id}, which was not live"))?;
        new += usize::from(!stood);
    }
    let said = new == usize::from(commit.kind == RideEventKind::StandbyHeld);
    require(said, Invariant::M3, || format!("{new} stand by anew"))
}

/// A ride without a driver takes one by an offer to stand by only if he did.
fn m3_promoted_after_standing_by(before: Option<&RideRecord>, commit: &RideCommit) -> Judgement {
    let assigned = commit.kind == RideEventKind::DriverAssigned;
    let Some(assignment) = commit.record.assignment.as_ref().filter(|_| assigned) else {
        return Ok(());
    };
    let won = before.and_then(|before| before.offers.get(&assignment.offer));
    let moved = before.is_some_and(|before| before.dropoff() != before.request.dropoff);
    let fits =
        won.is_some_and(|won| won.kind != OfferKind::Standby || won.standby.is_some() || moved);
    require(fits, Invariant::M3, || "promoted before he stood by".to_owned())
}
