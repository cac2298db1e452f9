//! Group commit: one transaction per batch, and the isolation of items that conflict.
//!
//! A batch is first written as a whole. When anything in it conflicts, everything is rolled back and
//! the batch is halved, in order, behind savepoints, until the items that conflict stand alone.
//! Whatever is written together is written exactly as it would be one by one, or refused.

use std::collections::BTreeSet;

use muster_actors::{Durable, StoreError};
use sqlx::{Connection, Sqlite, SqliteConnection, Transaction};

use super::apply::{apply, begin_and_apply};
use super::connection::{Writer, begin};
use super::error::from_sql;
use crate::store::rows::{Row, Subject, column};

type Verdicts = Vec<Result<(), StoreError>>;

pub(super) async fn commit(writer: &Writer, epoch: u64, batch: &[Durable]) -> Verdicts {
    let rows: Result<Vec<Row<'_>>, StoreError> = batch.iter().map(Row::encode).collect();
    let verdicts = match rows {
        Ok(rows) if rows.is_empty() => Ok(Vec::new()),
        Ok(rows) => write(writer, epoch, &rows).await,
        Err(error) => Err(error),
    };
    verdicts.unwrap_or_else(|error| vec![Err(error); batch.len()])
}

async fn write(writer: &Writer, epoch: u64, rows: &[Row<'_>]) -> Result<Verdicts, StoreError> {
    let mut slot = writer.lock().await;
    let connection = slot.connection().await?;
    let outcome = match write_together(connection, epoch, rows).await {
        Ok(()) => Ok(vec![Ok(()); rows.len()]),
        Err(StoreError::Conflict(_)) => write_apart(connection, epoch, rows).await,
        Err(error) => Err(error),
    };
    slot.settle(outcome)
}

/// The common case: two trips to the writer's thread.
async fn write_together(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[Row<'_>],
) -> Result<(), StoreError> {
    let all: Vec<&Row<'_>> = rows.iter().collect();
    let written = begin_and_apply(connection, epoch, &all).await;
    let outcome = written.and_then(|done| owned(epoch, done.epoch.unwrap_or_default()));
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    match (sqlx::query(end).execute(connection).await.map_err(from_sql), outcome) {
        (Ok(_), outcome) => outcome,
        // A failed statement may have rolled everything back by itself.
        (Err(_), Err(error @ StoreError::Unavailable(_))) => Err(error),
        (Err(error), _) => Err(error),
    }
}

async fn write_apart(
    connection: &mut SqliteConnection,
    epoch: u64,
    rows: &[Row<'_>],
) -> Result<Verdicts, StoreError> {
    let mut transaction = begin_owned(connection, epoch).await?;
    let mut verdicts: Verdicts = vec![Ok(()); rows.len()];
    let mut failed: BTreeSet<Subject<'_>> = BTreeSet::new();
    let mut pending: Vec<Vec<usize>> = vec![(0..rows.len()).collect()];
    while let Some(group) = pending.pop() {
        let (blocked, live): (Vec<usize>, Vec<usize>) =
            group.into_iter().partition(|index| failed.contains(&rows[*index].subject()));
        for index in blocked {
            let fact = "an earlier transition in the batch was refused".to_owned();
            verdicts[index] = Err(StoreError::Conflict(fact));
        }
        let Err(fact) = attempt(&mut transaction, epoch, rows, &live).await? else { continue };
        if let [only] = live[..] {
            verdicts[only] = Err(StoreError::Conflict(fact));
            failed.insert(rows[only].subject());
        } else {
            let (first, second) = live.split_at(live.len() / 2);
            pending.push(second.to_vec());
            pending.push(first.to_vec());
        }
    }
    transaction.commit().await.map_err(from_sql)?;
    Ok(verdicts)
}

/// Writes `group` behind a savepoint; the inner error is the refused fact, with nothing written.
async fn attempt(
    transaction: &mut Transaction<'_, Sqlite>,
    epoch: u64,
    rows: &[Row<'_>],
    group: &[usize],
) -> Result<Result<(), String>, StoreError> {
    let group: Vec<&Row<'_>> = group.iter().map(|index| &rows[*index]).collect();
    let mut savepoint = transaction.begin().await.map_err(from_sql)?;
    match apply(&mut savepoint, epoch, &group).await {
        Ok(()) => savepoint.commit().await.map_err(from_sql).map(Ok),
        Err(StoreError::Conflict(fact)) => {
            savepoint.rollback().await.map_err(from_sql).map(|()| Err(fact))
        }
        Err(error) => Err(error),
    }
}

/// A transaction of the newest owner; anyone else is refused.
async fn begin_owned(
    connection: &mut SqliteConnection,
    epoch: u64,
) -> Result<Transaction<'_, Sqlite>, StoreError> {
    let mut transaction = begin(connection).await?;
    let newest: i64 = sqlx::query_scalar("SELECT epoch FROM meta")
        .fetch_one(&mut *transaction)
        .await
        .map_err(from_sql)?;
    if let Err(refused) = owned(epoch, newest) {
        transaction.rollback().await.map_err(from_sql)?;
        return Err(refused);
    }
    Ok(transaction)
}

fn owned(epoch: u64, newest: i64) -> Result<(), StoreError> {
    if newest == column(epoch) {
        return Ok(());
    }
    Err(StoreError::Conflict(format!("epoch {epoch} is not the newest one, {newest}")))
}
