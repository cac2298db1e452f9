//! When a database that does not answer is asked again.

use std::time::{Duration, Instant};

use rand::Rng;

/// The pause after the first failure; it doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A bounded, growing pause between attempts, during which everyone is refused at once.
#[derive(Debug)]
pub(super) struct Retry {
    pause_max: Duration,
    failures: u32,
    not_before: Option<Instant>,
}

impl Retry {
    pub(super) const fn new(pause_max: Duration) -> Self {
        Self { pause_max, failures: 0, not_before: None }
    }

    /// How long nobody should try, if at all.
    pub(super) fn rests(&self, now: Instant) -> Option<Duration> {
        self.not_before?.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// Whether the newest attempt failed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// An attempt failed. Processes that lost the same database do not come back at the same moment:
    /// each rests between half of the pause and all of it.
    pub(super) fn failed(&mut self, now: Instant) {
        let doubled = PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        let pause = doubled.min(self.pause_max);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(now + pause.mul_f64(rand::rng().random_range(0.5..=1.0)));
    }

    pub(super) const fn succeeded(&mut self) {
        self.failures = 0;
        self.not_before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_end_with_success() {
        let (now, most) = (Instant::now(), Duration::from_secs(2));
        let mut retry = Retry::new(most);
        assert_eq!(retry.rests(now), None);
        for failures in 0..40_u32 {
            retry.failed(now);
            let rest = retry.rests(now).unwrap();
            let pause = most.min(PAUSE_MIN * 2_u32.pow(failures.min(10)));
            assert!(rest <= pause && rest >= pause / 2, "{rest:?} after {failures}");
            assert_eq!(retry.rests(now + pause), None);
        }
        retry.succeeded();
        assert_eq!((retry.rests(now), retry.has_failed()), (None, false));
    }
}
