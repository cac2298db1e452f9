//! Live progress on standard error: a bar on a terminal, a line per run elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a simulation is; runs of several threads share it.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    begun: AtomicUsize,
    runs: usize,
    run_ms: u64,
}

/// How far one run is.
pub(crate) struct RunProgress<'p> {
    progress: &'p Progress,
    shown_ms: u64,
}

impl Progress {
    /// Of `runs` runs of `run_ms` virtual milliseconds each.
    pub(crate) fn new(runs: usize, run_ms: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet {
            ProgressDrawTarget::stderr_with_hz(4)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(runs as u64 * run_ms), target);
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %  {eta}\n{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self { bar, plain: !terminal && !quiet, begun: AtomicUsize::new(0), runs, run_ms }
    }

    pub(crate) fn begin(&self, policy: &str, drivers: usize, seed: u64) -> RunProgress<'_> {
        let run = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!("run {run} of {}: {policy}, {drivers} drivers, seed {seed}", self.runs);
        if self.plain {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        self.bar.set_message(text);
        RunProgress { progress: self, shown_ms: 0 }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl RunProgress<'_> {
    /// Shows the virtual time of the run.
    pub(crate) fn show(&mut self, ms: u64) {
        let ms = ms.min(self.progress.run_ms);
        self.progress.bar.inc(ms.saturating_sub(self.shown_ms));
        self.shown_ms = self.shown_ms.max(ms);
    }

    /// The run is over.
    pub(crate) fn finish(mut self) {
        self.show(self.progress.run_ms);
    }
}
