//! Live progress on standard error: a bar on a terminal, a line per run elsewhere.

use std::io::{IsTerminal, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a simulation is.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    run: u64,
    runs: usize,
    run_ms: u64,
}

impl Progress {
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
        Self { bar, plain: !terminal && !quiet, run: 0, runs, run_ms }
    }

    pub(crate) fn begin(&mut self, policy: &str, drivers: usize, seed: u64) {
        self.run += 1;
        let text =
            format!("run {} of {}: {policy}, {drivers} drivers, seed {seed}", self.run, self.runs);
        if self.plain {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        self.bar.set_message(text);
        self.show(0);
    }

    /// Shows the virtual time of the run under way.
    pub(crate) fn show(&self, ms: u64) {
        self.bar.set_position((self.run.saturating_sub(1)) * self.run_ms + ms.min(self.run_ms));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
