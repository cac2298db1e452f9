//! The one zone of the city, in its first market: a square with a gate, a queue and its rules.

use muster_engine::zone::QueueRules;

use crate::dice::Dice;

/// A zone of the city.
#[derive(Debug, Clone)]
pub struct ZonePlan {
    /// Metres east and north of the market's south-west corner where the square begins.
    pub corner: (f64, f64),
    /// Its side in metres; the gate is at its middle.
    pub side_m: f64,
    /// Whether queued drivers are offered rides from elsewhere.
    pub open_market: bool,
    /// Whether drivers may enter one-time passwords.
    pub otp: bool,
    /// The rules of its queue.
    pub rules: QueueRules,
    /// Drivers below which more are called to the gate, and how many there are then; none: nobody is
    /// ever called.
    pub called: Option<(u32, u32)>,
}

impl ZonePlan {
    pub(crate) fn drawn(dice: &mut Dice) -> Self {
        let min = dice.between(1, 2) as u32;
        let called = dice.chance(0.5).then(|| (min, min + dice.between(0, 2) as u32));
        Self {
            corner: (1_000.0 + dice.unit() * 1_000.0, 1_000.0 + dice.unit() * 1_000.0),
            side_m: 300.0 + dice.unit() * 2_000.0,
            open_market: dice.chance(0.5),
            otp: dice.chance(0.5),
            rules: QueueRules {
                entry_fixes: dice.between(1, 3) as u32,
                exit_fixes: dice.between(1, 4) as u32,
                silent_ms: dice.between(20_000, 120_000),
                skips_max: dice.between(0, 3) as u32,
                rejoin_after_ms: dice.between(0, 120_000),
                respond_ms: dice.between(1_000, 10_000),
                arrive_ms: dice.between(1_000, 60_000),
                call_cooldown_ms: dice.between(0, 30_000),
            },
            called,
        }
    }

    /// A place in the zone.
    pub(crate) fn spot(&self, dice: &mut Dice) -> (f64, f64) {
        let (east, north) = self.corner;
        (east + dice.unit() * self.side_m, north + dice.unit() * self.side_m)
    }

    pub(crate) fn middle(&self) -> (f64, f64) {
        (self.corner.0 + self.side_m / 2.0, self.corner.1 + self.side_m / 2.0)
    }
}
