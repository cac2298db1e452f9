//! The audit of policies.

use muster_actors::{PortFuture, StoreError};
use muster_engine::id::MarketId;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use std::sync::atomic::Ordering;

use super::SqliteStore;
use super::connection::Writer;
use super::error::from_sql;
use crate::policy::{ChangeCause, PolicyChange, PolicyLog};
use crate::store::rows::{column, from_json, instant, named, timestamp, to_json, unsigned};

impl PolicyLog for SqliteStore {
    fn append_policy<'a>(
        &'a self,
        change: &'a PolicyChange,
    ) -> PortFuture<'a, Result<(), StoreError>> {
        let epoch = self.epoch.load(Ordering::Acquire);
        Box::pin(append(&self.writer, epoch, change))
    }

    fn policy_changes<'a>(
        &'a self,
        market: &'a MarketId,
        limit: u32,
    ) -> PortFuture<'a, Result<Vec<PolicyChange>, StoreError>> {
        Box::pin(newest(&self.readers, market, limit))
    }
}

/// An older process writes nothing: it does not know what is in force.
async fn append(writer: &Writer, epoch: u64, change: &PolicyChange) -> Result<(), StoreError> {
    let (before, after) = (to_json(&change.before)?, to_json(&change.after)?);
    let mut slot = writer.lock().await;
    let connection = slot.connection().await?;
    let insert = sqlx::query(
        "INSERT INTO policies \
         (market, version, at, cause, correlation_id, configured, before, after) \
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM meta WHERE epoch = ?9",
    );
    let insert = insert
        .bind(change.market.as_str())
        .bind(column(change.version))
        .bind(instant(change.at))
        .bind(change.cause.name())
        .bind(&change.correlation_id)
        .bind(&change.configured)
        .bind(before)
        .bind(after)
        .bind(column(epoch));
    let outcome = insert.execute(connection).await.map_err(from_sql);
    match slot.settle(outcome)?.rows_affected() {
        0 => Err(StoreError::Conflict("a newer process owns the markets".to_owned())),
        _ => Ok(()),
    }
}

async fn newest(
    readers: &SqlitePool,
    market: &MarketId,
    limit: u32,
) -> Result<Vec<PolicyChange>, StoreError> {
    let select = sqlx::query(
        "SELECT version, at, cause, correlation_id, configured, before, after FROM policies \
         WHERE market = ?1 ORDER BY version DESC LIMIT ?2",
    );
    let rows = select.bind(market.as_str()).bind(limit).fetch_all(readers).await;
    rows.map_err(from_sql)?.iter().map(|row| change(market, row)).collect()
}

fn change(market: &MarketId, row: &SqliteRow) -> Result<PolicyChange, StoreError> {
    let text = |name: &str| row.try_get::<String, _>(name).map_err(from_sql);
    let number = |name: &str| row.try_get::<i64, _>(name).map_err(from_sql);
    Ok(PolicyChange {
        market: market.clone(),
        version: unsigned("a policy's version", number("version")?)?,
        at: timestamp("a policy's instant", number("at")?)?,
        cause: named::<ChangeCause>("a cause of a policy", &text("cause")?)?,
        correlation_id: text("correlation_id")?,
        configured: text("configured")?,
        before: from_json("a policy", &text("before")?)?,
        after: from_json("a policy", &text("after")?)?,
    })
}
