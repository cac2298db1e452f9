//! The durable state of a zone's queue.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

use crate::id::{CallId, DriverId, GateId, MarketId, ServiceTierId, ZoneId};
use crate::time::Timestamp;

/// Drivers in one queue at most.
pub const QUEUE_DRIVERS_MAX: usize = 1_000;

/// Drivers one zone keeps out at most; with one more the one whose time ends first is let in again.
pub const BARS_MAX: usize = 1_000;

/// A zone's queue: one list for all tiers, so that a driver has one place; the queue of a tier is
/// what is left of it without the drivers who do not serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueRecord {
    /// The market.
    pub market: MarketId,
    /// The zone.
    pub zone: ZoneId,
    /// Grows by one with each durable change; 0 before the first.
    pub version: u64,
    /// The drivers, first come first, at most [`QUEUE_DRIVERS_MAX`]; never unsorted by `ranked_at`.
    pub entries: Vec<QueueEntry>,
    /// Drivers who lost their place, until when they get no other; at most [`BARS_MAX`].
    pub barred: BTreeMap<DriverId, Timestamp>,
}

/// A driver's place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct QueueEntry {
    /// The driver.
    pub driver: DriverId,
    /// Tiers he serves.
    pub tiers: Vec<ServiceTierId>,
    /// When he came.
    pub entered_at: Timestamp,
    /// What his place follows from: when he came, unless a person placed him or he was sent back.
    pub ranked_at: Timestamp,
    /// Offers and calls he let pass.
    pub skips: u32,
    /// A person placed him, wherever he is.
    #[cfg_attr(feature = "serde", serde(default))]
    pub held: bool,
    /// The pickup gate he stands at.
    #[cfg_attr(feature = "serde", serde(default))]
    pub gate: Option<GateId>,
    /// The call to a gate that he has.
    #[cfg_attr(feature = "serde", serde(default))]
    pub call: Option<GateCall>,
    /// Before this instant he is not called.
    #[cfg_attr(feature = "serde", serde(default))]
    pub not_called_before: Timestamp,
}

/// A call of a driver to a pickup gate.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
pub struct GateCall {
    /// The call.
    pub id: CallId,
    /// Where to.
    pub gate: GateId,
    /// Until when he can answer.
    pub respond_by: Timestamp,
    /// Until when he must be there, once he said yes.
    pub arrive_by: Option<Timestamp>,
}

impl GateCall {
    /// The instant the call waits for.
    pub const fn due(&self) -> Timestamp {
        match self.arrive_by {
            Some(at) => at,
            None => self.respond_by,
        }
    }
}

/// Why a driver has no place any more, or gets none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum LeaveReason {
    /// He has a ride.
    Served,
    /// He stopped working.
    Offline,
    /// Enough fixes in a row were outside.
    LeftZone,
    /// He is in another zone.
    OtherZone,
    /// His phone was silent for too long.
    OutOfContact,
    /// A person took him out.
    Manual,
    /// He let too many offers and calls pass.
    SkipThresholdReached,
    /// He lost his place not long ago.
    Barred,
    /// The queue takes no more.
    QueueFull,
}

impl LeaveReason {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Offline => "offline",
            Self::LeftZone => "left_zone",
            Self::OtherZone => "other_zone",
            Self::OutOfContact => "out_of_contact",
            Self::Manual => "manual",
            Self::SkipThresholdReached => "skip_threshold_reached",
            Self::Barred => "barred",
            Self::QueueFull => "queue_full",
        }
    }
}

/// What happened to a queue in one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZoneEventKind {
    /// A driver came.
    Joined,
    /// A driver serves other tiers, or is at the zone where a person had placed him.
    Confirmed,
    /// A person placed a driver.
    Placed,
    /// A driver lost his place or gave it up.
    Left(LeaveReason),
    /// A driver who lost his place may come again.
    Unbarred,
    /// A driver let an offer or a call pass.
    Skipped,
    /// A driver reached a pickup gate or left it.
    GateChanged,
    /// A driver was called to a gate.
    Called,
    /// He comes.
    CallAccepted,
    /// He did not come in time and is the last now.
    SentBack,
}

impl ZoneEventKind {
    /// Why a driver left, if that is what happened.
    pub const fn leave_reason(self) -> Option<LeaveReason> {
        match self {
            Self::Left(reason) => Some(reason),
            Self::Joined
            | Self::Confirmed
            | Self::Placed
            | Self::Unbarred
            | Self::Skipped
            | Self::GateChanged
            | Self::Called
            | Self::CallAccepted
            | Self::SentBack => None,
        }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Confirmed => "confirmed",
            Self::Placed => "placed",
            Self::Left(_) => "left",
            Self::Unbarred => "unbarred",
            Self::Skipped => "skipped",
            Self::GateChanged => "gate_changed",
            Self::Called => "called",
            Self::CallAccepted => "call_accepted",
            Self::SentBack => "sent_back",
        }
    }
}

/// One durable change of a queue: the new state and its row of history.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneCommit {
    /// The state after the change.
    pub record: Arc<QueueRecord>,
    /// What happened.
    pub kind: ZoneEventKind,
    /// To whom.
    pub driver: DriverId,
    /// A person's reason.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl QueueRecord {
    /// The empty queue of a zone.
    pub const fn new(market: MarketId, zone: ZoneId) -> Self {
        Self { market, zone, version: 0, entries: Vec::new(), barred: BTreeMap::new() }
    }

    /// A driver's entry.
    pub fn entry(&self, driver: &DriverId) -> Option<&QueueEntry> {
        self.entries.iter().find(|entry| entry.driver == *driver)
    }

    /// The queue of a tier, first come first.
    pub fn of_tier(&self, tier: &ServiceTierId) -> impl Iterator<Item = &QueueEntry> {
        self.entries.iter().filter(|entry| entry.tiers.contains(tier))
    }
}
