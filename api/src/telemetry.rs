//! What the process says about itself: metrics, structured logs, traces.

mod exposition;
mod intake;
mod labels;
mod metrics;
mod outbox;
mod redis;
mod shadow;
mod trace_metrics;
pub mod traceparent;
mod traces;
mod travel;
mod windows;

pub use exposition::{CLASSIC, OPEN_METRICS, render};
pub use metrics::Metrics;
pub(crate) use outbox::OutboxMetrics;
pub use traces::{TraceSpan, Traces};

use tracing_subscriber::EnvFilter;

/// Writes logs as JSON lines to standard error, filtered by `level`: a level or a filter.
///
/// # Errors
/// A sentence that names the filter when it cannot be parsed.
pub fn init_logs(level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| {
        format!("log.level is {level:?}, allowed is a level or filter: {error}")
    })?;
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    started.map_err(|error| format!("logs were set up already: {error}"))
}
