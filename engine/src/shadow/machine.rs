//! The shadow of one market: follows rides, decides their first search by other policies, compares.
//!
//! ```text
//! ride's durable state ─▶ followed ─▶ the shadow's window, or alone ─▶ DecideShadow ─▶ Decided
//!                             └──────────── real driver, cancel, end ──────────┴─▶ compared
//! ```
//!
//! One query is under way at a time, so that nobody is given two rides. Nothing is durable: after a
//! restart rides that begin are followed again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::effect::{Effect, Outbox};
use crate::event::{Event, EventKind};
use crate::geo::Position;
use crate::id::{DriverId, RideId};
use crate::machine::Machine;
use crate::market::Market;
use crate::matching::{
    MarketCommand, MarketMachine, PairTerms, WindowMatch, WindowQuery, WindowRequest,
};
use crate::policy::{AttemptKind, DispatchMode, PolicyBook};
use crate::ride::{Candidate, RideCommand, RideRecord, RideStatus, ShadowSearch};
use crate::shadow::command::{Finds, Fleet, Searches, ShadowCommand, ShadowOutcome, ShadowQuery};
use crate::shadow::comparison::{Comparison, RideEnd, ShadowEvent};
use crate::shadow::followed::{Followed, Place};
use crate::shadow::summary::ShadowSummary;
use crate::time::{Deadline, DeadlineReason, Timestamp};

/// Rides that a shadow follows at once at most; more are not compared.
pub const SHADOW_RIDES_MAX: usize = 10_000;

/// Rides whose comparison is kept, the newest ones.
pub const COMPARISONS_KEPT_MAX: usize = 5_000;

/// A search that is heard of later than this is not followed: the shadow would begin it too late.
const HEARD_WITHIN_MS: u64 = 5_000;

/// Rides that look by themselves in one query at most.
const ALONE_MAX: usize = 256;

/// The only writer of a market's shadow.
#[derive(Debug)]
pub struct ShadowMachine {
    market: Arc<Market>,
    book: Option<Arc<PolicyBook>>,
    /// The shadow's dispatch windows.
    windows: MarketMachine,
    /// A window that is to be decided as soon as the query under way is.
    closed: Option<WindowQuery>,
    rides: BTreeMap<RideId, Followed>,
    due: BTreeSet<(Timestamp, RideId)>,
    /// Rides that look by themselves as soon as the query under way is answered.
    looking: BTreeSet<RideId>,
    /// The query under way, and who looks by himself in it.
    under_way: Option<(u64, Vec<RideId>)>,
    newest: u64,
    /// Where drivers stood whom the shadow has not given the rides that hold them.
    stood: BTreeMap<DriverId, Position>,
    summary: ShadowSummary,
    kept: BTreeMap<RideId, Comparison>,
    kept_order: VecDeque<RideId>,
    rides_max: usize,
}

impl ShadowMachine {
    /// A shadow without a policy.
    pub fn new(market: Arc<Market>, now: Timestamp) -> Self {
        Self {
            windows: MarketMachine::new(market.id().clone(), now),
            market,
            book: None,
            closed: None,
            rides: BTreeMap::new(),
            due: BTreeSet::new(),
            looking: BTreeSet::new(),
            under_way: None,
            newest: now.as_millis(),
            stood: BTreeMap::new(),
            summary: ShadowSummary { since: now, ..ShadowSummary::default() },
            kept: BTreeMap::new(),
            kept_order: VecDeque::new(),
            rides_max: SHADOW_RIDES_MAX,
        }
    }

    /// The same with room for fewer rides.
    #[must_use]
    pub fn with_room_for(self, rides_max: usize) -> Self {
        Self { rides_max, ..self }
    }

    /// The policies it decides by.
    pub const fn book(&self) -> Option<&Arc<PolicyBook>> {
        self.book.as_ref()
    }

    /// What came of all rides so far.
    pub const fn summary(&self) -> &ShadowSummary {
        &self.summary
    }

    /// What came of a ride, as far as it is known: one that is followed, or one of the newest
    /// [`COMPARISONS_KEPT_MAX`] that were compared.
    pub fn comparison(&self, ride: &RideId) -> Option<&Comparison> {
        let followed = self.rides.get(ride).map(|followed| &followed.comparison);
        followed.or_else(|| self.kept.get(ride))
    }

    /// Rides that are followed.
    pub fn followed(&self) -> usize {
        self.rides.len()
    }

    /// Drivers whom the shadow gave a ride that keeps them, with the ride.
    pub fn given(&self) -> impl Iterator<Item = (&DriverId, &RideId)> {
        self.rides.iter().filter_map(|(ride, followed)| Some((followed.given()?, ride)))
    }

    fn use_book(&mut self, book: Option<Arc<PolicyBook>>, now: Timestamp) {
        if self.book != book {
            let fresh = Self::new(Arc::clone(&self.market), now).with_room_for(self.rides_max);
            // An answer to a query of before is nobody's.
            let newest = self.newest.max(fresh.newest);
            *self = Self { book, newest, ..fresh };
        }
    }

    fn on_ride(&mut self, record: &RideRecord, now: Timestamp, out: &mut Outbox) {
        let ride = &record.request.ride;
        if !self.rides.contains_key(ride) {
            return self.follow(record, now, out);
        }
        self.with(ride, now, out, |_, followed, _| followed.observe(record));
    }

    /// Begins to follow a ride whose first search begins.
    fn follow(&mut self, record: &RideRecord, now: Timestamp, out: &mut Outbox) {
        let Some(book) = self.book.as_ref().filter(|_| begins(record, now)) else { return };
        let Some(search) = ShadowSearch::of(record, &self.market, book) else { return };
        if self.rides.len() >= self.rides_max {
            self.summary.skipped += 1;
            return self.publish(ShadowEvent::Skipped, out);
        }
        let ride = record.request.ride.clone();
        let followed = Followed::new(record, search);
        self.due.insert((followed.due_at, ride.clone()));
        self.rides.insert(ride.clone(), followed);
        self.with(&ride, now, out, |machine, followed, now| machine.seek(followed, now));
    }

    /// Sends a ride to the shadow's windows, or has it look by itself.
    fn seek(&mut self, followed: &mut Followed, now: Timestamp) {
        if followed.policy().mode != DispatchMode::Batched {
            followed.place = Place::Alone { at: now };
            return;
        }
        let before = if let Place::Window { join } = followed.place { join } else { 0 };
        let join = (before + 1).max(now.as_millis());
        followed.place = Place::Window { join };
        let request = WindowRequest {
            ride: followed.comparison.ride.clone(),
            join,
            waiting_since: followed.comparison.search_began_at,
            query: followed.search.query.clone(),
        };
        // It is far from full: fewer rides are followed than a window takes.
        let mut out = Outbox::default();
        self.windows.handle(MarketCommand::Join(Box::new(request)), now, &mut out);
        self.take_windows(&mut out);
    }

    /// Changes a ride that is followed, and sees to what follows from that.
    fn with(
        &mut self,
        ride: &RideId,
        now: Timestamp,
        out: &mut Outbox,
        change: impl FnOnce(&mut Self, &mut Followed, Timestamp),
    ) {
        let Some((ride, mut followed)) = self.rides.remove_entry(ride) else { return };
        self.due.remove(&(followed.due_at, ride.clone()));
        change(self, &mut followed, now);
        self.settle(&mut followed, now);
        if followed.comparison.is_complete() && !followed.compared {
            followed.compared = true;
            self.keep(&followed.comparison, out);
        }
        if followed.is_done(now) {
            return;
        }
        if now >= followed.forgotten_at() {
            self.summary.lost += 1;
            return;
        }
        followed.due_at = followed.next_due();
        self.due.insert((followed.due_at, ride.clone()));
        self.rides.insert(ride, followed);
    }

    /// Ends the shadow's search where nobody waits any longer, and begins it where it is time.
    fn settle(&mut self, followed: &mut Followed, now: Timestamp) {
        let cancelled = followed.comparison.real.end == RideEnd::Cancelled;
        let waited = match followed.place {
            Place::Over => return,
            Place::Window { join } => Some(join),
            Place::Alone { .. } | Place::Looking => None,
        };
        let ride = &followed.comparison.ride;
        if cancelled || now >= followed.deadline() {
            if let Some(join) = waited {
                let leave = MarketCommand::Leave { ride: ride.clone(), join };
                let mut out = Outbox::default();
                self.windows.handle(leave, now, &mut out);
                self.take_windows(&mut out);
            }
            self.looking.remove(ride);
            followed.end(if cancelled { RideEnd::Cancelled } else { RideEnd::Unserved });
        } else if let Place::Alone { at } = followed.place
            && at <= now
        {
            self.looking.insert(ride.clone());
            followed.place = Place::Looking;
        }
    }

    fn keep(&mut self, comparison: &Comparison, out: &mut Outbox) {
        self.summary.add(comparison);
        self.kept.insert(comparison.ride.clone(), comparison.clone());
        self.kept_order.push_back(comparison.ride.clone());
        if self.kept_order.len() > COMPARISONS_KEPT_MAX
            && let Some(oldest) = self.kept_order.pop_front()
        {
            self.kept.remove(&oldest);
        }
        self.publish(ShadowEvent::Compared(Box::new(comparison.clone())), out);
    }

    /// Takes the window that the shadow's matcher has closed.
    fn take_windows(&mut self, out: &mut Outbox) {
        for effect in out.drain() {
            if let Effect::MatchWindow(query) = effect {
                self.closed = Some(*query);
            }
        }
    }

    fn query_next(&mut self, now: Timestamp, out: &mut Outbox) {
        if self.under_way.is_some() {
            return;
        }
        let (searches, alone) = if let Some(window) = self.closed.take() {
            (Searches::Window(window), Vec::new())
        } else {
            let chosen: Vec<RideId> = self.looking.iter().take(ALONE_MAX).cloned().collect();
            self.looking.retain(|ride| chosen.binary_search(ride).is_err());
            let search = |ride: &RideId| Some((ride.clone(), self.rides.get(ride)?.search.clone()));
            (Searches::Alone(chosen.iter().filter_map(search).collect()), chosen)
        };
        if matches!(&searches, Searches::Alone(rides) if rides.is_empty()) {
            return;
        }
        self.newest += 1;
        self.under_way = Some((self.newest, alone));
        let query = ShadowQuery { number: self.newest, at: now, searches, fleet: self.fleet() };
        out.push(Effect::DecideShadow(Box::new(query)));
    }

    /// In what the shadow's fleet differs from the real one at present.
    fn fleet(&mut self) -> Fleet {
        let given: BTreeSet<DriverId> = self.given().map(|(driver, _)| driver.clone()).collect();
        let held = self.rides.values().flat_map(|followed| &followed.held);
        let freed = held.filter(|driver| !given.contains(*driver));
        let freed: BTreeMap<DriverId, Option<Position>> =
            freed.map(|driver| (driver.clone(), self.stood.get(driver).copied())).collect();
        self.stood.retain(|driver, _| freed.contains_key(driver));
        Fleet { given, freed }
    }

    fn on_decided(&mut self, outcome: ShadowOutcome, now: Timestamp, out: &mut Outbox) {
        if self.under_way.take_if(|(number, _)| *number == outcome.number).is_none() {
            return;
        }
        self.stood.extend(outcome.stood);
        match outcome.found {
            Finds::Alone(found) => {
                for (ride, candidate) in found {
                    self.on_found(&ride, candidate, None, now, out);
                }
            }
            Finds::Window(matched) => {
                let matched = MarketCommand::Matched(Box::new(matched));
                self.on_window(matched, now, out);
            }
        }
    }

    fn on_failed(&mut self, number: u64, now: Timestamp, out: &mut Outbox) {
        let Some((_, alone)) = self.under_way.take_if(|(own, _)| *own == number) else { return };
        if alone.is_empty() {
            let number = self.windows.matching().unwrap_or_default();
            return self.on_window(MarketCommand::Failed { number }, now, out);
        }
        for ride in alone {
            self.on_found(&ride, None, None, now, out);
        }
    }

    /// Hands the shadow's matcher what became of its window, and rides what it tells them.
    fn on_window(&mut self, command: MarketCommand, now: Timestamp, out: &mut Outbox) {
        let mut told = Outbox::default();
        self.windows.handle(command, now, &mut told);
        let mut rides = Vec::new();
        for effect in told.drain() {
            if let Effect::MatchWindow(query) = effect {
                self.closed = Some(*query);
            } else if let Effect::ToRide(ride, command) = effect {
                rides.push((ride, command));
            }
        }
        for (ride, command) in rides {
            if let RideCommand::Matched(matched) = command {
                self.on_matched(&ride, *matched, now, out);
            } else {
                self.with(&ride, now, out, |_, followed, now| followed.rest(now));
            }
        }
    }

    fn on_matched(
        &mut self,
        ride: &RideId,
        matched: WindowMatch,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        let pair = matched.candidates.window.and_then(|facts| facts.pair);
        let found = matched.candidates.found.into_iter().next();
        let Some(found) = found.map(|ranked| ranked.candidate) else {
            return self.with(ride, now, out, Self::seek);
        };
        self.on_found(ride, Some(found), pair, now, out);
    }

    fn on_found(
        &mut self,
        ride: &RideId,
        found: Option<Candidate>,
        pair: Option<PairTerms>,
        now: Timestamp,
        out: &mut Outbox,
    ) {
        self.with(ride, now, out, |_, followed, now| match found {
            _ if followed.place == Place::Over => {}
            Some(found) => followed.decide(&found, pair, now),
            None => followed.rest(now),
        });
    }

    fn publish(&self, event: ShadowEvent, out: &mut Outbox) {
        let (market, kind) = (self.market.id().clone(), EventKind::Shadow(event));
        out.push(Effect::Publish(Event { market, kind }));
    }
}

/// Whether the first search of a ride begins: nobody was asked yet.
fn begins(record: &RideRecord, now: Timestamp) -> bool {
    let first = match record.policy.attempt {
        AttemptKind::Initial | AttemptKind::Scheduled => record.attempt == 1,
        AttemptKind::Retry
        | AttemptKind::CancelledAndRetried
        | AttemptKind::Reallocation
        | AttemptKind::BetterDriverSearch => false,
    };
    let unasked = record.wave == 0 && record.offer_counts.sent == 0;
    let fresh = now.millis_since(record.search_began_at) <= HEARD_WITHIN_MS;
    first && unasked && fresh && record.status == RideStatus::Searching
}

impl Machine for ShadowMachine {
    type Command = ShadowCommand;

    fn handle(&mut self, command: ShadowCommand, now: Timestamp, out: &mut Outbox) {
        self.on_deadline(now, out);
        match command {
            ShadowCommand::Use(book) => self.use_book(book, now),
            ShadowCommand::Ride(record) => self.on_ride(&record, now, out),
            ShadowCommand::Decided(outcome) => self.on_decided(*outcome, now, out),
            ShadowCommand::Failed { number } => self.on_failed(number, now, out),
        }
        self.query_next(now, out);
    }

    fn next_deadline(&self) -> Option<Deadline> {
        let due = self.due.first();
        let own = due.map(|(at, _)| Deadline { at: *at, reason: DeadlineReason::SearchRetry });
        own.into_iter().chain(self.windows.next_deadline()).min()
    }

    fn on_deadline(&mut self, now: Timestamp, out: &mut Outbox) {
        while let Some((at, ride)) = self.due.first().cloned()
            && at <= now
        {
            self.with(&ride, now, out, |_, _, _| {});
        }
        let mut closing = Outbox::default();
        self.windows.on_deadline(now, &mut closing);
        self.take_windows(&mut closing);
        self.query_next(now, out);
    }
}
