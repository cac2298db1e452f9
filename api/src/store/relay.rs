//! The history for relays: transitions after a cursor, and the cursors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_actors::{PortFuture, StoreError};
use muster_engine::origin::Origin;
use muster_engine::ride::RideRecord;
use sqlx::SqlitePool;
use tokio::sync::watch;

use super::SqliteStore;
use super::connection::Writer;
use super::error::from_sql;
use super::reads::event_kind;
use super::rows::{column, from_json, ride_record, timestamp, unsigned};
use crate::kafka::{HistoryTail, RelayStart, Transition};

impl HistoryTail for SqliteStore {
    fn begin_relay<'a>(
        &'a self,
        relay: &'a str,
        start: RelayStart,
    ) -> PortFuture<'a, Result<u64, StoreError>> {
        Box::pin(begin_relay(&self.writer, relay, start))
    }

    fn after(&self, event: u64, limit: u32) -> PortFuture<'_, Result<Vec<Transition>, StoreError>> {
        Box::pin(after(&self.readers, event, limit))
    }

    fn save_relay<'a>(
        &'a self,
        relay: &'a str,
        event: u64,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        Box::pin(save_relay(&self.writer, self.epoch.load(Ordering::Acquire), relay, event))
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

async fn begin_relay(writer: &Writer, relay: &str, start: RelayStart) -> Result<u64, StoreError> {
    let insert = match start {
        RelayStart::Now => {
            "INSERT INTO relays (name, last_event) SELECT ?1, COALESCE( \
             (SELECT seq FROM sqlite_sequence WHERE name = 'ride_events'), 0) WHERE true \
             ON CONFLICT (name) DO UPDATE SET last_event = relays.last_event RETURNING last_event"
        }
        RelayStart::Oldest => {
            "INSERT INTO relays (name, last_event) SELECT ?1, COALESCE( \
             (SELECT MIN(event_id) - 1 FROM ride_events), 0) WHERE true \
             ON CONFLICT (name) DO UPDATE SET last_event = relays.last_event RETURNING last_event"
        }
    };
    let mut slot = writer.lock().await;
    let connection = slot.connection().await?;
    let begun = sqlx::query_scalar(insert).bind(relay).fetch_one(connection).await;
    let outcome: Result<i64, StoreError> = begun.map_err(from_sql);
    unsigned("last_event", slot.settle(outcome)?)
}

async fn save_relay(
    writer: &Writer,
    epoch: u64,
    relay: &str,
    event: u64,
) -> Result<(), StoreError> {
    let mut slot = writer.lock().await;
    let connection = slot.connection().await?;
    let saved = sqlx::query(
        "UPDATE relays SET last_event = ?2 WHERE name = ?1 AND last_event <= ?2 \
         AND ?3 = (SELECT epoch FROM meta)",
    )
    .bind(relay)
    .bind(column(event))
    .bind(column(epoch))
    .execute(connection)
    .await;
    let outcome = saved.map_err(from_sql).and_then(|done| match done.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Conflict(format!("relay {relay} is another process's by now"))),
    });
    slot.settle(outcome)
}

type Columns = (
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

/// A state is read once, though it is what one transition led to and the next one began with.
async fn after(
    readers: &SqlitePool,
    event: u64,
    limit: u32,
) -> Result<Vec<Transition>, StoreError> {
    let rows: Vec<Columns> = sqlx::query_as(
        "SELECT e.event_id, e.prev_event, e.at, e.kind, e.state, e.correlation_id, e.traceparent, \
         r.request, p.state, d.body \
         FROM ride_events e JOIN rides r ON r.ride_id = e.ride_id \
         LEFT JOIN ride_events p ON p.event_id = e.prev_event AND p.event_id <= ?1 \
         LEFT JOIN decisions d ON d.decision_id = e.decision_id \
         WHERE e.event_id > ?1 ORDER BY e.event_id LIMIT ?2",
    )
    .bind(column(event))
    .bind(i64::from(limit))
    .fetch_all(readers)
    .await
    .map_err(from_sql)?;
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
            kind: event_kind(&kind)?,
            at: timestamp("at", at)?,
            origin: own.map(Arc::new).or_else(|| after.request.origin.clone()),
            decision: body.map(|body| from_json("a decision", &body)).transpose()?,
            before,
            after,
        });
    }
    Ok(transitions)
}
