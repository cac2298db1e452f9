//! What a way costs: time first, then length, in one number that adds and compares.

/// A way that does not exist.
pub(super) const UNREACHABLE: PathCost = PathCost(u64::MAX);

/// Milliseconds in the upper half, decimetres in the lower: of two ways that take equally long the
/// shorter is the better one. The lower half overflows beyond 429,000 km.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PathCost(u64);

impl PathCost {
    /// Nothing.
    pub(super) const ZERO: Self = Self(0);

    pub(super) fn new(time_ms: u32, length_dm: u32) -> Self {
        Self((u64::from(time_ms) << 32) | u64::from(length_dm))
    }

    pub(super) const fn time_ms(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) const fn length_dm(self) -> u32 {
        self.0 as u32
    }

    /// Both ways after each other; unreachable stays so.
    #[must_use]
    pub(super) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// This share of the way, 0..=1.
    #[must_use]
    pub(super) fn share(self, share: f64) -> Self {
        let part = |whole: u32| (f64::from(whole) * share).round() as u32;
        Self::new(part(self.time_ms()), part(self.length_dm()))
    }
}
