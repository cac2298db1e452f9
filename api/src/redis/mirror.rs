//! The mirror: newest positions and who was heard, written in batches at a bounded rate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::{Dispatch, HeardDriver, PositionSnapshot};
use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use redis::Pipeline;

use super::entry;
use super::keys::{Keys, MIRROR_BUCKETS};
use super::link::{Link, LinkError};
use crate::config::RedisConfig;

/// Positions of one trip.
const TRIP_POSITIONS_MAX: usize = 500;
/// Rounds between two sweeps of what is too old.
const SWEEP_EVERY_ROUNDS: u64 = 60;
const PURPOSE: &str = "mirror";

/// Where the mirror learns what is new.
pub trait MirrorSource: Send + Sync + 'static {
    /// The present instant of the engine.
    fn now(&self) -> Timestamp;
    /// Every driver heard since this instant.
    fn heard_since(&self, since: Timestamp) -> Vec<HeardDriver>;
}

impl MirrorSource for Dispatch {
    fn now(&self) -> Timestamp {
        self.now()
    }

    fn heard_since(&self, since: Timestamp) -> Vec<HeardDriver> {
        self.heard_since(since)
    }
}

/// Writes and reads the mirror.
pub struct Mirror {
    link: Arc<Link>,
    keys: Keys,
    every: Duration,
    /// The least time that one trip takes, so that the rate is kept.
    trip_pause: Duration,
    ttl_ms: u64,
}

impl Mirror {
    /// A mirror as configured.
    pub fn new(config: &RedisConfig, link: Arc<Link>) -> Self {
        let rate = f64::from(config.mirror_positions_per_s_max);
        Self {
            link,
            keys: Keys::new(config.prefix.clone()),
            every: Duration::from_millis(config.mirror_every_ms),
            trip_pause: Duration::from_secs_f64(TRIP_POSITIONS_MAX as f64 / rate),
            ttl_ms: config.position_ttl_s * 1_000,
        }
    }

    /// Mirrors until the process ends. A round that fails is made up for by the next: each begins
    /// where the last complete one began.
    pub async fn run(&self, source: &dyn MirrorSource, markets: &[MarketId]) {
        let mut since = Timestamp::default();
        for round in 0_u64.. {
            tokio::time::sleep(self.every).await;
            let now = source.now();
            match self.round(source.heard_since(since)).await {
                Ok(()) => since = now,
                Err(LinkError::Resting) => continue,
                Err(error) => {
                    tracing::warn!(%error, "positions were not mirrored");
                    continue;
                }
            }
            if round % SWEEP_EVERY_ROUNDS == SWEEP_EVERY_ROUNDS - 1
                && let Err(error) = self.sweep(markets, now).await
            {
                tracing::warn!(%error, "old positions stay in the mirror for now");
            }
        }
    }

    async fn round(&self, heard: Vec<HeardDriver>) -> Result<(), LinkError> {
        let mut buckets: BTreeMap<(MarketId, u64), Vec<HeardDriver>> = BTreeMap::new();
        for driver in heard {
            let bucket = Keys::bucket(&driver.snapshot.driver);
            buckets.entry((driver.market.clone(), bucket)).or_default().push(driver);
        }
        for ((market, bucket), drivers) in &buckets {
            for trip in drivers.chunks(TRIP_POSITIONS_MAX) {
                let share = trip.len() as f64 / TRIP_POSITIONS_MAX as f64;
                self.link.pipeline::<()>(PURPOSE, &self.trip(market, *bucket, trip)).await?;
                tokio::time::sleep(self.trip_pause.mul_f64(share)).await;
            }
        }
        Ok(())
    }

    fn trip(&self, market: &MarketId, bucket: u64, drivers: &[HeardDriver]) -> Pipeline {
        let positions = self.keys.positions(market, bucket);
        let presence = self.keys.presence(market, bucket);
        let (mut entries, mut present, mut absent) = (Vec::new(), Vec::new(), Vec::new());
        for driver in drivers {
            let id = driver.snapshot.driver.as_str();
            entries.push((id, entry::write(&driver.snapshot)));
            if driver.online {
                present.push((driver.snapshot.received_at.as_millis(), id));
            } else {
                absent.push(id);
            }
        }
        let mut pipeline = redis::pipe();
        pipeline.hset_multiple(&positions, &entries).ignore();
        if !present.is_empty() {
            pipeline.zadd_multiple(&presence, &present).ignore();
        }
        if !absent.is_empty() {
            pipeline.zrem(&presence, &absent).ignore();
        }
        for key in [&positions, &presence] {
            pipeline.cmd("PEXPIRE").arg(key).arg(self.ttl_ms).ignore();
        }
        pipeline
    }

    /// Drops what is older than the time to live from keys that others keep alive.
    async fn sweep(&self, markets: &[MarketId], now: Timestamp) -> Result<(), LinkError> {
        let oldest = now.minus_millis(self.ttl_ms);
        for market in markets {
            for bucket in 0..MIRROR_BUCKETS {
                let entries = self.entries(market, bucket).await?;
                let is_old = |(driver, entry): &&(String, String)| {
                    entry::read(driver, entry).is_none_or(|kept| kept.received_at < oldest)
                };
                let old: Vec<&str> =
                    entries.iter().filter(is_old).map(|(driver, _)| driver.as_str()).collect();
                let mut pipeline = redis::pipe();
                if !old.is_empty() {
                    pipeline.hdel(self.keys.positions(market, bucket), &old).ignore();
                }
                let presence = self.keys.presence(market, bucket);
                pipeline.zrembyscore(presence, 0, oldest.as_millis()).ignore();
                self.link.pipeline::<()>(PURPOSE, &pipeline).await?;
            }
        }
        Ok(())
    }

    /// Every position that the mirror holds of these markets.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn positions(
        &self,
        markets: &[MarketId],
    ) -> Result<Vec<PositionSnapshot>, LinkError> {
        let mut positions = Vec::new();
        for market in markets {
            for bucket in 0..MIRROR_BUCKETS {
                let entries = self.entries(market, bucket).await?;
                let read = entries.iter().filter_map(|(driver, text)| entry::read(driver, text));
                positions.extend(read);
            }
        }
        Ok(positions)
    }

    async fn entries(
        &self,
        market: &MarketId,
        bucket: u64,
    ) -> Result<Vec<(String, String)>, LinkError> {
        let key = self.keys.positions(market, bucket);
        self.link.command(PURPOSE, redis::cmd("HGETALL").arg(key)).await
    }
}
