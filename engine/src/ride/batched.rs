//! A ride of batched mode: it waits for dispatch windows instead of searching by itself, and is
//! offered to the driver a window gives it, by the same offers as in any other mode.
//!
//! Nobody is offered the ride while it waits. When its driver says no, or nothing, or his machine
//! refuses, it registers for the next window at once; a match that takes the place of an offer that
//! its driver never saw is part of the same wave. Where a window cannot take it, it searches once as
//! in broadcast.

use crate::effect::{Effect, Outbox};
use crate::matching::{MarketCommand, WindowMatch, WindowRequest};
use crate::policy::DispatchMode;
use crate::ride::machine::RideMachine;
use crate::ride::record::{RideEventKind, RideStatus};
use crate::ride::seeking::Seeking;
use crate::time::Timestamp;

/// How often a ride that waits registers again: a matcher that was rebuilt has forgotten it.
const REJOIN_MS: u64 = 15_000;

/// What the market's matcher was told last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct WindowPlace {
    /// The newest registration.
    join: u64,
    /// The matcher may know of it.
    registered: bool,
    /// It was told more than once, so an answer may cross with a repetition.
    repeated: bool,
    /// When it is told again.
    again_at: Timestamp,
}

impl RideMachine {
    /// Whether windows find the drivers of this attempt. A zone's queue that comes first does not
    /// wait for them: its order is a promise to its drivers.
    pub(super) fn is_batched(&self) -> bool {
        let queued = self.policy.zone_queue_first && self.places.queue().is_some();
        self.policy.mode == DispatchMode::Batched && !queued
    }

    fn waits_for_window(&self) -> bool {
        let searching = self.record.status == RideStatus::Searching;
        searching && matches!(self.seeking, Some(Seeking::Window { .. }))
    }

    /// Registers for the next window. With `fills_up` its match belongs to the wave under way.
    pub(super) fn join_window(&mut self, fills_up: bool, now: Timestamp, out: &mut Outbox) {
        self.retry_at = None;
        self.write_ends(now, out);
        // Beyond any registration of an incarnation before.
        self.window.join = (self.window.join + 1).max(now.as_millis());
        self.window.repeated = false;
        self.register(fills_up, now, out);
    }

    fn register(&mut self, fills_up: bool, now: Timestamp, out: &mut Outbox) {
        let seeking = Seeking::Window { fills_up };
        let Some(query) = self.candidate_query(seeking, now) else {
            return self.end_unfulfilled("unknown_service_tier", now, out);
        };
        self.seeking = Some(seeking);
        self.window.registered = true;
        self.window.again_at = now.plus_millis(REJOIN_MS);
        let ride = self.record.request.ride.clone();
        let waiting_since = self.record.search_began_at;
        let request = WindowRequest { ride, join: self.window.join, waiting_since, query };
        out.push(Effect::ToMarket(MarketCommand::Join(Box::new(request))));
    }

    /// When a ride that waits registers again.
    pub(super) fn rejoins_at(&self) -> Option<Timestamp> {
        self.waits_for_window().then_some(self.window.again_at)
    }

    pub(super) fn rejoin_window(&mut self, now: Timestamp, out: &mut Outbox) {
        if let Some(Seeking::Window { fills_up }) = self.seeking
            && self.rejoins_at().is_some_and(|at| at <= now)
        {
            self.window.repeated = true;
            self.register(fills_up, now, out);
        }
    }

    /// Tells the matcher, if it may still know of the ride, that it waits no longer.
    pub(super) fn leave_window(&mut self, out: &mut Outbox) {
        if self.window.registered && !self.waits_for_window() {
            self.window.registered = false;
            let (ride, join) = (self.record.request.ride.clone(), self.window.join);
            out.push(Effect::ToMarket(MarketCommand::Leave { ride, join }));
        }
    }

    /// The wait that `join` names is over; tells whether its match is for the wave under way.
    fn end_wait(&mut self, join: u64) -> Option<bool> {
        let Some(Seeking::Window { fills_up }) = self.seeking else { return None };
        if join != self.window.join || !self.waits_for_window() {
            return None;
        }
        self.seeking = None;
        // The matcher forgot the ride with its answer, unless a repetition came behind.
        self.window.registered = self.window.repeated;
        Some(fills_up)
    }

    /// A window is matched.
    pub(super) fn on_matched(&mut self, matched: WindowMatch, now: Timestamp, out: &mut Outbox) {
        let candidates = matched.candidates;
        if candidates.attempt != self.record.attempt {
            return;
        }
        let Some(fills_up) = self.end_wait(matched.join) else { return };
        self.trip_travel = candidates.trip;
        let widest = self.policy.search_radius_m_max;
        if candidates.found.is_empty() && candidates.forward.is_empty() {
            self.empty_searches = self.empty_searches.saturating_add(1);
            // The first window without a driver is history; its repetitions are not.
            if self.record.search_radius_m != widest {
                self.record.search_radius_m = widest;
                self.count_excluded(&candidates, out);
                let decision = self.decision(candidates, Vec::new(), now);
                self.commit(RideEventKind::NoCandidates, now, Some(decision), out);
            }
            return self.join_window(fills_up, now, out);
        }
        if !fills_up {
            self.record.search_radius_m = widest;
            self.record.wave += 1;
            self.refusals = 0;
        }
        self.send_wave(Seeking::Window { fills_up }, candidates, now, out);
    }

    /// No window takes the ride.
    pub(super) fn on_window_unavailable(&mut self, join: u64, now: Timestamp, out: &mut Outbox) {
        if self.end_wait(join).is_some() {
            self.seek(Seeking::Wave, now, out);
        }
    }
}
