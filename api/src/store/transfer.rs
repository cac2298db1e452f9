//! A whole store as lines of JSON, and back: for moves between stores, and for copies.
//!
//! Rows are read at one instant and written in one transaction, a few at a time. The last line says
//! how many there are, so that a file that was cut off is noticed.

mod bytes;
mod postgres;
mod sqlite;
mod tables;

use std::io::{self, BufRead, Write};

use muster_actors::StoreError;

use self::tables::{FORMAT, Header, Line, Rows, Table};
use super::Location;

/// Rows in memory while a file is read.
const ROWS_MAX: usize = 256;
/// A longer line is no row: some hundred times the largest ride.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Why a store was not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The file cannot be read or written.
    #[error("{0}")]
    File(#[from] io::Error),
    /// A line of the file cannot be used.
    #[error("line {line}: {fact}")]
    Line {
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        fact: String,
    },
    /// The file ends before its last line.
    #[error("the file is cut off: it ends after {rows} rows without saying that these are all")]
    CutOff {
        /// Rows up to there.
        rows: u64,
    },
    /// The store to export is of an older version.
    #[error("the store lacks migrations: run muster migrate first")]
    Outdated,
    /// The store to import into holds something.
    #[error("the store is not empty: nothing was imported")]
    NotEmpty,
}

impl Location {
    /// Writes all that the store holds at one instant to `out`; returns how many rows that are. A
    /// server may run on it meanwhile.
    ///
    /// # Errors
    /// [`TransferError`]; what was written is then of no use.
    pub async fn export(&self, out: &mut (dyn Write + Send)) -> Result<u64, TransferError> {
        if self.migrate(false).await?.iter().any(|migration| !migration.applied) {
            return Err(TransferError::Outdated);
        }
        let mut out = Export { out, rows: 0 };
        match self {
            Self::Sqlite { path, .. } => sqlite::export(path, &mut out).await?,
            Self::Postgres(options) => postgres::export(options, &mut out).await?,
        }
        let rows = out.rows;
        out.line(&Line::End(rows))?;
        out.out.flush()?;
        Ok(rows)
    }

    /// Fills the store, which is made where it is missing, with what `input` tells; returns how many
    /// rows that are. All of it is there afterwards, or nothing. A server that runs on the store is
    /// fenced off.
    ///
    /// # Errors
    /// [`TransferError`]; the store is as it was.
    pub async fn import(&self, input: &mut (dyn BufRead + Send)) -> Result<u64, TransferError> {
        self.migrate(true).await?;
        let mut input = Import { input, line: 0 };
        match self {
            Self::Sqlite { path, .. } => sqlite::import(path, &mut input).await,
            Self::Postgres(options) => postgres::import(options, &mut input).await,
        }
    }
}

/// A file that is written.
struct Export<'o> {
    out: &'o mut (dyn Write + Send),
    rows: u64,
}

impl Export<'_> {
    fn row<T: Table>(&mut self, row: T) -> Result<(), TransferError> {
        self.rows += 1;
        self.line(&row.into_line())
    }

    fn line(&mut self, line: &Line) -> Result<(), TransferError> {
        serde_json::to_writer(&mut *self.out, line).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

/// A file that is read.
struct Import<'i> {
    input: &'i mut (dyn BufRead + Send),
    line: u64,
}

/// Some rows of a file.
struct Chunk {
    rows: Rows,
    /// How many the file says that it has, at its end.
    end: Option<u64>,
}

impl Import<'_> {
    fn header(&mut self) -> Result<Header, TransferError> {
        match self.next()? {
            Some(Line::Header(header)) if header.muster_export == FORMAT => Ok(header),
            Some(Line::Header(header)) => {
                let fact = format!("format {}, known is {FORMAT}", header.muster_export);
                Err(self.fault(fact))
            }
            Some(_) | None => Err(self.fault("the file does not begin as an export".to_owned())),
        }
    }

    fn chunk(&mut self, rows_so_far: u64) -> Result<Chunk, TransferError> {
        let mut rows = Rows::default();
        while rows.len() < ROWS_MAX {
            let so_far = rows_so_far + rows.len() as u64;
            let line = self.next()?.ok_or(TransferError::CutOff { rows: so_far })?;
            match rows.take(line) {
                None => {}
                Some(Line::End(all)) if all == so_far => return Ok(Chunk { rows, end: Some(all) }),
                Some(Line::End(all)) => {
                    return Err(self.fault(format!("{so_far} rows came before, not {all}")));
                }
                Some(_) => return Err(self.fault("a second beginning".to_owned())),
            }
        }
        Ok(Chunk { rows, end: None })
    }

    fn next(&mut self) -> Result<Option<Line>, TransferError> {
        let mut text = Vec::new();
        let mut line = io::Read::take(&mut *self.input, LINE_BYTES_MAX);
        if line.read_until(b'\n', &mut text)? == 0 {
            return Ok(None);
        }
        self.line += 1;
        // Half a line is no line: the file was cut off there.
        if text.last() != Some(&b'\n') && text.len() as u64 == LINE_BYTES_MAX {
            return Err(self.fault(format!("longer than {LINE_BYTES_MAX} bytes")));
        }
        if text.last() != Some(&b'\n') {
            return Ok(None);
        }
        serde_json::from_slice(&text).map(Some).map_err(|error| self.fault(error.to_string()))
    }

    fn fault(&self, fact: String) -> TransferError {
        TransferError::Line { line: self.line, fact }
    }
}

/// The epoch of a store that has been filled: that of the file, unless a process has owned the store
/// before, which must own it no longer.
fn epoch_after(own: i64, imported: i64) -> i64 {
    if own == 0 { imported } else { imported.max(own + 1) }
}
