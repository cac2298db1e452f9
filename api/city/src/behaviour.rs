//! How simulated people behave: every number of the model, all drawn from the seed.
//!
//! Each decision has a random stream of its own, keyed by the seed, what is decided and who
//! decides about what (`offer`, driver 17, ride 42, second time asked). So an answer does not
//! depend on the order in which frames happen to arrive. The replay's `BEHAVIOUR.md` explains the choices.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Log-odds of accepting an offer with no way to drive: 92 %.
const ACCEPT_LOG_ODDS_AT_ZERO: f64 = 2.442;
/// Log-odds lost per minute of pickup ETA: one half accept at 8 minutes.
const ACCEPT_LOG_ODDS_PER_MINUTE: f64 = 0.305;
/// Share of offers that are never answered.
const SILENT_SHARE: f64 = 0.03;
/// Median time to answer an offer once it is visible.
const RESPONSE_MEDIAN_MS: f64 = 4_000.0;
/// Spread of the lognormal answer time.
const RESPONSE_SIGMA: f64 = 0.6;
/// Nobody reads and taps faster.
const RESPONSE_MIN_MS: i64 = 800;
/// A hurried driver answers this long before the offer ends.
const RESPONSE_MARGIN_MS: i64 = 1_000;
/// Share of slow answers that are hurried up to be in time; the others come too late.
const HURRY_SHARE: f64 = 0.9;
/// Pickup ETA beyond which a refusal is explained by the distance.
const FAR_ETA_S: f64 = 300.0;
/// Share of assignments that the driver gives up on the way to the pickup.
const DRIVER_CANCEL_SHARE: f64 = 0.01;
/// Share of assigned rides that the rider cancels before boarding.
const RIDER_CANCEL_SHARE: f64 = 0.01;
/// Earliest and latest second after assignment at which someone cancels.
const CANCEL_AFTER_S: (f64, f64) = (5.0, 90.0);
/// Shortest and longest dwell at the pickup.
const DWELL_S: (f64, f64) = (20.0, 60.0);
/// Share of vehicles that also serve the `xl` tier.
const XL_SHARE: f64 = 0.1;

/// Share of drivers who take rides without being asked, where the market has mode `instant`.
const INSTANT_SHARE: f64 = 0.25;

/// Quantiles of riders' patience in seconds; linear in between.
///
/// The inner five are from a public ride-hailing log. At the low end nobody gives up in under
/// two seconds; at the high end the last tenth spreads evenly up to ten minutes.
const PATIENCE_S: [(f64, f64); 7] = [
    (0.0, 2.0),
    (0.10, 13.0),
    (0.25, 38.0),
    (0.50, 88.0),
    (0.75, 157.0),
    (0.90, 220.0),
    (1.0, 600.0),
];

/// The model, with its seed.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    seed: u64,
}

/// What a driver does about an offer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfferPlan {
    /// What he says.
    pub answer: Answer,
    /// From the moment the driver looks at the offer.
    pub delay_ms: i64,
}

/// A driver's answer to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Yes.
    Accept,
    /// No, for this reason.
    Decline(&'static str),
    /// The phone is in a pocket.
    Silent,
}

/// What a driver does on a ride.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RidePlan {
    /// From his arrival until the rider sits in the car.
    pub dwell_ms: i64,
    /// Gives up this long after assignment, if still on the way to the pickup.
    pub cancel_after_ms: Option<i64>,
}

/// What a rider does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RiderPlan {
    /// Leaves this long after the request, if nobody is assigned.
    pub patience_ms: i64,
    /// Cancels this long after assignment, if not yet on board.
    pub cancel_after_assigned_ms: Option<i64>,
}

/// A vehicle as its driver registers it.
#[derive(Debug, Clone, PartialEq)]
pub struct VehiclePlan {
    /// Its maker.
    pub make: &'static str,
    /// Its model.
    pub model: &'static str,
    /// Its plate.
    pub plate: String,
    /// Whether it also serves the tier `xl`.
    pub xl: bool,
    /// The driver's mean rating, 4.4 to 5.0.
    pub rating: f64,
    /// Whether the driver opted in to rides without being asked.
    pub instant: bool,
}

const STANDARD_MODELS: [(&str, &str); 4] =
    [("Ford", "Crown Victoria"), ("Toyota", "Camry"), ("Ford", "Escape"), ("Nissan", "Altima")];
const XL_MODELS: [(&str, &str); 2] = [("Toyota", "Sienna"), ("Nissan", "NV200")];

impl Behaviour {
    /// The model's people of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The random stream of one decision.
    #[must_use]
    pub fn stream(&self, purpose: &str, who: &[&str]) -> ChaCha8Rng {
        // FNV-1a: stable across releases and platforms, which std's hashers do not promise.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for part in std::iter::once(&purpose).chain(who) {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        ChaCha8Rng::seed_from_u64(hash)
    }

    /// How `driver` answers the `asked`-th offer of `ride`, `live_ms` before it ends.
    #[must_use]
    pub fn offer(
        &self,
        driver: &str,
        ride: &str,
        asked: u32,
        eta_s: f64,
        live_ms: i64,
    ) -> OfferPlan {
        let mut random = self.stream("offer", &[driver, ride, &asked.to_string()]);
        let (decides, silent, hurries) =
            (random.random::<f64>(), random.random::<f64>(), random.random::<f64>());
        let drawn_ms = RESPONSE_MEDIAN_MS * (RESPONSE_SIGMA * normal(&mut random)).exp();
        let in_time_ms = (live_ms - RESPONSE_MARGIN_MS).max(RESPONSE_MIN_MS);
        let mut delay_ms = (drawn_ms as i64).max(RESPONSE_MIN_MS);
        if delay_ms > in_time_ms && hurries < HURRY_SHARE {
            delay_ms = in_time_ms;
        }
        let answer = if silent < SILENT_SHARE {
            Answer::Silent
        } else if decides < accept_probability(eta_s) {
            Answer::Accept
        } else if eta_s > FAR_ETA_S {
            Answer::Decline("too_far")
        } else {
            Answer::Decline("not_interested")
        };
        OfferPlan { answer, delay_ms }
    }

    /// How `driver` carries out `ride`.
    #[must_use]
    pub fn ride(&self, driver: &str, ride: &str) -> RidePlan {
        let mut random = self.stream("ride", &[driver, ride]);
        let dwell_ms = (random.random_range(DWELL_S.0..DWELL_S.1) * 1_000.0) as i64;
        let cancel_after_ms = cancel_after_ms(&mut random, DRIVER_CANCEL_SHARE);
        RidePlan { dwell_ms, cancel_after_ms }
    }

    /// How the rider of `ride` waits.
    #[must_use]
    pub fn rider(&self, ride: &str) -> RiderPlan {
        let mut random = self.stream("rider", &[ride]);
        let patience_ms = (patience_s(random.random::<f64>()) * 1_000.0) as i64;
        let cancel_after_assigned_ms = cancel_after_ms(&mut random, RIDER_CANCEL_SHARE);
        RiderPlan { patience_ms, cancel_after_assigned_ms }
    }

    /// The vehicle of `driver`.
    #[must_use]
    pub fn vehicle(&self, driver: &str) -> VehiclePlan {
        let mut random = self.stream("vehicle", &[driver]);
        let xl = random.random::<f64>() < XL_SHARE;
        let models: &[(&str, &str)] = if xl { &XL_MODELS } else { &STANDARD_MODELS };
        let (make, model) = models[random.random_range(0..models.len())];
        let letter = char::from(b'A' + random.random_range(0..26_u8));
        let plate = format!(
            "{}{letter}{:02}",
            random.random_range(1..10_u8),
            random.random_range(0..100_u8)
        );
        let rating = f64::from(random.random_range(44..=50_u8)) / 10.0;
        let instant = random.random::<f64>() < INSTANT_SHARE;
        VehiclePlan { make, model, plate, xl, rating, instant }
    }
}

/// Probability of accepting an offer by its pickup ETA, if it is answered at all.
#[must_use]
pub fn accept_probability(eta_s: f64) -> f64 {
    let log_odds = ACCEPT_LOG_ODDS_AT_ZERO - ACCEPT_LOG_ODDS_PER_MINUTE * (eta_s.max(0.0) / 60.0);
    1.0 / (1.0 + (-log_odds).exp())
}

/// The patience that a share `quantile` of the riders does not exceed.
#[must_use]
pub fn patience_s(quantile: f64) -> f64 {
    let quantile = quantile.clamp(0.0, 1.0);
    let above = PATIENCE_S.iter().position(|&(q, _)| q >= quantile).unwrap_or(1).max(1);
    let ((q0, s0), (q1, s1)) = (PATIENCE_S[above - 1], PATIENCE_S[above]);
    s0 + (s1 - s0) * (quantile - q0) / (q1 - q0)
}

fn cancel_after_ms(random: &mut ChaCha8Rng, share: f64) -> Option<i64> {
    let (drawn, after_s) =
        (random.random::<f64>(), random.random_range(CANCEL_AFTER_S.0..CANCEL_AFTER_S.1));
    (drawn < share).then_some((after_s * 1_000.0) as i64)
}

/// A standard normal draw (Box-Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_passes_through_the_published_quantiles() {
        for (quantile, seconds) in
            [(0.10, 13.0), (0.25, 38.0), (0.5, 88.0), (0.75, 157.0), (0.9, 220.0)]
        {
            assert!((patience_s(quantile) - seconds).abs() < 1e-9, "{quantile}");
        }
        assert_eq!((patience_s(0.0), patience_s(1.0)), (2.0, 600.0));
        assert_eq!((patience_s(-1.0), patience_s(7.0)), (2.0, 600.0));
        assert!((patience_s(0.375) - 63.0).abs() < 1e-9, "linear between the quantiles");
    }

    #[test]
    fn drawn_patience_has_the_published_median() {
        let behaviour = Behaviour::new(5);
        let mut drawn: Vec<i64> =
            (0..4_000).map(|ride| behaviour.rider(&ride.to_string()).patience_ms).collect();
        drawn.sort_unstable();
        assert!((82_000..95_000).contains(&drawn[2_000]), "{}", drawn[2_000]);
    }

    #[test]
    fn acceptance_falls_with_the_pickup_eta() {
        assert!((accept_probability(0.0) - 0.92).abs() < 0.001);
        assert!((accept_probability(480.0) - 0.5).abs() < 0.01);
        assert!(accept_probability(180.0) > accept_probability(300.0));
    }

    #[test]
    fn the_seed_decides_everything() {
        let (one, same, other) = (Behaviour::new(1), Behaviour::new(1), Behaviour::new(2));
        let plans = |model: &Behaviour| {
            (0..200)
                .map(|n: u32| {
                    let key = n.to_string();
                    (
                        model.offer(&key, "7", 1, 120.0, 15_000),
                        model.ride(&key, "7"),
                        model.rider(&key),
                        model.vehicle(&key),
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(plans(&one), plans(&same));
        assert_ne!(plans(&one), plans(&other));
        let asked_again = one.offer("3", "7", 2, 120.0, 15_000);
        assert_ne!(one.offer("3", "7", 1, 120.0, 15_000), asked_again);
    }

    #[test]
    fn answers_have_the_documented_shares_and_delays() {
        let behaviour = Behaviour::new(9);
        let plans: Vec<OfferPlan> = (0..5_000_u32)
            .map(|n| behaviour.offer(&n.to_string(), "1", 1, 180.0, 15_000))
            .collect();
        let share = |answer: Answer| {
            plans.iter().filter(|plan| plan.answer == answer).count() as f64 / 5_000.0
        };
        assert!((share(Answer::Silent) - 0.03).abs() < 0.01);
        assert!((share(Answer::Accept) - 0.97 * accept_probability(180.0)).abs() < 0.02);
        let late = plans.iter().filter(|plan| plan.delay_ms > 14_000).count();
        assert!(late < 40, "{late} answers come too late");
        let mut delays: Vec<i64> = plans.iter().map(|plan| plan.delay_ms).collect();
        delays.sort_unstable();
        assert!((3_700..4_300).contains(&delays[2_500]), "median {}", delays[2_500]);
        assert!(delays[0] >= RESPONSE_MIN_MS);
    }
}
