//! Bugs for the oracle to find: one that never named any would prove nothing.

/// A bug planted into the simulated shell or store, to see that the oracle names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Withdrawals and lost accepts never reach the driver.
    KeepLoserSlots,
    /// A ride's clock is held back while an accept comes in after its offer's expiry.
    HoldClockAtExpiry,
    /// Effects do not wait for the commit they rest on.
    TellBeforeCommit,
    /// The store takes stale versions, from dead processes too.
    StaleWrites,
    /// Rides are not told that a driver's machine was rebuilt.
    SkipRedrive,
    /// One fix outside the zone costs a driver his place in its queue.
    EvictOnNoise,
    /// A search of the queue hands its drivers over last come, first.
    JumpQueue,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::KeepLoserSlots,
        Self::HoldClockAtExpiry,
        Self::TellBeforeCommit,
        Self::StaleWrites,
        Self::SkipRedrive,
        Self::EvictOnNoise,
        Self::JumpQueue,
    ];
}
