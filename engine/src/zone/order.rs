//! A queue as searches and people read it: what is durable, and no more.

use std::sync::Arc;

use super::record::{QueueEntry, QueueRecord};
use crate::id::{DriverId, ServiceTierId};

/// How far a told range reaches beyond the true position, on either side: positions change under the
/// eyes of drivers, and an exact one invites quarrels about each change.
pub const POSITION_OFFSET: usize = 2;

/// The durable order of one zone's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOrder(Arc<QueueRecord>);

/// A driver in the queue of a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedDriver<'a> {
    /// His place among all drivers of the tier, counted from 1.
    pub position: usize,
    /// What the queue knows of him.
    pub entry: &'a QueueEntry,
}

/// A driver's position in the queue of a tier, as he is told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionRange {
    /// The best position it may be, from 1.
    pub from: usize,
    /// The worst position it may be.
    pub to: usize,
    /// Drivers in the queue of the tier.
    pub size: usize,
}

impl QueueOrder {
    /// The order of a durable record.
    pub const fn of(record: Arc<QueueRecord>) -> Self {
        Self(record)
    }

    /// The record it follows from.
    pub const fn record(&self) -> &Arc<QueueRecord> {
        &self.0
    }

    /// The drivers who serve one of `tiers`, first come first.
    pub fn serving<'a>(
        &'a self,
        tiers: &'a [ServiceTierId],
    ) -> impl Iterator<Item = &'a QueueEntry> {
        let serves = |entry: &&QueueEntry| entry.tiers.iter().any(|tier| tiers.contains(tier));
        self.0.entries.iter().filter(serves)
    }

    /// The queue of a tier with positions.
    pub fn of_tier<'a>(
        &'a self,
        tier: &'a ServiceTierId,
    ) -> impl Iterator<Item = QueuedDriver<'a>> {
        self.0.of_tier(tier).zip(1..).map(|(entry, position)| QueuedDriver { position, entry })
    }

    /// Where a driver stands in the queue of a tier; nothing when he does not.
    pub fn range(&self, driver: &DriverId, tier: &ServiceTierId) -> Option<PositionRange> {
        let position = self.of_tier(tier).find(|queued| queued.entry.driver == *driver)?.position;
        let size = self.0.of_tier(tier).count();
        Some(PositionRange {
            from: position.saturating_sub(POSITION_OFFSET).max(1),
            to: (position + POSITION_OFFSET).min(size),
            size,
        })
    }
}
