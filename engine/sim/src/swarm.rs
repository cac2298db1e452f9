//! What one seed is about: first which faults exist at all, then how often, then city and policy.

use muster_engine::policy::{DispatchMode, DispatchPolicy, Ranking};

use crate::dice::Dice;
use crate::modes;
use crate::sabotage::Sabotage;
use crate::taste::{Taste, Wishes};
use crate::zone::ZonePlan;

/// How often each fault strikes; 0 means that it does not exist in this run.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// A message between machines waits for up to three seconds.
    pub link_stall: f64,
    /// A client's call never arrives.
    pub call_drop: f64,
    /// A client's call arrives twice.
    pub call_duplicate: f64,
    /// A client's call takes up to four seconds.
    pub call_delay: f64,
    /// A phone loses its connection, per second.
    pub socket_drop: f64,
    /// A phone connects a second time without leaving, per second.
    pub socket_twice: f64,
    /// A frame takes up to two seconds.
    pub frame_delay: f64,
    /// A phone does not acknowledge a frame.
    pub ack_lost: f64,
    /// The store takes up to three seconds for a commit.
    pub store_slow: f64,
    /// A commit fails and nothing is kept.
    pub store_failure: f64,
    /// The process dies just before a commit.
    pub crash_before_commit: f64,
    /// The process dies just after a commit, before anyone is told.
    pub crash_after_commit: f64,
    /// A commit of a dead process reaches the store after its successor took over.
    pub zombie_commit: f64,
    /// The process dies, per second.
    pub crash: f64,
    /// A machine dies and is rebuilt, per second.
    pub machine_panic: f64,
    /// A phone falls silent for up to two minutes, per second.
    pub gps_silence: f64,
    /// A fix is older than it should be, or repeated.
    pub gps_stale: f64,
    /// A fix is delayed and overtaken.
    pub gps_reorder: f64,
    /// A fix is kilometres off or from the future.
    pub gps_jump: f64,
    /// A driver goes offline or comes back, per second.
    pub driver_flap: f64,
    /// The rider cancels, per second.
    pub rider_cancel: f64,
    /// The rider asks again although a search runs or ended, per second.
    pub rider_retry: f64,
    /// The rider goes elsewhere, per second.
    pub rider_moves: f64,
    /// A driver declines an offer that he may have answered already, per second.
    pub driver_regret: f64,
    /// A driver asks a fare that may be out of the offer's bounds.
    pub greedy_fare: f64,
    /// An operator cancels a ride, per second of the whole city.
    pub operator_cancel: f64,
    /// An operator blocks a driver, per second of the whole city.
    pub operator_block: f64,
    /// An operator places a driver in the zone's queue or takes him out, per second.
    pub operator_queue: f64,
}

impl Faults {
    fn drawn(dice: &mut Dice) -> Self {
        let mut rate = |max: f64| if dice.chance(0.5) { dice.unit() * max } else { 0.0 };
        Self {
            link_stall: rate(0.2),
            call_drop: rate(0.15),
            call_duplicate: rate(0.3),
            call_delay: rate(0.3),
            socket_drop: rate(0.05),
            socket_twice: rate(0.03),
            frame_delay: rate(0.3),
            ack_lost: rate(0.8),
            store_slow: rate(0.3),
            store_failure: rate(0.15),
            crash_before_commit: rate(0.003),
            crash_after_commit: rate(0.003),
            zombie_commit: rate(1.0),
            crash: rate(0.02),
            machine_panic: rate(0.1),
            gps_silence: rate(0.01),
            gps_stale: rate(0.2),
            gps_reorder: rate(0.2),
            gps_jump: rate(0.05),
            driver_flap: rate(0.02),
            rider_cancel: rate(0.01),
            rider_retry: rate(0.02),
            operator_cancel: rate(0.02),
            operator_block: rate(0.02),
            rider_moves: rate(0.02),
            operator_queue: rate(0.03),
            driver_regret: rate(0.03),
            greedy_fare: rate(0.2),
        }
    }
}

/// What a driver does with offers; the four probabilities leave the rest to ignoring.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Habit {
    /// Says yes in time.
    pub accept: f64,
    /// Says no.
    pub decline: f64,
    /// Says yes around the instant of expiry.
    pub accept_late: f64,
    /// Says yes to everything on his screen at once.
    pub accept_all: f64,
    /// Gives an assigned ride back.
    pub give_back: f64,
    /// Types a wrong password first.
    pub wrong_otp: f64,
    /// Longest time he thinks, in milliseconds.
    pub think_ms_max: u64,
    /// Least time from a ride's assignment to his arrival, in milliseconds.
    pub pickup_ms: u64,
    /// Least time from a ride's start to its end, in milliseconds.
    pub trip_ms: u64,
}

impl Habit {
    /// Takes every offer after `think_ms_max` at the latest and completes every ride.
    pub const WILLING: Self = Self {
        accept: 1.0,
        decline: 0.0,
        accept_late: 0.0,
        accept_all: 0.0,
        give_back: 0.0,
        wrong_otp: 0.0,
        think_ms_max: 1_000,
        pickup_ms: 0,
        trip_ms: 0,
    };

    /// Declines every offer.
    pub const UNWILLING: Self = Self { accept: 0.0, decline: 1.0, ..Self::WILLING };

    /// Never answers.
    pub const ABSENT: Self = Self { accept: 0.0, ..Self::WILLING };

    /// Takes every offer and gives every ride back.
    pub const FICKLE: Self = Self { give_back: 1.0, ..Self::WILLING };

    fn drawn(dice: &mut Dice) -> Self {
        let (accept, decline) = (dice.unit(), dice.unit() * 0.5);
        let (late, all, ignore) = (dice.unit() * 0.3, dice.unit() * 0.3, dice.unit() * 0.3);
        let sum = accept + decline + late + all + ignore;
        let trip_ms = |dice: &mut Dice| if dice.chance(0.7) { dice.between(0, 90_000) } else { 0 };
        let habit = Self {
            accept: accept / sum,
            decline: decline / sum,
            accept_late: late / sum,
            accept_all: all / sum,
            give_back: if dice.chance(0.5) { dice.unit() * 0.3 } else { 0.0 },
            wrong_otp: if dice.chance(0.5) { dice.unit() * 0.3 } else { 0.0 },
            think_ms_max: dice.between(50, 6_000),
            pickup_ms: 0,
            trip_ms: trip_ms(dice),
        };
        // Who drives far to the drop-off does so to the pickup, in half of the cases.
        let slow = habit.trip_ms.is_multiple_of(2);
        Self { pickup_ms: if slow { habit.trip_ms / 2 } else { 0 }, ..habit }
    }
}

/// A driver of the city.
#[derive(Debug, Clone)]
pub struct DriverPlan {
    /// The market he works in: 0 or 1.
    pub market: usize,
    /// Where he starts: metres east and north of the market's south-west corner.
    pub home: (f64, f64),
    /// What he does with offers.
    pub habit: Habit,
    /// What he likes to drive.
    pub taste: Taste,
}

/// A ride of the city.
#[derive(Debug, Clone)]
pub struct RidePlan {
    /// The market of its pickup: 0 or 1.
    pub market: usize,
    /// Pickup, in metres east and north of the market's south-west corner.
    pub pickup: (f64, f64),
    /// When the rider asks, in milliseconds after the start.
    pub at_ms: u64,
    /// When the rider wants to leave, in milliseconds after the start.
    pub pickup_at_ms: Option<u64>,
    /// What the rider asks of the driver.
    pub wishes: Wishes,
}

/// Everything that is decided before the first step of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed of all further draws.
    pub seed: u64,
    /// Faults of the first phase.
    pub faults: Faults,
    /// The rules of both markets.
    pub policy: DispatchPolicy,
    /// The drivers.
    pub drivers: Vec<DriverPlan>,
    /// The rides.
    pub rides: Vec<RidePlan>,
    /// The zone of the first market.
    pub zone: Option<ZonePlan>,
    /// Whether the markets have streets, by which times are told.
    pub streets: bool,
    /// Length of the phase with faults, in milliseconds.
    pub faulty_ms: u64,
    /// A planted bug.
    pub sabotage: Option<Sabotage>,
    /// Whether all trace lines are kept, or the newest only.
    pub whole_trace: bool,
}

impl Options {
    /// The swarm's draw for `seed`.
    pub fn drawn(seed: u64) -> Self {
        let root = Dice::root(seed);
        let faults = Faults::drawn(&mut root.child("faults"));
        let policy = drawn_rules(&root);
        let mut modes = root.child("modes");
        let policy = modes::with_drawn_mode(policy, &mut modes);
        let streets = root.child("streets").chance(0.4);
        let mut zoning = root.child("zone");
        let zone = zoning.chance(0.5).then(|| ZonePlan::drawn(&mut zoning));
        let policy = with_drawn_queue(policy, zone.is_some(), &mut zoning);
        let mut city = root.child("city");
        let spread = city.between(800, 4_500) as f64;
        let (drivers, rides) = (city.between(2, 12), city.between(3, 30));
        let faulty_ms = city.between(90_000, 300_000);
        let spot = |dice: &mut Dice| (200.0 + dice.unit() * spread, 200.0 + dice.unit() * spread);
        let both = city.chance(0.5);
        let market = |dice: &mut Dice| usize::from(both && dice.chance(0.4));
        // In half of the runs nobody is choosy, so that nothing but faults keeps rides from drivers.
        let mut tastes = root.child("tastes");
        let choosy = tastes.chance(0.5);
        let mut wishes = root.child("wishes");
        let (opt_in, choosing) = (modes.unit(), modes.unit());
        let driver = |_| DriverPlan {
            market: market(&mut city),
            home: spot(&mut city),
            habit: Habit::drawn(&mut city),
            taste: Taste {
                instant: modes.chance(opt_in),
                ..if choosy { Taste::drawn(&mut tastes) } else { Taste::default() }
            },
        };
        let drivers = (0..drivers).map(driver).collect();
        let ride = |_| {
            let at_ms = city.between(3_000, faulty_ms * 3 / 4);
            let first_try_ms = policy.tries_before_pickup_ms()[0];
            let soon = first_try_ms + city.between(0, 30_000);
            let scheduled = city.chance(0.15);
            let (market, pickup) = (market(&mut city), spot(&mut city));
            let zone = zone.as_ref().filter(|_| market == 0 && zoning.chance(0.6));
            let otp = zone.is_some_and(|zone| zone.otp) && zoning.chance(0.4);
            RidePlan {
                market,
                pickup: zone.map_or(pickup, |zone| zone.spot(&mut zoning)),
                at_ms,
                pickup_at_ms: scheduled.then_some((at_ms + soon).saturating_sub(10_000)),
                wishes: Wishes {
                    fare: modes.chance(0.7).then(|| modes.between(300, 3_000)),
                    chooses: modes.chance(choosing),
                    ..Wishes::of(choosy, rides, &mut wishes)
                }
                .with_otp(otp),
            }
        };
        let rides = (0..rides).map(ride).collect();
        Self {
            seed,
            faults,
            policy,
            drivers,
            rides,
            zone,
            streets,
            faulty_ms,
            sabotage: None,
            whole_trace: false,
        }
    }
}

/// The policy of the shadow beside the swarm's draw for `seed`; nothing in two of three runs.
pub fn shadow_of(seed: u64) -> Option<DispatchPolicy> {
    let root = Dice::root(seed);
    let mut dice = root.child("shadow");
    if !dice.chance(0.33) {
        return None;
    }
    if dice.chance(0.2) {
        return Some(Options::drawn(seed).policy);
    }
    let policy = modes::with_drawn_mode(drawn_rules(&dice.child("rules")), &mut dice);
    Some(modes::with_drawn_matching(policy, &mut dice.child("matching")))
}

/// What is drawn of the policy whatever the modes and the zone.
fn drawn_rules(root: &Dice) -> DispatchPolicy {
    let policy = drawn_policy(&mut root.child("policy"));
    let policy = with_drawn_eligibility(policy, &mut root.child("eligibility"));
    let policy = with_drawn_attempts(policy, &mut root.child("attempts"));
    let policy = with_drawn_forward(policy, &mut root.child("forward"));
    let policy = with_drawn_standby(policy, &mut root.child("standby"));
    modes::with_drawn_matching(policy, &mut root.child("matching"))
}

fn drawn_policy(dice: &mut Dice) -> DispatchPolicy {
    let offer_ttl_ms = dice.between(2_000, 15_000);
    let stale_after_ms = dice.between(6_000, 30_000);
    let min = dice.between(300, 1_500) as u32;
    DispatchPolicy {
        search_radius_m_min: min,
        search_radius_m_step: dice.between(100, 1_500) as u32,
        search_radius_m_max: min + dice.between(0, 4_000) as u32,
        wave_size: dice.between(1, 5) as u32,
        wave_sizes: drawn_sizes(dice),
        split_sizes: drawn_sizes(dice),
        split_delay_ms: dice.between(0, 5_000),
        reject_feedback_step: dice.between(0, 3) as u32,
        ranking: drawn_ranking(dice),
        pool_size: dice.between(5, 20) as u32,
        weight_acceptance: dice.between(0, 100) as u8,
        weight_cancellation: dice.between(0, 100) as u8,
        weight_idle: dice.between(0, 100) as u8,
        weight_pickup_eta: dice.between(0, 100) as u8,
        weight_rides: dice.between(0, 100) as u8,
        stats_window_ms: dice.between(60_000, 600_000),
        ratio_history_min: dice.between(0, 5) as u32,
        popup_delay_ms: if dice.chance(0.5) { dice.between(0, 4_000) } else { 0 },
        popup_delay_cancel_permille: dice.between(0, 1_000) as u16,
        wave_count_max: dice.between(1, 8) as u32,
        offer_ttl_ms,
        search_limit_ms: offer_ttl_ms + dice.between(0, 90_000),
        search_retry_ms: dice.between(200, 4_000),
        reallocations_max: dice.between(0, 3) as u32,
        live_offers_max: dice.between(1, 3) as u8,
        accept_cooldown_ms: dice.between(0, 8_000),
        accept_retry_ms: dice.between(300, 3_000),
        stale_after_ms,
        lost_after_ms: stale_after_ms + dice.between(0, 60_000),
        scheduled_lead_ms: dice.between(0, 30_000),
        retire_after_ms: dice.between(1_000, 8_000),
        otp_required: dice.chance(0.7),
        ..DispatchPolicy::default()
    }
}

fn with_drawn_eligibility(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let sometimes = |dice: &mut Dice, chance, low, high| {
        if dice.chance(chance) { dice.between(low, high) } else { 0 }
    };
    DispatchPolicy {
        live_offers_soft_max: dice.between(1, 3) as u8,
        rider_block_ms: sometimes(dice, 0.7, 1_000, 120_000),
        wallet_floor: sometimes(dice, 0.2, 1, 300),
        scheduled_buffer_ms: dice.between(0, 60_000),
        pickup_eta_s_max: sometimes(dice, 0.3, 120, 1_500) as u32,
        downgrade_levels_max: dice.between(0, 2) as u8,
        ..policy
    }
}

fn with_drawn_attempts(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let limit = |dice: &mut Dice| if dice.chance(0.3) { dice.between(0, 2) as u32 } else { 100 };
    let watched = dice.chance(0.5);
    let tries = if dice.chance(0.5) { dice.between(1, 3) } else { 0 };
    let try_step_ms = dice.between(5_000, 15_000);
    DispatchPolicy {
        offers_per_attempt_max: if dice.chance(0.5) { dice.between(2, 4) as u32 } else { 1 },
        priority_split: dice.chance(0.5),
        reallocations_driver_max: limit(dice),
        reallocations_operator_max: limit(dice),
        reallocations_lost_max: limit(dice),
        reallocations_stalled_max: limit(dice),
        reallocations_assigned_max: limit(dice),
        reallocations_arrived_max: limit(dice),
        reallocations_scheduled_max: limit(dice),
        pickup_check_ms: if watched { dice.between(1_000, 4_000) } else { 0 },
        pickup_progress_m_min: dice.between(1, 60) as u32,
        pickup_stall_checks: dice.between(1, 3) as u32,
        pickup_stall_reallocate_checks: dice.between(0, 4) as u32,
        arrived_radius_m: dice.between(0, 200) as u32,
        scheduled_try_ms: (1..=tries).rev().map(|at| at * try_step_ms).collect(),
        ..policy
    }
}

/// In two of five runs nobody is asked while he drives.
fn with_drawn_forward(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    DispatchPolicy {
        forward_wave_size: if dice.chance(0.6) { dice.between(1, 3) as u32 } else { 0 },
        forward_radius_m: dice.between(1_000, 8_000) as u32,
        forward_live_offers_max: dice.between(1, 3) as u8,
        forward_remaining_m_max: dice.between(300, 6_000) as u32,
        forward_remaining_s_max: dice.between(60, 2_000) as u32,
        forward_scheduled: dice.chance(0.5),
        forward_late_s_max: dice.between(60, 2_000) as u32,
        forward_late_ms: dice.between(0, 30_000),
        ..policy
    }
}

/// In every other run nobody looks for a better driver.
fn with_drawn_standby(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    DispatchPolicy {
        standby_check_ms: if dice.chance(0.5) { dice.between(1_000, 4_000) } else { 0 },
        standby_abort_radius_m: dice.between(0, 800) as u32,
        standby_gain_s: dice.between(1, 90) as u32,
        standby_hold_ms: dice.between(2_000, 60_000),
        ..policy
    }
}

fn with_drawn_queue(policy: DispatchPolicy, zone: bool, dice: &mut Dice) -> DispatchPolicy {
    let mode = match dice.between(0, 5) {
        0..=2 if zone => DispatchMode::Queue,
        3 if zone => DispatchMode::Otp,
        _ => policy.mode,
    };
    DispatchPolicy {
        mode,
        queue_wave_size: dice.between(1, 3) as u32,
        queue_fallback: dice.chance(0.7),
        zone_queue_first: dice.chance(0.5),
        otp_limit_ms: dice.between(5_000, 90_000),
        otp_attempts_max: dice.between(1, 6) as u32,
        otp_attempts_window_ms: dice.between(1_000, 60_000),
        ..policy
    }
}

fn drawn_ranking(dice: &mut Dice) -> Ranking {
    match dice.between(0, 2) {
        0 => Ranking::Nearest,
        1 => Ranking::Score,
        _ => Ranking::Random,
    }
}

/// No sizes in every other run.
fn drawn_sizes(dice: &mut Dice) -> Vec<u32> {
    let sizes = if dice.chance(0.5) { dice.between(1, 3) } else { 0 };
    (0..sizes).map(|_| dice.between(1, 5) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drawn_policy_is_valid() {
        for seed in 0..2_000 {
            let policy = Options::drawn(seed).policy;
            assert_eq!(policy.clone().validated(), Ok(policy));
        }
    }
}
