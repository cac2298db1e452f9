//! The clock of the engine: monotonic, and faster than the wall's when a replay asks for it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use muster_engine::time::Timestamp;

/// Maps the process's monotonic time to engine time.
///
/// It starts at the wall clock (or later, see [`Clock::start`]) and never goes back, whatever the
/// wall clock does. At `speed` 20 an offer's 15 s pass in 0.75 s: replays run a whole city that way.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
    epoch: Timestamp,
    speed: f64,
}

impl Clock {
    /// A clock that runs `speed` times as fast as the wall's, from now on, but not before `floor`:
    /// the newest instant that an earlier process wrote down.
    pub fn start(speed: f64, floor: Timestamp) -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp::from_millis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Self { origin: Instant::now(), epoch: wall.max(floor), speed }
    }

    /// How many engine seconds pass in one real second.
    pub const fn speed(&self) -> f64 {
        self.speed
    }

    /// The present instant of the engine.
    pub fn now(&self) -> Timestamp {
        let elapsed_ms = self.origin.elapsed().as_secs_f64() * 1_000.0 * self.speed;
        self.epoch.plus_millis(elapsed_ms as u64)
    }

    /// The real instant at which the engine's clock shows `at`.
    pub fn instant_of(&self, at: Timestamp) -> Instant {
        // A millisecond more, because `now` rounds down: a timer never fires early.
        let engine_ms = at.millis_since(self.epoch).saturating_add(1);
        let real_s = (engine_ms as f64 / 1_000.0 / self.speed).min(86_400.0 * 365.0);
        self.origin + Duration::from_secs_f64(real_s)
    }
}
