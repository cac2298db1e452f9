//! Everything that holds of a batch as one statement over arrays.

use muster_actors::StoreError;
use muster_engine::ride::WaveDecision;
use muster_engine::zone::LeaveReason;
use sqlx::PgConnection;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use super::error::from_sql;
use super::judge::{Change, Judged};
use super::plain;
use crate::store::rows::{DriverRow, column, instant, to_json};

/// Its parts touch different rows, so that their order does not matter. It tells how many known rides
/// changed.
const WRITE: &str = "\
    WITH counted AS (UPDATE meta SET batch = $2, last_event = $3, last_decision = $4, \
        last_zone_event = $5 WHERE only_row = 1), \
    events AS (INSERT INTO ride_events (event_id, ride_id, prev_event, seq, at, kind, state, \
        correlation_id, traceparent, decision_id) \
        SELECT * FROM UNNEST($6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[], \
        $11::text[], $12::text[], $62::text[], $63::text[], $64::bigint[])), \
    decided AS (INSERT INTO decisions \
        (decision_id, ride_id, prev_decision, attempt, wave, at, body) \
        SELECT * FROM UNNEST($13::bigint[], $14::text[], $15::bigint[], $16::bigint[], \
        $17::bigint[], $18::bigint[], $19::text[])), \
    added AS (INSERT INTO rides (ride_id, market, rider_id, status, driver_id, version, \
        requested_at, updated_at, request_key, request_fingerprint, request, last_event, \
        last_decision, forward, epoch) \
        SELECT *, $1 FROM UNNEST($20::text[], $21::text[], $22::text[], $23::text[], $24::text[], \
        $25::bigint[], $26::bigint[], $27::bigint[], $28::text[], $29::text[], $30::text[], \
        $31::bigint[], $32::bigint[], $33::boolean[])), \
    changed AS (UPDATE rides r SET status = v.status, driver_id = v.driver_id, \
        version = v.version, updated_at = v.updated_at, last_event = v.last_event, \
        last_decision = v.last_decision, forward = v.forward, epoch = $1 \
        FROM UNNEST($34::text[], $35::text[], $36::text[], $37::bigint[], $38::bigint[], \
        $39::bigint[], $40::bigint[], $41::boolean[], $42::bigint[]) AS v (ride_id, status, \
        driver_id, version, updated_at, last_event, last_decision, forward, first_version) \
        WHERE r.ride_id = v.ride_id AND r.version + 1 = v.first_version AND r.epoch <= $1 \
        RETURNING 1), \
    known AS (INSERT INTO drivers \
        (driver_id, market, online, profile, rider_blocks, stats, updated_at) \
        SELECT *, (EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000)::bigint \
        FROM UNNEST($43::text[], $44::text[], $45::boolean[], $46::text[], $47::text[], \
        $48::text[]) \
        ON CONFLICT (driver_id) DO UPDATE SET market = excluded.market, \
        online = excluded.online, profile = excluded.profile, \
        rider_blocks = excluded.rider_blocks, stats = excluded.stats, \
        updated_at = excluded.updated_at), \
    queues AS (INSERT INTO zone_queues (market, zone, version, state, epoch) \
        SELECT *, $1 FROM UNNEST($49::text[], $50::text[], $51::bigint[], $52::text[]) \
        ON CONFLICT (market, zone) DO UPDATE SET version = excluded.version, \
        state = excluded.state, epoch = excluded.epoch), \
    queued AS (INSERT INTO zone_queue_events \
        (event_id, market, zone, version, at, kind, driver_id, reason, note) \
        SELECT * FROM UNNEST($53::bigint[], $54::text[], $55::text[], $56::bigint[], \
        $57::bigint[], $58::text[], $59::text[], $60::text[], $61::text[])), \
    gone AS (DELETE FROM drivers WHERE driver_id = ANY($65)), \
    nowhere AS (DELETE FROM positions WHERE driver_id = ANY($65)) \
    SELECT COUNT(*) FROM changed";

type Statement<'q> = Query<'q, sqlx::Postgres, PgArguments>;

/// Writes it as commit number `batch` of `epoch`.
pub(super) async fn write(
    connection: &mut PgConnection,
    epoch: i64,
    batch: i64,
    judged: &Judged<'_, '_>,
) -> Result<(), StoreError> {
    let statement = sqlx::query(WRITE)
        .bind(epoch)
        .bind(batch)
        .bind(judged.last_event)
        .bind(judged.last_decision)
        .bind(judged.last_zone_event);
    let statement = decisions(events(statement, judged), judged);
    let statement = known_rides(new_rides(statement, judged)?, judged);
    let statement = queues(drivers(statement, judged), judged);
    let statement = gone(origins(statement, judged), judged);
    let row = statement.fetch_one(connection).await.map_err(from_sql)?;
    let changed: i64 = sqlx::Row::try_get(&row, 0).map_err(from_sql)?;
    let known = judged.rides.values().filter(|change| change.first_version != 1).count();
    if changed == known as i64 {
        return Ok(());
    }
    Err(StoreError::Conflict("somebody else changed a ride".to_owned()))
}

/// Binds one column of `rows`.
macro_rules! columns {
    ($statement:ident, $rows:expr, |$row:pat_param| $($column:expr),+ $(,)?) => {{
        $(let $statement = {
            let column: Vec<_> = $rows.iter().map(|$row| $column).collect();
            $statement.bind(column)
        };)+
        $statement
    }};
}

fn events<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    columns!(
        statement,
        judged.events,
        |event| event.id,
        event.row.record().request.ride.as_str(),
        event.prev,
        column(event.row.record().version),
        instant(event.row.commit.at),
        event.row.commit.kind.name(),
        event.row.state.as_str(),
    )
}

/// What the relay needs to know of events besides.
fn origins<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    columns!(
        statement,
        judged.events,
        |event| event.row.own_origin().map(|origin| plain(&origin.correlation_id)),
        event.row.own_origin().map(|origin| plain(&origin.traceparent)),
        event.decision,
    )
}

/// The decision of a transition.
struct Decided<'q> {
    id: i64,
    ride: &'q str,
    prev: Option<i64>,
    decision: &'q WaveDecision,
    body: &'q str,
}

fn decisions<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    let decided = judged.events.iter().filter_map(|event| {
        Some(Decided {
            id: event.decision?,
            ride: event.row.record().request.ride.as_str(),
            prev: event.prev_decision,
            decision: event.row.commit.decision.as_ref()?,
            body: event.row.decision.as_deref()?,
        })
    });
    let decided: Vec<_> = decided.collect();
    columns!(
        statement,
        decided,
        |decided| decided.id,
        decided.ride,
        decided.prev,
        i64::from(decided.decision.attempt),
        i64::from(decided.decision.wave),
        instant(decided.decision.at),
        decided.body,
    )
}

fn new_rides<'q>(
    statement: Statement<'q>,
    judged: &'q Judged<'_, '_>,
) -> Result<Statement<'q>, StoreError> {
    let new = judged.rides.values().filter(|change| change.first_version == 1);
    let new: Vec<_> = new.collect();
    let requests: Result<Vec<String>, StoreError> =
        new.iter().map(|change| to_json(&*change.last.record().request)).collect();
    let key = |change: &Change<'_, '_>| change.last.record().request.request_key.clone();
    let statement = columns!(
        statement,
        new,
        |change| change.last.record().request.ride.as_str(),
        change.last.record().request.market.as_str(),
        change.last.record().request.rider.as_str(),
        change.last.record().status.name(),
        driver(change),
        column(change.last.record().version),
        instant(change.last.record().request.requested_at),
        instant(change.last.commit.at),
        key(change).map(|key| plain(&key.key).into_owned()),
        key(change).map(|key| plain(&key.fingerprint).into_owned()),
    );
    let statement = statement.bind(requests?);
    Ok(columns!(
        statement,
        new,
        |change| change.last_event,
        change.last_decision,
        change.last.record().forward().is_some(),
    ))
}

fn known_rides<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    let known = judged.rides.values().filter(|change| change.first_version != 1);
    let known: Vec<_> = known.collect();
    columns!(
        statement,
        known,
        |change| change.last.record().request.ride.as_str(),
        change.last.record().status.name(),
        driver(change),
        column(change.last.record().version),
        instant(change.last.commit.at),
        change.last_event,
        change.last_decision,
        change.last.record().forward().is_some(),
        column(change.first_version),
    )
}

fn driver<'q>(change: &Change<'q, '_>) -> Option<&'q str> {
    let assignment = change.last.record().assignment.as_ref();
    assignment.map(|assignment| assignment.driver.id.as_str())
}

fn drivers<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    let drivers: Vec<_> = judged.drivers.values().filter(|row| !is_gone(row)).collect();
    columns!(
        statement,
        drivers,
        |row| row.record.driver.as_str(),
        row.record.profile.market.as_str(),
        row.record.online,
        row.profile.as_str(),
        row.rider_blocks.as_str(),
        row.stats.as_str(),
    )
}

/// Drivers who are gone, with where they were last.
fn gone<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    let gone: Vec<_> = judged.drivers.values().filter(|row| is_gone(row)).collect();
    columns!(statement, gone, |row| row.record.driver.as_str())
}

fn is_gone(row: &DriverRow<'_>) -> bool {
    row.record.profile.departure.is_done()
}

fn queues<'q>(statement: Statement<'q>, judged: &'q Judged<'_, '_>) -> Statement<'q> {
    let queues: Vec<_> = judged.queues.values().collect();
    let statement = columns!(
        statement,
        queues,
        |row| row.commit.record.market.as_str(),
        row.commit.record.zone.as_str(),
        column(row.commit.record.version),
        row.state.as_str(),
    );
    columns!(
        statement,
        judged.queue_events,
        |queued| queued.0,
        queued.1.commit.record.market.as_str(),
        queued.1.commit.record.zone.as_str(),
        column(queued.1.commit.record.version),
        instant(queued.1.commit.at),
        queued.1.commit.kind.name(),
        queued.1.commit.driver.as_str(),
        queued.1.commit.kind.leave_reason().map(LeaveReason::name),
        queued.1.commit.note.as_deref().map(plain),
    )
}
