//! Reads a log: every line that can be read, and a count of what could not.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use muster_engine::geo::Position;

use crate::files::files_in;
use crate::line::{FORMAT, Header, Line};

/// Lines of one log at most.
pub const LINES_MAX: usize = 20_000_000;
/// Bytes of one line at most; a request may hold 64 KiB.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Why there is no log to speak of.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file or folder cannot be opened.
    #[error("{path}: {error}")]
    Open {
        /// Which.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// A folder holds no log, or a file is none.
    #[error("{path}: {detail}")]
    NotALog {
        /// Which.
        path: String,
        /// What it is instead.
        detail: String,
    },
    /// A newer or older build wrote it in another format.
    #[error("{path}: its format is version {found}, this build reads version {FORMAT}")]
    Version {
        /// Which file.
        path: String,
        /// Its version.
        found: u32,
    },
    /// More lines than are read.
    #[error("{path}: more than {LINES_MAX} lines; name single files of the log")]
    TooLong {
        /// Where the limit was reached.
        path: String,
    },
}

/// What of a log could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogFaults {
    /// Files of a folder that have no header.
    pub files_unreadable: u64,
    /// Files that end in the middle of something: the process ended, or a part is damaged. What
    /// stands before it was read.
    pub files_cut_short: u64,
    /// Lines that are no line of this format.
    pub lines_damaged: u64,
    /// Lines that the writer dropped.
    pub lines_dropped: u64,
}

/// A log, its lines by time.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The lines; of the same instant in the order of their writing.
    pub lines: Vec<Line>,
    /// Files they are from.
    pub files: usize,
    /// What is missing.
    pub faults: LogFaults,
}

impl Log {
    /// Reads a file, or all files of a log in a folder.
    ///
    /// # Errors
    /// [`LogError`]; a folder's file without a header is passed over and counted, a single one is an
    /// error.
    pub fn read(path: &Path) -> Result<Self, LogError> {
        let place = path.display().to_string();
        let open = |error| LogError::Open { path: place.clone(), error };
        let facts = std::fs::metadata(path).map_err(open)?;
        let files = if facts.is_dir() { files_in(path).map_err(open)? } else { vec![path.into()] };
        let mut log = Self { lines: Vec::new(), files: 0, faults: LogFaults::default() };
        let mut refused = None;
        for file in &files {
            match log.read_file(file) {
                Ok(()) => log.files += 1,
                Err(error @ (LogError::Open { .. } | LogError::NotALog { .. })) => {
                    log.faults.files_unreadable += 1;
                    refused = Some(error);
                }
                Err(error @ (LogError::Version { .. } | LogError::TooLong { .. })) => {
                    return Err(error);
                }
            }
        }
        if log.files == 0 {
            let detail = "it holds no file of a recorded log".to_owned();
            return Err(refused.unwrap_or(LogError::NotALog { path: place, detail }));
        }
        log.lines.sort_by_key(Line::at);
        Ok(log)
    }

    fn read_file(&mut self, path: &PathBuf) -> Result<(), LogError> {
        let place = || path.display().to_string();
        let open = |error| LogError::Open { path: place(), error };
        let file = File::open(path).map_err(open)?;
        let mut text = BufReader::new(zstd::Decoder::new(file).map_err(open)?);
        let first = next_line(&mut text);
        let header = match &first {
            Ok(Some(line)) => serde_json::from_slice::<Header>(line).map_err(|e| e.to_string()),
            Ok(None) => Err("the file is empty".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let header = header.map_err(|error| LogError::NotALog {
            path: place(),
            detail: format!("no recorded log: its header cannot be read ({error})"),
        })?;
        if header.muster_record != FORMAT {
            return Err(LogError::Version { path: place(), found: header.muster_record });
        }
        loop {
            match next_line(&mut text) {
                Ok(Some(line)) if line.last() == Some(&b'\n') => self.take(&line),
                Ok(None) => return Ok(()),
                Ok(Some(_)) | Err(_) => {
                    self.faults.files_cut_short += 1;
                    return Ok(());
                }
            }
            if self.lines.len() > LINES_MAX {
                return Err(LogError::TooLong { path: place() });
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        match serde_json::from_slice::<Line>(line) {
            Ok(Line::Dropped { lines, .. }) => self.faults.lines_dropped += lines,
            Ok(line) if has_valid_places(&line) => self.lines.push(line),
            Ok(_) | Err(_) => self.faults.lines_damaged += 1,
        }
    }
}

/// The next line with its end; without one when the text ends before it, or it is too long.
fn next_line(text: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = text.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok((read > 0).then_some(line))
}

/// A damaged number may still be a number.
fn has_valid_places(line: &Line) -> bool {
    let is_place = |at: Position| Position::from_e7(at.lat_e7(), at.lng_e7()).is_ok();
    match line {
        Line::Fix(fix) => is_place(fix.position),
        Line::Request(line) => {
            is_place(line.request.pickup) && line.request.dropoff.is_none_or(is_place)
        }
        Line::Ride(step) => step.dropoff.is_none_or(is_place),
        Line::Driver(line) => line.profile.home.is_none_or(is_place),
        Line::Market(_) | Line::OfferEnded(_) | Line::Dropped { .. } => true,
    }
}
