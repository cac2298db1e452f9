//! The history for relays: transitions after a cursor, and the cursors.

use std::sync::atomic::Ordering;

use muster_actors::{PortFuture, StoreError};
use tokio::sync::watch;

use super::PostgresStore;
use super::connection::Readers;
use super::error::from_sql;
use crate::kafka::{HistoryTail, RelayStart, Transition};
use crate::store::rows::{column, unsigned};
use crate::store::transitions::{TransitionColumns, transitions};

impl HistoryTail for PostgresStore {
    fn begin_relay<'a>(
        &'a self,
        relay: &'a str,
        start: RelayStart,
    ) -> PortFuture<'a, Result<u64, StoreError>> {
        self.bounded(begin_relay(&self.readers, relay, start))
    }

    fn after(&self, event: u64, limit: u32) -> PortFuture<'_, Result<Vec<Transition>, StoreError>> {
        self.bounded(after(&self.readers, event, limit))
    }

    fn save_relay<'a>(
        &'a self,
        relay: &'a str,
        event: u64,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        self.bounded(save_relay(&self.readers, epoch, relay, event))
    }

    fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }
}

async fn begin_relay(readers: &Readers, relay: &str, start: RelayStart) -> Result<u64, StoreError> {
    let insert = match start {
        RelayStart::Now => {
            "INSERT INTO relays (name, last_event) SELECT $1, last_event FROM meta \
             ON CONFLICT (name) DO UPDATE SET last_event = relays.last_event RETURNING last_event"
        }
        RelayStart::Oldest => {
            "INSERT INTO relays (name, last_event) SELECT $1, COALESCE( \
             (SELECT MIN(event_id) - 1 FROM ride_events), 0) \
             ON CONFLICT (name) DO UPDATE SET last_event = relays.last_event RETURNING last_event"
        }
    };
    let mut reader = readers.get().await?;
    let begun = sqlx::query_scalar(insert).bind(relay).fetch_one(reader.connection()?).await;
    let begun: i64 = begun.map_err(from_sql)?;
    reader.done();
    unsigned("last_event", begun)
}

/// The row of `meta` is shared with no commit for long: it is read, not locked, since a newer owner
/// publishes from the cursor that it finds, whatever an older one saves a moment later.
async fn save_relay(
    readers: &Readers,
    epoch: u64,
    relay: &str,
    event: u64,
) -> Result<(), StoreError> {
    let mut reader = readers.get().await?;
    let saved = sqlx::query(
        "UPDATE relays SET last_event = $2 WHERE name = $1 AND last_event <= $2 \
         AND $3 = (SELECT epoch FROM meta)",
    )
    .bind(relay)
    .bind(column(event))
    .bind(column(epoch))
    .execute(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    match saved.rows_affected() {
        1 => Ok(()),
        _ => Err(StoreError::Conflict(format!("relay {relay} is another process's by now"))),
    }
}

async fn after(readers: &Readers, event: u64, limit: u32) -> Result<Vec<Transition>, StoreError> {
    let mut reader = readers.get().await?;
    let rows: Vec<TransitionColumns> = sqlx::query_as(
        "SELECT e.event_id, e.prev_event, e.at, e.kind, e.state, e.correlation_id, e.traceparent, \
         r.request, p.state, d.body \
         FROM ride_events e JOIN rides r ON r.ride_id = e.ride_id \
         LEFT JOIN ride_events p ON p.event_id = e.prev_event AND p.event_id <= $1 \
         LEFT JOIN decisions d ON d.decision_id = e.decision_id \
         WHERE e.event_id > $1 ORDER BY e.event_id LIMIT $2",
    )
    .bind(column(event))
    .bind(i64::from(limit))
    .fetch_all(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    transitions(rows)
}
