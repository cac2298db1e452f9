//! The recorded log of a served city: what came in from outside and what people did, as lines of JSON
//! packed with zstd. docs/record.md describes the format.
//!
//! ```text
//! server ── Recorder (bounded channel) ── scribe ── files ──▶ Log ── simulate --log
//! ```

mod files;
mod line;
mod read;
mod recorder;
mod scribe;

pub use files::RECORD_BYTES_MIN;
pub use line::{
    DriverLine, FORMAT, FixLine, Header, Line, MarketLine, OfferEndedLine, RequestLine, RideLine,
};
pub use read::{LINES_MAX, Log, LogError, LogFaults};
pub use recorder::{Input, LINES_WAITING_MAX, Recorder, RecorderConfig};

#[cfg(test)]
mod log_tests;
