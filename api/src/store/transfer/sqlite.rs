//! Export and import of SQLite.

use std::path::Path;

use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, FromRow, QueryBuilder, Sqlite, SqliteConnection};

use super::tables::{FORMAT, Header, Rows, Table, for_each_table};
use super::{Export, Import, TransferError, epoch_after};
use crate::store::sqlite::{Access, connect, from_sql};

/// The newest ids, by table.
const SEQUENCES: [&str; 3] = ["ride_events", "decisions", "zone_queue_events"];

pub(super) async fn export(path: &Path, out: &mut Export<'_>) -> Result<(), TransferError> {
    let mut connection = connect(path, Access::Read).await?;
    let mut snapshot = connection.begin().await.map_err(from_sql)?;
    let epoch = sqlx::query_scalar("SELECT epoch FROM meta").fetch_one(&mut *snapshot);
    let epoch: i64 = epoch.await.map_err(from_sql)?;
    let mut newest = [0_i64; 3];
    for (table, newest) in SEQUENCES.iter().zip(&mut newest) {
        let select =
            sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = ?");
        *newest = select.bind(table).fetch_one(&mut *snapshot).await.map_err(from_sql)?;
    }
    let [last_event, last_decision, last_zone_event] = newest;
    let header =
        Header { muster_export: FORMAT, epoch, last_event, last_decision, last_zone_event };
    out.line(&super::Line::Header(header))?;
    for_each_table!(write_table(&mut snapshot, out));
    snapshot.rollback().await.map_err(from_sql)?;
    Ok(())
}

async fn write_table<T: Table + for<'r> FromRow<'r, SqliteRow>>(
    connection: &mut SqliteConnection,
    out: &mut Export<'_>,
) -> Result<(), TransferError> {
    let mut rows = sqlx::query_as::<_, T>(T::SELECT).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(from_sql)? {
        out.row(row)?;
    }
    Ok(())
}

pub(super) async fn import(path: &Path, input: &mut Import<'_>) -> Result<u64, TransferError> {
    let mut connection = connect(path, Access::Write).await?;
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(from_sql)?;
    for_each_table!(refuse_rows(&mut transaction));
    let header = input.header()?;
    let mut all = 0;
    let end = loop {
        let mut chunk = input.chunk(all)?;
        all += chunk.rows.len() as u64;
        for_each_table!(insert(&mut transaction, &mut chunk.rows));
        if let Some(end) = chunk.end {
            break end;
        }
    };
    begin_after(&mut transaction, &header).await?;
    transaction.commit().await.map_err(from_sql)?;
    connection.close().await.map_err(from_sql)?;
    Ok(end)
}

async fn refuse_rows<T: Table>(connection: &mut SqliteConnection) -> Result<(), TransferError> {
    let any: i64 = sqlx::query_scalar(T::ANY).fetch_one(connection).await.map_err(from_sql)?;
    if any == 0 { Ok(()) } else { Err(TransferError::NotEmpty) }
}

async fn insert<T: Table>(
    connection: &mut SqliteConnection,
    rows: &mut Rows,
) -> Result<(), TransferError> {
    let rows = std::mem::take(T::of(rows));
    if !rows.is_empty() {
        let mut sql = QueryBuilder::<Sqlite>::new(T::INSERT);
        sql.push_values(&rows, |mut values, row| row.bind_sqlite(&mut values));
        sql.build().persistent(false).execute(connection).await.map_err(from_sql)?;
    }
    Ok(())
}

/// What comes next is newer than all that was imported.
async fn begin_after(
    connection: &mut SqliteConnection,
    header: &Header,
) -> Result<(), TransferError> {
    let own = sqlx::query_scalar("SELECT epoch FROM meta").fetch_one(&mut *connection);
    let own: i64 = own.await.map_err(from_sql)?;
    let update = sqlx::query("UPDATE meta SET epoch = ?").bind(epoch_after(own, header.epoch));
    update.execute(&mut *connection).await.map_err(from_sql)?;
    let newest = [header.last_event, header.last_decision, header.last_zone_event];
    for (table, newest) in SEQUENCES.iter().zip(newest) {
        let delete = sqlx::query("DELETE FROM sqlite_sequence WHERE name = ?").bind(table);
        delete.execute(&mut *connection).await.map_err(from_sql)?;
        let insert = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)");
        insert.bind(table).bind(newest).execute(&mut *connection).await.map_err(from_sql)?;
    }
    Ok(())
}
