//! Pauses between tries: longer each time, up to a bound.

use std::time::Duration;

/// The pauses of one message that is tried again and again.
#[derive(Debug, Clone, Copy)]
pub(in crate::kafka) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    /// Pauses from `least` to `most`.
    pub(in crate::kafka) const fn new(least: Duration, most: Duration) -> Self {
        Self { next: least, most }
    }

    /// How long to pause now.
    pub(in crate::kafka) fn pause(&mut self) -> Duration {
        let now = self.next.min(self.most);
        self.next = now.saturating_mul(2);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        let pauses = [(); 4].map(|()| backoff.pause().as_millis());
        assert_eq!(pauses, [100, 200, 350, 350]);
    }
}
