//! Every key of the policy, and what follows from several of them.

use super::keys::{KeyDoc, PolicyError, policy_keys};
use crate::units::{EtaSeconds, Meters};

/// How a ride finds its driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum DispatchMode {
    /// Waves of several drivers in parallel; the first valid accept wins.
    Broadcast,
    /// One driver at a time, nearest first.
    Sequential,
    /// Where a zone's queue serves the pickup, its drivers in its order; elsewhere as broadcast.
    Queue,
    /// Where a zone takes one-time passwords, nobody is searched: a driver there enters the rider's.
    /// Elsewhere as broadcast.
    Otp,
    /// Waves as in broadcast; accepts are quotes, of which the rider chooses one.
    Quotes,
    /// Drivers who opted in are assigned without being asked, one tried after the other; when none
    /// is left it goes on as broadcast.
    Instant,
    /// Requests of a dispatch window are matched together, at the least cost of all; each is offered
    /// to one driver per window.
    Batched,
}

impl DispatchMode {
    /// The mode's stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broadcast => "broadcast",
            Self::Sequential => "sequential",
            Self::Queue => "queue",
            Self::Otp => "otp",
            Self::Quotes => "quotes",
            Self::Instant => "instant",
            Self::Batched => "batched",
        }
    }
}

/// What orders eligible drivers of the same priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Ranking {
    /// Distance to the pickup.
    Nearest,
    /// The weighted score of the weight_* keys.
    Score,
    /// A reproducible draw by ride, attempt, wave and driver.
    Random,
}

/// Which of the drivers whom a dispatch window asked at once gets the ride.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum MatchAccept {
    /// The first who accepts.
    FirstAccept,
    /// Of those who accept within `match_collect_ms`, the one of the least cost.
    BestOfAcceptors,
}

policy_keys! {
    /// How a ride finds its driver.
    mode: DispatchMode = DispatchMode::Broadcast, "a dispatch mode" if |_| true;
    /// Radius of the first wave in metres.
    search_radius_m_min: u32 = 1_000, "50..=100000" if |v| (50..=100_000).contains(v);
    /// Growth of the radius from wave to wave in metres.
    search_radius_m_step: u32 = 500, "1..=100000" if |v| (1..=100_000).contains(v);
    /// Radius that no wave exceeds, in metres.
    search_radius_m_max: u32 = 3_000, "search_radius_m_min..=100000" if |v| (50..=100_000).contains(v);
    /// Drivers offered the ride at once in all modes but sequential.
    wave_size: u32 = 3, "1..=100" if |v| (1..=100).contains(v);
    /// Drivers offered the ride at once in wave 1, 2, …; the last size repeats; empty: wave_size.
    wave_sizes: Vec<u32> = Vec::new(), "at most 100 sizes of 1..=100" if |v| sizes_are_valid(v);
    /// Drivers of a wave who see the offer at once, one split_delay_ms later, two later, …; the
    /// rest follows after the last of them; empty: all at once.
    split_sizes: Vec<u32> = Vec::new(), "at most 100 sizes of 1..=100" if |v| sizes_are_valid(v);
    /// Milliseconds between the parts of a wave.
    split_delay_ms: u64 = 3_000, "0..=60000" if |v| *v <= 60_000;
    /// Whether the first part of a wave belongs to drivers with one of priority_tags.
    priority_split: bool = false, "true or false" if |_| true;
    /// Drivers by which a wave grows when half of the attempt's offers or more were declined.
    reject_feedback_step: u32 = 0, "0..=100" if |v| *v <= 100;
    /// What orders eligible drivers of the same priority: nearest, score or random.
    ranking: Ranking = Ranking::Nearest, "nearest, score or random" if |_| true;
    /// Nearest eligible drivers that are ranked, wherever more than distance counts.
    pool_size: u32 = 20, "the largest wave size..=1000" if |v| (1..=1_000).contains(v);
    /// Weight of accepted offers in the score.
    weight_acceptance: u8 = 20, "0..=100" if |v| *v <= 100;
    /// Weight of rides not given back in the score.
    weight_cancellation: u8 = 20, "0..=100" if |v| *v <= 100;
    /// Weight of time without a ride in the score.
    weight_idle: u8 = 20, "0..=100" if |v| *v <= 100;
    /// Weight of nearness to the pickup in the score.
    weight_pickup_eta: u8 = 40, "0..=100" if |v| *v <= 100;
    /// Weight of completed rides in the score.
    weight_rides: u8 = 0, "0..=100" if |v| *v <= 100;
    /// Whether the rider's favourite drivers come before all others.
    favourites_first: bool = true, "true or false" if |_| true;
    /// Metres by which a ride must bring a driver nearer to his home to put him first; 0: homes do
    /// not count.
    go_home_gain_m: u32 = 0, "0..=100000" if |v| *v <= 100_000;
    /// Tags whose carriers come before other drivers.
    priority_tags: Vec<String> = Vec::new(), "at most 32 tags" if |v| v.len() <= 32;
    /// Milliseconds of a driver's history that ratios are computed over.
    stats_window_ms: u64 = 604_800_000, "60000..=7776000000" if |v| (60_000..=7_776_000_000).contains(v);
    /// Offers or rides below which a driver's ratio is neutral.
    ratio_history_min: u32 = 5, "0..=1000" if |v| *v <= 1_000;
    /// Milliseconds by which drivers who cancel too often see offers later.
    popup_delay_ms: u64 = 0, "0..=60000" if |v| *v <= 60_000;
    /// Cancelled rides per thousand above which popup_delay_ms applies.
    popup_delay_cancel_permille: u16 = 400, "0..=1000" if |v| *v <= 1_000;
    /// Offers of the same ride that one driver may get in one attempt.
    offers_per_attempt_max: u32 = 1, "1..=20" if |v| (1..=20).contains(v);
    /// Waves sent before the attempt gives up.
    wave_count_max: u32 = 12, "1..=1000" if |v| (1..=1_000).contains(v);
    /// Response deadline of an offer in milliseconds.
    offer_ttl_ms: u64 = 15_000, "1000..=600000" if |v| (1_000..=600_000).contains(v);
    /// Length of one search in milliseconds; then the ride is unfulfilled.
    search_limit_ms: u64 = 300_000, "offer_ttl_ms..=86400000" if |v| (1_000..=86_400_000).contains(v);
    /// Pause in milliseconds before a search that found nobody looks again; it doubles twice.
    search_retry_ms: u64 = 2_000, "100..=60000" if |v| (100..=60_000).contains(v);
    /// New attempts after drivers lost a ride, per ride and for whatever cause.
    reallocations_max: u32 = 3, "0..=100" if |v| *v <= 100;
    /// Of these, after the driver gave it back.
    reallocations_driver_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, after an operator took it from the driver.
    reallocations_operator_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, after the driver did not come or was not heard of any more.
    reallocations_lost_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, after the driver did not come nearer to the pickup.
    reallocations_stalled_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, while the driver was on his way.
    reallocations_assigned_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, while the driver was at the pickup.
    reallocations_arrived_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Of these, for a scheduled ride.
    reallocations_scheduled_max: u32 = 100, "0..=100" if |v| *v <= 100;
    /// Milliseconds between two looks whether an assigned driver comes nearer to the pickup; 0: off.
    pickup_check_ms: u64 = 0, "0 or 1000..=3600000" if |v| *v == 0 || (1_000..=3_600_000).contains(v);
    /// Metres by which he must have come nearer from look to look.
    pickup_progress_m_min: u32 = 50, "1..=100000" if |v| (1..=100_000).contains(v);
    /// Looks in a row without that after which he is nudged.
    pickup_stall_checks: u32 = 3, "1..=1000" if |v| (1..=1_000).contains(v);
    /// Looks in a row without that after which the ride leaves him; 0: never.
    pickup_stall_reallocate_checks: u32 = 0, "0..=1000" if |v| *v <= 1_000;
    /// Metres from the pickup within which a driver is as good as there.
    arrived_radius_m: u32 = 100, "0..=10000" if |v| *v <= 10_000;
    /// Milliseconds between two looks for a better driver while the assigned one is far from the
    /// pickup; 0: off.
    standby_check_ms: u64 = 0, "0 or 1000..=3600000" if |v| *v == 0 || (1_000..=3_600_000).contains(v);
    /// Metres from the pickup within which the assigned driver is near enough: nobody stands by.
    standby_abort_radius_m: u32 = 1_000, "0..=100000" if |v| *v <= 100_000;
    /// Seconds by which a driver must be sooner at the pickup to be asked to stand by.
    standby_gain_s: u32 = 120, "1..=86400" if |v| (1..=86_400).contains(v);
    /// Longest time in milliseconds for which a driver stands by.
    standby_hold_ms: u64 = 120_000, "1000..=3600000" if |v| (1_000..=3_600_000).contains(v);
    /// Live offers a driver may hold at once (slots).
    live_offers_max: u8 = 2, "1..=20" if |v| (1..=20).contains(v);
    /// Live offers from which on a driver is asked only when the wave would be short; from
    /// live_offers_max on without effect.
    live_offers_soft_max: u8 = 2, "1..=20" if |v| (1..=20).contains(v);
    /// Milliseconds after an accept in which a driver gets no new offer; losing a race ends it.
    accept_cooldown_ms: u64 = 5_000, "0..=600000" if |v| *v <= 600_000;
    /// Milliseconds after which a driver repeats an accept that has no answer.
    accept_retry_ms: u64 = 2_000, "100..=60000" if |v| (100..=60_000).contains(v);
    /// Age in milliseconds at which a driver's newest fix is too old for offers.
    stale_after_ms: u64 = 30_000, "1000..=3600000" if |v| (1_000..=3_600_000).contains(v);
    /// Age in milliseconds at which a driver counts as out of reach.
    lost_after_ms: u64 = 120_000, "stale_after_ms..=86400000" if |v| (1_000..=86_400_000).contains(v);
    /// Milliseconds before the pickup time at which a scheduled ride begins its search.
    scheduled_lead_ms: u64 = 900_000, "0..=86400000" if |v| *v <= 86_400_000;
    /// Milliseconds before the pickup time at which a scheduled ride searches, each a search of its
    /// own; empty: once, at scheduled_lead_ms.
    scheduled_try_ms: Vec<u64> = Vec::new(), "at most 16 times of 0..=86400000, each smaller than the one before" if |v| tries_are_valid(v);
    /// Milliseconds a finished ride stays in memory to answer latecomers.
    retire_after_ms: u64 = 30_000, "1000..=3600000" if |v| (1_000..=3_600_000).contains(v);
    /// Whether a driver must tell the rider's one-time password to start.
    otp_required: bool = true, "true or false" if |_| true;
    /// Street distance over straight-line distance.
    detour_factor: f64 = 1.3, "1.0..=5.0" if |v| (1.0..=5.0).contains(v);
    /// Mean driving speed toward a pickup in metres per second.
    pickup_speed_mps: f64 = 4.2, "0.5..=60.0" if |v| (0.5..=60.0).contains(v);
    /// Drivers whose exclusion is recorded one by one, per wave; beyond it only counts are kept.
    explained_max: usize = 32, "0..=1000" if |v| *v <= 1_000;
    /// Milliseconds in which a driver who cancelled on a rider is not offered another ride of theirs.
    rider_block_ms: u64 = 3_600_000, "0..=2592000000" if |v| *v <= 2_592_000_000;
    /// Balance in minor units that a driver needs for any ride; 0 = off.
    wallet_floor: u64 = 0, "0..=1000000000000" if |v| *v <= 1_000_000_000_000;
    /// Milliseconds between the end of a ride and the scheduled pickup its driver is promised to.
    scheduled_buffer_ms: u64 = 600_000, "0..=86400000" if |v| *v <= 86_400_000;
    /// Longest estimated time to the pickup in seconds; 0 = off.
    pickup_eta_s_max: u32 = 0, "0..=86400" if |v| *v <= 86_400;
    /// In batched mode, the same where drivers are scarcest: the limit lies between the two, by
    /// requests per driver in the window; 0 = the limit is pickup_eta_s_max everywhere.
    pickup_eta_s_min: u32 = 0, "0..=86400" if |v| *v <= 86_400;
    /// Requests per thousand drivers of a window up to which the limit is pickup_eta_s_max.
    pickup_eta_ample_permille: u32 = 500, "0..=100000" if |v| *v <= 100_000;
    /// Requests per thousand drivers of a window from which on the limit is pickup_eta_s_min.
    pickup_eta_scarce_permille: u32 = 1_000, "pickup_eta_ample_permille..=100000" if |v| *v <= 100_000;
    /// Tiers below his best one that a driver may be offered, in the market's order of tiers.
    downgrade_levels_max: u8 = 31, "0..=31" if |v| *v <= 31;
    /// Drivers about to finish a ride who are asked for the next one in each wave, after the idle
    /// ones; 0: none.
    forward_wave_size: u32 = 0, "0..=100" if |v| *v <= 100;
    /// Longest way of such a driver to the pickup in metres: to his drop-off, and from there.
    forward_radius_m: u32 = 2_500, "50..=100000" if |v| (50..=100_000).contains(v);
    /// Live offers a driver may hold at once while he is on a trip.
    forward_live_offers_max: u8 = 1, "1..=20" if |v| (1..=20).contains(v);
    /// Longest distance to his drop-off in metres at which a driver is asked for the next ride.
    forward_remaining_m_max: u32 = 1_500, "0..=100000" if |v| *v <= 100_000;
    /// Longest time to his drop-off in seconds at which a driver is asked for the next ride.
    forward_remaining_s_max: u32 = 300, "0..=86400" if |v| *v <= 86_400;
    /// Whether scheduled rides may be offered to drivers on a trip.
    forward_scheduled: bool = false, "true or false" if |_| true;
    /// Time to his drop-off in seconds above which a driver who has a next ride is late.
    forward_late_s_max: u32 = 900, "0..=86400" if |v| *v <= 86_400;
    /// Milliseconds a driver may be late before his next ride searches again.
    forward_late_ms: u64 = 60_000, "0..=3600000" if |v| *v <= 3_600_000;
    /// Drivers of a zone's queue who are offered a ride at once in queue mode.
    queue_wave_size: u32 = 1, "1..=100" if |v| (1..=100).contains(v);
    /// Whether drivers around are offered the ride in queue mode when the queue has nobody left.
    queue_fallback: bool = true, "true or false" if |_| true;
    /// Whether drivers in the queue of the pickup's zone come first in other modes, in its order.
    zone_queue_first: bool = false, "true or false" if |_| true;
    /// Milliseconds a ride waits for a driver to enter its one-time password.
    otp_limit_ms: u64 = 1_800_000, "1000..=86400000" if |v| (1_000..=86_400_000).contains(v);
    /// Wrong one-time passwords a driver may enter within otp_attempts_window_ms.
    otp_attempts_max: u32 = 5, "1..=100" if |v| (1..=100).contains(v);
    /// Milliseconds that a driver's wrong one-time passwords count.
    otp_attempts_window_ms: u64 = 600_000, "1000..=86400000" if |v| (1_000..=86_400_000).contains(v);
    /// Quotes of one ride that wait for its rider at once; with the last of them offers stop.
    quotes_max: u32 = 5, "1..=50" if |v| (1..=50).contains(v);
    /// Milliseconds for which a quote holds its driver for the rider's choice.
    quote_ttl_ms: u64 = 60_000, "1000..=600000" if |v| (1_000..=600_000).contains(v);
    /// Lowest fare of a quote, in thousandths of the requested fare.
    quote_fare_permille_min: u16 = 800, "0..=1000" if |v| *v <= 1_000;
    /// Highest fare of a quote, in thousandths of the requested fare.
    quote_fare_permille_max: u16 = 1_500, "1000..=10000" if |v| (1_000..=10_000).contains(v);
    /// Whether the first quote is assigned at once instead of waiting for the rider's choice.
    quotes_auto_assign: bool = false, "true or false" if |_| true;
    /// Drivers tried without being asked, per attempt, before instant mode goes on as broadcast.
    instant_attempts_max: u32 = 3, "1..=50" if |v| (1..=50).contains(v);
    /// Longest dispatch window of batched mode in milliseconds: its length where drivers are scarce.
    batch_window_ms: u64 = 20_000, "batch_window_ms_min..=60000" if |v| (100..=60_000).contains(v);
    /// Shortest dispatch window of batched mode in milliseconds: its length where drivers abound.
    batch_window_ms_min: u64 = 2_000, "100..=60000" if |v| (100..=60_000).contains(v);
    /// Mean pickup time of the newest matches, in seconds, up to which dispatch windows are as short as
    /// they may be.
    batch_ample_pickup_s: u32 = 80, "0..=3600" if |v| *v <= 3_600;
    /// Mean pickup time, in seconds, from which on they are as long as they may be.
    batch_scarce_pickup_s: u32 = 110, "batch_ample_pickup_s..=3600" if |v| *v <= 3_600;
    /// Nearest eligible drivers that a request is matched among.
    match_candidates: u32 = 20, "1..=200" if |v| (1..=200).contains(v);
    /// Pairs of requests and drivers the solver looks at per window before it answers with what it
    /// has.
    match_steps_max: u64 = 50_000_000, "1000..=1000000000" if |v| (1_000..=1_000_000_000).contains(v);
    /// What it costs to leave a request unserved for a window, in seconds to the pickup.
    match_unserved_s: u32 = 3_600, "1..=86400" if |v| (1..=86_400).contains(v);
    /// Thousandths of a second by which that grows with each second a request has waited; less where a
    /// window has fewer drivers than requests, by the square of their ratio.
    match_age_permille: u32 = 500, "0..=10000" if |v| *v <= 10_000;
    /// What each tier below a driver's best costs, in seconds to the pickup.
    match_downgrade_s: u32 = 60, "0..=3600" if |v| *v <= 3_600;
    /// What a driver an hour without a ride is preferred by, in seconds to the pickup; in proportion
    /// for less.
    match_idle_s: u32 = 0, "0..=3600" if |v| *v <= 3_600;
    /// What a refused offer costs, in seconds to the pickup: weighs how likely a driver refuses.
    match_refusal_s: u32 = 30, "0..=3600" if |v| *v <= 3_600;
    /// Offers accepted per thousand by a driver of whom nothing is known.
    match_acceptance_prior_permille: u16 = 800, "0..=1000" if |v| *v <= 1_000;
    /// How many answered offers of his own that assumption weighs as much as.
    match_acceptance_prior_offers: u32 = 10, "1..=1000" if |v| (1..=1_000).contains(v);
    /// Thousandths of a second to the pickup that a second of a match's advantage by the market's
    /// values takes off; 0: values do not count.
    match_value_permille: u32 = 0, "0..=10000" if |v| *v <= 10_000;
    /// Drivers whom a matched request is offered to at once: the one it was matched with, and the
    /// next cheapest whom no other request of the window was given.
    match_offers_parallel: u32 = 1, "1..=5" if |v| (1..=5).contains(v);
    /// Who of them gets the ride: the first who accepts, or the best of the acceptors.
    match_accept: MatchAccept = MatchAccept::FirstAccept, "first_accept or best_of_acceptors" if |_| true;
    /// Milliseconds after the first accept in which others may accept, for the best of the acceptors.
    match_collect_ms: u64 = 3_000, "100..=30000" if |v| (100..=30_000).contains(v);
}

/// The most drivers that one wave may offer to, and the most sizes a list of them holds.
const WAVE_PLACES_MAX: u32 = 100;

/// The most tries of a scheduled ride.
const SCHEDULED_TRIES_MAX: usize = 16;

fn tries_are_valid(tries_ms: &[u64]) -> bool {
    let descend = tries_ms.is_sorted_by(|one, next| one > next);
    tries_ms.len() <= SCHEDULED_TRIES_MAX && descend && tries_ms.iter().all(|ms| *ms <= 86_400_000)
}

fn sizes_are_valid(sizes: &[u32]) -> bool {
    let allowed = 1..=WAVE_PLACES_MAX;
    sizes.len() <= WAVE_PLACES_MAX as usize && sizes.iter().all(|size| allowed.contains(size))
}

impl DispatchPolicy {
    /// Checks every value, and those that bound each other.
    ///
    /// # Errors
    /// [`PolicyError`] names the first key that is out of range, its value and what is allowed.
    pub fn validated(self) -> Result<Self, PolicyError> {
        self.check_each()?;
        let bounds = [
            (
                "search_radius_m_max",
                u64::from(self.search_radius_m_max),
                u64::from(self.search_radius_m_min),
                "search_radius_m_min..=100000",
            ),
            (
                "batch_window_ms",
                self.batch_window_ms,
                self.batch_window_ms_min,
                "batch_window_ms_min..=60000",
            ),
            (
                "batch_scarce_pickup_s",
                u64::from(self.batch_scarce_pickup_s),
                u64::from(self.batch_ample_pickup_s),
                "batch_ample_pickup_s..=3600",
            ),
            (
                "pickup_eta_s_max",
                u64::from(self.pickup_eta_s_max),
                u64::from(self.pickup_eta_s_min),
                "pickup_eta_s_min..=86400",
            ),
            (
                "pickup_eta_scarce_permille",
                u64::from(self.pickup_eta_scarce_permille),
                u64::from(self.pickup_eta_ample_permille),
                "pickup_eta_ample_permille..=100000",
            ),
            ("search_limit_ms", self.search_limit_ms, self.offer_ttl_ms, "offer_ttl_ms..=86400000"),
            ("lost_after_ms", self.lost_after_ms, self.stale_after_ms, "stale_after_ms..=86400000"),
            (
                "pool_size",
                u64::from(self.pool_size),
                u64::from(self.largest_wave()),
                "the largest wave size..=1000",
            ),
        ];
        match bounds.into_iter().find(|(_, value, least, _)| value < least) {
            Some((key, value, _, allowed)) => {
                Err(PolicyError { key, value: value.to_string(), allowed })
            }
            None => Ok(self),
        }
    }

    /// Raises what bounds another value and lies below it: rules that are valid each by itself may
    /// meet in one search, and a search always has a policy.
    #[must_use]
    pub(super) fn reconciled(mut self) -> Self {
        self.search_radius_m_max = self.search_radius_m_max.max(self.search_radius_m_min);
        self.search_limit_ms = self.search_limit_ms.max(self.offer_ttl_ms);
        self.lost_after_ms = self.lost_after_ms.max(self.stale_after_ms);
        self.pool_size = self.pool_size.max(self.largest_wave());
        self.batch_window_ms = self.batch_window_ms.max(self.batch_window_ms_min);
        self.batch_scarce_pickup_s = self.batch_scarce_pickup_s.max(self.batch_ample_pickup_s);
        self.pickup_eta_s_max = self.pickup_eta_s_max.max(self.pickup_eta_s_min);
        self.pickup_eta_scarce_permille =
            self.pickup_eta_scarce_permille.max(self.pickup_eta_ample_permille);
        self
    }

    /// The radius of wave `wave` (the first is 1).
    pub fn radius_of_wave(&self, wave: u32) -> u32 {
        let growth = self.search_radius_m_step.saturating_mul(wave.saturating_sub(1));
        self.search_radius_m_min.saturating_add(growth).min(self.search_radius_m_max)
    }

    /// Drivers that wave `wave` (the first is 1) may offer to, when `declined` of the attempt's
    /// `sent` offers were declined so far.
    pub fn places_of_wave(&self, wave: u32, sent: u32, declined: u32) -> u32 {
        match self.mode {
            DispatchMode::Broadcast
            | DispatchMode::Queue
            | DispatchMode::Otp
            | DispatchMode::Quotes
            | DispatchMode::Instant
            | DispatchMode::Batched => {
                let unwanted = declined > 0 && declined.saturating_mul(2) >= sent;
                let growth = if unwanted { self.reject_feedback_step } else { 0 };
                self.size_of_wave(wave).saturating_add(growth).min(WAVE_PLACES_MAX)
            }
            DispatchMode::Sequential => 1,
        }
    }

    fn largest_wave(&self) -> u32 {
        self.wave_sizes.iter().copied().max().unwrap_or(self.wave_size)
    }

    /// How long before its pickup a scheduled ride searches, in milliseconds: once or more, the
    /// earliest first.
    pub fn tries_before_pickup_ms(&self) -> &[u64] {
        match &self.scheduled_try_ms[..] {
            [] => std::slice::from_ref(&self.scheduled_lead_ms),
            tries => tries,
        }
    }

    /// How much later than others a driver sees his offers, in milliseconds, who gave back
    /// `cancelled_permille` of his rides.
    pub const fn popup_delay_for(&self, cancelled_permille: u16) -> u64 {
        let often = cancelled_permille > self.popup_delay_cancel_permille;
        if often { self.popup_delay_ms } else { 0 }
    }

    fn size_of_wave(&self, wave: u32) -> u32 {
        let of_wave = self.wave_sizes.get(wave.saturating_sub(1) as usize);
        of_wave.or(self.wave_sizes.last()).copied().unwrap_or(self.wave_size)
    }

    /// How far away (straight line, whole metres) a driver may be to need at most `eta_s` seconds to
    /// the pickup.
    pub fn distance_m_within(&self, eta_s: u32) -> u32 {
        (f64::from(eta_s) * self.pickup_speed_mps / self.detour_factor) as u32
    }

    /// The time a driver `distance` away (straight line) needs to the pickup.
    pub fn pickup_eta(&self, distance: Meters) -> EtaSeconds {
        EtaSeconds::new(self.pickup_s(distance).round() as u32)
    }

    /// The same in milliseconds.
    pub fn pickup_eta_ms(&self, distance: Meters) -> i64 {
        // Saturates: `as` clamps floats to the integer's range.
        (self.pickup_s(distance) * 1_000.0).round() as i64
    }

    /// The same in seconds, not rounded.
    fn pickup_s(&self, distance: Meters) -> f64 {
        distance.get() * self.detour_factor / self.pickup_speed_mps
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
