//! What a search of the supply index is for.

/// Why the machine looks for candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seeking {
    /// For a new wave.
    Wave,
    /// For a new wave, as far as the policy lets it look, because nobody was nearer.
    Widest,
    /// For the places that refusals freed in the wave under way.
    Places(u32),
    /// For one driver who need not be asked.
    Instant,
    /// The same for places of drivers on a trip.
    ForwardPlaces(u32),
    /// For drivers within so many metres, who would be sooner at the pickup than the assigned one.
    Standby(u32),
    /// For one driver, by the next dispatch window; in place of one whose machine refused, or for a
    /// new wave.
    Window {
        /// Whether it belongs to the wave under way.
        fills_up: bool,
    },
}

impl Seeking {
    /// Whether the wave under way is filled up.
    pub(super) const fn fills_up(self) -> bool {
        match self {
            Self::Places(_) | Self::ForwardPlaces(_) => true,
            Self::Wave | Self::Widest | Self::Instant | Self::Standby(_) => false,
            Self::Window { fills_up } => fills_up,
        }
    }
}
