//! How the rides of a run find their drivers.

use muster_engine::policy::{DispatchMode, DispatchPolicy, MatchAccept};

use crate::dice::Dice;

pub(crate) fn with_drawn_mode(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let mode = match dice.between(0, 12) {
        0..=3 => DispatchMode::Broadcast,
        4 | 5 => DispatchMode::Sequential,
        6 | 7 => DispatchMode::Quotes,
        8..=10 => DispatchMode::Batched,
        _ => DispatchMode::Instant,
    };
    DispatchPolicy {
        mode,
        quotes_max: dice.between(1, 4) as u32,
        quote_ttl_ms: dice.between(1_000, 40_000),
        quote_fare_permille_min: dice.between(0, 1_000) as u16,
        quote_fare_permille_max: dice.between(1_000, 3_000) as u16,
        quotes_auto_assign: dice.chance(0.15),
        instant_attempts_max: dice.between(1, 4) as u32,
        ..with_drawn_windows(policy, dice)
    }
}

fn with_drawn_windows(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let batch_window_ms_min = dice.between(100, 8_000);
    let batch_ample_pickup_s = dice.between(0, 200) as u32;
    DispatchPolicy {
        batch_window_ms: batch_window_ms_min + dice.between(0, 6_000),
        batch_window_ms_min,
        batch_ample_pickup_s,
        batch_scarce_pickup_s: batch_ample_pickup_s + dice.between(0, 120) as u32,
        match_candidates: dice.between(1, 6) as u32,
        match_steps_max: if dice.chance(0.2) { 1_000 } else { policy.match_steps_max },
        match_unserved_s: dice.between(60, 3_600) as u32,
        match_age_permille: dice.between(0, 5_000) as u32,
        match_downgrade_s: dice.between(0, 300) as u32,
        match_idle_s: dice.between(0, 300) as u32,
        match_refusal_s: dice.between(0, 300) as u32,
        match_acceptance_prior_permille: dice.between(0, 1_000) as u16,
        match_acceptance_prior_offers: dice.between(1, 20) as u32,
        ..policy
    }
}

/// In half of the runs each: values count, the limit of pickups follows the window, several are asked.
pub(crate) fn with_drawn_matching(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let pickup_eta_s_max = policy.pickup_eta_s_max;
    let ample = dice.between(0, 1_000) as u32;
    let capped = dice.chance(0.5) && pickup_eta_s_max > 0;
    let least = dice.between(1, 120) as u32;
    let best = dice.chance(0.6);
    DispatchPolicy {
        match_value_permille: if dice.chance(0.5) { dice.between(1, 2_000) as u32 } else { 0 },
        pickup_eta_s_min: if capped { least.min(pickup_eta_s_max) } else { 0 },
        pickup_eta_ample_permille: ample,
        pickup_eta_scarce_permille: ample + dice.between(0, 2_000) as u32,
        match_offers_parallel: if dice.chance(0.5) { dice.between(2, 5) as u32 } else { 1 },
        match_accept: if best { MatchAccept::BestOfAcceptors } else { MatchAccept::FirstAccept },
        match_collect_ms: dice.between(100, 8_000),
        ..policy
    }
}
