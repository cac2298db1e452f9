//! How fast a network is by the hour of the day.

/// Speeds by the local hour, as factors of the streets' own speeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourProfile {
    permille: [u16; Self::HOURS],
}

/// Why numbers are no profile.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// There is not one for each hour.
    #[error("a profile has 24 factors, one for each hour from midnight, got {0}")]
    Count(usize),
    /// A factor is out of range.
    #[error("the factor of hour {hour} is {factor}, allowed is 0.05..=5")]
    Factor {
        /// The hour.
        hour: usize,
        /// Its factor.
        factor: f64,
    },
}

impl HourProfile {
    /// Factors in a profile.
    pub const HOURS: usize = 24;

    /// The same speeds at all hours.
    pub const FLAT: Self = Self { permille: [1_000; Self::HOURS] };

    /// The profile of 24 factors from midnight, each 0.05..=5, kept in thousandths.
    ///
    /// # Errors
    /// [`ProfileError`] names the first that does not do.
    pub fn new(factors: &[f64]) -> Result<Self, ProfileError> {
        if factors.len() != Self::HOURS {
            return Err(ProfileError::Count(factors.len()));
        }
        let mut permille = [0; Self::HOURS];
        for (hour, (&factor, own)) in factors.iter().zip(&mut permille).enumerate() {
            if !(0.05..=5.0).contains(&factor) {
                return Err(ProfileError::Factor { hour, factor });
            }
            *own = (factor * 1_000.0).round() as u16;
        }
        Ok(Self { permille })
    }

    /// The factor of a local hour in thousandths; hours count on past midnight.
    pub const fn permille(&self, hour: u8) -> u16 {
        self.permille[hour as usize % Self::HOURS]
    }

    /// How long `time_ms` at the streets' own speeds takes at a local hour.
    pub(super) fn time_ms(&self, time_ms: u32, hour: u8) -> u32 {
        let scaled = u64::from(time_ms) * 1_000 / u64::from(self.permille(hour).max(1));
        u32::try_from(scaled).unwrap_or(u32::MAX)
    }
}
