//! The history for relays: transitions after a cursor, and the cursors.

use std::sync::atomic::Ordering;

use muster_actors::{PortFuture, StoreError};
use sqlx::SqlitePool;
use tokio::sync::watch;

use super::SqliteStore;
use super::connection::Writer;
use super::error::from_sql;
use crate::kafka::{HistoryTail, RelayStart, Transition};
use crate::store::rows::{column, unsigned};
use crate::store::transitions::{TransitionColumns, transitions};

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

/// The states that a transition began with are read with the first transition of each ride.
async fn after(
    readers: &SqlitePool,
    event: u64,
    limit: u32,
) -> Result<Vec<Transition>, StoreError> {
    let rows: Vec<TransitionColumns> = sqlx::query_as(
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
    transitions(rows)
}
