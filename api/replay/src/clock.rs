//! The city clock: server time, advanced by real time multiplied with the replay speed.
//!
//! The server scales its engine clock by `clock.speed`, so both sides agree about city time as
//! long as the speeds are equal. The client never runs ahead: the anchor is taken when the
//! server's time has *arrived*, hence the city clock lags by the one-way latency.

use std::time::Duration;

use tokio::time::Instant;

/// Converts between real instants and city time in unix milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CityClock {
    anchor: Instant,
    anchor_city_ms: i64,
    speed: f64,
}

impl CityClock {
    /// A clock that showed `city_ms` at `anchor` and runs `speed` times as fast as real time.
    pub(crate) fn new(anchor: Instant, city_ms: i64, speed: f64) -> Self {
        assert!(speed > 0.0, "a city clock must run forward");
        Self { anchor, anchor_city_ms: city_ms, speed }
    }

    /// City time as unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.at(Instant::now())
    }

    /// City time at a real instant.
    pub(crate) fn at(&self, instant: Instant) -> i64 {
        let elapsed = instant.saturating_duration_since(self.anchor).as_secs_f64();
        self.anchor_city_ms + (elapsed * self.speed * 1_000.0) as i64
    }

    /// The real instant at which the city clock shows `city_ms`; the anchor if that has passed.
    pub(crate) fn instant_of(&self, city_ms: i64) -> Instant {
        let city_ahead_ms = (city_ms - self.anchor_city_ms).max(0) as f64;
        self.anchor + Duration::from_secs_f64(city_ahead_ms / 1_000.0 / self.speed)
    }

    /// City milliseconds that pass during `real_ms` of real time.
    pub(crate) fn city_ms_of(&self, real_ms: i64) -> i64 {
        (real_ms as f64 * self.speed) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn city_time_is_server_time_plus_scaled_real_time() {
        let anchor = Instant::now();
        let clock = CityClock::new(anchor, 1_000_000, 20.0);
        assert_eq!(clock.at(anchor), 1_000_000);
        assert_eq!(clock.at(anchor + Duration::from_millis(500)), 1_010_000);
        assert_eq!(clock.instant_of(1_010_000), anchor + Duration::from_millis(500));
        assert_eq!(clock.instant_of(5), anchor, "the past is now");
        assert_eq!(clock.city_ms_of(250), 5_000);
    }
}
