//! What a fix that was applied may change elsewhere.

/// What an applied fix may have to wake up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// The driver is in another cell than before, or has a first position: the grid entry moves.
    pub cell_changed: bool,
    /// The owner asked to be told of the next fix.
    pub attention: bool,
    /// By this fix the driver is settled in another zone, at another gate, or elsewhere.
    pub zone_changed: bool,
}

impl Applied {
    /// Whether the owner must hear of it.
    pub const fn matters(self) -> bool {
        self.cell_changed || self.attention || self.zone_changed
    }
}

/// What fixes that were applied together may have to wake up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppliedAll {
    /// How many fixes there were.
    pub seen: usize,
    /// How many of them passed.
    pub fixes: u64,
    /// What they change together.
    pub applied: Applied,
}
