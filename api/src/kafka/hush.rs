//! Logs of what may happen thousands of times a second: one line now and then, with how many it
//! stands for.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// One kind of line.
#[derive(Debug, Default)]
pub(super) struct Hush(Mutex<(Option<Instant>, u64)>);

impl Hush {
    /// Whether to say it now, and how often it went unsaid before.
    pub(super) fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0.is_some_and(|said| now.duration_since(said) < EVERY) {
            state.1 += 1;
            return None;
        }
        state.0 = Some(now);
        Some(std::mem::take(&mut state.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_with_its_count() {
        let (hush, began) = (Hush::default(), Instant::now());
        assert_eq!(hush.due_at(began), Some(0));
        assert_eq!(hush.due_at(began + EVERY / 2), None);
        assert_eq!(hush.due_at(began + EVERY / 2), None);
        assert_eq!(hush.due_at(began + EVERY), Some(2));
        assert_eq!(hush.due_at(began + EVERY * 2), Some(0));
    }
}
