//! What every driver and rider of one replay shares.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use crate::behaviour::Behaviour;
use crate::clock::CityClock;
use crate::http::Api;
use crate::line::StandLine;
use crate::measure::Recorder;
use crate::stands::Stands;

/// Drivers that connect at the same time.
const CONNECTING_MAX: usize = 64;

/// One replay's surroundings.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) clock: CityClock,
    pub(crate) behaviour: Behaviour,
    pub(crate) recorder: Recorder,
    pub(crate) market: &'static str,
    pub(crate) binary: bool,
    pub(crate) follow_trips: bool,
    pub(crate) codes: Codes,
    /// Taxi stands, in comparisons.
    pub(crate) stands: Option<Arc<Stands>>,
    pub(crate) line: StandLine,
    /// Becomes true when everyone shall go home.
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) connecting: Semaphore,
}

impl World {
    pub(crate) fn connecting_permits() -> Semaphore {
        Semaphore::new(CONNECTING_MAX)
    }
}

/// The codes that riders tell their drivers at the door.
#[derive(Debug, Default)]
pub(crate) struct Codes(Mutex<HashMap<String, String>>);

impl Codes {
    /// The rider has read the code on the phone.
    pub(crate) fn learn(&self, ride_id: &str, otp: &str) {
        self.map().insert(ride_id.to_owned(), otp.to_owned());
    }

    /// What the rider says when asked.
    pub(crate) fn told(&self, ride_id: &str) -> Option<String> {
        self.map().get(ride_id).cloned()
    }

    fn map(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
