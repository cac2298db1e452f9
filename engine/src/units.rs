//! Quantities whose unit is their type.

use std::fmt;

/// A distance over ground in metres.
#[derive(Clone, Copy, PartialEq, PartialOrd, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct Meters(f64);

impl Meters {
    /// `meters` metres; negative and non-finite values become 0.
    pub fn new(meters: f64) -> Self {
        Self(if meters.is_finite() && meters > 0.0 { meters } else { 0.0 })
    }

    /// The distance in metres.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The distance to a tenth of a metre: what is kept of a distance that was decided by.
    #[must_use]
    pub fn to_decimetre(self) -> Self {
        Self((self.0 * 10.0).round() / 10.0)
    }

    /// The distance in whole metres, rounded.
    pub fn rounded(self) -> u32 {
        // Saturates: `as` clamps floats to the integer's range.
        self.0.round() as u32
    }
}

impl fmt::Debug for Meters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}m", self.0)
    }
}

/// An estimate of the time to a place, in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct EtaSeconds(u32);

impl EtaSeconds {
    /// An estimate of `seconds` seconds.
    pub const fn new(seconds: u32) -> Self {
        Self(seconds)
    }

    /// The estimate in seconds.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// An amount of money in minor units (cents, paise).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Money {
    /// Minor units, never negative.
    pub amount: u64,
    /// ISO 4217 code, three capital letters.
    pub currency: String,
}
