//! What a ride would ask of drivers under other policies than its own.

use std::sync::Arc;

use crate::market::Market;
use crate::policy::{DispatchMode, DispatchPolicy, PolicyBook};
use crate::ride::command::CandidateQuery;
use crate::ride::machine::RideMachine;
use crate::ride::record::RideRecord;
use crate::ride::seeking::Seeking;
use crate::units::Meters;

/// A ride's first search under other policies.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShadowSearch {
    /// What it asks of a driver, as far as its policy looks.
    pub(crate) query: CandidateQuery,
    /// How far its first wave looks.
    pub(crate) near: Meters,
}

impl ShadowSearch {
    /// The first search of the ride of `record` by the policies of `book`: for one idle driver.
    /// Nothing where drivers come by the order of a zone's queue or by a password, and where the
    /// market has none of the tiers.
    pub(crate) fn of(
        record: &RideRecord,
        market: &Arc<Market>,
        book: &Arc<PolicyBook>,
    ) -> Option<Self> {
        let own = (Arc::clone(market), Arc::clone(book));
        let mut machine = RideMachine::restore(record.clone(), own.0, own.1);
        if record.otp_ride || is_queued(&machine) {
            return None;
        }
        let seeking = Seeking::Window { fills_up: false };
        let mut query = machine.candidate_query(seeking, record.search_began_at)?;
        (query.explains, query.explained_max) = (false, 0);
        (query.forward, query.queue) = (None, None);
        let near = Meters::new(f64::from(machine.policy.radius_of_wave(1)));
        Some(Self { query, near })
    }

    /// The policy it is made by.
    pub(crate) fn policy(&self) -> &DispatchPolicy {
        &self.query.ranking.policy
    }
}

fn is_queued(machine: &RideMachine) -> bool {
    let policy = &machine.policy;
    let by_queue = match policy.mode {
        DispatchMode::Queue | DispatchMode::Otp => true,
        DispatchMode::Broadcast
        | DispatchMode::Sequential
        | DispatchMode::Quotes
        | DispatchMode::Instant
        | DispatchMode::Batched => policy.zone_queue_first,
    };
    by_queue && machine.places.queue().is_some()
}
