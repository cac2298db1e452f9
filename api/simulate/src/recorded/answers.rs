//! What drivers said to offers, to be drawn from: whole answers with their delays, so that share and
//! delay stay together.

use muster_city::behaviour::Answer;
use muster_engine::offer::{OfferEnd, OfferKind};
use muster_record::OfferEndedLine;
use rand::Rng;

use crate::people::OfferPlan;

/// Answers from which on a driver is known well enough to be drawn from his own; others answer as the
/// fleet does.
pub(super) const OWN_ANSWERS_MIN: usize = 20;

/// An answer inside its offer comes this long before its end, in milliseconds.
const MARGIN_MS: u64 = 1;

/// The recorded answers.
#[derive(Debug)]
pub(crate) struct Answers {
    by_driver: Vec<Vec<OfferPlan>>,
    fleet: Vec<OfferPlan>,
    /// Assignments, and how long after them those were given up that were.
    assignments: usize,
    given_up_after_ms: Vec<u64>,
}

/// The answer that an end of an offer is; an offer that was taken back says nothing, nor does one
/// that nobody was asked.
pub(super) fn of(line: &OfferEndedLine) -> Option<OfferPlan> {
    match line.kind {
        OfferKind::Ride | OfferKind::Quote { .. } => {}
        OfferKind::Instant | OfferKind::Standby => return None,
    }
    let answer = match line.end {
        OfferEnd::Accepted => Answer::Accept,
        OfferEnd::Declined => Answer::Decline("as_recorded"),
        OfferEnd::Expired => Answer::Silent,
        OfferEnd::Withdrawn => return None,
    };
    Some(OfferPlan { answer, delay_ms: line.after_ms })
}

impl Answers {
    /// Of so many assignments, some given up this long after.
    pub(super) const fn of_assignments(assignments: usize, given_up_after_ms: Vec<u64>) -> Self {
        Self { by_driver: Vec::new(), fleet: Vec::new(), assignments, given_up_after_ms }
    }

    /// The answers of the next driver.
    pub(super) fn push(&mut self, answers: Vec<OfferPlan>) {
        self.fleet.extend(&answers);
        self.by_driver.push(answers);
    }

    pub(super) fn len(&self) -> usize {
        self.fleet.len()
    }

    /// When a driver gives a ride up, in milliseconds after its assignment: as many do as did.
    pub(crate) fn gives_up_after_ms(&self, random: &mut impl Rng) -> Option<u64> {
        let drawn = random.random_range(0..self.assignments.max(1));
        self.given_up_after_ms.get(drawn).copied()
    }

    /// One answer for an offer that lives `live_ms`; nothing when the log has none.
    pub(crate) fn draw(
        &self,
        driver: usize,
        live_ms: u64,
        random: &mut impl Rng,
    ) -> Option<OfferPlan> {
        let own = self.by_driver.get(driver).filter(|own| own.len() >= OWN_ANSWERS_MIN);
        let from = own.unwrap_or(&self.fleet);
        if from.is_empty() {
            return None;
        }
        let drawn = from[random.random_range(0..from.len())];
        let delay_ms = drawn.delay_ms.min(live_ms.saturating_sub(MARGIN_MS));
        Some(OfferPlan { delay_ms, ..drawn })
    }
}
