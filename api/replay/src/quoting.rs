//! Fares between drivers and riders in mode `quotes`: what a driver asks, which quote a rider takes.

use rand::Rng;
use serde::Deserialize;

use crate::behaviour::Behaviour;
use crate::wire::{Money, OfferView};

/// What a driver next door asks, in shares of the requested fare.
const ASKED_SHARE: (f64, f64) = (0.90, 1.15);
/// What the way to the pickup adds to it, per minute.
const ASKED_SHARE_PER_MINUTE: f64 = 0.02;
/// Time that riders take to look at the first quote, and whatever comes beside it, in city ms.
const LOOKING_MS: (i64, i64) = (4_000, 12_000);
/// What a minute of waiting is worth to a rider, in cents: 12 to 60 dollars an hour.
const WAITING_CENTS_PER_MINUTE: (f64, f64) = (20.0, 100.0);

/// A quote as its rider sees it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct QuoteView {
    pub(crate) quote_id: String,
    pub(crate) fare: Money,
    pub(crate) pickup_eta_s: f64,
}

/// How a rider chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ChoicePlan {
    /// From the first quote to the choice.
    pub(crate) looking_ms: i64,
    waiting_cents_per_minute: f64,
}

impl ChoicePlan {
    /// The quote whose fare and worth of waiting come to least; of equal ones the lower id.
    pub(crate) fn best<'a>(&self, quotes: &'a [QuoteView]) -> Option<&'a QuoteView> {
        let cost = |quote: &QuoteView| {
            let waiting = quote.pickup_eta_s / 60.0 * self.waiting_cents_per_minute;
            quote.fare.amount as f64 + waiting
        };
        quotes
            .iter()
            .min_by(|a, b| cost(a).total_cmp(&cost(b)).then_with(|| a.quote_id.cmp(&b.quote_id)))
    }
}

/// What people say where the rider chooses among fares.
pub(crate) trait Quoting {
    /// How the rider of `ride` chooses among quotes.
    fn choice(&self, ride: &str) -> ChoicePlan;

    /// What `driver` asks for `ride`, if the offer is one to quote for; within its bounds.
    fn asks(&self, driver: &str, ride: &str, offer: &OfferView, eta_s: f64) -> Option<Money>;
}

impl Quoting for Behaviour {
    fn choice(&self, ride: &str) -> ChoicePlan {
        let mut random = self.stream("choice", &[ride]);
        let looking_ms = random.random_range(LOOKING_MS.0..LOOKING_MS.1);
        let waiting_cents_per_minute =
            random.random_range(WAITING_CENTS_PER_MINUTE.0..WAITING_CENTS_PER_MINUTE.1);
        ChoicePlan { looking_ms, waiting_cents_per_minute }
    }

    fn asks(&self, driver: &str, ride: &str, offer: &OfferView, eta_s: f64) -> Option<Money> {
        let requested = offer.fare.as_ref().filter(|_| offer.is_quote())?;
        let mut random = self.stream("asks", &[driver, ride]);
        let share = random.random_range(ASKED_SHARE.0..ASKED_SHARE.1)
            + ASKED_SHARE_PER_MINUTE * eta_s / 60.0;
        let bound = |bound: &Option<Money>, none: i64| bound.as_ref().map_or(none, |m| m.amount);
        let (least, most) = (bound(&offer.fare_min, 0), bound(&offer.fare_max, i64::MAX));
        let amount = ((requested.amount as f64 * share).round() as i64).min(most).max(least);
        Some(Money { amount, currency: requested.currency.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(id: &str, cents: i64, pickup_eta_s: f64) -> QuoteView {
        let fare = Money { amount: cents, currency: "USD".to_owned() };
        QuoteView { quote_id: id.to_owned(), fare, pickup_eta_s }
    }

    fn offer(kind: &str) -> OfferView {
        serde_json::from_value(serde_json::json!({
            "offer_id": "o", "ride_id": "run-1", "kind": kind,
            "fare": {"amount": 1000, "currency": "USD"},
            "fare_min": {"amount": 800, "currency": "USD"},
            "fare_max": {"amount": 1200, "currency": "USD"},
        }))
        .unwrap()
    }

    #[test]
    fn a_rider_weighs_the_fare_against_the_wait() {
        let hasty = ChoicePlan { looking_ms: 0, waiting_cents_per_minute: 100.0 };
        let patient = ChoicePlan { waiting_cents_per_minute: 20.0, ..hasty };
        let quotes = [quote("b", 1_000, 300.0), quote("a", 1_200, 60.0), quote("c", 1_300, 60.0)];
        assert_eq!(hasty.best(&quotes).unwrap().quote_id, "a");
        assert_eq!(patient.best(&quotes).unwrap().quote_id, "b");
        let equal = [quote("b", 900, 60.0), quote("a", 900, 60.0)];
        assert_eq!(hasty.best(&equal).unwrap().quote_id, "a", "not who came first");
        assert_eq!(hasty.best(&[]), None);
    }

    #[test]
    fn the_seed_decides_how_riders_choose() {
        let plans = |seed| {
            let model = Behaviour::new(seed);
            (0..200).map(|ride: u32| model.choice(&ride.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(plans(1), plans(1));
        assert_ne!(plans(1), plans(2));
        assert!(plans(1).iter().all(|plan| (4_000..12_000).contains(&plan.looking_ms)));
    }

    #[test]
    fn drivers_ask_within_bounds_and_more_for_a_longer_way() {
        let model = Behaviour::new(1);
        let asked = |driver: u32, eta_s| {
            model.asks(&driver.to_string(), "1", &offer("quote"), eta_s).unwrap().amount
        };
        assert!((0..200).all(|driver| (900..=1_150).contains(&asked(driver, 0.0))));
        assert!((0..200).all(|driver| asked(driver, 120.0) > asked(driver, 0.0)));
        assert!((0..200).all(|driver| asked(driver, 3_600.0) == 1_200), "the bound holds");
        assert_eq!(model.asks("1", "1", &offer("ride"), 0.0), None, "the fare is not his to name");
    }
}
