//! What a restarted process reads, and the position snapshots it needs for it.

use muster_actors::{PositionSnapshot, Recovered, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;
use sqlx::{Connection, PgConnection};

use super::PostgresOptions;
use super::connection::{Readers, patient};
use super::error::from_sql;
use crate::store::rows::{
    DriverColumns, PositionColumns, driver_of, from_json, instant, newest_of_each, position_of,
    ride_record, timestamp, unsigned,
};

/// One instant for everything that a transaction reads.
pub(in crate::store) const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Takes ownership: increments the epoch, once the commit that runs has ended.
pub(super) async fn begin_epoch(options: &PostgresOptions) -> Result<u64, StoreError> {
    let mut connection = patient(options).await?;
    let epoch = sqlx::query_scalar("UPDATE meta SET epoch = epoch + 1 RETURNING epoch")
        .fetch_one(&mut connection)
        .await
        .map_err(from_sql)?;
    unsigned("epoch", epoch)
}

/// Everything as of one instant.
pub(super) async fn recover(options: &PostgresOptions) -> Result<Recovered, StoreError> {
    let mut connection = patient(options).await?;
    let mut snapshot = connection.begin_with(SNAPSHOT).await.map_err(from_sql)?;
    let recovered = Recovered {
        drivers: drivers(&mut snapshot).await?,
        open_rides: open_rides(&mut snapshot).await?,
        zones: queues(&mut snapshot).await?,
        positions: positions(&mut snapshot).await?,
        newest_at: newest_at(&mut snapshot).await?,
    };
    snapshot.rollback().await.map_err(from_sql)?;
    Ok(recovered)
}

async fn drivers(connection: &mut PgConnection) -> Result<Vec<DriverRecord>, StoreError> {
    let rows: Vec<DriverColumns> = sqlx::query_as(
        "SELECT driver_id, online, profile, rider_blocks, stats FROM drivers ORDER BY driver_id",
    )
    .fetch_all(connection)
    .await
    .map_err(from_sql)?;
    rows.into_iter().map(driver_of).collect()
}

async fn open_rides(connection: &mut PgConnection) -> Result<Vec<RideRecord>, StoreError> {
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

async fn queues(connection: &mut PgConnection) -> Result<Vec<QueueRecord>, StoreError> {
    let select = sqlx::query_scalar("SELECT state FROM zone_queues ORDER BY market, zone");
    let rows: Vec<String> = select.fetch_all(connection).await.map_err(from_sql)?;
    rows.iter().map(|state| from_json("the queue of a zone", state)).collect()
}

async fn positions(connection: &mut PgConnection) -> Result<Vec<PositionSnapshot>, StoreError> {
    let rows: Vec<PositionColumns> = sqlx::query_as(
        "SELECT driver_id, lat_e7, lng_e7, recorded_at, received_at FROM positions \
         ORDER BY driver_id",
    )
    .fetch_all(connection)
    .await
    .map_err(from_sql)?;
    rows.into_iter().map(position_of).collect()
}

/// Every transition updates its ride, so the newest ride is as new as the newest transition.
async fn newest_at(connection: &mut PgConnection) -> Result<Timestamp, StoreError> {
    let newest: i64 = sqlx::query_scalar(
        "SELECT GREATEST( \
           (SELECT COALESCE(MAX(updated_at), 0) FROM rides WHERE status IN \
             ('scheduled', 'searching', 'assigned', 'arrived', 'in_progress')), \
           (SELECT COALESCE(MAX(updated_at), 0) FROM rides WHERE status IN \
             ('completed', 'cancelled', 'unfulfilled')), \
           (SELECT COALESCE(MAX(received_at), 0) FROM positions))",
    )
    .fetch_one(connection)
    .await
    .map_err(from_sql)?;
    timestamp("updated_at", newest)
}

pub(super) async fn load_ride(
    readers: &Readers,
    ride: &RideId,
) -> Result<Option<RideRecord>, StoreError> {
    let mut reader = readers.get().await?;
    let found: Option<(String, String)> = sqlx::query_as(
        "SELECT request, state FROM rides JOIN ride_events ON event_id = last_event \
         WHERE rides.ride_id = $1",
    )
    .bind(ride.as_str())
    .fetch_optional(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    found.map(|(request, state)| ride_record(&request, &state)).transpose()
}

pub(super) async fn load_driver(
    readers: &Readers,
    driver: &DriverId,
) -> Result<Option<DriverRecord>, StoreError> {
    let mut reader = readers.get().await?;
    let found: Option<DriverColumns> = sqlx::query_as(
        "SELECT driver_id, online, profile, rider_blocks, stats FROM drivers WHERE driver_id = $1",
    )
    .bind(driver.as_str())
    .fetch_optional(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    found.map(driver_of).transpose()
}

pub(super) async fn load_queue(
    readers: &Readers,
    market: &MarketId,
    zone: &ZoneId,
) -> Result<Option<QueueRecord>, StoreError> {
    let mut reader = readers.get().await?;
    let select =
        sqlx::query_scalar("SELECT state FROM zone_queues WHERE market = $1 AND zone = $2");
    let found: Option<String> = select
        .bind(market.as_str())
        .bind(zone.as_str())
        .fetch_optional(reader.connection()?)
        .await
        .map_err(from_sql)?;
    reader.done();
    found.map(|state| from_json("the queue of a zone", &state)).transpose()
}

/// Keeps the newest position of each driver (M7: an older fix never overwrites a newer one).
pub(super) async fn save_positions(
    readers: &Readers,
    positions: &[PositionSnapshot],
) -> Result<(), StoreError> {
    let rows = newest_of_each(positions);
    let numbers = |number: fn(&PositionSnapshot) -> i64| -> Vec<i64> {
        rows.iter().map(|row| number(row)).collect()
    };
    let mut reader = readers.get().await?;
    sqlx::query(
        "INSERT INTO positions (driver_id, lat_e7, lng_e7, recorded_at, received_at) \
         SELECT * FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) \
         ON CONFLICT (driver_id) DO UPDATE SET lat_e7 = excluded.lat_e7, \
         lng_e7 = excluded.lng_e7, recorded_at = excluded.recorded_at, \
         received_at = excluded.received_at \
         WHERE positions.recorded_at <= excluded.recorded_at",
    )
    .bind(rows.iter().map(|row| row.driver.as_str()).collect::<Vec<_>>())
    .bind(numbers(|row| i64::from(row.position.lat_e7())))
    .bind(numbers(|row| i64::from(row.position.lng_e7())))
    .bind(numbers(|row| instant(row.recorded_at)))
    .bind(numbers(|row| instant(row.received_at)))
    .execute(reader.connection()?)
    .await
    .map_err(from_sql)?;
    reader.done();
    Ok(())
}
