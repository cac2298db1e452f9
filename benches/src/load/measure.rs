//! What the load generator takes down of what it hears.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::report::{Latencies, Tally};
use crate::riders::number_of;
use crate::wire::{OfferView, RideView, instant_ms};
use crate::witness::{Command, Witness};

/// An offer that was made this long after its ride was due came in a later wave: the first went to
/// drivers without a socket, whom this process cannot hear.
const FIRST_WAVE: Duration = Duration::from_secs(10);

/// Counts offers, assignments and fixes, and times the first offer of each ride.
#[derive(Debug)]
pub(super) struct Measure {
    /// The instant request 0 is due, and its Unix millisecond.
    began: OnceLock<(Instant, u64)>,
    /// Between two requests.
    interval_us: f64,
    /// Whether a ride's first offer was heard.
    heard: Vec<AtomicU64>,
    /// From the instant a request was due to the first offer on any wire.
    pub(super) first_offer: Latencies,
    /// From the instant an accept was due to the frame that says `won`, and to one that says anything else.
    pub(super) accept_won: Latencies,
    pub(super) accept_not_won: Latencies,
    /// Rides whose first wave went to drivers without a socket only.
    pub(super) first_wave_unheard: AtomicU64,
    pub(super) offers: AtomicU64,
    pub(super) won: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) fixes: AtomicU64,
    pub(super) odd: Tally,
}

impl Measure {
    /// For `rides` requests at `rate` per second.
    pub(super) fn new(rides: u64, rate: f64) -> Self {
        Self {
            began: OnceLock::new(),
            interval_us: 1e6 / rate,
            heard: (0..rides).map(|_| AtomicU64::new(0)).collect(),
            first_offer: Latencies::default(),
            accept_won: Latencies::default(),
            accept_not_won: Latencies::default(),
            first_wave_unheard: AtomicU64::new(0),
            offers: AtomicU64::new(0),
            won: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            fixes: AtomicU64::new(0),
            odd: Tally::default(),
        }
    }

    /// The requests begin now.
    pub(super) fn begin(&self) {
        let _first = self.began.set((Instant::now(), crate::net::unix_ms()));
    }
}

impl Witness for Measure {
    fn offer(&self, _driver: &str, offer: &OfferView) {
        self.offers.fetch_add(1, Ordering::Relaxed);
        let (Some((began, began_ms)), Some(number)) = (self.began.get(), number_of(&offer.ride_id))
        else {
            return;
        };
        let Some(heard) = usize::try_from(number).ok().and_then(|n| self.heard.get(n)) else {
            return;
        };
        if heard.fetch_add(1, Ordering::Relaxed) > 0 {
            return;
        }
        let due = Duration::from_micros((number as f64 * self.interval_us) as u64);
        let due_ms = began_ms + u64::try_from(due.as_millis()).unwrap_or(u64::MAX);
        let made_after = instant_ms(&offer.visible_at).saturating_sub(due_ms);
        if Duration::from_millis(made_after) > FIRST_WAVE {
            self.first_wave_unheard.fetch_add(1, Ordering::Relaxed);
        } else {
            self.first_offer.record(began.elapsed().saturating_sub(due));
        }
    }

    fn ride(&self, ride: &RideView) {
        if ride.status == crate::wire::RideStatus::Completed {
            self.completed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn sent(&self, command: &Command) {
        if matches!(command, Command::Arrived(_)) {
            self.won.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn accept_ended(&self, result: &str, after: Duration) {
        let latencies = if result == "won" { &self.accept_won } else { &self.accept_not_won };
        latencies.record(after);
    }

    fn fix(&self) {
        self.fixes.fetch_add(1, Ordering::Relaxed);
    }

    fn odd(&self, what: &str) {
        self.odd.add(what);
    }
}
