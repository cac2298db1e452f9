//! Who brought a transition about.

use muster_engine::offer::OfferKind;
use muster_engine::policy::AttemptKind;
use muster_engine::ride::{ReallocationCause, RideEventKind, RideRecord};

use crate::kafka::Transition;

const RIDER: &str = "rider";
const DRIVER: &str = "driver";
const OPERATOR: &str = "operator";
const SYSTEM: &str = "system";

/// `rider`, `driver` or `operator`; `system` for what dispatch does by itself.
pub(super) fn cause(transition: &Transition) -> &'static str {
    let after = &transition.after;
    match transition.kind {
        RideEventKind::RideRequested | RideEventKind::DropoffChanged => RIDER,
        RideEventKind::SearchStarted => match after.policy.attempt {
            AttemptKind::Retry | AttemptKind::CancelledAndRetried => RIDER,
            AttemptKind::Initial
            | AttemptKind::Reallocation
            | AttemptKind::Scheduled
            | AttemptKind::BetterDriverSearch => SYSTEM,
        },
        RideEventKind::QuoteReceived
        | RideEventKind::StandbyHeld
        | RideEventKind::DriverArrived
        | RideEventKind::RideStarted
        | RideEventKind::RideCompleted
        | RideEventKind::OtpEntered => DRIVER,
        RideEventKind::RideCancelled => after.cancelled_by.map_or(SYSTEM, |by| by.name()),
        RideEventKind::RideReallocated => reallocated_by(after),
        RideEventKind::DriverAssigned => assigned_by(transition),
        RideEventKind::OffersEnded if driver_declined(transition) => DRIVER,
        RideEventKind::OffersEnded
        | RideEventKind::WaveSent
        | RideEventKind::NoCandidates
        | RideEventKind::InstantOffered
        | RideEventKind::InstantEnded
        | RideEventKind::QuoteEnded
        | RideEventKind::DriverNudged
        | RideEventKind::TryUnfulfilled
        | RideEventKind::RideUnfulfilled
        | RideEventKind::ForwardPromoted
        | RideEventKind::ForwardUpdated
        | RideEventKind::ForwardReturned
        | RideEventKind::OtpDrawn
        | RideEventKind::BetterDriverSearchStarted
        | RideEventKind::StandbyEnded => SYSTEM,
    }
}

fn reallocated_by(after: &RideRecord) -> &'static str {
    match after.attempts.reallocated.last().map(|reallocation| reallocation.cause) {
        Some(ReallocationCause::Operator) => OPERATOR,
        Some(ReallocationCause::DriverLost | ReallocationCause::DriverStalled) => SYSTEM,
        Some(ReallocationCause::Driver) | None => DRIVER,
    }
}

/// The rider chose a quote, nobody was asked, or the driver accepted.
fn assigned_by(transition: &Transition) -> &'static str {
    let won = transition.after.assignment.as_ref().map(|assignment| &assignment.offer);
    let offer =
        transition.before.as_ref().zip(won).and_then(|(before, won)| before.offers.get(won));
    match offer.map(|offer| &offer.kind) {
        Some(OfferKind::Quote { .. }) => RIDER,
        Some(OfferKind::Instant | OfferKind::Standby) => SYSTEM,
        Some(OfferKind::Ride) | None => DRIVER,
    }
}

fn driver_declined(transition: &Transition) -> bool {
    let declined = |record: &RideRecord| record.offer_counts.declined;
    let before = transition.before.as_ref();
    before.is_some_and(|before| declined(&transition.after) > declined(before))
}
