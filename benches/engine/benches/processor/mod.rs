//! Processor time of a call beside its wall time: on a busy machine the wall tells of others.

use std::hint::black_box;
use std::time::Instant;

/// What some runs of a call took, in milliseconds.
pub(crate) struct Took {
    /// Processor time of this thread per run: the mean, for the kernel counts it in steps of some
    /// milliseconds.
    pub(crate) processor_ms: f64,
    /// The wall times, the least first.
    pub(crate) wall_ms: Vec<f64>,
}

fn processor_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent_ns = text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok());
    spent_ns.unwrap_or(f64::NAN) / 1e6
}

/// Times `runs` runs, at least one, and returns what the last of them did.
pub(crate) fn timed<T>(runs: usize, mut run: impl FnMut() -> T) -> (Took, T) {
    let mut wall_ms = Vec::with_capacity(runs);
    let before_ms = processor_ms();
    let mut once = || {
        let began = Instant::now();
        let result = black_box(run());
        wall_ms.push(began.elapsed().as_secs_f64() * 1e3);
        result
    };
    let mut last = once();
    for _ in 1..runs {
        last = once();
    }
    let processor_ms = (processor_ms() - before_ms) / wall_ms.len() as f64;
    wall_ms.sort_by(f64::total_cmp);
    (Took { processor_ms, wall_ms }, last)
}

impl Took {
    /// The wall time that a share of the runs, 0 to 1, took at most.
    pub(crate) fn wall_ms(&self, share: f64) -> f64 {
        self.wall_ms[((self.wall_ms.len() - 1) as f64 * share) as usize]
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (least, middle, p99) = (self.wall_ms(0.0), self.wall_ms(0.5), self.wall_ms(0.99));
        let Self { processor_ms, .. } = self;
        write!(
            f,
            "processor {processor_ms:.2} ms; wall least {least:.2}, p50 {middle:.2}, p99 {p99:.2} ms"
        )
    }
}
