//! Judges what rides keep of the times their drivers need: what a search found is what is offered,
//! and what is offered is what is assigned.

use muster_engine::invariant::Invariant;
use muster_engine::ride::{RideCommit, RideRecord};
use muster_engine::travel::EtaSource;

use crate::oracle::durable::{Judgement, require};
use crate::world::World;

impl World {
    /// Times come from streets only where the market has some, and an assignment has the time of the
    /// offer that won.
    pub(super) fn m8_times_agree(
        &self,
        before: Option<&RideRecord>,
        commit: &RideCommit,
    ) -> Judgement {
        let record = &commit.record;
        for (id, live) in &record.offers {
            let by_streets = live.eta_source != EtaSource::GreatCircle;
            require(by_streets == self.options.streets, Invariant::M8, || {
                format!("offer {id} is timed by {}", live.eta_source.name())
            })?;
        }
        let Some(assignment) = &record.assignment else { return Ok(()) };
        let Some(won) = before.and_then(|before| before.offers.get(&assignment.offer)) else {
            return Ok(());
        };
        let same =
            (won.pickup_eta, won.eta_source) == (assignment.pickup_eta, assignment.eta_source);
        require(same || record.offers.contains_key(&assignment.offer), Invariant::M8, || {
            format!("offer {} and its assignment differ in time", assignment.offer)
        })
    }
}
