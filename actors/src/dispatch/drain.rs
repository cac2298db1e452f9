//! The end of a process, and the positions it leaves behind.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;
use std::time::Duration;

use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use tokio::sync::watch;

use super::Dispatch;
use crate::ports::{PositionSnapshot, StoreError};
use crate::registry::DriverHandle;

/// Position snapshots written in one call of the store, of a few drivers and of many: commits wait
/// behind it for some 20 us a row.
const SNAPSHOT_ROWS: RangeInclusive<usize> = 40..=200;
/// Calls of the store for one snapshot, as long as they are small.
const SNAPSHOT_CALLS: usize = 500;
/// How often a drain looks whether the store has caught up.
const DRAIN_POLL: Duration = Duration::from_millis(5);

/// A driver who was heard, for whoever mirrors the supply.
#[derive(Debug, Clone, PartialEq)]
pub struct HeardDriver {
    /// His market.
    pub market: MarketId,
    /// Where and when.
    pub snapshot: PositionSnapshot,
    /// Whether he is on duty.
    pub online: bool,
}

/// How many of so many positions go into one call of the store when they are written `over` a time: the
/// fewer, the shorter the commits of rides wait behind them. At the end of a process none do.
fn rows_per_call(positions: usize, over: Duration) -> usize {
    let (few, many) = (*SNAPSHOT_ROWS.start(), *SNAPSHOT_ROWS.end());
    if over.is_zero() { many } else { (positions / SNAPSHOT_CALLS).clamp(few, many) }
}

/// Where a driver is, if he was heard since `since`.
fn heard(handle: &DriverHandle, since: Timestamp) -> Option<PositionSnapshot> {
    let reading = handle.board.slot.read()?;
    (reading.received_at >= since).then(|| PositionSnapshot {
        driver: handle.board.driver().clone(),
        position: reading.position,
        recorded_at: reading.recorded_at,
        received_at: reading.received_at,
    })
}

impl Dispatch {
    /// Tells when the process begins to drain.
    pub fn draining(&self) -> watch::Receiver<bool> {
        self.runtime.draining.subscribe()
    }

    /// Refuses new rides and sessions from here on.
    pub fn begin_drain(&self) {
        self.runtime.draining.send_replace(true);
    }

    /// Waits until everything submitted is durable, writes the last positions, and stops the
    /// periodic work. Returns whether that was done `within` the time given.
    pub async fn drain(&self, within: Duration) -> bool {
        self.begin_drain();
        let idle = async {
            while self.runtime.backlog.turns() > 0 {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        let idle = tokio::time::timeout(within, idle).await.is_ok();
        self.runtime.stopped.store(true, Ordering::Relaxed);
        let saved = self.save_positions(Timestamp::default(), Duration::ZERO).await.is_ok();
        idle && saved
    }

    /// The newest position of every driver who was heard since `since`.
    pub fn heard_since(&self, since: Timestamp) -> Vec<HeardDriver> {
        let drivers = self.runtime.registry.drivers();
        let heard = drivers.iter().filter_map(|handle| {
            Some(HeardDriver {
                snapshot: heard(handle, since)?,
                market: handle.board.market.market.id().clone(),
                online: handle.board.durable().is_some_and(|record| record.online),
            })
        });
        heard.collect()
    }

    pub(super) fn spawn_position_snapshots(self) {
        let every = self.runtime.limits.position_snapshot_every;
        if every.is_zero() {
            return;
        }
        actix::spawn(async move {
            let mut since = Timestamp::default();
            while !self.runtime.stopped.load(Ordering::Relaxed) {
                // Half of the time the writes are spread over, half of it they rest.
                tokio::time::sleep(every / 2).await;
                let now = self.now();
                match self.save_positions(since, every / 2).await {
                    Ok(()) => since = now,
                    Err(error) => tracing::warn!(%error, "positions were not saved"),
                }
            }
        });
    }

    /// Writes the positions received since `since`, little by little `over` a time: commits of rides
    /// wait for the same writer.
    async fn save_positions(&self, since: Timestamp, over: Duration) -> Result<(), StoreError> {
        let drivers = self.runtime.registry.drivers();
        let positions: Vec<PositionSnapshot> =
            drivers.iter().filter_map(|handle| heard(handle, since)).collect();
        let rows = rows_per_call(positions.len(), over);
        let chunks = u32::try_from(positions.len().div_ceil(rows)).unwrap_or(u32::MAX);
        let pause = over / chunks.max(1);
        for chunk in positions.chunks(rows) {
            self.runtime.store.save_positions(chunk).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_written_in_small_calls_while_rides_commit_unless_the_fleet_is_large() {
        let rows = |positions| rows_per_call(positions, Duration::from_secs(7));
        assert_eq!([0, 20_000, 50_000, 1_000_000].map(rows), [40, 40, 100, 200]);
        assert_eq!(rows_per_call(20_000, Duration::ZERO), 200);
    }
}
