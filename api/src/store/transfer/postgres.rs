//! Export and import of PostgreSQL.

use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{Connection, FromRow, PgConnection, Postgres, QueryBuilder};

use super::tables::{FORMAT, Header, Rows, Table, for_each_table};
use super::{Export, Import, TransferError, epoch_after};
use crate::store::PostgresOptions;
use crate::store::postgres::{SNAPSHOT, from_sql, patient};

pub(super) async fn export(
    options: &PostgresOptions,
    out: &mut Export<'_>,
) -> Result<(), TransferError> {
    let mut connection = patient(options).await?;
    let mut snapshot = connection.begin_with(SNAPSHOT).await.map_err(from_sql)?;
    let select = sqlx::query_as(
        "SELECT epoch, last_event, last_decision, last_zone_event FROM meta WHERE only_row = 1",
    );
    let (epoch, last_event, last_decision, last_zone_event) =
        select.fetch_one(&mut *snapshot).await.map_err(from_sql)?;
    let header =
        Header { muster_export: FORMAT, epoch, last_event, last_decision, last_zone_event };
    out.line(&super::Line::Header(header))?;
    for_each_table!(write_table(&mut snapshot, out));
    snapshot.rollback().await.map_err(from_sql)?;
    Ok(())
}

async fn write_table<T: Table + for<'r> FromRow<'r, PgRow>>(
    connection: &mut PgConnection,
    out: &mut Export<'_>,
) -> Result<(), TransferError> {
    let mut rows = sqlx::query_as::<_, T>(T::SELECT).fetch(connection);
    while let Some(row) = rows.try_next().await.map_err(from_sql)? {
        out.row(row)?;
    }
    Ok(())
}

pub(super) async fn import(
    options: &PostgresOptions,
    input: &mut Import<'_>,
) -> Result<u64, TransferError> {
    let mut connection = patient(options).await?;
    let mut transaction = connection.begin().await.map_err(from_sql)?;
    let lock = sqlx::query_scalar("SELECT epoch FROM meta WHERE only_row = 1 FOR UPDATE");
    let own: i64 = lock.fetch_one(&mut *transaction).await.map_err(from_sql)?;
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
    let update = sqlx::query(
        "UPDATE meta SET epoch = $1, batch = batch + 1, last_event = $2, last_decision = $3, \
         last_zone_event = $4 WHERE only_row = 1",
    );
    update
        .bind(epoch_after(own, header.epoch))
        .bind(header.last_event)
        .bind(header.last_decision)
        .bind(header.last_zone_event)
        .execute(&mut *transaction)
        .await
        .map_err(from_sql)?;
    transaction.commit().await.map_err(from_sql)?;
    connection.close().await.map_err(from_sql)?;
    Ok(end)
}

async fn refuse_rows<T: Table>(connection: &mut PgConnection) -> Result<(), TransferError> {
    let any: i64 = sqlx::query_scalar(T::ANY).fetch_one(connection).await.map_err(from_sql)?;
    if any == 0 { Ok(()) } else { Err(TransferError::NotEmpty) }
}

async fn insert<T: Table>(
    connection: &mut PgConnection,
    rows: &mut Rows,
) -> Result<(), TransferError> {
    let rows = std::mem::take(T::of(rows));
    if !rows.is_empty() {
        let mut sql = QueryBuilder::<Postgres>::new(T::INSERT);
        sql.push_values(&rows, |mut values, row| row.bind_postgres(&mut values));
        sql.build().persistent(false).execute(connection).await.map_err(from_sql)?;
    }
    Ok(())
}
