//! How the rides of a run find their drivers.

use muster_engine::policy::{DispatchMode, DispatchPolicy};

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
    DispatchPolicy {
        batch_window_ms: batch_window_ms_min + dice.between(0, 6_000),
        batch_window_ms_min,
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
