//! The numbers that steer dispatch, validated once and then trusted.

use crate::units::{EtaSeconds, Meters};

/// How a ride finds its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DispatchMode {
    /// Waves of several drivers in parallel; the first valid accept wins.
    Broadcast,
    /// One driver at a time, nearest first.
    Sequential,
}

impl DispatchMode {
    /// The mode's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Sequential => "sequential",
        }
    }
}

/// The rules of one market. Built by [`DispatchPolicy::validated`], so inner code needs no checks.
#[derive(Debug, Clone, PartialEq)]
pub struct DispatchPolicy {
    /// How a ride finds its driver.
    pub mode: DispatchMode,
    /// Radius of the first wave in metres.
    pub search_radius_m_min: u32,
    /// Growth of the radius from wave to wave in metres.
    pub search_radius_m_step: u32,
    /// Radius that no wave exceeds, in metres.
    pub search_radius_m_max: u32,
    /// Drivers offered the ride at once in broadcast mode.
    pub wave_size: u32,
    /// Waves sent before the attempt gives up.
    pub wave_count_max: u32,
    /// Response deadline of an offer in milliseconds.
    pub offer_ttl_ms: u64,
    /// Length of one search in milliseconds; then the ride is unfulfilled.
    pub search_limit_ms: u64,
    /// Pause in milliseconds before a search that found nobody looks again; it doubles twice.
    pub search_retry_ms: u64,
    /// New attempts after a driver cancelled, per ride.
    pub reallocations_max: u32,
    /// Live offers a driver may hold at once (slots).
    pub live_offers_max: u8,
    /// Milliseconds after an accept in which a driver gets no new offer; losing a race ends it.
    pub accept_cooldown_ms: u64,
    /// Milliseconds after which a driver repeats an accept that has no answer.
    pub accept_retry_ms: u64,
    /// Age in milliseconds at which a driver's newest fix is too old for offers.
    pub stale_after_ms: u64,
    /// Age in milliseconds at which a driver counts as out of reach.
    pub lost_after_ms: u64,
    /// Milliseconds before the pickup time at which a scheduled ride begins its search.
    pub scheduled_lead_ms: u64,
    /// Milliseconds a finished ride stays in memory to answer latecomers.
    pub retire_after_ms: u64,
    /// Whether a driver must tell the rider's one-time password to start.
    pub otp_required: bool,
    /// Street distance over straight-line distance.
    pub detour_factor: f64,
    /// Mean driving speed toward a pickup in metres per second.
    pub pickup_speed_mps: f64,
    /// Drivers whose exclusion is recorded one by one, per wave; beyond it only counts are kept.
    pub explained_max: usize,
}

/// A policy value outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value}, allowed is {allowed}")]
pub struct PolicyError {
    /// The key as written in the configuration.
    pub key: &'static str,
    /// The value found.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

fn require(
    holds: bool,
    key: &'static str,
    value: impl ToString,
    allowed: &'static str,
) -> Result<(), PolicyError> {
    if holds { Ok(()) } else { Err(PolicyError { key, value: value.to_string(), allowed }) }
}

impl DispatchPolicy {
    /// Checks every number against its range.
    ///
    /// # Errors
    /// [`PolicyError`] names the first key that is out of range, its value and what is allowed.
    pub fn validated(self) -> Result<Self, PolicyError> {
        let p = &self;
        let (min, max) = (p.search_radius_m_min, p.search_radius_m_max);
        require((50..=100_000).contains(&min), "search_radius_m_min", min, "50..=100000")?;
        let allowed = "search_radius_m_min..=100000";
        require((min..=100_000).contains(&max), "search_radius_m_max", max, allowed)?;
        let step = p.search_radius_m_step;
        require((1..=100_000).contains(&step), "search_radius_m_step", step, "1..=100000")?;
        require((1..=100).contains(&p.wave_size), "wave_size", p.wave_size, "1..=100")?;
        let waves = p.wave_count_max;
        require((1..=1_000).contains(&waves), "wave_count_max", waves, "1..=1000")?;
        let ttl = p.offer_ttl_ms;
        require((1_000..=600_000).contains(&ttl), "offer_ttl_ms", ttl, "1000..=600000")?;
        let limit = p.search_limit_ms;
        require(
            (ttl..=86_400_000).contains(&limit),
            "search_limit_ms",
            limit,
            "offer_ttl_ms..=86400000",
        )?;
        let retry = p.search_retry_ms;
        require((100..=60_000).contains(&retry), "search_retry_ms", retry, "100..=60000")?;
        let reallocations = p.reallocations_max;
        require(reallocations <= 100, "reallocations_max", reallocations, "0..=100")?;
        let slots = p.live_offers_max;
        require((1..=20).contains(&slots), "live_offers_max", slots, "1..=20")?;
        let cooldown = p.accept_cooldown_ms;
        require(cooldown <= 600_000, "accept_cooldown_ms", cooldown, "0..=600000")?;
        let again = p.accept_retry_ms;
        require((100..=60_000).contains(&again), "accept_retry_ms", again, "100..=60000")?;
        let stale = p.stale_after_ms;
        require((1_000..=3_600_000).contains(&stale), "stale_after_ms", stale, "1000..=3600000")?;
        let lost = p.lost_after_ms;
        require(
            (stale..=86_400_000).contains(&lost),
            "lost_after_ms",
            lost,
            "stale_after_ms..=86400000",
        )?;
        let lead = p.scheduled_lead_ms;
        require(lead <= 86_400_000, "scheduled_lead_ms", lead, "0..=86400000")?;
        let linger = p.retire_after_ms;
        require(
            (1_000..=3_600_000).contains(&linger),
            "retire_after_ms",
            linger,
            "1000..=3600000",
        )?;
        let detour = p.detour_factor;
        require((1.0..=5.0).contains(&detour), "detour_factor", detour, "1.0..=5.0")?;
        let speed = p.pickup_speed_mps;
        require((0.5..=60.0).contains(&speed), "pickup_speed_mps", speed, "0.5..=60.0")?;
        require(p.explained_max <= 1_000, "explained_max", p.explained_max, "0..=1000")?;
        Ok(self)
    }

    /// The radius of wave `wave` (the first is 1).
    pub fn radius_of_wave(&self, wave: u32) -> u32 {
        let growth = self.search_radius_m_step.saturating_mul(wave.saturating_sub(1));
        self.search_radius_m_min.saturating_add(growth).min(self.search_radius_m_max)
    }

    /// Drivers that one wave may offer to.
    pub const fn places_per_wave(&self) -> u32 {
        match self.mode {
            DispatchMode::Broadcast => self.wave_size,
            DispatchMode::Sequential => 1,
        }
    }

    /// The time a driver `distance` away (straight line) needs to the pickup.
    pub fn pickup_eta(&self, distance: Meters) -> EtaSeconds {
        let seconds = distance.get() * self.detour_factor / self.pickup_speed_mps;
        EtaSeconds::new(seconds.round() as u32)
    }
}

impl Default for DispatchPolicy {
    /// The values that `config.toml` ships.
    fn default() -> Self {
        Self {
            mode: DispatchMode::Broadcast,
            search_radius_m_min: 1_000,
            search_radius_m_step: 500,
            search_radius_m_max: 3_000,
            wave_size: 3,
            wave_count_max: 12,
            offer_ttl_ms: 15_000,
            search_limit_ms: 300_000,
            search_retry_ms: 2_000,
            reallocations_max: 3,
            live_offers_max: 2,
            accept_cooldown_ms: 5_000,
            accept_retry_ms: 2_000,
            stale_after_ms: 30_000,
            lost_after_ms: 120_000,
            scheduled_lead_ms: 900_000,
            retire_after_ms: 30_000,
            otp_required: true,
            detour_factor: 1.3,
            pickup_speed_mps: 4.2,
            explained_max: 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_is_valid() {
        assert!(DispatchPolicy::default().validated().is_ok());
    }

    #[test]
    fn a_value_out_of_range_is_named_with_what_is_allowed() {
        let policy = DispatchPolicy { wave_size: 0, ..DispatchPolicy::default() };
        let error = policy.validated().unwrap_err();
        assert_eq!(error.to_string(), "wave_size is 0, allowed is 1..=100");
    }

    #[test]
    fn the_radius_grows_per_wave_up_to_its_maximum() {
        let policy = DispatchPolicy::default();
        assert_eq!(
            [1, 2, 5, 9].map(|wave| policy.radius_of_wave(wave)),
            [1_000, 1_500, 3_000, 3_000]
        );
    }
}
