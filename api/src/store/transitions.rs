//! Rows of the history as transitions, for relays.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_actors::StoreError;
use muster_engine::origin::Origin;
use muster_engine::ride::RideRecord;

use super::rows::{from_json, named, ride_record, timestamp, unsigned};
use crate::kafka::Transition;

/// `event_id, prev_event, at, kind, state, correlation_id, traceparent, request`, the state of the
/// event before if it was not read already, and the decision.
pub(super) type TransitionColumns = (
    i64,
    Option<i64>,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<String>,
    Option<String>,
);

/// The transitions of `rows`, which follow one another. A state is read once, though it is what one
/// transition led to and the next one began with.
pub(super) fn transitions(rows: Vec<TransitionColumns>) -> Result<Vec<Transition>, StoreError> {
    let mut newest: BTreeMap<i64, Arc<RideRecord>> = BTreeMap::new();
    let mut transitions = Vec::with_capacity(rows.len());
    for (id, prev, at, kind, state, correlation_id, traceparent, request, before, body) in rows {
        let after = Arc::new(ride_record(&request, &state)?);
        let known = prev.and_then(|prev| newest.remove(&prev));
        let before = match (known, before) {
            (Some(known), _) => Some(known),
            (None, Some(state)) => Some(Arc::new(ride_record(&request, &state)?)),
            (None, None) => None,
        };
        newest.insert(id, Arc::clone(&after));
        let own = correlation_id.zip(traceparent);
        let own = own.map(|(correlation_id, traceparent)| Origin { correlation_id, traceparent });
        transitions.push(Transition {
            event: unsigned("event_id", id)?,
            kind: named("a kind of event", &kind)?,
            at: timestamp("at", at)?,
            origin: own.map(Arc::new).or_else(|| after.request.origin.clone()),
            decision: body.map(|body| from_json("a decision", &body)).transpose()?,
            before,
            after,
        });
    }
    Ok(transitions)
}
