//! Judges what policy limits over a whole attempt or ride: repeated offers, reallocations, tries.

use std::collections::BTreeSet;

use muster_engine::invariant::Invariant;
use muster_engine::policy::DispatchPolicy;
use muster_engine::ride::{
    ReallocationCause, ReallocationStage, RideCommit, RideEventKind, RideRecord, RideStatus,
};
use muster_engine::time::Timestamp;

use super::durable::{Judgement, require};

/// Nothing is done more often, later or sooner than the policy says.
pub(super) fn keep_their_limits(
    policy: &DispatchPolicy,
    before: Option<&RideRecord>,
    commit: &RideCommit,
) -> Judgement {
    m2_offers_per_driver(policy, &commit.record)?;
    match commit.kind {
        RideEventKind::RideReallocated => m10_reallocations(policy, &commit.record),
        RideEventKind::RideUnfulfilled => m14_no_try_is_left_out(policy, &commit.record),
        RideEventKind::SearchStarted => m14_no_try_is_early(policy, before, commit),
        RideEventKind::DriverNudged => m10_nudged_on_his_way(policy, &commit.record),
        RideEventKind::TryUnfulfilled => {
            let waits = commit.record.status == RideStatus::Scheduled;
            let due = tries(policy, &commit.record).any(|at| at > commit.at);
            require(waits && due && commit.record.offers.is_empty(), Invariant::M14, || {
                "waits for a try that never comes".to_owned()
            })
        }
        RideEventKind::RideRequested
        | RideEventKind::WaveSent
        | RideEventKind::NoCandidates
        | RideEventKind::OffersEnded
        | RideEventKind::OtpDrawn
        | RideEventKind::OtpEntered
        | RideEventKind::InstantOffered
        | RideEventKind::InstantEnded
        | RideEventKind::QuoteReceived
        | RideEventKind::QuoteEnded
        | RideEventKind::DriverAssigned
        | RideEventKind::DriverArrived
        | RideEventKind::RideStarted
        | RideEventKind::RideCompleted
        | RideEventKind::DropoffChanged
        | RideEventKind::ForwardPromoted
        | RideEventKind::ForwardUpdated
        | RideEventKind::ForwardReturned
        | RideEventKind::BetterDriverSearchStarted
        | RideEventKind::StandbyHeld
        | RideEventKind::StandbyEnded
        | RideEventKind::RideCancelled => Ok(()),
    }
}

/// A driver holds one live offer of a ride, and got no more in this attempt than he may.
fn m2_offers_per_driver(policy: &DispatchPolicy, record: &RideRecord) -> Judgement {
    let holders: BTreeSet<_> = record.offers.values().map(|live| &live.driver).collect();
    require(holders.len() == record.offers.len(), Invariant::M2, || {
        "a driver holds two offers of one ride".to_owned()
    })?;
    let most = policy.offers_per_attempt_max;
    let often = record.asked.iter().find(|driver| record.offers_to(driver) > most);
    require(often.is_none(), Invariant::M2, || {
        format!("{often:?} got more than {most} offers in one attempt")
    })
}

fn m10_reallocations(policy: &DispatchPolicy, record: &RideRecord) -> Judgement {
    let lost = &record.attempts.reallocated;
    let of_cause = |cause| lost.iter().filter(|lost| lost.cause == cause).count() as u32;
    let of_stage = |stage| lost.iter().filter(|lost| lost.stage == stage).count() as u32;
    let scheduled = if record.request.pickup_at.is_some() { record.reallocations } else { 0 };
    let limits = [
        (record.reallocations, policy.reallocations_max),
        (scheduled, policy.reallocations_scheduled_max),
        (of_cause(ReallocationCause::Driver), policy.reallocations_driver_max),
        (of_cause(ReallocationCause::Operator), policy.reallocations_operator_max),
        (of_cause(ReallocationCause::DriverLost), policy.reallocations_lost_max),
        (of_cause(ReallocationCause::DriverStalled), policy.reallocations_stalled_max),
        (of_stage(ReallocationStage::Assigned), policy.reallocations_assigned_max),
        (of_stage(ReallocationStage::Arrived), policy.reallocations_arrived_max),
    ];
    let beyond = limits.iter().find(|(count, most)| count > most);
    require(beyond.is_none(), Invariant::M10, || format!("{beyond:?}: reallocated too often"))
}

fn m10_nudged_on_his_way(policy: &DispatchPolicy, record: &RideRecord) -> Judgement {
    let comes = record.status == RideStatus::Assigned && record.forward().is_none();
    let watched = policy.pickup_check_ms > 0 && comes;
    require(watched, Invariant::M10, || "nudged without need".to_owned())
}

/// M14: a scheduled ride does not end for want of a driver while it has a try left.
fn m14_no_try_is_left_out(policy: &DispatchPolicy, record: &RideRecord) -> Judgement {
    let searched =
        matches!(record.reason.as_deref(), Some("search_limit" | "wave_limit" | "otp_expired"));
    let left = tries(policy, record).any(|at| at > record.search_began_at);
    require(!(searched && left), Invariant::M14, || "ended before its last try".to_owned())
}

fn m14_no_try_is_early(
    policy: &DispatchPolicy,
    before: Option<&RideRecord>,
    commit: &RideCommit,
) -> Judgement {
    let waited = before.is_some_and(|before| before.status == RideStatus::Scheduled);
    let due = tries(policy, &commit.record).any(|at| at <= commit.at);
    require(!waited || due, Invariant::M14, || "searches before its time".to_owned())
}

fn tries<'a>(
    policy: &'a DispatchPolicy,
    record: &'a RideRecord,
) -> impl Iterator<Item = Timestamp> + 'a {
    let pickup_at = record.request.pickup_at;
    let before_ms = policy.tries_before_pickup_ms().iter();
    before_ms.filter_map(move |ms| Some(pickup_at?.minus_millis(*ms)))
}
