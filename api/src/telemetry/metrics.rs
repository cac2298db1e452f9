//! Every metric of the process: name, unit, help, buckets.

mod at_start;
mod fixes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::http::HttpObserver;
use muster_actors::{Dispatch, EventSink, Meter};
use muster_engine::event::{Event, EventKind};
use muster_engine::id::MarketId;
use muster_engine::offer::OfferEnd;
use muster_engine::ride::RideStatus;
use muster_engine::travel::EtaSource;
use muster_engine::zone::LeaveReason;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::intake::IntakeMetrics;
use super::labels::{
    ActorLabels, ArmLabels, ByLabels, DriverLabels, FixLabels, HttpLabels, InvariantLabels,
    MarketLabels, ModeLabels, OutcomeLabels, ReasonLabels, StatusLabels, StoreLabels,
};
use super::outbox::OutboxMetrics;
use super::redis::RedisMetrics;
use super::shadow::ShadowMetrics;
use super::trace_metrics::TraceMetrics;
use super::travel::TravelMetrics;
use super::windows::WindowMetrics;

/// Engine latency: microseconds to seconds.
const ENGINE_SECONDS: [f64; 16] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 10.0,
];
/// Costs of single operations: nanoseconds to milliseconds.
const OPERATION_SECONDS: [f64; 10] =
    [1e-7, 2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 1e-4, 1e-3, 1e-2];
/// Human latency: seconds to minutes.
const HUMAN_SECONDS: [f64; 12] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0];
const COUNTS: [f64; 8] = [1.0, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 50.0];

/// Makes the histograms of a family.
#[derive(Clone)]
pub(super) struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

pub(super) type Histograms<L> = Family<L, Histogram, Buckets>;

/// The metrics of the process; shared by everything that measures.
pub struct Metrics {
    registry: Registry,
    rides_requested: Family<MarketLabels, Counter>,
    rides_assigned: Family<MarketLabels, Counter>,
    rides_completed: Family<MarketLabels, Counter>,
    rides_unfulfilled: Family<ReasonLabels, Counter>,
    rides_cancelled: Family<ByLabels, Counter>,
    rides_open: Family<StatusLabels, Gauge>,
    reallocations: Family<OutcomeLabels, Counter>,
    pickup_nudges: Family<MarketLabels, Counter>,
    forward_rides: Family<OutcomeLabels, Counter>,
    standbys: Family<OutcomeLabels, Counter>,
    experiment_rides: Family<ArmLabels, Counter>,
    zone_queue_changes: Family<OutcomeLabels, Counter>,
    offers_sent: Family<MarketLabels, Counter>,
    offers_ended: Family<OutcomeLabels, Counter>,
    offer_response: Histograms<MarketLabels>,
    acceptances_lost: Family<MarketLabels, Counter>,
    quotes_received: Family<MarketLabels, Counter>,
    quotes_ended: Family<OutcomeLabels, Counter>,
    candidates_excluded: Family<ReasonLabels, Counter>,
    wave_size: Histograms<MarketLabels>,
    time_to_first_offer: Histogram,
    time_to_assign: Histograms<MarketLabels>,
    pickup_eta: Histograms<MarketLabels>,
    match_duration: Histograms<ModeLabels>,
    windows: WindowMetrics,
    shadow: ShadowMetrics,
    travel: TravelMetrics,
    outbox: Arc<OutboxMetrics>,
    pub(super) redis: RedisMetrics,
    traces: TraceMetrics,
    intake: IntakeMetrics,
    drivers: Family<DriverLabels, Gauge>,
    fixes: Family<FixLabels, Counter>,
    /// The one of `fixes` that counts nearly all of them, without a look-up.
    fixes_applied: Counter,
    position_apply: Histogram,
    ws_sessions: Gauge,
    http_requests: Histograms<HttpLabels>,
    store_commit: Histogram,
    store_commit_items: Histogram,
    store_refusals: Family<StoreLabels, Counter>,
    draining: Gauge,
    mailbox_full: Family<ActorLabels, Counter>,
    actor_restarts: Family<ActorLabels, Counter>,
    invariant_violations: Family<InvariantLabels, Counter>,
    events_seen: Counter<u64, AtomicU64>,
    record_inputs_dropped: Counter<u64, AtomicU64>,
}

pub(super) fn histograms<L: Clone + std::hash::Hash + Eq>(
    buckets: &'static [f64],
) -> Histograms<L> {
    Family::new_with_constructor(Buckets(buckets))
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Arc<Self> {
        let fixes = Family::<FixLabels, Counter>::default();
        let fixes_applied = fixes.get_or_create(&FixLabels { outcome: "applied" }).clone();
        let mut metrics = Self {
            registry: Registry::with_prefix("muster"),
            rides_requested: Family::default(),
            rides_assigned: Family::default(),
            rides_completed: Family::default(),
            rides_unfulfilled: Family::default(),
            rides_cancelled: Family::default(),
            rides_open: Family::default(),
            reallocations: Family::default(),
            pickup_nudges: Family::default(),
            forward_rides: Family::default(),
            standbys: Family::default(),
            experiment_rides: Family::default(),
            zone_queue_changes: Family::default(),
            offers_sent: Family::default(),
            offers_ended: Family::default(),
            offer_response: histograms(&HUMAN_SECONDS),
            acceptances_lost: Family::default(),
            quotes_received: Family::default(),
            quotes_ended: Family::default(),
            candidates_excluded: Family::default(),
            wave_size: histograms(&COUNTS),
            time_to_first_offer: Histogram::new(ENGINE_SECONDS),
            time_to_assign: histograms(&HUMAN_SECONDS),
            pickup_eta: histograms(&HUMAN_SECONDS),
            match_duration: histograms(&ENGINE_SECONDS),
            windows: WindowMetrics::new(),
            shadow: ShadowMetrics::new(),
            travel: TravelMetrics::default(),
            outbox: Arc::default(),
            redis: RedisMetrics::default(),
            traces: TraceMetrics::default(),
            intake: IntakeMetrics::default(),
            drivers: Family::default(),
            fixes,
            fixes_applied,
            position_apply: Histogram::new(OPERATION_SECONDS),
            ws_sessions: Gauge::default(),
            http_requests: histograms(&ENGINE_SECONDS),
            store_commit: Histogram::new(ENGINE_SECONDS),
            store_commit_items: Histogram::new(COUNTS),
            store_refusals: Family::default(),
            draining: Gauge::default(),
            mailbox_full: Family::default(),
            actor_restarts: Family::default(),
            invariant_violations: Family::default(),
            events_seen: Counter::default(),
            record_inputs_dropped: Counter::default(),
        };
        metrics.register_rides();
        metrics.register_offers();
        metrics.register_process();
        metrics.begin_with_the_process();
        Arc::new(metrics)
    }

    fn register_rides(&mut self) {
        let r = &mut self.registry;
        r.register("rides_requested", "Ride requests taken", self.rides_requested.clone());
        r.register("rides_assigned", "Accepts that won a ride", self.rides_assigned.clone());
        r.register("rides_completed", "Rides completed", self.rides_completed.clone());
        let help = "Searches that ended without a driver";
        r.register("rides_unfulfilled", help, self.rides_unfulfilled.clone());
        r.register("rides_cancelled", "Rides called off", self.rides_cancelled.clone());
        r.register("rides_open", "Rides that are not over", self.rides_open.clone());
        let help = "Rides that a driver gave back";
        r.register("reallocations", help, self.reallocations.clone());
        let help = "Drivers told that they do not come nearer to the pickup";
        r.register("pickup_nudges", help, self.pickup_nudges.clone());
        let help = "Rides assigned to drivers on a trip, and what became of them";
        r.register("forward_rides", help, self.forward_rides.clone());
        let help = "Drivers who stood by for a ride with a far driver, and what became of them";
        r.register("standbys", help, self.standbys.clone());
        let help = "Rides by the arm (experiment/arm) of their newest search: requested and cancelled \
            once per ride, assigned and unfulfilled once per search that ended so";
        r.register("experiment_rides", help, self.experiment_rides.clone());
        let help = "Changes of the queues of zones; for drivers who lost or gave up a place, why";
        r.register("zone_queue_changes", help, self.zone_queue_changes.clone());
        let help = "Request or search start to assignment, in engine time";
        r.register("time_to_assign_seconds", help, self.time_to_assign.clone());
        let help = "Estimated pickup time at assignment";
        r.register("pickup_eta_seconds", help, self.pickup_eta.clone());
    }

    fn register_offers(&mut self) {
        let r = &mut self.registry;
        r.register("offers_sent", "Offers made", self.offers_sent.clone());
        r.register("offers_ended", "Offers ended", self.offers_ended.clone());
        let help = "Age of an offer when its driver answered, in engine time";
        r.register("offer_response_seconds", help, self.offer_response.clone());
        let help = "Accepts of offers that another driver won";
        r.register("acceptances_lost", help, self.acceptances_lost.clone());
        let help = "Accepts that wait for the rider's choice";
        r.register("quotes_received", help, self.quotes_received.clone());
        r.register("quotes_ended", "Quotes ended", self.quotes_ended.clone());
        let help = "Drivers left out of a wave";
        r.register("candidates_excluded", help, self.candidates_excluded.clone());
        r.register("wave_size", "Offers per wave", self.wave_size.clone());
        let help = "Request to first offer durable and on its way, in real time";
        r.register("time_to_first_offer_seconds", help, self.time_to_first_offer.clone());
        let help = "One search of the supply index, or one dispatch window matched";
        r.register("match_duration_seconds", help, self.match_duration.clone());
        self.windows.register(r);
        self.shadow.register(r);
        self.travel.register(r);
        self.redis.register(r);
        self.intake.register(r);
    }

    fn register_process(&mut self) {
        let r = &mut self.registry;
        r.register("drivers", "Drivers by status and contact", self.drivers.clone());
        r.register("position_fixes", "Fixes by what became of them", self.fixes.clone());
        let help = "One fix judged and written, of one socket frame in 64";
        r.register("position_apply_seconds", help, self.position_apply.clone());
        r.register("ws_sessions", "Driver sockets open", self.ws_sessions.clone());
        let help = "HTTP requests by route";
        r.register("http_request_duration_seconds", help, self.http_requests.clone());
        r.register("store_commit_seconds", "One group commit", self.store_commit.clone());
        let help = "Transitions in one group commit";
        r.register("store_commit_items", help, self.store_commit_items.clone());
        let help = "Turns of machines that could not be made durable";
        r.register("store_refusals", help, self.store_refusals.clone());
        let help = "1 while the process drains: it takes no new rides, sockets or streams";
        r.register("draining", help, self.draining.clone());
        r.register("mailbox_full", "Messages refused by a full mailbox", self.mailbox_full.clone());
        let help = "Actors rebuilt after a panic or a failed commit";
        r.register("actor_restarts", help, self.actor_restarts.clone());
        let help = "Invariants found broken; always 0";
        r.register("invariant_violations", help, self.invariant_violations.clone());
        self.traces.register(r);
        r.register("events", "Domain events", self.events_seen.clone());
        self.outbox.register(r);
        let help = "Inputs that the recorded log has not, because its writer did not keep up";
        r.register("record_inputs_dropped", help, self.record_inputs_dropped.clone());
    }

    /// The registry, for the exposition.
    pub(super) const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// So many estimates of travel times came from this source.
    pub fn travel_times(&self, market: &MarketId, source: EtaSource, count: u64) {
        self.travel.estimated(market, source, count);
    }

    /// What became of a request to a server of travel times.
    pub fn travel_time_request(&self, market: &MarketId, outcome: &'static str) {
        self.travel.requested(market, outcome);
    }

    /// What is counted of the intake from Kafka.
    pub(crate) const fn intake(&self) -> &IntakeMetrics {
        &self.intake
    }

    /// The recorded log dropped some inputs.
    pub fn record_dropped(&self, inputs: u64) {
        self.record_inputs_dropped.inc_by(inputs);
    }

    /// So many spans were `ended`, `sent` or `failed`.
    pub(super) fn spans(&self, outcome: &'static str, spans: u64) {
        self.traces.add(outcome, spans);
    }

    /// A driver's socket opened.
    pub fn session_opened(&self) {
        self.ws_sessions.inc();
    }

    /// A driver's socket closed.
    pub fn session_closed(&self) {
        self.ws_sessions.dec();
    }

    /// Driver sockets open now.
    pub fn sessions(&self) -> usize {
        usize::try_from(self.ws_sessions.get()).unwrap_or(0)
    }

    /// Brings the gauges up to date.
    pub fn refresh(&self, dispatch: &Dispatch) {
        self.outbox.refresh(dispatch.now());
        self.draining.set(i64::from(*dispatch.draining().borrow()));
        self.drivers.clear();
        for (gauge, count) in dispatch.driver_gauges() {
            let labels = DriverLabels {
                market: gauge.market.to_string(),
                status: gauge.status.name(),
                contact: gauge.contact.name(),
            };
            self.drivers.get_or_create(&labels).set(count);
        }
        self.rides_open.clear();
        for market in dispatch.markets().iter() {
            for status in RideStatus::ALL.into_iter().filter(|status| !status.is_terminal()) {
                let labels =
                    StatusLabels { market: market.id().to_string(), status: status.name() };
                self.rides_open.get_or_create(&labels).set(0);
            }
        }
        for (gauge, count) in dispatch.ride_gauges() {
            let market = gauge.market.to_string();
            let labels = StatusLabels { market, status: gauge.status.name() };
            self.rides_open.get_or_create(&labels).set(count);
        }
    }

    /// Where the relay counts.
    pub(crate) fn outbox(&self) -> Arc<OutboxMetrics> {
        Arc::clone(&self.outbox)
    }

    fn acceptance_lost(&self, labels: &MarketLabels) {
        self.acceptances_lost.get_or_create(labels).inc();
    }

    fn offer_ended(&self, market: String, end: OfferEnd, after_ms: u64) {
        match end {
            OfferEnd::Accepted | OfferEnd::Declined => {
                let labels = MarketLabels { market: market.clone() };
                self.offer_response.get_or_create(&labels).observe(seconds(after_ms));
            }
            OfferEnd::Expired | OfferEnd::Withdrawn => {}
        }
        self.offers_ended.get_or_create(&OutcomeLabels { market, outcome: end.name() }).inc();
    }

    fn ride_assigned(&self, labels: &MarketLabels, after_ms: u64, pickup_eta_s: u32) {
        self.rides_assigned.get_or_create(labels).inc();
        self.time_to_assign.get_or_create(labels).observe(seconds(after_ms));
        self.pickup_eta.get_or_create(labels).observe(f64::from(pickup_eta_s));
    }

    fn wave_sent(&self, labels: &MarketLabels, size: u32) {
        self.offers_sent.get_or_create(labels).inc_by(u64::from(size));
        self.wave_size.get_or_create(labels).observe(f64::from(size));
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl EventSink for Metrics {
    fn publish(&self, event: &Event) {
        self.events_seen.inc();
        let market = event.market.to_string();
        let labels = MarketLabels { market: market.clone() };
        match &event.kind {
            EventKind::RideRequested => {
                self.rides_requested.get_or_create(&labels).inc();
            }
            EventKind::WaveSent { size } => self.wave_sent(&labels, *size),
            EventKind::CandidatesExcluded { reason, count } => {
                let labels = ReasonLabels { market, reason: reason.name() };
                self.candidates_excluded.get_or_create(&labels).inc_by(u64::from(*count));
            }
            EventKind::OfferEnded { end, after_ms } => self.offer_ended(market, *end, *after_ms),
            EventKind::AcceptanceLost => self.acceptance_lost(&labels),
            EventKind::QuoteReceived => {
                self.quotes_received.get_or_create(&labels).inc();
            }
            EventKind::QuoteEnded { end } => {
                let labels = OutcomeLabels { market, outcome: end.name() };
                self.quotes_ended.get_or_create(&labels).inc();
            }
            EventKind::RideAssigned { after_ms, pickup_eta_s } => {
                self.ride_assigned(&labels, *after_ms, *pickup_eta_s);
            }
            EventKind::RideCompleted => {
                self.rides_completed.get_or_create(&labels).inc();
            }
            EventKind::RideCancelled { by } => {
                self.rides_cancelled.get_or_create(&ByLabels { market, by: by.name() }).inc();
            }
            EventKind::RideUnfulfilled { reason } => {
                self.rides_unfulfilled.get_or_create(&ReasonLabels { market, reason }).inc();
            }
            EventKind::RideGivenBack { retried } => {
                let outcome = if *retried { "retried" } else { "cancelled" };
                self.reallocations.get_or_create(&OutcomeLabels { market, outcome }).inc();
            }
            EventKind::Forward { outcome } => {
                let outcome = outcome.name();
                self.forward_rides.get_or_create(&OutcomeLabels { market, outcome }).inc();
            }
            EventKind::Standby { outcome } => {
                let outcome = outcome.name();
                self.standbys.get_or_create(&OutcomeLabels { market, outcome }).inc();
            }
            EventKind::ExperimentRide { arm, outcome } => {
                let labels = ArmLabels { market, arm: arm.clone(), outcome: outcome.name() };
                self.experiment_rides.get_or_create(&labels).inc();
            }
            EventKind::QueueChanged { change } => {
                let outcome =
                    change.leave_reason().map_or_else(|| change.name(), LeaveReason::name);
                self.zone_queue_changes.get_or_create(&OutcomeLabels { market, outcome }).inc();
            }
            EventKind::WindowMatched { facts } => self.windows.matched(market, facts),
            EventKind::Shadow(event) => self.shadow.count(market, event),
            EventKind::WindowBypassed { rides, reason } => {
                self.windows.bypassed(market, *rides, reason);
            }
            EventKind::InvariantViolated(invariant) => {
                let labels = InvariantLabels { invariant: invariant.to_string() };
                self.invariant_violations.get_or_create(&labels).inc();
            }
            EventKind::DriverNudged => {
                self.pickup_nudges.get_or_create(&labels).inc();
            }
            EventKind::DriverArrived | EventKind::RideStarted => {}
        }
    }
}

impl HttpObserver for Metrics {
    fn answered(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let labels = HttpLabels { method: method.to_owned(), route: route.to_owned(), status };
        self.http_requests.get_or_create(&labels).observe(seconds);
    }
}

impl Meter for Metrics {
    fn first_offer(&self, seconds: f64) {
        self.time_to_first_offer.observe(seconds);
    }

    fn match_duration(&self, mode: &'static str, seconds: f64) {
        self.match_duration.get_or_create(&ModeLabels { mode }).observe(seconds);
    }

    fn store_commit(&self, items: usize, seconds: f64) {
        self.store_commit.observe(seconds);
        self.store_commit_items.observe(items as f64);
    }

    fn store_refused(&self, reason: &'static str) {
        self.store_refusals.get_or_create(&StoreLabels { reason }).inc();
    }

    fn mailbox_full(&self, actor: &'static str) {
        self.mailbox_full.get_or_create(&ActorLabels { actor }).inc();
    }

    fn actor_restarted(&self, actor: &'static str) {
        self.actor_restarts.get_or_create(&ActorLabels { actor }).inc();
    }
}
