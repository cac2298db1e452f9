//! What an accept does, and quotes: offers accepted for a fare, of which the rider chooses one.
//!
//! A quote is its offer, under the same id: it holds the driver's slot until it ends, exactly once,
//! as the offer does.

use std::sync::Arc;

use crate::effect::Refusal;
use crate::time::Timestamp;
use crate::units::Money;

/// What an accept of an offer does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum OfferKind {
    /// The first accept wins the ride.
    #[default]
    Ride,
    /// An accept is a quote.
    Quote {
        /// The fares that are taken; without them the rider named no fare and any is.
        bounds: Option<FareBounds>,
    },
    /// The driver is never asked: his machine accepts for him.
    Instant,
    /// The ride has a driver: an accept stands by for him.
    Standby,
}

/// The fares a quote may ask, both included, in the currency of the requested one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FareBounds {
    /// The lowest.
    pub min: Money,
    /// The highest.
    pub max: Money,
}

/// A driver's answer that waits for the rider.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Quote {
    /// What the driver asks.
    pub fare: Money,
    /// His vehicle, for the rider (a JSON object as text).
    pub vehicle: Arc<str>,
    /// When he answered.
    pub quoted_at: Timestamp,
}

/// What a driver is told of his quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteTerms {
    /// What he asks.
    pub fare: Money,
    /// When the quote is dead.
    pub expires_at: Timestamp,
}

/// How a quote ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum QuoteEnd {
    /// The rider chose it.
    Selected,
    /// Its time passed.
    Expired,
    /// Taken back: by the driver, or because the search it answered is over.
    Withdrawn,
}

impl QuoteEnd {
    /// The label in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Selected => "selected",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl FareBounds {
    /// The bounds around a requested fare, in thousandths of it, rounded outwards to minor units.
    pub fn around(fare: &Money, permille_min: u16, permille_max: u16) -> Self {
        let least = fare.amount.saturating_mul(u64::from(permille_min)) / 1_000;
        let most = fare.amount.saturating_mul(u64::from(permille_max)).div_ceil(1_000);
        let money = |amount| Money { amount, currency: fare.currency.clone() };
        Self { min: money(least), max: money(most) }
    }

    fn take(&self, fare: &Money) -> bool {
        let amounts = self.min.amount..=self.max.amount;
        fare.currency == self.min.currency && amounts.contains(&fare.amount)
    }
}

impl OfferKind {
    /// The fare that an accept quotes, which `asked` for one or none; nothing where accepts do not
    /// quote.
    ///
    /// # Errors
    /// [`Refusal`] when there must be a fare, when it is outside the bounds, or when the offer takes
    /// none.
    pub fn fare_of(
        &self,
        requested: Option<&Money>,
        asked: Option<Money>,
    ) -> Result<Option<Money>, Refusal> {
        match (self, asked) {
            (Self::Ride | Self::Instant | Self::Standby, None) => Ok(None),
            (Self::Ride | Self::Instant | Self::Standby, Some(_)) => {
                Err(Refusal::FareNotNegotiable)
            }
            (Self::Quote { .. }, None) => requested.cloned().map(Some).ok_or(Refusal::FareRequired),
            (Self::Quote { bounds }, Some(fare)) => {
                let taken = bounds.as_ref().is_none_or(|bounds| bounds.take(&fare));
                if taken { Ok(Some(fare)) } else { Err(Refusal::FareOutOfBounds) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(amount: u64) -> Money {
        Money { amount, currency: "USD".to_owned() }
    }

    #[test]
    fn a_fare_is_taken_up_to_the_bounds_and_in_their_currency_only() {
        let bounds = FareBounds::around(&usd(999), 800, 1_500);
        assert_eq!((bounds.min.amount, bounds.max.amount), (799, 1_499));
        let kind = OfferKind::Quote { bounds: Some(bounds) };
        for (amount, taken) in [(798, false), (799, true), (1_499, true), (1_500, false)] {
            let fare = kind.fare_of(Some(&usd(999)), Some(usd(amount)));
            assert_eq!(
                fare,
                if taken { Ok(Some(usd(amount))) } else { Err(Refusal::FareOutOfBounds) }
            );
        }
        let other = Money { amount: 999, currency: "INR".to_owned() };
        assert_eq!(kind.fare_of(Some(&usd(999)), Some(other)), Err(Refusal::FareOutOfBounds));
        assert_eq!(kind.fare_of(Some(&usd(999)), None), Ok(Some(usd(999))));
    }

    #[test]
    fn without_a_requested_fare_any_fare_is_taken_but_none_is_not() {
        let kind = OfferKind::Quote { bounds: None };
        assert_eq!(kind.fare_of(None, Some(usd(1))), Ok(Some(usd(1))));
        assert_eq!(kind.fare_of(None, None), Err(Refusal::FareRequired));
        assert_eq!(OfferKind::Ride.fare_of(None, Some(usd(1))), Err(Refusal::FareNotNegotiable));
        assert_eq!(OfferKind::Ride.fare_of(Some(&usd(1)), None), Ok(None));
    }
}
