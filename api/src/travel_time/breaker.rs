//! A circuit breaker: a server that fails again and again is left alone for a while.

use std::time::{Duration, Instant};

/// Lets requests pass until too many failed in a row; then none for a pause, then it tries again.
#[derive(Debug)]
pub(super) struct Breaker {
    failures_max: u32,
    pause: Duration,
    failures: u32,
    open_until: Option<Instant>,
}

impl Breaker {
    pub(super) const fn new(failures_max: u32, pause: Duration) -> Self {
        Self { failures_max, pause, failures: 0, open_until: None }
    }

    /// Whether a request may be made.
    pub(super) fn lets_pass(&self, now: Instant) -> bool {
        self.open_until.is_none_or(|until| now >= until)
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    /// After a pause the first failure opens it again.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= self.failures_max {
            self.open_until = Some(now + self.pause);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_again_after_the_pause() {
        let pause = Duration::from_secs(10);
        let mut breaker = Breaker::new(2, pause);
        let began = Instant::now();
        breaker.failed(began);
        breaker.succeeded();
        breaker.failed(began);
        assert!(breaker.lets_pass(began), "failures were not in a row");
        breaker.failed(began);
        assert!(!breaker.lets_pass(began));
        let later = began + pause;
        assert!(breaker.lets_pass(later));
        breaker.failed(later);
        assert!(!breaker.lets_pass(later), "one more failure is enough");
        breaker.succeeded();
        assert!(breaker.lets_pass(later));
    }
}
