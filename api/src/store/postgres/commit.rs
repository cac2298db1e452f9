//! Group commit: what holds of a batch, in one transaction of four trips.
//!
//! The row of `meta` is locked first: a process with a newer epoch either waits for this commit or has
//! fenced it off, and commits follow one another, so that ids become visible in their order.

use std::collections::BTreeSet;

use muster_actors::{Durable, StoreError};
use sqlx::{FromRow, PgConnection};
use tokio::time::timeout;

use super::connection::Writer;
use super::doubt::Doubt;
use super::error::{from_sql, too_late};
use super::judge::{Judged, Known, RideState, judge};
use super::{plain, write};
use crate::store::rows::{Row, column, unsigned};

type Verdicts = Vec<Result<(), StoreError>>;

pub(super) async fn commit(writer: &Writer, epoch: u64, batch: &[Durable]) -> Verdicts {
    let rows: Result<Vec<Row<'_>>, StoreError> = batch.iter().map(Row::encode).collect();
    let verdicts = match rows {
        Ok(rows) if rows.is_empty() => Ok(Vec::new()),
        Ok(rows) => commit_rows(writer, column(epoch), &rows).await,
        Err(error) => Err(error),
    };
    verdicts.unwrap_or_else(|error| vec![Err(error); batch.len()])
}

async fn commit_rows(
    writer: &Writer,
    epoch: i64,
    rows: &[Row<'_>],
) -> Result<Verdicts, StoreError> {
    let mut slot = writer.lock().await;
    let limit = slot.limit();
    let writing = timeout(limit, apply(slot.begin().await?, epoch, rows)).await;
    match writing.unwrap_or_else(|_| Err(too_late())) {
        Ok(Applied { batch: Some(batch), verdicts }) => {
            slot.commit(Doubt::Commit { epoch, batch }).await?;
            Ok(verdicts)
        }
        Ok(Applied { batch: None, verdicts }) => {
            slot.roll_back().await;
            Ok(verdicts)
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

/// What waits for its commit.
struct Applied {
    /// The number of the commit; nothing when nothing was written.
    batch: Option<i64>,
    verdicts: Verdicts,
}

async fn apply(
    connection: &mut PgConnection,
    epoch: i64,
    rows: &[Row<'_>],
) -> Result<Applied, StoreError> {
    let (batch, known) = owned(connection, epoch, rows).await?;
    let judged = judge(known, rows);
    if judged.is_empty() {
        return Ok(Applied { batch: None, verdicts: judged.verdicts });
    }
    vacate(connection, &judged).await?;
    write::write(connection, epoch, batch + 1, &judged).await?;
    Ok(Applied { batch: Some(batch + 1), verdicts: judged.verdicts })
}

/// Takes the places of rides that leave them to others in this batch.
async fn vacate(connection: &mut PgConnection, judged: &Judged<'_, '_>) -> Result<(), StoreError> {
    if judged.vacated.is_empty() {
        return Ok(());
    }
    let update = sqlx::query("UPDATE rides SET driver_id = NULL WHERE ride_id = ANY($1)");
    update.bind(&judged.vacated).execute(connection).await.map_err(from_sql).map(|_| ())
}

/// A row of what is stored: `meta`, and a ride or a queue if there is one.
#[derive(FromRow)]
struct Stored {
    epoch: i64,
    batch: i64,
    last_event: i64,
    last_decision: i64,
    last_zone_event: i64,
    ride_id: Option<String>,
    market: Option<String>,
    zone: Option<String>,
    version: Option<i64>,
    driver_id: Option<String>,
    holds: Option<bool>,
    waits: Option<bool>,
    request_key: Option<String>,
    ride_event: Option<i64>,
    ride_decision: Option<i64>,
}

/// Locks `meta` for the owner of `epoch`, and reads all that `rows` name. Returns the number of the
/// newest commit, too.
///
/// The snapshot may be older than the lock. Only a commit of the same epoch could have come between,
/// and this process has no other that runs.
const OWNED: &str = "\
    WITH own AS MATERIALIZED (SELECT epoch, batch, last_event, last_decision, last_zone_event \
        FROM meta WHERE only_row = 1 FOR UPDATE), \
    named AS (SELECT ride_id FROM rides WHERE ride_id = ANY($1) \
        UNION SELECT ride_id FROM rides WHERE driver_id = ANY($2) \
            AND status IN ('assigned', 'arrived', 'in_progress') \
        UNION SELECT ride_id FROM rides WHERE request_key = ANY($3)) \
    SELECT own.*, r.ride_id, NULL AS market, NULL AS zone, r.version, r.driver_id, \
        r.status IN ('assigned', 'arrived', 'in_progress') AS holds, r.forward AS waits, \
        r.request_key, r.last_event AS ride_event, r.last_decision AS ride_decision \
        FROM own LEFT JOIN (named JOIN rides r USING (ride_id)) ON TRUE \
    UNION ALL SELECT own.*, NULL, q.market, q.zone, q.version, NULL, NULL, NULL, NULL, NULL, NULL \
        FROM own JOIN zone_queues q ON q.market = ANY($4) AND q.zone = ANY($5)";

async fn owned(
    connection: &mut PgConnection,
    epoch: i64,
    rows: &[Row<'_>],
) -> Result<(i64, Known), StoreError> {
    let named = Named::of(rows);
    let stored: Vec<Stored> = sqlx::query_as(OWNED)
        .bind(named.rides)
        .bind(named.drivers)
        .bind(named.keys)
        .bind(named.markets)
        .bind(named.zones)
        .fetch_all(connection)
        .await
        .map_err(from_sql)?;
    let meta = stored.first().ok_or_else(|| StoreError::Corrupt("meta is empty".to_owned()))?;
    if meta.epoch != epoch {
        let fact = format!("epoch {epoch} is not the newest one, {}", meta.epoch);
        return Err(StoreError::Conflict(fact));
    }
    let mut known = Known {
        last_event: meta.last_event,
        last_decision: meta.last_decision,
        last_zone_event: meta.last_zone_event,
        ..Known::default()
    };
    let batch = meta.batch;
    for row in stored {
        row.tell(&mut known)?;
    }
    Ok((batch, known))
}

impl Stored {
    fn tell(self, known: &mut Known) -> Result<(), StoreError> {
        let Some(version) = self.version else { return Ok(()) };
        let version = unsigned("version", version)?;
        if let (Some(market), Some(zone)) = (self.market, self.zone) {
            known.queues.insert((market, zone), version);
        } else if let Some(ride) = self.ride_id {
            let holder = self.driver_id.clone().filter(|_| self.holds == Some(true));
            let state = RideState {
                version,
                place: holder.map(|driver| (driver, self.waits == Some(true))),
                driver: self.driver_id,
                last_event: self.ride_event,
                last_decision: self.ride_decision,
            };
            if let Some(key) = self.request_key {
                known.keys.insert(key, ride.clone());
            }
            known.rides.insert(ride, state);
        }
        Ok(())
    }
}

/// Everything that a batch names, each once.
#[derive(Default)]
struct Named<'r> {
    rides: Vec<&'r str>,
    drivers: Vec<&'r str>,
    keys: Vec<String>,
    markets: Vec<&'r str>,
    zones: Vec<&'r str>,
}

impl<'r> Named<'r> {
    fn of(rows: &'r [Row<'_>]) -> Self {
        let (mut rides, mut drivers) = (BTreeSet::new(), BTreeSet::new());
        let mut keys = BTreeSet::new();
        let (mut markets, mut zones) = (BTreeSet::new(), BTreeSet::new());
        for row in rows {
            match row {
                Row::Ride(row) => {
                    let record = row.record();
                    rides.insert(record.request.ride.as_str());
                    drivers.extend(row.active_driver().map(|(driver, _)| driver.as_str()));
                    let key = record.request.request_key.as_ref().filter(|_| record.version == 1);
                    keys.extend(key.map(|key| plain(&key.key).into_owned()));
                }
                Row::Driver(_) => {}
                Row::Zone(row) => {
                    markets.insert(row.commit.record.market.as_str());
                    zones.insert(row.commit.record.zone.as_str());
                }
            }
        }
        Self {
            rides: rides.into_iter().collect(),
            drivers: drivers.into_iter().collect(),
            keys: keys.into_iter().collect(),
            markets: markets.into_iter().collect(),
            zones: zones.into_iter().collect(),
        }
    }
}
