//! The invariants of dispatch, named and defined once: the simulator checks them after each step,
//! production counts them.

use std::fmt;

/// An invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// A ride has at most one assignment at a time.
    M1,
    /// A driver has at most one active and one forward assignment, and at most the caps of live
    /// offers.
    M2,
    /// An accepted offer was live when accepted.
    M3,
    /// Every offer ends exactly once.
    M4,
    /// Held slots are the live offers.
    M5,
    /// A driver sits in exactly one cell, that of its newest applied position.
    M6,
    /// An older fix never overwrites a newer one.
    M7,
    /// Driver and ride agree about each other at rest.
    M8,
    /// One command id has one effect.
    M9,
    /// Terminal states absorb.
    M10,
    /// Losing a race costs the driver nothing.
    M11,
    /// No effect crosses a market.
    M12,
    /// Nothing was told that is not durable.
    M13,
    /// Once faults stop, every request is assigned, cancelled or unfulfilled by its search deadline.
    M14,
    /// A zone's queue is in order of arrival, a driver has one place in it, and fixes that do not
    /// agree take nobody's place.
    M15,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::M1,
        Self::M2,
        Self::M3,
        Self::M4,
        Self::M5,
        Self::M6,
        Self::M7,
        Self::M8,
        Self::M9,
        Self::M10,
        Self::M11,
        Self::M12,
        Self::M13,
        Self::M14,
        Self::M15,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
