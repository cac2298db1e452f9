//! Who may be offered a ride, and why the others may not: the same rules for the search, which sees
//! the supply index, and for the driver's machine, which knows better.

use crate::driver::{DriverFacts, RidePreferences};
use crate::geo::Position;
use crate::grid::{Contact, Reading, Supply, Taken, TierSet};
use crate::id::DriverId;
use crate::offer::Exclusion;
use crate::ride::command::CandidateQuery;
use crate::ride::needs::RideNeeds;
use crate::time::Timestamp;

/// Categories a driver gets only when his preferences name them: they need another vehicle,
/// another permit, or half a day.
const OPT_IN_CATEGORIES: [&str; 4] = ["rental", "intercity", "delivery", "ambulance"];

/// Decides from the supply index whether a driver may be offered the ride: what is cheap to see
/// comes first.
///
/// The index may lag behind the driver by a message: his own machine checks again when offered.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub fn classify(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &Supply,
    reading: &Reading,
) -> Result<(), Exclusion> {
    let near_by_time = |query: &CandidateQuery| near_by_time(&query.needs, reading.position);
    judge(query, driver, supply, reading, near_by_time)
}

/// As [`classify`], where how long he needs to the pickup is judged by what is better than the
/// straight line.
pub(crate) fn classify_untimed(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &Supply,
    reading: &Reading,
) -> Result<(), Exclusion> {
    judge(query, driver, supply, reading, |_| Ok(()))
}

fn judge(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &Supply,
    reading: &Reading,
    near_by_time: impl FnOnce(&CandidateQuery) -> Result<(), Exclusion>,
) -> Result<(), Exclusion> {
    if let Some(taken) = supply.taken() {
        let why = Exclusion::from(taken);
        let on_ride = why == Exclusion::OnRide;
        let looks_forward = query.forward.is_some();
        return Err(if on_ride { supply.forward.exclusion(looks_forward) } else { why });
    }
    let free = supply.slots_taken(query.now) < query.live_offers_max;
    admits(query, driver, supply, reading, free)?;
    let wanted = if query.instant { instant_tiers(query, supply)? } else { query.tiers };
    has_tier(query, supply, wanted)?;
    suits_untimed(&query.needs, &supply.facts, reading.position, query.now)?;
    near_by_time(query)?;
    // Last, so that nothing else keeps those from the wave who are taken in when it is short.
    first_of([(
        supply.slots_taken(query.now) >= query.live_offers_soft_max,
        Exclusion::OfferSlotsBusy,
    )])
}

/// What is cheap to see of any driver, idle or on a trip, who has a slot `free` or not.
pub(super) fn admits(
    query: &CandidateQuery,
    driver: &DriverId,
    supply: &Supply,
    reading: &Reading,
    free: bool,
) -> Result<(), Exclusion> {
    let stale = reading.received_at < query.fix_received_after;
    let checks = [
        (supply.contact != Contact::Live || stale, Exclusion::StalePosition),
        (supply.blocked, Exclusion::Blocked),
        (!supply.tiers.intersects(query.tiers), Exclusion::ServiceTier),
        (!supply.tags.covers(query.tags), Exclusion::MissingTag),
        (!free, Exclusion::OfferSlotsFull),
        (supply.cooling_down, Exclusion::CoolingDown),
        (query.blocked.contains(driver), Exclusion::BlockedForRide),
        (query.asked.contains(driver), Exclusion::AlreadyAsked),
    ];
    first_of(checks)
}

/// Whether one of the tiers `wanted` is not too far below his best one.
pub(super) fn has_tier(
    query: &CandidateQuery,
    supply: &Supply,
    wanted: TierSet,
) -> Result<(), Exclusion> {
    let levels_max = query.needs.downgrade_levels_max();
    let tier = tier_with_least_downgrade(supply.tiers, wanted, levels_max);
    tier.map(|_| ()).ok_or(Exclusion::TierDowngrade)
}

/// The tiers of the ride that he takes without being asked.
fn instant_tiers(query: &CandidateQuery, supply: &Supply) -> Result<TierSet, Exclusion> {
    let tiers = query.tiers.intersection(supply.instant_tiers);
    first_of([
        (tiers.is_empty(), Exclusion::InstantOptOut),
        (!supply.in_session, Exclusion::NoSession),
        (supply.slots_taken(query.now) > 0, Exclusion::OfferPending),
    ])?;
    Ok(tiers)
}

impl From<Taken> for Exclusion {
    fn from(taken: Taken) -> Self {
        match taken {
            Taken::Offline => Self::Offline,
            Taken::Reserved => Self::Reserved,
            Taken::OnRide => Self::OnRide,
            Taken::OutOfTouch => Self::StalePosition,
            Taken::Blocked => Self::Blocked,
            Taken::SlotsFull => Self::OfferSlotsFull,
            Taken::CoolingDown => Self::CoolingDown,
        }
    }
}

/// Whether a driver with these facts, who is at `from`, suits a ride with these needs.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub fn suits(
    needs: &RideNeeds,
    facts: &DriverFacts,
    from: Position,
    now: Timestamp,
) -> Result<(), Exclusion> {
    suits_untimed(needs, facts, from, now)?;
    near_by_time(needs, from)
}

/// As [`suits`], where how long he needs to the pickup is judged already.
///
/// # Errors
/// The first [`Exclusion`] that holds.
pub fn suits_untimed(
    needs: &RideNeeds,
    facts: &DriverFacts,
    from: Position,
    now: Timestamp,
) -> Result<(), Exclusion> {
    let request = &needs.request;
    let likes = &facts.preferences;
    let carries = |tag: &String| facts.tags.contains(tag);
    let (seats, luggage) = (facts.capacity.seats, facts.capacity.luggage);
    first_of([
        (!request.require_tags.iter().all(carries), Exclusion::MissingTag),
        (request.forbid_tags.iter().any(carries), Exclusion::ForbiddenTag),
        (!takes_category(likes, needs.category()), Exclusion::Category),
        (!takes_trip(likes, needs), Exclusion::TripDistance),
        (!takes_pickup(likes, needs, from), Exclusion::PickupDistance),
        (closed_elsewhere(facts, needs), Exclusion::ClosedZone),
        (needs.pets && likes.pets != Some(true), Exclusion::Pets),
        (!takes_payment(likes, needs), Exclusion::PaymentMethod),
        (lacks(seats, needs.seats_min), Exclusion::VehicleSeats),
        (lacks(luggage, needs.luggage_min), Exclusion::VehicleLuggage),
        (facts.rider_blocks.hold(needs.rider(), now), Exclusion::BlockedForRider),
        (below_floor(facts, needs), Exclusion::WalletFloor),
        (comes_late_to_next(facts, needs, from, now), Exclusion::ScheduledConflict),
    ])
}

/// The tier a driver of the tiers `serves` is offered by a ride that takes `wanted`: the market's
/// order is the rank, and the nearest to the best he serves wins. Nothing when all are more than
/// `levels_max` below it.
pub fn tier_with_least_downgrade(serves: TierSet, wanted: TierSet, levels_max: u8) -> Option<u8> {
    let best = serves.indices().last()?;
    let offered = serves.indices().filter(|index| wanted.contains(*index)).last()?;
    (best - offered <= levels_max).then_some(offered)
}

pub(super) fn first_of<const N: usize>(checks: [(bool, Exclusion); N]) -> Result<(), Exclusion> {
    checks.into_iter().find(|(holds, _)| *holds).map_or(Ok(()), |(_, reason)| Err(reason))
}

fn takes_category(likes: &RidePreferences, category: &str) -> bool {
    match &likes.categories {
        Some(categories) => categories.contains(category),
        None => !OPT_IN_CATEGORIES.contains(&category),
    }
}

/// A ride without a drop-off has no length that anyone could mind.
fn takes_trip(likes: &RidePreferences, needs: &RideNeeds) -> bool {
    let Some(trip) = needs.trip else { return true };
    likes.trip_distance_m_min.is_none_or(|least| trip.get() >= f64::from(least))
        && likes.trip_distance_m_max.is_none_or(|most| trip.get() <= f64::from(most))
}

fn takes_pickup(likes: &RidePreferences, needs: &RideNeeds, from: Position) -> bool {
    let within = |most| needs.pickup_distance(from).get() <= f64::from(most);
    likes.pickup_distance_m_max.is_none_or(within)
}

fn takes_payment(likes: &RidePreferences, needs: &RideNeeds) -> bool {
    match (&likes.payment, needs.payment()) {
        (Some(methods), Some(payment)) => methods.contains(payment),
        (Some(_) | None, _) => true,
    }
}

/// Whether he waits in the queue of a closed zone and the pickup is not there.
fn closed_elsewhere(facts: &DriverFacts, needs: &RideNeeds) -> bool {
    facts.closed_zone.as_ref().is_some_and(|zone| !needs.begins_in(zone))
}

fn lacks(has: Option<u32>, least: u32) -> bool {
    least > 0 && has.is_none_or(|has| has < least)
}

/// A balance nobody told does not reach a floor.
fn below_floor(facts: &DriverFacts, needs: &RideNeeds) -> bool {
    let floor = needs.policy.wallet_floor;
    floor > 0 && facts.wallet.as_ref().is_none_or(|wallet| wallet.amount < floor)
}

/// Whether this ride would keep him from the pickup he is promised to. One whose time has passed
/// is over for dispatch: the platform may be slow to take it off the profile.
fn comes_late_to_next(
    facts: &DriverFacts,
    needs: &RideNeeds,
    from: Position,
    now: Timestamp,
) -> bool {
    let Some(next) = facts.scheduled_pickup_at.filter(|next| *next > now) else { return false };
    let there = now.plus_millis(u64::from(needs.pickup_eta(from).get()) * 1_000);
    let begins = needs.request.pickup_at.map_or(there, |at| at.max(there));
    let trip_ms = u64::from(needs.trip_duration().get()) * 1_000;
    next < begins.plus_millis(trip_ms).plus_millis(needs.policy.scheduled_buffer_ms)
}

fn near_by_time(needs: &RideNeeds, from: Position) -> Result<(), Exclusion> {
    let most_s = needs.policy.pickup_eta_s_max;
    let too_far = most_s > 0 && needs.pickup_eta(from).get() > most_s;
    first_of([(too_far, Exclusion::PickupEta)])
}
