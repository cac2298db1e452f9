//! The rows of a batch as one text of few multi-row statements: one trip to the writer's thread.
//!
//! - Rows point at each other (see the migrations), so ids are given out here, counted from the
//!   newest one in the store.
//! - Every script has the same statements, all of the same number of rows, a power of two, filled up
//!   with empty ones: so few scripts are compiled, and compiling costs more than empty rows.
//! - Whatever fails rolls everything back, so SQLite need not be able to undo half a statement
//!   (`OR FAIL`), which saves it a journal of its own.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use muster_actors::StoreError;
use sqlx::query_builder::Separated;
use sqlx::{Either, Executor, QueryBuilder, Row as _, Sqlite, SqliteConnection};

use super::error::from_sql;
use super::zones;
use crate::store::rows::{DriverRow, RideRow, Row, column, instant, to_json};

/// Rows of one statement at most: a power of two, well below the limit of bound values
/// (32 766 / 15 columns). More brings nothing.
const STATEMENT_ROWS_MAX: usize = 64;

/// A transition with its place in the chains of its ride. Places count from 1 within the batch.
struct Linked<'r, 'a> {
    row: &'r RideRow<'a>,
    event: i64,
    /// The event before, if it is in this batch.
    prev_event: Option<i64>,
    /// The newest decision about the ride in this batch so far, this transition's included.
    decision: Option<i64>,
    /// The decision before, if it is in this batch.
    prev_decision: Option<i64>,
}

/// What is written of a ride whose transitions stand in one group.
struct Change<'l, 'r, 'a> {
    /// The last of them.
    last: &'l Linked<'r, 'a>,
    /// The version of the first of them; 1 is the request itself.
    first_version: u64,
}

impl Change<'_, '_, '_> {
    /// Whether writing the state of `later` alone tells all that the states before it would tell.
    fn may_end_with(&self, later: &RideRow<'_>) -> bool {
        let (held, holds) = (self.last.row.active_driver(), later.active_driver());
        let is_new = self.first_version == 1;
        self.last.row.record().version + 1 == later.record().version
            && (held == holds || (held.is_none() && is_new))
    }
}

/// Statements that are run together.
pub(super) struct Script {
    pub(super) sql: QueryBuilder<Sqlite>,
    /// Rows of each statement.
    size: usize,
    /// How many rows each statement has to change, where that is checked.
    changes: Vec<Option<u64>>,
}

/// What a script did.
pub(super) struct Done {
    /// The newest epoch, if the script asked for it.
    pub(super) epoch: Option<i64>,
}

/// Begins a transaction that holds the write lock from its first moment, writes `rows` in it as if
/// one by one and in order, and tells the newest epoch. The transaction is left open, also when it
/// fails: with a conflict when one of the rows, or their combination, is refused.
pub(super) async fn begin_and_apply(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[&Row<'_>],
) -> Result<Done, StoreError> {
    let mut script = Script::new("BEGIN IMMEDIATE", rows);
    script.begin("SELECT epoch FROM meta", None);
    script.rows(epoch, rows)?;
    script.run(connection).await
}

/// Writes `rows` within the transaction at hand, otherwise as [`begin_and_apply`].
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[&Row<'_>],
) -> Result<(), StoreError> {
    let mut script = Script::new("SELECT epoch FROM meta", rows);
    script.rows(epoch, rows)?;
    script.run(connection).await.map(|_| ())
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

fn link<'r, 'a>(rows: &[&'r Row<'a>]) -> Vec<Linked<'r, 'a>> {
    let mut newest: BTreeMap<&str, (i64, Option<i64>)> = BTreeMap::new();
    let mut linked = Vec::with_capacity(rows.len());
    let (mut events, mut decisions) = (0, 0);
    for row in rows.iter().filter_map(|row| ride(row)) {
        let id = row.record().request.ride.as_str();
        let before = newest.get(id).copied();
        let (prev_event, prev_decision) = before.map_or((None, None), |(e, d)| (Some(e), d));
        events += 1;
        decisions += i64::from(row.decision.is_some());
        let decision = if row.decision.is_some() { Some(decisions) } else { prev_decision };
        newest.insert(id, (events, decision));
        linked.push(Linked { row, event: events, prev_event, decision, prev_decision });
    }
    linked
}

fn ride<'r, 'a>(row: &'r Row<'a>) -> Option<&'r RideRow<'a>> {
    match row {
        Row::Ride(row) => Some(row),
        Row::Driver(_) | Row::Zone(_) => None,
    }
}

/// Cuts transitions into groups with one write per ride: its last state, at the place of its first.
///
/// A state that holds a driver may only be skipped for one that holds the same driver alike: else a
/// driver who served two rides for a moment would go unnoticed, and someone would have been told. Nor
/// may a state without a driver, where the store may hold one: in between he was another ride's.
fn segments<'l, 'r, 'a>(rides: &'l [Linked<'r, 'a>]) -> Vec<Vec<Change<'l, 'r, 'a>>> {
    let mut segments: Vec<Vec<Change<'l, 'r, 'a>>> = Vec::new();
    let mut segment: Vec<Change<'l, 'r, 'a>> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for linked in rides {
        let id = linked.row.record().request.ride.as_str();
        let change = Change { last: linked, first_version: linked.row.record().version };
        match places.get(id) {
            Some(place) if segment[*place].may_end_with(linked.row) => {
                segment[*place].last = linked;
            }
            Some(_) => {
                segments.push(std::mem::take(&mut segment));
                places = BTreeMap::from([(id, 0)]);
                segment.push(change);
            }
            None => {
                places.insert(id, segment.len());
                segment.push(change);
            }
        }
    }
    segments.push(segment);
    segments
}

type Values<'b> = Separated<'b, Sqlite, &'static str>;

impl Script {
    fn new(first: &'static str, rows: &[&Row<'_>]) -> Self {
        let size = rows.len().min(STATEMENT_ROWS_MAX).next_power_of_two();
        Self { sql: QueryBuilder::new(first), size, changes: vec![None] }
    }

    /// Begins the next statement. It has to change exactly `changes` rows, if that is given.
    pub(super) fn begin(&mut self, text: &'static str, changes: Option<u64>) {
        self.sql.push("; ").push(text);
        self.changes.push(changes);
    }

    /// `VALUES` of `rows`, filled up with rows of `columns` nulls.
    fn values<T>(&mut self, rows: &[T], columns: usize, mut bind: impl FnMut(&mut Values<'_>, &T)) {
        let empty = self.size.saturating_sub(rows.len());
        let all = rows.iter().map(Some).chain(std::iter::repeat_n(None, empty));
        self.sql.push_values(all, |mut values, row| match row {
            Some(row) => bind(&mut values, row),
            None => {
                for _ in 0..columns {
                    values.push_bind(None::<i64>);
                }
            }
        });
    }

    fn rows(&mut self, epoch: u64, rows: &[&Row<'_>]) -> Result<(), StoreError> {
        let rides = link(rows);
        self.events(&rides);
        self.decisions(&rides);
        for segment in segments(&rides) {
            let (new, known): (Vec<_>, Vec<_>) =
                segment.iter().partition(|change| change.first_version == 1);
            // Rows of a statement have no order. A ride that takes a driver comes before all that
            // may let him go: too early is refused, and then written one by one.
            let (taking, other): (Vec<_>, Vec<_>) =
                known.into_iter().partition(|change| change.last.row.active_driver().is_some());
            self.new_rides(epoch, &rides, &new)?;
            self.known_rides(epoch, &rides, &taking);
            self.known_rides(epoch, &rides, &other);
        }
        self.drivers(rows);
        zones::write(self, epoch, rows);
        Ok(())
    }

    fn events(&mut self, rides: &[Linked<'_, '_>]) {
        for (piece, before) in statements(rides).zip(written()) {
            self.begin(
                "INSERT OR FAIL INTO ride_events \
                 (event_id, ride_id, prev_event, seq, at, kind, state, correlation_id, \
                 traceparent, decision_id) \
                 SELECT base + column1, column2, COALESCE(base + column3, \
                 (SELECT last_event FROM rides WHERE ride_id = column2)), \
                 column4, column5, column6, column7, column8, column9, column10 + COALESCE( \
                 (SELECT seq FROM sqlite_sequence WHERE name = 'decisions'), 0) FROM (",
                None,
            );
            self.values(piece, 10, |values, linked| {
                let record = linked.row.record();
                let origin = linked.row.own_origin();
                let decision = linked.decision.filter(|_| linked.row.decision.is_some());
                values
                    .push_bind(linked.event - before)
                    .push_bind(record.request.ride.as_str())
                    .push_bind(linked.prev_event.map(|place| place - before))
                    .push_bind(column(record.version))
                    .push_bind(instant(linked.row.commit.at))
                    .push_bind(linked.row.commit.kind.name())
                    .push_bind(linked.row.state.as_str())
                    .push_bind(origin.map(|origin| origin.correlation_id.as_str()))
                    .push_bind(origin.map(|origin| origin.traceparent.as_str()))
                    .push_bind(decision);
            });
            self.sql.push(
                "), (SELECT COALESCE(MAX(seq), 0) AS base FROM sqlite_sequence \
                 WHERE name = 'ride_events') WHERE column1 IS NOT NULL",
            );
        }
    }

    fn decisions(&mut self, rides: &[Linked<'_, '_>]) {
        let decided: Vec<_> = rides
            .iter()
            .filter_map(|linked| {
                let row = linked.row;
                Some((linked, row.commit.decision.as_ref()?, row.decision.as_deref()?))
            })
            .collect();
        for (piece, before) in statements(&decided).zip(written()) {
            self.begin(
                "INSERT OR FAIL INTO decisions \
                 (decision_id, ride_id, prev_decision, attempt, wave, at, body) \
                 SELECT base + column1, column2, COALESCE(base + column3, \
                 (SELECT last_decision FROM rides WHERE ride_id = column2)), \
                 column4, column5, column6, column7 FROM (",
                None,
            );
            self.values(piece, 7, |values, (linked, decision, body)| {
                values
                    .push_bind(linked.decision.map(|place| place - before))
                    .push_bind(linked.row.record().request.ride.as_str())
                    .push_bind(linked.prev_decision.map(|place| place - before))
                    .push_bind(i64::from(decision.attempt))
                    .push_bind(i64::from(decision.wave))
                    .push_bind(instant(decision.at))
                    .push_bind(*body);
            });
            self.sql.push(
                "), (SELECT COALESCE(MAX(seq), 0) AS base FROM sqlite_sequence \
                 WHERE name = 'decisions') WHERE column1 IS NOT NULL",
            );
        }
    }

    fn new_rides(
        &mut self,
        epoch: u64,
        all: &[Linked<'_, '_>],
        changes: &[&Change<'_, '_, '_>],
    ) -> Result<(), StoreError> {
        let mut requests = Vec::with_capacity(changes.len());
        for change in changes {
            requests.push((change.last, to_json(&*change.last.row.record().request)?));
        }
        let (events, decisions) = totals(all);
        for piece in statements(&requests) {
            self.begin(
                "INSERT OR FAIL INTO rides (ride_id, market, rider_id, status, driver_id, \
                 version, epoch, requested_at, updated_at, request_key, request_fingerprint, \
                 request, forward, last_event, last_decision) \
                 SELECT column1, column2, column3, column4, column5, column6, column7, column8, \
                 column9, column10, column11, column12, column13, \
                 column14 + (SELECT seq FROM sqlite_sequence WHERE name = 'ride_events'), \
                 column15 + (SELECT seq FROM sqlite_sequence WHERE name = 'decisions') FROM (",
                None,
            );
            self.values(piece, 15, |values, (linked, text)| {
                let record = linked.row.record();
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
                    .push_bind(instant(linked.row.commit.at))
                    .push_bind(key.map(|key| key.key.as_str()))
                    .push_bind(key.map(|key| key.fingerprint.as_str()))
                    .push_bind(text.as_str())
                    .push_bind(record.forward().is_some())
                    .push_bind(linked.event - events)
                    .push_bind(linked.decision.map(|place| place - decisions));
            });
            self.sql.push(") WHERE column1 IS NOT NULL");
        }
        Ok(())
    }

    fn known_rides(&mut self, epoch: u64, all: &[Linked<'_, '_>], changes: &[&Change<'_, '_, '_>]) {
        let (events, decisions) = totals(all);
        for piece in statements(changes) {
            self.begin(
                "UPDATE OR FAIL rides SET status = v.column2, driver_id = v.column3, \
                 version = v.column4, updated_at = v.column5, \
                 last_event = v.column6 + \
                 (SELECT seq FROM sqlite_sequence WHERE name = 'ride_events'), \
                 last_decision = COALESCE(v.column7 + \
                 (SELECT seq FROM sqlite_sequence WHERE name = 'decisions'), last_decision), \
                 forward = v.column9, epoch = ",
                Some(piece.len() as u64),
            );
            self.sql.push_bind(column(epoch)).push(" FROM (");
            self.values(piece, 9, |values, change| {
                let (linked, record) = (change.last, change.last.row.record());
                values
                    .push_bind(record.request.ride.as_str())
                    .push_bind(record.status.name())
                    .push_bind(record.assignment.as_ref().map(|a| a.driver.id.as_str()))
                    .push_bind(column(record.version))
                    .push_bind(instant(linked.row.commit.at))
                    .push_bind(linked.event - events)
                    .push_bind(linked.decision.map(|place| place - decisions))
                    .push_bind(column(change.first_version))
                    .push_bind(record.forward().is_some());
            });
            self.sql
                .push(
                    ") AS v WHERE rides.ride_id = v.column1 AND rides.version + 1 = v.column8 \
                     AND (rides.driver_id IS v.column3 OR rides.driver_id IS NULL \
                     OR v.column3 IS NULL) AND rides.epoch <= ",
                )
                .push_bind(column(epoch));
        }
    }

    fn drivers(&mut self, rows: &[&Row<'_>]) {
        let mut last: BTreeMap<&str, &DriverRow<'_>> = BTreeMap::new();
        for row in rows {
            if let Row::Driver(row) = row {
                last.insert(row.record.driver.as_str(), row);
            }
        }
        let (gone, kept): (Vec<_>, Vec<_>) =
            last.into_iter().partition(|(_, row)| row.record.profile.departure.is_done());
        self.forget_drivers(&gone);
        for piece in kept.chunks(STATEMENT_ROWS_MAX) {
            self.begin(
                "INSERT INTO drivers \
                 (driver_id, market, online, profile, rider_blocks, stats, updated_at) \
                 SELECT column1, column2, column3, column4, column5, column6, \
                 CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM (",
                None,
            );
            self.values(piece, 6, |values, (driver, row)| {
                values
                    .push_bind(*driver)
                    .push_bind(row.record.profile.market.as_str())
                    .push_bind(row.record.online)
                    .push_bind(row.profile.as_str())
                    .push_bind(row.rider_blocks.as_str())
                    .push_bind(row.stats.as_str());
            });
            self.sql.push(
                ") WHERE column1 IS NOT NULL \
                 ON CONFLICT (driver_id) DO UPDATE SET market = excluded.market, \
                 online = excluded.online, profile = excluded.profile, \
                 rider_blocks = excluded.rider_blocks, \
                 stats = excluded.stats, \
                 updated_at = excluded.updated_at",
            );
        }
    }

    /// Drivers who are gone, with where they were last.
    fn forget_drivers(&mut self, gone: &[(&str, &DriverRow<'_>)]) {
        for piece in gone.chunks(STATEMENT_ROWS_MAX) {
            for table in ["drivers", "positions"] {
                self.begin("DELETE FROM ", None);
                self.sql.push(table).push(" WHERE driver_id IN (SELECT column1 FROM (");
                self.values(piece, 1, |values, (driver, _)| {
                    values.push_bind(*driver);
                });
                self.sql.push("))");
            }
        }
    }

    async fn run(mut self, connection: &mut SqliteConnection) -> Result<Done, StoreError> {
        let mut epoch = None;
        let mut required = self.changes.into_iter();
        let mut results = connection.fetch_many(self.sql.build());
        while let Some(result) = results.try_next().await.map_err(from_sql)? {
            match result {
                Either::Right(row) => epoch = Some(row.try_get(0).map_err(from_sql)?),
                Either::Left(done) => {
                    let required = required.next().flatten();
                    if required.is_some_and(|required| required != done.rows_affected()) {
                        let fact = "the transition does not follow the one that is stored";
                        return Err(StoreError::Conflict(fact.to_owned()));
                    }
                }
            }
        }
        Ok(Done { epoch })
    }
}

/// `rows` in the pieces of one statement each; there is one even without rows.
fn statements<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let none = rows.is_empty().then_some(rows);
    rows.chunks(STATEMENT_ROWS_MAX).chain(none)
}

/// How many rows of a batch are written before each of its statements.
fn written() -> impl Iterator<Item = i64> {
    (0..).step_by(STATEMENT_ROWS_MAX)
}

/// Events and decisions of the whole batch.
fn totals(all: &[Linked<'_, '_>]) -> (i64, i64) {
    let decisions = all.iter().filter(|linked| linked.row.decision.is_some()).count();
    (all.len() as i64, decisions as i64)
}
