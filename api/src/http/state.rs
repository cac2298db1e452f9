//! What every handler shares.

use std::sync::Arc;

use muster_actors::Dispatch;
use tokio::sync::Semaphore;

use crate::http::history::RideHistory;
use crate::http::idempotency::KeysInFlight;
use crate::http::rider_rate::{RiderRate, SharedAllowance};
use crate::policy::PolicyDesk;
use crate::telemetry::Traces;

/// Bounds of the HTTP edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Ride requests one rider may make per minute, also the size of a burst.
    pub ride_requests_per_rider_per_min: u32,
    /// Event streams that may be open at once.
    pub sse_streams_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { ride_requests_per_rider_per_min: 30, sse_streams_max: 10_000 }
    }
}

/// Which build answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildInfo {
    /// The version of the package.
    pub version: String,
    /// The revision it was built from.
    pub revision: String,
}

/// Is told of every request that was answered.
pub trait HttpObserver: Send + Sync + 'static {
    /// `route` is the pattern, as `/v1/rides/{ride_id}`, so that there are few of them; a request
    /// that no route matches has the route `unmatched`.
    fn answered(&self, method: &str, route: &str, status: u16, seconds: f64);
}

/// Observes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl HttpObserver for Unobserved {
    fn answered(&self, _: &str, _: &str, _: u16, _: f64) {}
}

/// What an [`AppState`] is made from.
#[derive(Clone)]
pub struct AppParts {
    /// The engine.
    pub dispatch: Dispatch,
    /// The past.
    pub history: Arc<dyn RideHistory>,
    /// Policies that may change.
    pub policies: Arc<PolicyDesk>,
    /// Is told of every answer.
    pub observe: Arc<dyn HttpObserver>,
    /// Where spans go; absent: nowhere.
    pub traces: Option<Arc<Traces>>,
    /// Bounds.
    pub limits: HttpLimits,
    /// Riders' allowances that other processes take from, too.
    pub shared_allowance: Option<Arc<dyn SharedAllowance>>,
    /// Which build this is.
    pub build: BuildInfo,
}

/// The state of the HTTP edge; one per process, shared by its workers.
pub struct AppState {
    pub(super) dispatch: Dispatch,
    pub(super) history: Arc<dyn RideHistory>,
    pub(super) policies: Arc<PolicyDesk>,
    pub(super) observe: Arc<dyn HttpObserver>,
    pub(super) traces: Option<Arc<Traces>>,
    pub(super) build: BuildInfo,
    pub(super) rider_rate: RiderRate,
    pub(super) keys: KeysInFlight,
    pub(super) streams: Arc<Semaphore>,
}

impl AppState {
    /// The state of a fresh server.
    pub fn new(parts: AppParts) -> Self {
        Self {
            dispatch: parts.dispatch,
            history: parts.history,
            policies: parts.policies,
            observe: parts.observe,
            traces: parts.traces,
            build: parts.build,
            rider_rate: RiderRate::new(
                parts.limits.ride_requests_per_rider_per_min,
                parts.shared_allowance,
            ),
            keys: KeysInFlight::default(),
            streams: Arc::new(Semaphore::new(parts.limits.sse_streams_max)),
        }
    }
}
