//! The matcher of one market: collects requests in dispatch windows and hands each window out to be
//! matched.
//!
//! ```text
//! ride ── Join ──▶ waiting ── window closes ──▶ MatchWindow ──▶ Matched ──▶ ride: one driver, or nobody
//!   ▲                                             (meanwhile the next window fills)         │
//!   └───────────── refused, expired, nobody: joins again ───────────────────────────────────┘
//! ```
//!
//! Nothing here is durable. A ride that waits registers again from time to time, so a machine that
//! was rebuilt, or a process that started again, soon knows of all of them; until a ride hears of a
//! match it has made no promise to anyone.

use std::collections::BTreeMap;

use crate::effect::{Effect, Outbox};
use crate::event::{Event, EventKind};
use crate::id::{MarketId, RideId};
use crate::machine::Machine;
use crate::matching::command::{MarketCommand, WindowOutcome, WindowQuery, WindowRequest};
use crate::matching::scarcity::Scarcity;
use crate::ride::RideCommand;
use crate::time::{Deadline, DeadlineReason, Timestamp};

/// Requests that wait for one window at most; more look for drivers by themselves.
pub const WINDOW_REQUESTS_MAX: usize = 10_000;

/// A request that waits.
#[derive(Debug)]
struct Waiting {
    request: WindowRequest,
    closes_at: Timestamp,
}

/// A window that is being matched.
#[derive(Debug)]
struct Round {
    number: u64,
    /// Who is in it still, with the registration.
    joins: BTreeMap<RideId, u64>,
}

/// The only writer of a market's dispatch windows.
#[derive(Debug)]
pub struct MarketMachine {
    market: MarketId,
    waiting: BTreeMap<RideId, Waiting>,
    round: Option<Round>,
    newest: u64,
    /// By the newest windows.
    scarcity: Scarcity,
    requests_max: usize,
}

impl MarketMachine {
    /// A matcher that knows of nobody yet. Its windows are numbered from `now`, so that numbers grow
    /// over restarts.
    pub const fn new(market: MarketId, now: Timestamp) -> Self {
        Self {
            market,
            waiting: BTreeMap::new(),
            round: None,
            newest: now.as_millis(),
            scarcity: Scarcity::UNKNOWN,
            requests_max: WINDOW_REQUESTS_MAX,
        }
    }

    /// The same with room for fewer requests in a window.
    #[must_use]
    pub fn with_room_for(self, requests_max: usize) -> Self {
        Self { requests_max, ..self }
    }

    /// Requests that wait for the window that is open.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The number of the window that is being matched.
    pub(crate) fn matching(&self) -> Option<u64> {
        self.round.as_ref().map(|round| round.number)
    }

    fn on_join(&mut self, request: WindowRequest, now: Timestamp, out: &mut Outbox) {
        let ride = request.ride.clone();
        let in_round = self.round.as_ref().and_then(|round| round.joins.get(&ride));
        if in_round.is_some_and(|join| *join >= request.join) {
            // It is being matched already.
            return;
        }
        if !self.waiting.contains_key(&ride) && self.waiting.len() >= self.requests_max {
            let join = request.join;
            out.push(Effect::ToRide(ride, RideCommand::WindowUnavailable { join }));
            return self.publish(EventKind::WindowBypassed { rides: 1, reason: "full" }, out);
        }
        let window_ms = self.scarcity.window_ms(&request.query.ranking.policy);
        let closes_at = now.plus_millis(window_ms);
        match self.waiting.get_mut(&ride) {
            // A repeated registration keeps its place in time.
            Some(waiting) if waiting.request.join == request.join => waiting.request = request,
            Some(waiting) => *waiting = Waiting { request, closes_at },
            None => {
                self.waiting.insert(ride, Waiting { request, closes_at });
            }
        }
    }

    fn on_leave(&mut self, ride: &RideId, join: u64) {
        if self.waiting.get(ride).is_some_and(|waiting| waiting.request.join <= join) {
            self.waiting.remove(ride);
        }
        if let Some(round) = self.round.as_mut()
            && round.joins.get(ride).is_some_and(|own| *own <= join)
        {
            round.joins.remove(ride);
        }
    }

    fn closes_at(&self) -> Option<Timestamp> {
        let closes_at = self.waiting.values().map(|waiting| waiting.closes_at).min();
        closes_at.filter(|_| self.round.is_none())
    }

    fn close(&mut self, now: Timestamp, out: &mut Outbox) {
        self.newest += 1;
        let waiting = std::mem::take(&mut self.waiting).into_values();
        let requests: Vec<WindowRequest> = waiting.map(|waiting| waiting.request).collect();
        let joins = requests.iter().map(|request| (request.ride.clone(), request.join)).collect();
        let number = self.newest;
        self.round = Some(Round { number, joins });
        out.push(Effect::MatchWindow(Box::new(WindowQuery { number, closed_at: now, requests })));
    }

    /// The window under way, if this is its number.
    fn take_round(&mut self, number: u64) -> Option<Round> {
        self.round.take_if(|round| round.number == number)
    }

    fn on_matched(&mut self, outcome: WindowOutcome, out: &mut Outbox) {
        let Some(round) = self.take_round(outcome.number) else { return };
        let facts = outcome.facts;
        self.scarcity.observe(&outcome.matches);
        self.publish(EventKind::WindowMatched { facts }, out);
        for matched in outcome.matches {
            if round.joins.get(&matched.ride) == Some(&matched.join) {
                let ride = matched.ride.clone();
                out.push(Effect::ToRide(ride, RideCommand::Matched(Box::new(matched))));
            }
        }
    }

    fn on_failed(&mut self, number: u64, out: &mut Outbox) {
        let Some(round) = self.take_round(number) else { return };
        let rides = u32::try_from(round.joins.len()).unwrap_or(u32::MAX);
        self.publish(EventKind::WindowBypassed { rides, reason: "failed" }, out);
        for (ride, join) in round.joins {
            out.push(Effect::ToRide(ride, RideCommand::WindowUnavailable { join }));
        }
    }

    fn publish(&self, kind: EventKind, out: &mut Outbox) {
        out.push(Effect::Publish(Event { market: self.market.clone(), kind }));
    }
}

impl Machine for MarketMachine {
    type Command = MarketCommand;

    fn handle(&mut self, command: MarketCommand, now: Timestamp, out: &mut Outbox) {
        self.on_deadline(now, out);
        match command {
            MarketCommand::Join(request) => self.on_join(*request, now, out),
            MarketCommand::Leave { ride, join } => self.on_leave(&ride, join),
            MarketCommand::Matched(outcome) => self.on_matched(*outcome, out),
            MarketCommand::Failed { number } => self.on_failed(number, out),
        }
    }

    fn next_deadline(&self) -> Option<Deadline> {
        self.closes_at().map(|at| Deadline { at, reason: DeadlineReason::WindowClose })
    }

    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.closes_at().is_some_and(|at| at <= now) {
            self.close(now, out);
        }
    }
}
