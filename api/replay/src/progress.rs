//! Live progress on standard error: a line that moves on a terminal, a plain line now and then
//! elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::summary::Percentiles;
use crate::world::World;

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// Shows how far a replay is.
pub(crate) struct Progress {
    bar: ProgressBar,
    plain: bool,
    shown_at: Instant,
    fixes_at_last: (Instant, u64),
    fixes_per_s: f64,
}

impl Progress {
    /// Progress over `city_ms` of city time.
    pub(crate) fn new(city_ms: i64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal && !quiet {
            ProgressDrawTarget::stderr_with_hz(4)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(city_ms.max(1) as u64), target);
        let style = ProgressStyle::with_template("{wide_bar} {percent:>3} %\n{msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        let now = Instant::now();
        let plain = !terminal && !quiet;
        Self { bar, plain, shown_at: now, fixes_at_last: (now, 0), fixes_per_s: 0.0 }
    }

    /// A word about a phase without figures.
    pub(crate) fn phase(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        if self.plain {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Shows the state at `after_ms` city milliseconds since the first request.
    pub(crate) fn show(&mut self, world: &World, after_ms: i64) {
        let now = Instant::now();
        let (then, fixes_then) = self.fixes_at_last;
        let fixes = world.recorder.fixes();
        let seconds = (now - then).as_secs_f64();
        if seconds >= 1.0 {
            self.fixes_per_s = (fixes - fixes_then) as f64 / seconds;
            self.fixes_at_last = (now, fixes);
        }
        let after_ms = after_ms.max(0);
        self.bar.set_position(after_ms as u64);
        let due = self.plain && now - self.shown_at >= PLAIN_EVERY;
        if !due && self.bar.is_hidden() {
            return;
        }
        let text = self.line(world, after_ms);
        if due {
            self.shown_at = now;
            let _ = writeln!(std::io::stderr(), "{text}");
        }
        self.bar.set_message(text);
    }

    /// Removes the moving line.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self, world: &World, after_ms: i64) -> String {
        let (live, first_offer) = world
            .recorder
            .ledger(|ledger| (ledger.live, Percentiles::of(&ledger.first_offer_us, 1_000.0)));
        let seconds = after_ms / 1_000;
        format!(
            "city {:02}:{:02}:{:02}  requested {}  open {}  assigned {}  completed {}  \
             fixes/s {:.0}  first offer p50 {:.1} ms p99 {:.1} ms",
            seconds / 3_600,
            seconds / 60 % 60,
            seconds % 60,
            live.requested,
            live.open(),
            live.assigned,
            live.completed,
            self.fixes_per_s,
            first_offer.p50,
            first_offer.p99
        )
    }
}
