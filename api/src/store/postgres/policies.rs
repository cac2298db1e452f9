//! The audit of policies.

use muster_actors::StoreError;
use muster_engine::id::MarketId;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tokio::time::timeout;

use super::connection::{Readers, Writer};
use super::doubt::Doubt;
use super::error::{from_sql, too_late};
use super::plain;
use crate::policy::{ChangeCause, PolicyChange};
use crate::store::rows::{column, from_json, instant, named, timestamp, to_json, unsigned};

/// An older process writes nothing: it does not know what is in force.
pub(super) async fn append(
    writer: &Writer,
    epoch: u64,
    change: &PolicyChange,
) -> Result<(), StoreError> {
    let mut slot = writer.lock().await;
    let limit = slot.limit();
    let inserting = timeout(limit, insert(slot.begin().await?, column(epoch), change)).await;
    match inserting.unwrap_or_else(|_| Err(too_late())) {
        Ok(()) => {
            let doubt = Doubt::Policy {
                market: change.market.to_string(),
                version: column(change.version),
                correlation_id: plain(&change.correlation_id).into_owned(),
            };
            slot.commit(doubt).await
        }
        Err(error @ StoreError::Conflict(_)) => {
            slot.roll_back().await;
            Err(error)
        }
        Err(error) => {
            slot.break_off();
            Err(error)
        }
    }
}

async fn insert(
    connection: &mut PgConnection,
    epoch: i64,
    change: &PolicyChange,
) -> Result<(), StoreError> {
    let select = sqlx::query_scalar("SELECT epoch FROM meta WHERE only_row = 1 FOR UPDATE");
    let newest: i64 = select.fetch_one(&mut *connection).await.map_err(from_sql)?;
    if newest != epoch {
        return Err(StoreError::Conflict("a newer process owns the markets".to_owned()));
    }
    sqlx::query(
        "INSERT INTO policies \
         (market, version, at, cause, correlation_id, configured, before, after) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(change.market.as_str())
    .bind(column(change.version))
    .bind(instant(change.at))
    .bind(change.cause.name())
    .bind(plain(&change.correlation_id))
    .bind(&change.configured)
    .bind(to_json(&change.before)?)
    .bind(to_json(&change.after)?)
    .execute(connection)
    .await
    .map_err(from_sql)?;
    Ok(())
}

pub(super) async fn newest(
    readers: &Readers,
    market: &MarketId,
    limit: u32,
) -> Result<Vec<PolicyChange>, StoreError> {
    let mut reader = readers.get().await?;
    let select = sqlx::query(
        "SELECT version, at, cause, correlation_id, configured, before, after FROM policies \
         WHERE market = $1 ORDER BY version DESC LIMIT $2",
    );
    let select = select.bind(market.as_str()).bind(i64::from(limit));
    let rows = select.fetch_all(reader.connection()?).await.map_err(from_sql)?;
    reader.done();
    rows.iter().map(|row| change(market, row)).collect()
}

fn change(market: &MarketId, row: &PgRow) -> Result<PolicyChange, StoreError> {
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
