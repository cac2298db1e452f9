//! The queues of zones: few, each written as a whole.

use muster_actors::StoreError;
use muster_engine::id::{MarketId, ZoneId};
use muster_engine::zone::{LeaveReason, QueueRecord};
use sqlx::{SqliteConnection, SqlitePool};

use super::apply::Script;
use super::error::from_sql;
use crate::store::rows::{Row, column, from_json, instant};

/// Writes the changes of queues in `rows`, each behind the state it follows.
pub(super) fn write(script: &mut Script, epoch: u64, rows: &[&Row<'_>]) {
    for row in rows {
        let Row::Zone(row) = row else { continue };
        let (commit, record) = (row.commit, &row.commit.record);
        script.begin(
            "INSERT INTO zone_queues (market, zone, version, epoch, state) VALUES (",
            Some(1),
        );
        let mut values = script.sql.separated(", ");
        values
            .push_bind(record.market.to_string())
            .push_bind(record.zone.to_string())
            .push_bind(column(record.version))
            .push_bind(column(epoch))
            .push_bind(row.state.clone());
        script.sql.push(
            ") ON CONFLICT (market, zone) DO UPDATE SET version = excluded.version, \
             epoch = excluded.epoch, state = excluded.state \
             WHERE zone_queues.version + 1 = excluded.version \
             AND zone_queues.epoch <= excluded.epoch",
        );
        script.begin(
            "INSERT INTO zone_queue_events \
             (market, zone, version, at, kind, driver_id, reason, note) VALUES (",
            None,
        );
        let mut values = script.sql.separated(", ");
        values
            .push_bind(record.market.to_string())
            .push_bind(record.zone.to_string())
            .push_bind(column(record.version))
            .push_bind(instant(commit.at))
            .push_bind(commit.kind.name())
            .push_bind(commit.driver.to_string())
            .push_bind(commit.kind.leave_reason().map(LeaveReason::name))
            .push_bind(commit.note.clone());
        script.sql.push(")");
    }
}

/// Every queue as it was told last.
pub(super) async fn recover(
    connection: &mut SqliteConnection,
) -> Result<Vec<QueueRecord>, StoreError> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT state FROM zone_queues ORDER BY market, zone")
            .fetch_all(connection)
            .await
            .map_err(from_sql)?;
    rows.iter().map(|state| from_json("the queue of a zone", state)).collect()
}

pub(super) async fn load(
    readers: &SqlitePool,
    market: &MarketId,
    zone: &ZoneId,
) -> Result<Option<QueueRecord>, StoreError> {
    let select = sqlx::query_scalar("SELECT state FROM zone_queues WHERE market = ? AND zone = ?");
    let found: Option<String> = select
        .bind(market.as_str())
        .bind(zone.as_str())
        .fetch_optional(readers)
        .await
        .map_err(from_sql)?;
    found.map(|state| from_json("the queue of a zone", &state)).transpose()
}
