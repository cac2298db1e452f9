//! How the rides of a run find their drivers.

use muster_engine::policy::{DispatchMode, DispatchPolicy};

use crate::dice::Dice;

pub(crate) fn with_drawn_mode(policy: DispatchPolicy, dice: &mut Dice) -> DispatchPolicy {
    let mode = match dice.between(0, 9) {
        0..=3 => DispatchMode::Broadcast,
        4 | 5 => DispatchMode::Sequential,
        6 | 7 => DispatchMode::Quotes,
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
        ..policy
    }
}
