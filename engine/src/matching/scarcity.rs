//! How scarce drivers are in a market, by what its newest windows came to.
//!
//! The number of drivers does not tell: where all idle ones are at the other end of the city they
//! abound, and each rider who is given one takes him out of service for minutes. How long matched
//! drivers need to their pickups tells it, before anybody is left without one.

use crate::matching::command::WindowMatch;
use crate::matching::cost::PairTerms;
use crate::policy::DispatchPolicy;

/// So many requests are remembered: few enough to follow a rush, enough to make a mean of.
const REQUESTS_REMEMBERED: f64 = 30.0;

/// The newest requests, the older the less.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scarcity {
    /// Milliseconds to the pickups of those who were served.
    pickup_ms: f64,
    served: f64,
    unserved: f64,
}

impl Scarcity {
    /// Before the first window, which is as short as it may be.
    pub(super) const UNKNOWN: Self = Self { pickup_ms: 0.0, served: 0.0, unserved: 0.0 };

    /// Takes what the requests of a window got.
    pub(super) fn observe(&mut self, matches: &[WindowMatch]) {
        let keep = REQUESTS_REMEMBERED / (REQUESTS_REMEMBERED + matches.len() as f64);
        self.pickup_ms *= keep;
        self.served *= keep;
        self.unserved *= keep;
        for matched in matches {
            match matched.candidates.window.and_then(|window| window.pair) {
                Some(PairTerms { pickup_eta_ms, .. }) => {
                    self.pickup_ms += pickup_eta_ms.max(0) as f64;
                    self.served += 1.0;
                }
                None => self.unserved += 1.0,
            }
        }
    }

    /// How long the next window is. A request that got nobody counts as one whose driver is far: it
    /// makes windows as long as they may be, and no longer, however far the next driver is.
    pub(super) fn window_ms(&self, policy: &DispatchPolicy) -> u64 {
        let all = self.served + self.unserved;
        let unserved_ms = self.unserved * f64::from(policy.batch_scarce_pickup_s) * 1_000.0;
        let mean_ms = if all > 0.0 { (self.pickup_ms + unserved_ms) / all } else { 0.0 };
        policy.window_ms(mean_ms.round() as u64)
    }
}
