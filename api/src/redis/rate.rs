//! A rider's allowance of ride requests, shared by all processes.
//!
//! The generic cell rate algorithm, which one number per rider is enough for: the instant at which his
//! allowance would be whole again. See "Traffic Management Specification 4.0", ATM Forum, 1996, 4.4.2.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use muster_actors::PortFuture;
use muster_engine::id::RiderId;
use redis::Script;

use super::keys::Keys;
use super::link::Link;
use crate::config::RedisConfig;
use crate::http::SharedAllowance;

const PURPOSE: &str = "rate";
const MINUTE_MS: u64 = 60_000;

/// Milliseconds until the request would be within the allowance; 0: it is, and it was taken.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME') \
         local now = time[1] * 1000 + math.floor(time[2] / 1000) \
         local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2]) \
         local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + each \
         local wait = whole - now - each * burst \
         if wait > 0 then return math.ceil(wait) end \
         redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil(whole - now)) \
         return 0",
    )
});

/// Allowances in Redis.
pub struct SharedRiderRate {
    link: Arc<Link>,
    keys: Keys,
    per_minute: u32,
}

impl SharedRiderRate {
    /// `per_minute` requests, the same in one burst.
    pub fn new(config: &RedisConfig, link: Arc<Link>, per_minute: u32) -> Self {
        Self { link, keys: Keys::new(config.prefix.clone()), per_minute: per_minute.max(1) }
    }
}

impl SharedAllowance for SharedRiderRate {
    fn take<'a>(&'a self, rider: &'a RiderId) -> PortFuture<'a, Option<Duration>> {
        Box::pin(async move {
            let mut take = TAKE.key(self.keys.rider_rate(rider));
            take.arg(MINUTE_MS as f64 / f64::from(self.per_minute)).arg(self.per_minute);
            // Without Redis the allowance of this process alone counts.
            let wait_ms: u64 = self.link.script(PURPOSE, &take).await.unwrap_or(0);
            (wait_ms > 0).then(|| Duration::from_millis(wait_ms))
        })
    }
}
