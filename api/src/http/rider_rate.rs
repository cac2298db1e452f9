//! How often one rider may ask for a ride.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use muster_actors::PortFuture;
use muster_engine::id::RiderId;

use crate::wire::Problem;

/// After this many checks riders whose allowance is whole again are forgotten.
const SWEEP_EVERY: u32 = 4_096;

/// Allowances that other processes take from, too.
pub trait SharedAllowance: Send + Sync + 'static {
    /// Takes one request out of a rider's allowance; if it is used up, how long until there is one.
    /// Where nobody knows, the request is allowed.
    fn take<'a>(&'a self, rider: &'a RiderId) -> PortFuture<'a, Option<Duration>>;
}

/// One allowance per rider.
pub(super) struct RiderRate {
    shared: Option<Arc<dyn SharedAllowance>>,
    limiter: DefaultKeyedRateLimiter<RiderId>,
    clock: DefaultClock,
    checks: AtomicU32,
}

impl RiderRate {
    /// `per_minute` requests and the same in one burst; 0 counts as 1.
    pub(super) fn new(per_minute: u32, shared: Option<Arc<dyn SharedAllowance>>) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
        Self {
            shared,
            limiter: RateLimiter::keyed(quota),
            clock: DefaultClock::default(),
            checks: AtomicU32::new(0),
        }
    }

    /// Takes one request out of the rider's allowance: of this process, then of all.
    pub(super) async fn check(&self, rider: &RiderId) -> Result<(), Problem> {
        if self.checks.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let own = self.limiter.check_key(rider);
        own.map_err(|until| too_often(until.wait_time_from(self.clock.now())))?;
        match &self.shared {
            Some(shared) => shared.take(rider).await.map_or(Ok(()), |wait| Err(too_often(wait))),
            None => Ok(()),
        }
    }
}

fn too_often(wait: Duration) -> Problem {
    Problem::new(429, "rate_limited", "this rider asks for rides too often")
        .retry_after(wait.as_secs() + 1)
}
