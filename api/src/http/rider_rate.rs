//! How often one rider may ask for a ride.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use muster_engine::id::RiderId;

use crate::wire::Problem;

/// After this many checks riders whose allowance is whole again are forgotten.
const SWEEP_EVERY: u32 = 4_096;

/// One allowance per rider.
pub(super) struct RiderRate {
    limiter: DefaultKeyedRateLimiter<RiderId>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl RiderRate {
    /// `per_minute` requests and the same in one burst; 0 counts as 1.
    pub(super) fn new(per_minute: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one request out of the rider's allowance.
    pub(super) fn check(&self, rider: &RiderId) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(rider).map_err(|until| {
            let wait = until.wait_time_from(self.clock.now());
            Problem::new(429, "rate_limited", "this rider asks for rides too often")
                .retry_after(wait.as_secs() + 1)
        })
    }
}
