//! Engine time: integer milliseconds that come in from outside.

use std::fmt;

/// An instant: Unix milliseconds, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `ms` milliseconds after the Unix epoch.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant `ms` milliseconds later; saturates at the end of time.
    #[must_use]
    pub const fn plus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The instant `ms` milliseconds earlier; saturates at the epoch.
    #[must_use]
    pub const fn minus_millis(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }

    /// Milliseconds from `earlier` to this instant, 0 when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

/// The next instant at which a machine must run, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    /// When `on_deadline` is due.
    pub at: Timestamp,
    /// Which rule is waiting; for logs and traces.
    pub reason: DeadlineReason,
}

/// The rules that wait for an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeadlineReason {
    /// A driver's live offer runs out.
    OfferExpiry,
    /// An offer that a driver holds unseen comes on his screen.
    OfferShowing,
    /// A wave's response deadline, or a quote's end.
    WaveClose,
    /// A ride without candidates looks again.
    SearchRetry,
    /// The driver of a quote that the rider chose has not confirmed and is asked again.
    SelectionRetry,
    /// The search of a ride ends without a driver.
    SearchLimit,
    /// A scheduled ride begins its search.
    ScheduledSearch,
    /// An assigned ride looks whether its driver comes nearer.
    PickupCheck,
    /// An assigned ride looks for a better driver.
    StandbyCheck,
    /// A standby who was called to take the ride has not answered and is called again.
    StandbyCall,
    /// A driver that accepted has no answer from the ride yet and asks again.
    AcceptRetry,
    /// A driver becomes eligible again after an accept.
    CooldownEnd,
    /// A driver's newest fix becomes too old for offers.
    ContactStale,
    /// A driver is considered out of reach.
    ContactLost,
    /// A finished ride leaves memory.
    RideRetirement,
    /// A forward ride's driver is lost or late, or a question about it has no answer yet.
    ForwardCheck,
    /// An operator's block of a driver ends.
    BlockEnd,
    /// A call of a queued driver to a gate runs out.
    GateCall,
    /// A queued driver may be called again.
    GateCallAgain,
    /// A driver repeats what a zone's queue has not answered.
    QueueRetry,
    /// A silent driver loses his place in a zone's queue.
    QueueSilence,
    /// A driver who lost his place may join the queue again.
    QueueBarEnd,
    /// A ride tells the zone of its pickup again that it waits.
    ZoneRetell,
    /// The best of the drivers who accepted is chosen.
    CollectionClose,
    /// A dispatch window closes.
    WindowClose,
    /// A ride that waits for a dispatch window registers again.
    WindowRejoin,
}
