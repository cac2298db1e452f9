//! Writes whose end nobody heard, and how they are found again.
//!
//! Every commit locks the one row of `meta` and counts it. Whoever can lock that row knows that no
//! older transaction runs any more, and the number there tells whether a certain one was committed.

use muster_actors::StoreError;
use sqlx::{Connection, PgConnection};

use super::error::from_sql;

/// A write that was told to commit.
#[derive(Debug)]
pub(super) enum Doubt {
    /// Transitions of the owner of `epoch`, the commit with this number.
    Commit {
        /// The epoch of the process.
        epoch: i64,
        /// The number of the commit.
        batch: i64,
    },
    /// A change of a market's policies. Whoever asked for it has been told that it failed.
    Policy {
        /// The market.
        market: String,
        /// The version it made.
        version: i64,
        /// Whose change it was.
        correlation_id: String,
    },
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The store holds it.
    Written,
    /// The store does not hold it.
    Lost,
    /// A newer process has written since: nobody knows, and it no longer matters to this one.
    Superseded,
}

impl Doubt {
    /// Waits for the end of the transaction, which an abandoned connection may still be in.
    pub(super) async fn settle(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Outcome, StoreError> {
        match self {
            Self::Commit { epoch, batch } => {
                let select =
                    sqlx::query_as("SELECT epoch, batch FROM meta WHERE only_row = 1 FOR UPDATE");
                let newest: (i64, i64) = select.fetch_one(connection).await.map_err(from_sql)?;
                Ok(outcome((*epoch, *batch), newest))
            }
            Self::Policy { market, version, correlation_id } => {
                let mut transaction = connection.begin().await.map_err(from_sql)?;
                let lock = sqlx::query("SELECT epoch FROM meta WHERE only_row = 1 FOR UPDATE");
                lock.execute(&mut *transaction).await.map_err(from_sql)?;
                sqlx::query(
                    "DELETE FROM policies WHERE market = $1 AND version = $2 AND correlation_id = $3",
                )
                .bind(market)
                .bind(version)
                .bind(correlation_id)
                .execute(&mut *transaction)
                .await
                .map_err(from_sql)?;
                transaction.commit().await.map_err(from_sql)?;
                Ok(Outcome::Lost)
            }
        }
    }
}

fn outcome((epoch, batch): (i64, i64), (newest_epoch, newest_batch): (i64, i64)) -> Outcome {
    if newest_batch < batch {
        Outcome::Lost
    } else if newest_epoch == epoch {
        Outcome::Written
    } else {
        Outcome::Superseded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_newest_commit_tells_how_one_ended() {
        assert_eq!(outcome((3, 10), (3, 10)), Outcome::Written);
        assert_eq!(outcome((3, 10), (3, 9)), Outcome::Lost);
        assert_eq!(outcome((3, 10), (4, 9)), Outcome::Lost);
        // A newer process may have given the number to a commit of its own.
        assert_eq!(outcome((3, 10), (4, 10)), Outcome::Superseded);
    }
}
