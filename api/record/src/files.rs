//! The files of a log: one per hour or size, the oldest deleted when there are too many bytes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use muster_engine::time::Timestamp;
use serde::Serialize;

use crate::line::{FORMAT, Header, Line};

/// Least disk space that a log may be given.
pub const RECORD_BYTES_MIN: u64 = 1 << 20;

/// What every file's name begins with; nothing else in the folder is touched.
pub(crate) const FILE_PREFIX: &str = "muster-record-";
/// And ends with.
pub(crate) const FILE_SUFFIX: &str = ".jsonl.zst";

/// A file ends after an hour of the engine's clock.
const FILE_MS_MAX: u64 = 3_600_000;
/// Or at this size, or at a part of what all may take.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// That part.
const FILES_MIN: u64 = 4;
/// zstd's level: lines of a city shrink to a tenth, at some 100 MB/s.
const LEVEL: i32 = 3;
/// Files that may begin in the same millisecond.
const NAMES_MAX: u32 = 1_000;

/// What the files of one recording have in common.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) bytes_max: u64,
    pub(crate) build: String,
    pub(crate) clock_speed: f64,
}

/// A writer that counts.
struct Counted {
    inner: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The file that is written.
pub(crate) struct OpenFile {
    encoder: zstd::Encoder<'static, Counted>,
    began_at: Timestamp,
    bytes_max: u64,
    /// What its first lines take, which grows with the fleet.
    preface_bytes: u64,
}

impl Folder {
    fn file_bytes_max(&self) -> u64 {
        FILE_BYTES_MAX.min(self.bytes_max / FILES_MIN)
    }

    /// Begins a file with its header and first lines, after making room for it and for first lines
    /// as long as those of the file before.
    pub(crate) fn begin(
        &self,
        at: Timestamp,
        preface: &[Line],
        preface_bytes: u64,
    ) -> io::Result<OpenFile> {
        fs::create_dir_all(&self.path)?;
        self.make_room(self.file_bytes_max() + preface_bytes)?;
        let file = self.create(at)?;
        let counted = Counted { inner: BufWriter::new(file), bytes: 0 };
        let encoder = zstd::Encoder::new(counted, LEVEL)?;
        let bytes_max = self.file_bytes_max();
        let mut open = OpenFile { encoder, began_at: at, bytes_max, preface_bytes: 0 };
        open.write(&Header {
            muster_record: FORMAT,
            began_at: at,
            build: self.build.clone(),
            clock_speed: self.clock_speed,
        })?;
        preface.iter().try_for_each(|line| open.line(line))?;
        open.flush()?;
        open.preface_bytes = open.encoder.get_ref().bytes;
        Ok(open)
    }

    fn create(&self, at: Timestamp) -> io::Result<File> {
        let mut error = io::Error::from(io::ErrorKind::AlreadyExists);
        for number in 0..NAMES_MAX {
            let name = format!("{FILE_PREFIX}{:014}-{number:03}{FILE_SUFFIX}", at.as_millis());
            match OpenOptions::new().write(true).create_new(true).open(self.path.join(name)) {
                Ok(file) => return Ok(file),
                Err(exists) if exists.kind() == io::ErrorKind::AlreadyExists => error = exists,
                Err(other) => return Err(other),
            }
        }
        Err(error)
    }

    /// Deletes the oldest files until one of this size fits.
    fn make_room(&self, file_bytes: u64) -> io::Result<()> {
        let files = files_in(&self.path)?;
        let sizes: Vec<u64> =
            files.iter().map(|file| fs::metadata(file).map_or(0, |facts| facts.len())).collect();
        let mut bytes: u64 = sizes.iter().sum();
        for (file, size) in files.iter().zip(sizes) {
            if bytes + file_bytes <= self.bytes_max {
                break;
            }
            fs::remove_file(file)?;
            bytes -= size;
        }
        Ok(())
    }
}

impl OpenFile {
    pub(crate) fn line(&mut self, line: &Line) -> io::Result<()> {
        self.write(line)
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.encoder.write_all(&text)
    }

    /// Makes what was written readable, also if the process ends here.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }

    /// Whether the file has had its hour or its size.
    pub(crate) fn is_full(&self, now: Timestamp) -> bool {
        let written = self.encoder.get_ref().bytes;
        let own = written.saturating_sub(self.preface_bytes);
        now.millis_since(self.began_at) >= FILE_MS_MAX || own >= self.bytes_max
    }

    pub(crate) const fn preface_bytes(&self) -> u64 {
        self.preface_bytes
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        self.encoder.finish()?.flush()
    }
}

/// The log's files in a folder, the oldest first.
pub(crate) fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(FILE_PREFIX) && name.ends_with(FILE_SUFFIX) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
