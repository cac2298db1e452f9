//! What a restarted process reads, and the position snapshots it needs for it.

use muster_actors::{PositionSnapshot, Recovered, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, RideId};
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool};

use super::apply::pieces;
use super::connection::{Writer, begin};
use super::error::from_sql;
use super::zones;
use crate::store::rows::{
    DriverColumns, PositionColumns, driver_of, instant, newest_of_each, position_of, ride_record,
    timestamp,
};

/// Takes ownership: increments the epoch.
pub(super) async fn begin_epoch(writer: &Writer) -> Result<i64, StoreError> {
    let mut slot = writer.lock().await;
    let outcome = increment_epoch(slot.connection().await?).await;
    slot.settle(outcome)
}

async fn increment_epoch(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let mut transaction = begin(connection).await?;
    let epoch = sqlx::query_scalar("UPDATE meta SET epoch = epoch + 1 RETURNING epoch")
        .fetch_one(&mut *transaction)
        .await
        .map_err(from_sql)?;
    transaction.commit().await.map_err(from_sql)?;
    Ok(epoch)
}

/// Everything as of one instant.
pub(super) async fn recover(readers: &SqlitePool) -> Result<Recovered, StoreError> {
    let mut snapshot = readers.begin().await.map_err(from_sql)?;
    let recovered = Recovered {
        drivers: drivers(&mut snapshot).await?,
        open_rides: open_rides(&mut snapshot).await?,
        zones: zones::recover(&mut snapshot).await?,
        positions: positions(&mut snapshot).await?,
        newest_at: newest_at(&mut snapshot).await?,
    };
    snapshot.rollback().await.map_err(from_sql)?;
    Ok(recovered)
}

async fn drivers(connection: &mut SqliteConnection) -> Result<Vec<DriverRecord>, StoreError> {
    let rows: Vec<DriverColumns> = sqlx::query_as(
        "SELECT driver_id, online, profile, rider_blocks, stats FROM drivers ORDER BY driver_id",
    )
    .fetch_all(connection)
    .await
    .map_err(from_sql)?;
    rows.into_iter().map(driver_of).collect()
}

async fn open_rides(connection: &mut SqliteConnection) -> Result<Vec<RideRecord>, StoreError> {
    let rides: Vec<(String, String)> = sqlx::query_as(
        "SELECT request, state FROM rides JOIN ride_events ON event_id = last_event \
         WHERE status IN ('scheduled', 'searching', 'assigned', 'arrived', 'in_progress') \
         ORDER BY rides.ride_id",
    )
    .fetch_all(connection)
    .await
    .map_err(from_sql)?;
    rides.iter().map(|(request, state)| ride_record(request, state)).collect()
}

async fn positions(connection: &mut SqliteConnection) -> Result<Vec<PositionSnapshot>, StoreError> {
    let rows: Vec<PositionColumns> = sqlx::query_as(
        "SELECT driver_id, lat_e7, lng_e7, recorded_at, received_at FROM positions \
         ORDER BY driver_id",
    )
    .fetch_all(connection)
    .await
    .map_err(from_sql)?;
    rows.into_iter().map(position_of).collect()
}

/// Every transition updates its ride, so the newest ride is as new as the newest transition. The
/// first branch reads the open rides only, the second the end of an index that the planner, left to
/// itself, passes over for a scan of all rides.
async fn newest_at(connection: &mut SqliteConnection) -> Result<Timestamp, StoreError> {
    let newest: i64 = sqlx::query_scalar(
        "SELECT MAX( \
           (SELECT COALESCE(MAX(updated_at), 0) FROM rides WHERE status IN \
             ('scheduled', 'searching', 'assigned', 'arrived', 'in_progress')), \
           (SELECT COALESCE(MAX(updated_at), 0) FROM rides INDEXED BY rides_ended \
             WHERE status IN ('completed', 'cancelled', 'unfulfilled')), \
           (SELECT COALESCE(MAX(received_at), 0) FROM positions))",
    )
    .fetch_one(connection)
    .await
    .map_err(from_sql)?;
    timestamp("updated_at", newest)
}

pub(super) async fn load_ride(
    readers: &SqlitePool,
    ride: &RideId,
) -> Result<Option<RideRecord>, StoreError> {
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT request, state FROM rides JOIN ride_events ON event_id = last_event \
         WHERE rides.ride_id = ?",
    )
    .bind(ride.as_str())
    .fetch_optional(readers)
    .await
    .map_err(from_sql)?;
    found.map(|(request, state)| ride_record(&request, &state)).transpose()
}

pub(super) async fn load_driver(
    readers: &SqlitePool,
    driver: &DriverId,
) -> Result<Option<DriverRecord>, StoreError> {
    let found: Option<DriverColumns> = sqlx::query_as(
        "SELECT driver_id, online, profile, rider_blocks, stats FROM drivers WHERE driver_id = ?",
    )
    .bind(driver.as_str())
    .fetch_optional(readers)
    .await
    .map_err(from_sql)?;
    found.map(driver_of).transpose()
}

/// Keeps the newest position of each driver (M7: an older fix never overwrites a newer one).
pub(super) async fn save_positions(
    writer: &Writer,
    positions: &[PositionSnapshot],
) -> Result<(), StoreError> {
    let rows = newest_of_each(positions);
    let mut slot = writer.lock().await;
    let outcome = upsert_positions(slot.connection().await?, &rows).await;
    slot.settle(outcome)
}

async fn upsert_positions(
    connection: &mut SqliteConnection,
    rows: &[&PositionSnapshot],
) -> Result<(), StoreError> {
    let mut transaction = begin(connection).await?;
    for piece in pieces(rows) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO positions (driver_id, lat_e7, lng_e7, recorded_at, received_at) ",
        );
        sql.push_values(piece, |mut values, row| {
            values
                .push_bind(row.driver.as_str())
                .push_bind(row.position.lat_e7())
                .push_bind(row.position.lng_e7())
                .push_bind(instant(row.recorded_at))
                .push_bind(instant(row.received_at));
        });
        sql.push(
            " ON CONFLICT (driver_id) DO UPDATE SET lat_e7 = excluded.lat_e7, \
             lng_e7 = excluded.lng_e7, recorded_at = excluded.recorded_at, \
             received_at = excluded.received_at \
             WHERE positions.recorded_at <= excluded.recorded_at",
        );
        sql.build().execute(&mut *transaction).await.map_err(from_sql)?;
    }
    transaction.commit().await.map_err(from_sql)
}
