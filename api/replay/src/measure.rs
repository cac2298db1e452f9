//! Measurements, all taken at the client's end of the wire.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::checks::{Release, WireChecks};
use crate::driver::hands::Note;
use crate::wire::{AcceptOutcome, RideStatus, RideView, ServerFrame};

/// How a ride ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Unfulfilled {
        reason: String,
    },
    Cancelled {
        by: String,
        reason: String,
    },
    /// The server did not take the request.
    Refused {
        code: String,
    },
}

#[derive(Debug, Clone, Default)]
struct RideRecord {
    requested: Option<(Instant, i64)>,
    offers: u32,
    told: bool,
    assigned_at_ms: Option<i64>,
    assignments: u32,
    boarded: bool,
    end: Option<End>,
}

/// Counts and distributions; behind one lock, as only a few thousand events a second come in.
#[derive(Debug)]
pub(crate) struct Ledger {
    rides: Vec<RideRecord>,
    pub(crate) first_offer_us: Histogram<u64>,
    pub(crate) post_us: Histogram<u64>,
    pub(crate) assign_ms: Histogram<u64>,
    pub(crate) pickup_ms: Histogram<u64>,
    pub(crate) pickup_m: Histogram<u64>,
    pub(crate) live: Live,
    pub(crate) offers: u64,
    pub(crate) foreign_offers: u64,
    pub(crate) accepts: u64,
    pub(crate) unanswered: u64,
    pub(crate) reallocations: u64,
    pub(crate) accept_results: BTreeMap<String, u64>,
    pub(crate) declines: BTreeMap<String, u64>,
    pub(crate) fixes_rejected: BTreeMap<String, u64>,
    pub(crate) choices: BTreeMap<String, u64>,
    pub(crate) errors: BTreeMap<String, u64>,
}

/// The numbers shown while the replay runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) requested: u64,
    pub(crate) ended: u64,
    pub(crate) completed: u64,
    /// Rides that have been assigned at least once.
    pub(crate) assigned: u64,
}

impl Live {
    /// Rides requested and not ended.
    pub(crate) fn open(self) -> u64 {
        self.requested - self.ended
    }
}

/// Highest value a distribution can tell: an hour in microseconds, or 41 days in milliseconds.
const VALUE_MAX: u64 = 3_600_000_000;

fn histogram() -> Histogram<u64> {
    // Fixed bounds: a histogram that resizes itself saturates at the size it happens to have.
    Histogram::new_with_bounds(1, VALUE_MAX, 3).expect("bounds and digits are allowed")
}

/// Adds one to a counter by name.
pub(crate) fn count(counters: &mut BTreeMap<String, u64>, name: &str) {
    match counters.get_mut(name) {
        Some(counter) => *counter += 1,
        None => {
            counters.insert(name.to_owned(), 1);
        }
    }
}

/// Where every session and rider reports to.
#[derive(Debug)]
pub(crate) struct Recorder {
    /// Ride ids are `{run_id}-{index}`.
    run_id: String,
    accept_tolerance_ms: i64,
    ledger: Mutex<Ledger>,
    checks: Mutex<WireChecks>,
    pub(crate) fixes_sent: AtomicU64,
    pub(crate) fixes_missed: AtomicU64,
    pub(crate) requests_missed: AtomicU64,
    pub(crate) reconnects: AtomicU64,
}

impl Recorder {
    /// A recorder of `rides` rides whose ids begin with `run_id`.
    pub(crate) fn new(run_id: String, rides: usize, accept_tolerance_ms: i64) -> Self {
        let ledger = Ledger {
            rides: vec![RideRecord::default(); rides],
            first_offer_us: histogram(),
            post_us: histogram(),
            assign_ms: histogram(),
            pickup_ms: histogram(),
            pickup_m: histogram(),
            live: Live::default(),
            offers: 0,
            foreign_offers: 0,
            accepts: 0,
            unanswered: 0,
            reallocations: 0,
            accept_results: BTreeMap::new(),
            declines: BTreeMap::new(),
            fixes_rejected: BTreeMap::new(),
            choices: BTreeMap::new(),
            errors: BTreeMap::new(),
        };
        Self {
            run_id,
            accept_tolerance_ms,
            ledger: Mutex::new(ledger),
            checks: Mutex::new(WireChecks::default()),
            fixes_sent: AtomicU64::new(0),
            fixes_missed: AtomicU64::new(0),
            requests_missed: AtomicU64::new(0),
            reconnects: AtomicU64::new(0),
        }
    }

    /// The id of a ride of this run.
    pub(crate) fn ride_id(&self, index: usize) -> String {
        format!("{}-{index}", self.run_id)
    }

    fn index_of(&self, ride_id: &str) -> Option<usize> {
        ride_id.strip_prefix(&self.run_id)?.strip_prefix('-')?.parse().ok()
    }

    /// Reads or changes the ledger.
    pub(crate) fn ledger<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut self.ledger.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Reads or changes the wire checks.
    pub(crate) fn checks<T>(&self, act: impl FnOnce(&mut WireChecks) -> T) -> T {
        act(&mut self.checks.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// An error by its code.
    pub(crate) fn error(&self, code: &str) {
        self.ledger(|ledger| count(&mut ledger.errors, code));
    }

    /// How a rider's choice of a quote ended.
    pub(crate) fn chosen(&self, how: &str) {
        self.ledger(|ledger| count(&mut ledger.choices, how));
    }

    /// A ride is about to be requested.
    pub(crate) fn requested(&self, index: usize, at: Instant, city_ms: i64) {
        self.ledger(|ledger| {
            if let Some(ride) = ledger.rides.get_mut(index) {
                ride.requested = Some((at, city_ms));
                ledger.live.requested += 1;
            }
        });
    }

    /// The server answered a request for a ride.
    pub(crate) fn posted(&self, sent: Instant) {
        let took_us = sent.elapsed().as_micros() as u64;
        self.ledger(|ledger| ledger.post_us.saturating_record(took_us));
    }

    /// A ride ended; only its first end counts.
    pub(crate) fn ended(&self, ride_id: &str, end: End) {
        if let Some(index) = self.index_of(ride_id) {
            self.ledger(|ledger| ledger.end(index, end));
        }
    }

    /// A ride was shown to its rider or driver.
    pub(crate) fn shown(&self, view: &RideView) {
        self.checks(|checks| checks.shown(view));
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        match view.status {
            RideStatus::Completed => self.ended(&view.ride_id, End::Completed),
            RideStatus::Unfulfilled => {
                self.ended(&view.ride_id, End::Unfulfilled { reason: text(&view.reason) });
            }
            RideStatus::Cancelled => {
                let (by, reason) = (text(&view.cancelled_by), text(&view.reason));
                self.ended(&view.ride_id, End::Cancelled { by, reason });
            }
            RideStatus::InProgress => {
                if let Some(index) = self.index_of(&view.ride_id) {
                    self.ledger(|ledger| {
                        if let Some(ride) = ledger.rides.get_mut(index) {
                            ride.boarded = true;
                        }
                    });
                }
            }
            RideStatus::Scheduled
            | RideStatus::Searching
            | RideStatus::Assigned
            | RideStatus::Arrived
            | RideStatus::Other => {}
        }
    }

    /// A driver's socket received a frame at `at`.
    pub(crate) fn received(&self, driver: &str, frame: &ServerFrame, at: Instant) {
        match frame {
            ServerFrame::Offer(offer) => self.offered(&offer.ride_id, at),
            ServerFrame::AcceptResult { offer_id, result, ride } => {
                let won = *result == AcceptOutcome::Won;
                self.checks(|checks| {
                    checks.accept_result(offer_id, won, self.accept_tolerance_ms);
                    if let (true, Some(ride)) = (won, ride) {
                        checks.told_assigned(driver, &ride.ride_id);
                    }
                });
                let name = format!("{result:?}").to_lowercase();
                self.ledger(|ledger| count(&mut ledger.accept_results, &name));
                ride.iter().for_each(|ride| self.shown(ride));
            }
            ServerFrame::Assigned(ride) => {
                self.checks(|checks| checks.told_assigned(driver, &ride.ride_id));
                self.assigned(&ride.ride_id, at);
                self.shown(ride);
            }
            ServerFrame::RideCancelled { ride_id, by, reason } => {
                self.checks(|checks| checks.released(driver, ride_id, Release::Cancelled));
                self.cancelled(ride_id, by.as_deref(), reason.as_deref());
            }
            ServerFrame::RideUpdated(ride) => {
                let release = match ride.status {
                    RideStatus::Completed => Some(Release::Completed),
                    RideStatus::Cancelled | RideStatus::Unfulfilled | RideStatus::Searching => {
                        Some(Release::Cancelled)
                    }
                    RideStatus::Scheduled
                    | RideStatus::Assigned
                    | RideStatus::Arrived
                    | RideStatus::InProgress
                    | RideStatus::Other => None,
                };
                if let Some(how) = release {
                    self.checks(|checks| checks.released(driver, &ride.ride_id, how));
                }
                self.shown(ride);
            }
            ServerFrame::Rejected { code } => {
                self.ledger(|ledger| count(&mut ledger.fixes_rejected, code));
            }
            ServerFrame::Error { code, .. } => self.error(&format!("frame {code}")),
            ServerFrame::Bye { reason } => self.error(&format!("bye {reason}")),
            ServerFrame::Welcome { .. }
            | ServerFrame::OfferWithdrawn { .. }
            | ServerFrame::QueueCall { .. }
            | ServerFrame::Other => {}
        }
    }

    /// A driver did something.
    pub(crate) fn noted(&self, driver: &str, note: &Note) {
        match note {
            Note::Accepted { offer_id, sent_at_ms, expires_at_ms } => {
                self.ledger(|ledger| ledger.accepts += 1);
                self.checks(|checks| checks.accepted(offer_id, *sent_at_ms, *expires_at_ms));
            }
            Note::Declined { reason } => {
                self.ledger(|ledger| count(&mut ledger.declines, reason));
            }
            Note::LeftUnanswered => self.ledger(|ledger| ledger.unanswered += 1),
            Note::Began { ride_id, at_ms, pickup_m } => self.began(ride_id, *at_ms, *pickup_m),
            Note::Arrived { ride_id, at_ms } => self.arrived(ride_id, *at_ms),
            // From here on the server may tell the driver's next ride at any time.
            Note::Completed { ride_id } => {
                self.checks(|checks| checks.released(driver, ride_id, Release::Completed));
            }
            Note::GaveUp { ride_id } => {
                self.checks(|checks| checks.released(driver, ride_id, Release::Cancelled));
            }
            Note::Abandoned { stage, .. } => self.error(&format!("stage {stage} not taken")),
            Note::OtpMissing { .. } => self.error("otp never told to the rider"),
        }
    }

    fn offered(&self, ride_id: &str, at: Instant) {
        let index = self.index_of(ride_id);
        self.ledger(|ledger| {
            ledger.offers += 1;
            let Some(ride) = index.and_then(|index| ledger.rides.get_mut(index)) else {
                ledger.foreign_offers += 1;
                return;
            };
            ride.offers += 1;
            if let Some(took_us) = ride.first_told(at) {
                ledger.first_offer_us.saturating_record(took_us);
            }
        });
    }

    /// A driver was told that a ride is his, in mode `instant` without an offer before.
    fn assigned(&self, ride_id: &str, at: Instant) {
        let Some(index) = self.index_of(ride_id) else { return };
        self.ledger(|ledger| {
            let ride = ledger.rides.get_mut(index);
            if let Some(took_us) = ride.and_then(|ride| ride.first_told(at)) {
                ledger.first_offer_us.saturating_record(took_us);
            }
        });
    }

    fn began(&self, ride_id: &str, at_ms: i64, pickup_m: f64) {
        let Some(index) = self.index_of(ride_id) else { return };
        self.ledger(|ledger| {
            let Some(ride) = ledger.rides.get_mut(index) else { return };
            ride.assignments += 1;
            ride.assigned_at_ms = Some(at_ms);
            if ride.assignments > 1 {
                ledger.reallocations += 1;
            } else {
                ledger.live.assigned += 1;
                if let Some((_, requested_ms)) = ride.requested {
                    ledger.assign_ms.saturating_record((at_ms - requested_ms).max(0) as u64);
                }
            }
            ledger.pickup_m.saturating_record(pickup_m as u64);
        });
    }

    fn arrived(&self, ride_id: &str, at_ms: i64) {
        let Some(index) = self.index_of(ride_id) else { return };
        self.ledger(|ledger| {
            if let Some(assigned_at_ms) =
                ledger.rides.get(index).and_then(|ride| ride.assigned_at_ms)
            {
                ledger.pickup_ms.saturating_record((at_ms - assigned_at_ms).max(0) as u64);
            }
        });
    }

    /// A driver was told that a ride is cancelled. Unless the ride has begun, or a person ended
    /// it, it may go on with another driver: then the rider's stream tells its end.
    fn cancelled(&self, ride_id: &str, by: Option<&str>, reason: Option<&str>) {
        let Some(index) = self.index_of(ride_id) else { return };
        self.ledger(|ledger| {
            let boarded = ledger.rides.get(index).is_some_and(|ride| ride.boarded);
            let by = by.unwrap_or("unknown");
            if boarded || matches!(by, "rider" | "operator") {
                let reason = reason.unwrap_or("unknown").to_owned();
                ledger.end(index, End::Cancelled { by: by.to_owned(), reason });
            }
        });
    }

    pub(crate) fn fixes(&self) -> u64 {
        self.fixes_sent.load(Ordering::Relaxed)
    }
}

impl RideRecord {
    /// Microseconds from the request until now, if no driver was told of the ride before.
    fn first_told(&mut self, at: Instant) -> Option<u64> {
        let (requested, _) = self.requested.filter(|_| !self.told)?;
        self.told = true;
        Some(at.saturating_duration_since(requested).as_micros() as u64)
    }
}

impl Ledger {
    fn end(&mut self, index: usize, end: End) {
        if let Some(ride) = self.rides.get_mut(index)
            && ride.requested.is_some()
            && ride.end.is_none()
        {
            self.live.ended += 1;
            if end == End::Completed {
                self.live.completed += 1;
            }
            ride.end = Some(end);
        }
    }

    /// How many requested rides ended in which way: `None` = still open.
    pub(crate) fn ends(&self) -> impl Iterator<Item = Option<&End>> {
        self.rides.iter().filter(|ride| ride.requested.is_some()).map(|ride| ride.end.as_ref())
    }

    /// Rides whose rider got in.
    pub(crate) fn boarded(&self) -> u64 {
        let boarded = |ride: &&RideRecord| ride.boarded || ride.end == Some(End::Completed);
        self.rides.iter().filter(boarded).count() as u64
    }

    /// Offers of each requested ride.
    pub(crate) fn offers_per_ride(&self) -> Histogram<u64> {
        let mut offers = histogram();
        for ride in self.rides.iter().filter(|ride| ride.requested.is_some()) {
            offers.saturating_record(u64::from(ride.offers));
        }
        offers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &str, version: u64) -> RideView {
        serde_json::from_str(&format!(
            r#"{{"ride_id":"run-0","status":"{status}","version":{version},"reason":"no_driver"}}"#
        ))
        .unwrap()
    }

    #[test]
    fn a_ride_is_measured_from_request_to_end() {
        let recorder = Recorder::new("run".to_owned(), 2, 1_000);
        let sent = Instant::now();
        recorder.requested(0, sent, 10_000);
        recorder.offered("run-0", sent + std::time::Duration::from_millis(250));
        recorder.offered("run-0", sent + std::time::Duration::from_millis(900));
        recorder.offered("another-0", sent);
        recorder.noted(
            "d",
            &Note::Began { ride_id: "run-0".to_owned(), at_ms: 75_000, pickup_m: 812.0 },
        );
        recorder.noted("d", &Note::Arrived { ride_id: "run-0".to_owned(), at_ms: 275_000 });
        recorder.shown(&view("in_progress", 4));
        assert_eq!(recorder.ledger(|ledger| ledger.live.open()), 1);
        recorder.shown(&view("completed", 5));
        recorder.shown(&view("completed", 5));
        recorder.ledger(|ledger| {
            let live = Live { requested: 1, ended: 1, completed: 1, assigned: 1 };
            assert_eq!((ledger.live, ledger.offers, ledger.foreign_offers), (live, 3, 1));
            let close = |histogram: &Histogram<u64>, value: u64| {
                assert!(histogram.max().abs_diff(value) <= value / 500, "{}", histogram.max());
            };
            close(&ledger.first_offer_us, 250_000);
            close(&ledger.assign_ms, 65_000);
            close(&ledger.pickup_ms, 200_000);
            close(&ledger.pickup_m, 812);
        });
    }

    #[test]
    fn a_cancellation_told_to_a_driver_ends_the_ride_only_if_it_cannot_go_on() {
        let recorder = Recorder::new("run".to_owned(), 1, 1_000);
        recorder.requested(0, Instant::now(), 0);
        recorder.cancelled("run-0", Some("system"), Some("driver_lost"));
        assert_eq!(recorder.ledger(|ledger| ledger.live.open()), 1, "searched for anew");
        recorder.cancelled("run-0", Some("rider"), Some("patience"));
        let end = recorder.ledger(|ledger| ledger.ends().next().flatten().cloned());
        let (by, reason) = ("rider".to_owned(), "patience".to_owned());
        assert_eq!(end, Some(End::Cancelled { by, reason }));
    }
}
