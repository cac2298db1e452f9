//! The recorder: a bounded channel to a thread that writes. Whoever tells it something never waits.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use muster_engine::driver::DriverRecord;
use muster_engine::geo::Position;
use muster_engine::id::DriverId;
use muster_engine::ride::{RideEventKind, RideRecord};
use muster_engine::time::Timestamp;

use crate::files::{Folder, OpenFile};
use crate::line::{Line, MarketLine};
use crate::scribe::Scribe;

/// Inputs that wait for the writer; with one more, inputs are dropped and counted. Some seconds of a
/// busy city, and a few megabytes.
pub const LINES_WAITING_MAX: usize = 16_384;

/// How old a line is at most before it is on disk.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// How long the writer rests after the disk refused.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Something that may be worth a line.
#[derive(Debug, Clone)]
pub enum Input {
    /// A market's policies from here on.
    Market(Box<MarketLine>),
    /// A driver's record was made durable.
    Driver(Timestamp, Box<DriverRecord>),
    /// A driver was here.
    Fix(Timestamp, DriverId, Position),
    /// A ride's transition was made durable.
    Ride(Timestamp, RideEventKind, Arc<RideRecord>),
    /// A ride was open when the recording began.
    OpenRide(Arc<RideRecord>),
}

/// What the writer is sent.
enum Order {
    Take(Input),
    Finish,
}

/// Where and how much is recorded.
pub struct RecorderConfig {
    /// The folder; made if absent.
    pub folder: PathBuf,
    /// Bytes that all files may take together, at least [`RECORD_BYTES_MIN`](crate::RECORD_BYTES_MIN).
    pub bytes_max: u64,
    /// Which build writes.
    pub build: String,
    /// Engine seconds per real second.
    pub clock_speed: f64,
    /// Is told how many inputs were dropped, whenever some were.
    pub on_dropped: Box<dyn Fn(u64) + Send + Sync>,
}

/// What teller and writer share.
struct Counts {
    dropped: AtomicU64,
    on_dropped: Box<dyn Fn(u64) + Send + Sync>,
}

impl Counts {
    fn drop_some(&self, inputs: u64) {
        self.dropped.fetch_add(inputs, Ordering::Relaxed);
        (self.on_dropped)(inputs);
    }
}

/// Records what it is told, on a thread of its own.
pub struct Recorder {
    orders: SyncSender<Order>,
    counts: Arc<Counts>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Begins the first file and starts the writer.
    ///
    /// # Errors
    /// When the folder cannot be made or written.
    pub fn start(config: RecorderConfig, now: Timestamp) -> io::Result<Self> {
        let RecorderConfig { folder, bytes_max, build, clock_speed, on_dropped } = config;
        let folder = Folder { path: folder, bytes_max, build, clock_speed };
        let file = folder.begin(now, &[], 0)?;
        let counts = Arc::new(Counts { dropped: AtomicU64::new(0), on_dropped });
        let (orders, told) = sync_channel(LINES_WAITING_MAX);
        let mut writer = Writer {
            folder,
            file: Some(file),
            scribe: Scribe::default(),
            counts: Arc::clone(&counts),
            told_dropped: 0,
            preface_bytes: 0,
            newest_at: now,
            failed: None,
        };
        let builder = std::thread::Builder::new().name("record".to_owned());
        let writer = Mutex::new(Some(builder.spawn(move || writer.run(&told))?));
        Ok(Self { orders, counts, writer })
    }

    /// Tells the writer, or drops and counts when it has too much before it.
    pub fn tell(&self, input: Input) {
        if self.orders.try_send(Order::Take(input)).is_err() {
            self.counts.drop_some(1);
        }
    }

    /// Inputs dropped so far.
    pub fn dropped(&self) -> u64 {
        self.counts.dropped.load(Ordering::Relaxed)
    }

    /// Writes what is left and closes the file. Waits for the disk.
    pub fn finish(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        // A writer that is gone already has nothing left to write.
        let _gone = self.orders.send(Order::Finish);
        if writer.join().is_err() {
            tracing::error!("the writer of the recorded log panicked");
        }
    }
}

/// The other end of the channel.
struct Writer {
    folder: Folder,
    file: Option<OpenFile>,
    scribe: Scribe,
    counts: Arc<Counts>,
    told_dropped: u64,
    /// Of the newest file.
    preface_bytes: u64,
    newest_at: Timestamp,
    failed: Option<Instant>,
}

impl Writer {
    fn run(&mut self, told: &Receiver<Order>) {
        let mut flush_at = Instant::now() + FLUSH_EVERY;
        loop {
            match told.recv_timeout(flush_at.saturating_duration_since(Instant::now())) {
                Ok(Order::Take(input)) => self.take(input),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Finish) | Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= flush_at {
                let flushed = self.file.as_mut().map_or(Ok(()), OpenFile::flush);
                self.settle(flushed, 0);
                flush_at = Instant::now() + FLUSH_EVERY;
            }
        }
        self.write(Vec::new());
        let finished = self.file.take().map_or(Ok(()), OpenFile::finish);
        self.settle(finished, 0);
    }

    fn take(&mut self, input: Input) {
        let lines = match input {
            Input::Market(line) => self.scribe.market(*line),
            Input::Driver(at, record) => self.scribe.driver(at, *record),
            Input::Fix(at, driver, position) => self.scribe.fix(at, driver, position),
            Input::Ride(at, kind, record) => self.scribe.ride(at, kind, &record),
            Input::OpenRide(record) => {
                self.scribe.open_ride(record);
                Vec::new()
            }
        };
        self.write(lines);
    }

    /// Writes these lines, behind a word on what was dropped before them.
    fn write(&mut self, mut lines: Vec<Line>) {
        let count = lines.len() as u64;
        let newest = lines.iter().map(Line::at).max();
        self.newest_at = self.newest_at.max(newest.unwrap_or_default());
        let dropped = self.counts.dropped.load(Ordering::Relaxed);
        if dropped > self.told_dropped {
            let lost = dropped - self.told_dropped;
            lines.insert(0, Line::Dropped { at: self.newest_at, lines: lost });
        }
        if lines.is_empty() {
            return;
        }
        let written = self.write_all(&lines);
        if matches!(written, Ok(true)) {
            self.told_dropped = dropped;
        }
        match written {
            Ok(true) => {}
            Ok(false) => self.counts.drop_some(count),
            Err(error) => self.settle(Err(error), count),
        }
    }

    /// Tells whether the lines are written; they are not while the disk is given a rest.
    fn write_all(&mut self, lines: &[Line]) -> io::Result<bool> {
        if self.file.as_ref().is_some_and(|file| file.is_full(self.newest_at))
            && let Some(full) = self.file.take()
        {
            full.finish()?;
        }
        if self.file.is_none() {
            if self.failed.is_some_and(|failed| failed.elapsed() < RETRY_AFTER) {
                return Ok(false);
            }
            // The lines at hand are part of what the scribe knows; told again, they are no harm.
            let preface = self.scribe.preface(self.newest_at);
            let file = self.folder.begin(self.newest_at, &preface, self.preface_bytes)?;
            self.preface_bytes = self.file.insert(file).preface_bytes();
            self.failed = None;
        }
        let Some(file) = self.file.as_mut() else { return Ok(false) };
        lines.iter().try_for_each(|line| file.line(line)).map(|()| true)
    }

    /// After a failure the file is left as it is, and another one is begun later.
    fn settle(&mut self, outcome: io::Result<()>, lines: u64) {
        if let Err(error) = outcome {
            tracing::warn!(%error, lines, "the recorded log cannot be written: lines are dropped");
            self.file = None;
            self.failed = Some(Instant::now());
            self.counts.drop_some(lines);
        }
    }
}
