//! How simulated people behave: as the reference assumes, as in a replay, or anything between.

use muster_city::behaviour::{Answer, Behaviour, patience_s};
use rand::Rng;
use serde::Serialize;

/// Shortest time between offer and answer that keeps an answer inside its offer, in milliseconds.
const RESPONSE_MARGIN_MS: u64 = 1;

/// Riders who leave 300 s after the request, as in the reference.
pub const PATIENCE_REFERENCE_S: f64 = 300.0;

/// The time at the pickup in the reference.
pub const DWELL_REFERENCE_S: f64 = 60.0;

/// Where the model begins; single traits may be set beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum PeopleModel {
    /// Nobody refuses, everybody answers at once, 60 s at the pickup, riders wait 300 s.
    Reference,
    /// The people of a replay: acceptance falls with the way, answers take seconds, riders' patience
    /// as published, some change their plans.
    City,
}

/// Traits of people; those that are absent are the replay's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Traits {
    /// Share of offers that are accepted, whatever the way.
    pub accept_share: Option<f64>,
    /// Seconds between seeing an offer and answering it.
    pub response_s: Option<f64>,
    /// Seconds from arrival to departure with the rider.
    pub dwell_s: Option<f64>,
    /// Seconds after which riders without a driver leave.
    pub patience_s: Option<f64>,
    /// Whether some riders and drivers cancel, and vehicles differ.
    pub varied: bool,
}

impl Traits {
    /// The traits of a model.
    #[must_use]
    pub const fn of(model: PeopleModel) -> Self {
        match model {
            PeopleModel::Reference => Self {
                accept_share: Some(1.0),
                response_s: Some(0.0),
                dwell_s: Some(DWELL_REFERENCE_S),
                patience_s: Some(PATIENCE_REFERENCE_S),
                varied: false,
            },
            PeopleModel::City => Self {
                accept_share: None,
                response_s: None,
                dwell_s: None,
                patience_s: None,
                varied: true,
            },
        }
    }
}

/// What a driver does about an offer that he sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OfferPlan {
    pub(crate) answer: Answer,
    pub(crate) delay_ms: u64,
}

/// The people of one seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct People {
    behaviour: Behaviour,
    traits: Traits,
}

impl People {
    pub(crate) fn new(seed: u64, traits: Traits) -> Self {
        Self { behaviour: Behaviour::new(seed), traits }
    }

    /// The random stream of one decision.
    pub(crate) fn stream(&self, purpose: &str, who: &str) -> impl Rng + use<> {
        self.behaviour.stream(purpose, &[who])
    }

    /// How a driver answers the `asked`-th offer of a ride, `live_ms` before it ends.
    pub(crate) fn offer(
        &self,
        driver: &str,
        ride: &str,
        asked: u32,
        eta_s: f64,
        live_ms: u64,
    ) -> OfferPlan {
        let live = i64::try_from(live_ms).unwrap_or(i64::MAX);
        let drawn = self.behaviour.offer(driver, ride, asked, eta_s, live);
        let answer = match self.traits.accept_share {
            None => drawn.answer,
            Some(share) => {
                let who = [driver, ride, &asked.to_string()];
                let accepts = self.behaviour.stream("accept", &who).random::<f64>() < share;
                if accepts { Answer::Accept } else { Answer::Decline("not_interested") }
            }
        };
        let delay_ms = match self.traits.response_s {
            None => drawn.delay_ms.max(0) as u64,
            Some(seconds) => millis(seconds).min(live_ms.saturating_sub(RESPONSE_MARGIN_MS)),
        };
        OfferPlan { answer, delay_ms }
    }

    /// Milliseconds from arrival to departure.
    pub(crate) fn dwell_ms(&self, driver: &str, ride: &str) -> u64 {
        let drawn_ms = self.behaviour.ride(driver, ride).dwell_ms.max(0) as u64;
        self.traits.dwell_s.map_or(drawn_ms, millis)
    }

    /// When a driver gives a ride up, in milliseconds after its assignment.
    pub(crate) fn gives_up_after_ms(&self, driver: &str, ride: &str) -> Option<u64> {
        let drawn = self.behaviour.ride(driver, ride).cancel_after_ms;
        drawn.filter(|_| self.traits.varied).map(|ms| ms.max(0) as u64)
    }

    /// How long a rider waits for an assignment.
    pub(crate) fn patience_ms(&self, ride: &str) -> u64 {
        let drawn_ms = || self.behaviour.rider(ride).patience_ms.max(0) as u64;
        self.traits.patience_s.map_or_else(drawn_ms, millis)
    }

    /// When a rider changes plans, in milliseconds after the assignment.
    pub(crate) fn changes_plans_after_ms(&self, ride: &str) -> Option<u64> {
        let drawn = self.behaviour.rider(ride).cancel_after_assigned_ms;
        drawn.filter(|_| self.traits.varied).map(|ms| ms.max(0) as u64)
    }

    /// Whether a driver's vehicle is large, and whether he takes rides without being asked.
    pub(crate) fn vehicle(&self, driver: &str) -> (bool, bool) {
        let drawn = self.behaviour.vehicle(driver);
        (drawn.xl && self.traits.varied, drawn.instant)
    }
}

fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

/// The longest patience of the published quantiles, in seconds.
pub(crate) fn patience_s_max() -> f64 {
    patience_s(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traits_of_the_reference_leave_nothing_to_chance() {
        let people = People::new(1, Traits::of(PeopleModel::Reference));
        let plan = people.offer("cab-00001", "ride-000001", 1, 900.0, 15_000);
        assert_eq!(plan, OfferPlan { answer: Answer::Accept, delay_ms: 0 });
        assert_eq!(people.dwell_ms("cab-00001", "ride-000001"), 60_000);
        assert_eq!(people.patience_ms("ride-000001"), 300_000);
        let cancels = |n: u32| people.gives_up_after_ms(&n.to_string(), "r").is_some();
        assert!(!(0..500).any(cancels));
    }

    #[test]
    fn a_share_of_offers_is_accepted_and_each_asking_is_a_draw() {
        let traits = Traits { accept_share: Some(0.7), ..Traits::of(PeopleModel::Reference) };
        let people = People::new(2, traits);
        let accepts = |n: u32, asked: u32| {
            let plan = people.offer(&n.to_string(), "r", asked, 60.0, 15_000);
            plan.answer == Answer::Accept
        };
        let accepted = (0..4_000).filter(|n| accepts(*n, 1)).count();
        assert!((2_700..2_900).contains(&accepted), "{accepted}");
        assert!((0..100).any(|n| accepts(n, 1) != accepts(n, 2)));
    }
}
