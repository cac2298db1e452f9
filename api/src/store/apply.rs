//! The rows of a batch as few multi-row statements.

use std::collections::BTreeMap;

use muster_actors::StoreError;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use super::error::from_sql;
use super::rows::{DriverRow, RideRow, Row, column, instant};

/// Rows of one statement at most: a power of two, well below the limit of bound values
/// (32 766 / 12 columns). More brings nothing.
const STATEMENT_ROWS_MAX: usize = 64;

/// Writes `rows` as if one by one and in order, or fails: with a conflict when one of them, or their
/// combination, is refused.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[&Row<'_>],
) -> Result<(), StoreError> {
    let rides: Vec<&RideRow<'_>> = rows.iter().filter_map(|row| ride(row)).collect();
    for segment in segments(&rides) {
        upsert_rides(connection, epoch, &segment).await?;
    }
    insert_events(connection, &rides).await?;
    insert_decisions(connection, &rides).await?;
    upsert_drivers(connection, rows).await
}

fn ride<'r, 'a>(row: &'r Row<'a>) -> Option<&'r RideRow<'a>> {
    match row {
        Row::Ride(row) => Some(row),
        Row::Driver(_) => None,
    }
}

/// Cuts transitions into groups with one upsert per ride: its last state, at the place of its first.
///
/// A state that holds a driver may only be skipped for one that holds the same driver: else a
/// driver who served two rides for a moment would go unnoticed, and someone would have been told.
fn segments<'r, 'a>(rides: &[&'r RideRow<'a>]) -> Vec<Vec<&'r RideRow<'a>>> {
    let mut segments: Vec<Vec<&RideRow<'a>>> = Vec::new();
    let mut segment: Vec<&RideRow<'a>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rides {
        let id = row.record().request.ride.as_str();
        match places.get(id) {
            Some(place) if replaces(segment[*place], row) => segment[*place] = row,
            Some(_) => {
                segments.push(std::mem::take(&mut segment));
                places = BTreeMap::from([(id, 0)]);
                segment.push(row);
            }
            None => {
                places.insert(id, segment.len());
                segment.push(row);
            }
        }
    }
    segments.push(segment);
    segments
}

fn replaces(earlier: &RideRow<'_>, later: &RideRow<'_>) -> bool {
    let held = earlier.active_driver();
    earlier.record().version < later.record().version
        && (held.is_none() || held == later.active_driver())
}

/// `rows` in pieces whose lengths are powers of two, so that few distinct statements are compiled.
pub(super) fn pieces<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let power = rest.len().min(STATEMENT_ROWS_MAX).checked_ilog2()?;
        let (piece, tail) = rest.split_at(1 << power);
        rest = tail;
        Some(piece)
    })
}

async fn upsert_rides(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[&RideRow<'_>],
) -> Result<(), StoreError> {
    for piece in pieces(rows) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO rides (ride_id, market, rider_id, status, driver_id, version, epoch, \
             requested_at, updated_at, request_key, request_fingerprint, state) ",
        );
        sql.push_values(piece, |mut values, row| {
            let record = row.record();
            let request = &record.request;
            let key = request.request_key.as_ref();
            values
                .push_bind(request.ride.as_str())
                .push_bind(request.market.as_str())
                .push_bind(request.rider.as_str())
                .push_bind(record.status.name())
                .push_bind(record.assignment.as_ref().map(|a| a.driver.id.as_str()))
                .push_bind(column(record.version))
                .push_bind(column(epoch))
                .push_bind(instant(request.requested_at))
                .push_bind(instant(row.commit.at))
                .push_bind(key.map(|key| key.key.as_str()))
                .push_bind(key.map(|key| key.fingerprint.as_str()))
                .push_bind(std::sync::Arc::clone(&row.state));
        });
        sql.push(
            " ON CONFLICT (ride_id) DO UPDATE SET status = excluded.status, \
             driver_id = excluded.driver_id, version = excluded.version, epoch = excluded.epoch, \
             updated_at = excluded.updated_at, state = excluded.state \
             WHERE rides.version < excluded.version AND rides.epoch <= excluded.epoch",
        );
        let done = sql.build().execute(&mut *connection).await.map_err(from_sql)?;
        if done.rows_affected() != piece.len() as u64 {
            let fact = "a newer version or epoch of the ride is stored";
            return Err(StoreError::Conflict(fact.to_owned()));
        }
    }
    Ok(())
}

async fn insert_events(
    connection: &mut SqliteConnection,
    rows: &[&RideRow<'_>],
) -> Result<(), StoreError> {
    for piece in pieces(rows) {
        let mut sql =
            QueryBuilder::<Sqlite>::new("INSERT INTO ride_events (ride_id, seq, at, kind, state) ");
        sql.push_values(piece, |mut values, row| {
            values
                .push_bind(row.record().request.ride.as_str())
                .push_bind(column(row.record().version))
                .push_bind(instant(row.commit.at))
                .push_bind(row.commit.kind.name())
                .push_bind(std::sync::Arc::clone(&row.state));
        });
        sql.build().execute(&mut *connection).await.map_err(from_sql)?;
    }
    Ok(())
}

async fn insert_decisions(
    connection: &mut SqliteConnection,
    rows: &[&RideRow<'_>],
) -> Result<(), StoreError> {
    let decided: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row, row.commit.decision.as_ref()?, row.decision.as_deref()?)))
        .collect();
    for piece in pieces(&decided) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO decisions (ride_id, attempt, wave, at, body) ",
        );
        sql.push_values(piece, |mut values, (row, decision, body)| {
            values
                .push_bind(row.record().request.ride.as_str())
                .push_bind(i64::from(decision.attempt))
                .push_bind(i64::from(decision.wave))
                .push_bind(instant(decision.at))
                .push_bind(*body);
        });
        sql.build().execute(&mut *connection).await.map_err(from_sql)?;
    }
    Ok(())
}

async fn upsert_drivers(
    connection: &mut SqliteConnection,
    rows: &[&Row<'_>],
) -> Result<(), StoreError> {
    let mut last: BTreeMap<&str, &DriverRow<'_>> = BTreeMap::new();
    for row in rows {
        if let Row::Driver(row) = row {
            last.insert(row.record.driver.as_str(), row);
        }
    }
    let last: Vec<(&str, &DriverRow<'_>)> = last.into_iter().collect();
    for piece in pieces(&last) {
        let mut sql = QueryBuilder::<Sqlite>::new(
            "INSERT INTO drivers (driver_id, market, online, profile, updated_at) ",
        );
        sql.push_values(piece, |mut values, (driver, row)| {
            values
                .push_bind(*driver)
                .push_bind(row.record.profile.market.as_str())
                .push_bind(row.record.online)
                .push_bind(row.profile.as_str())
                .push_unseparated(", CAST(unixepoch('subsec') * 1000 AS INTEGER)");
        });
        sql.push(
            " ON CONFLICT (driver_id) DO UPDATE SET market = excluded.market, \
             online = excluded.online, profile = excluded.profile, \
             updated_at = excluded.updated_at",
        );
        sql.build().execute(&mut *connection).await.map_err(from_sql)?;
    }
    Ok(())
}
