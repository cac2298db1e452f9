//! Who talks to whom: first-in-first-out links, and an agenda of what happens at its own time.

use std::collections::{BTreeMap, VecDeque};

use muster_engine::driver::{DriverCommand, PhoneFrame};
use muster_engine::effect::SessionId;
use muster_engine::matching::MarketCommand;
use muster_engine::ride::RideCommand;
use muster_engine::time::Timestamp;
use muster_engine::zone::ZoneCommand;

use crate::store::Verdict;

/// An end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Actor {
    /// The edge that takes clients' calls.
    Edge,
    /// Where a driver's fixes come in.
    Gps(usize),
    /// A driver's machine.
    Driver(usize),
    /// A ride's machine.
    Ride(usize),
    /// The machine of a market's zone.
    Zone(usize),
    /// The machine of a market's dispatch windows.
    Market(usize),
    /// The store.
    Store,
    /// One connection of a driver's phone.
    Session(usize, SessionId),
}

impl Actor {
    /// Whether it is a machine inside the process.
    pub(crate) const fn is_machine(self) -> bool {
        match self {
            Self::Driver(_) | Self::Ride(_) | Self::Zone(_) | Self::Market(_) => true,
            Self::Edge | Self::Gps(_) | Self::Store | Self::Session(..) => false,
        }
    }
}

/// What travels on a link.
#[derive(Debug)]
pub(crate) enum Payload {
    /// To a driver's machine.
    Driver(DriverCommand),
    /// To a ride's machine.
    Ride(RideCommand),
    /// To a zone's machine.
    Zone(ZoneCommand),
    /// To the machine of a market's dispatch windows.
    Market(MarketCommand),
    /// From the store: a turn is durable, or failed.
    Committed(Verdict),
    /// To a phone.
    Frame(PhoneFrame),
    /// To a phone: the session is closed.
    Goodbye,
}

#[derive(Debug)]
struct Envelope {
    ready_at: Timestamp,
    payload: Payload,
}

/// From, to.
pub(crate) type Route = (Actor, Actor);

/// All links. Order is kept within a link; between links it is the scheduler's to choose.
#[derive(Debug, Default)]
pub(crate) struct Links {
    queues: BTreeMap<Route, VecDeque<Envelope>>,
}

impl Links {
    pub(crate) fn send(&mut self, route: Route, ready_at: Timestamp, payload: Payload) {
        let queue = self.queues.entry(route).or_default();
        let after = queue.back().map_or(ready_at, |last| last.ready_at.max(ready_at));
        queue.push_back(Envelope { ready_at: after, payload });
    }

    /// Links whose head can be delivered.
    pub(crate) fn ready(&self, now: Timestamp) -> impl Iterator<Item = Route> {
        self.heads().filter(move |(_, at)| *at <= now).map(|(route, _)| route)
    }

    /// When the next head can be delivered.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.heads().map(|(_, at)| at).min()
    }

    fn heads(&self) -> impl Iterator<Item = (Route, Timestamp)> {
        self.queues
            .iter()
            .filter_map(|(route, queue)| queue.front().map(|head| (*route, head.ready_at)))
    }

    pub(crate) fn take(&mut self, route: Route) -> Option<Payload> {
        let queue = self.queues.get_mut(&route)?;
        let payload = queue.pop_front().map(|envelope| envelope.payload);
        if queue.is_empty() {
            self.queues.remove(&route);
        }
        payload
    }

    /// Whether something is on its way from `from` to `to`.
    pub(crate) fn carries(&self, from: Actor, to: Actor) -> bool {
        self.queues.contains_key(&(from, to))
    }

    /// Whether nothing is on its way to any machine.
    pub(crate) fn machines_have_nothing_coming(&self) -> bool {
        self.queues.keys().all(|(_, to)| !to.is_machine())
    }

    /// A machine that never was durable is gone, and its mailbox with it.
    pub(crate) fn clear_mailbox(&mut self, of: Actor) {
        self.queues.retain(|(_, to), _| *to != of);
    }

    /// The process died: what was in its memory is gone.
    pub(crate) fn clear_machines(&mut self) {
        self.queues.retain(|(_, to), _| !to.is_machine());
    }
}

/// What happens at its own time, in order of time and then of entry.
#[derive(Debug)]
pub(crate) struct Agenda<T> {
    items: BTreeMap<(Timestamp, u64), T>,
    entered: u64,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), entered: 0 }
    }
}

impl<T> Agenda<T> {
    pub(crate) fn add(&mut self, at: Timestamp, item: T) {
        self.items.insert((at, self.entered), item);
        self.entered += 1;
    }

    pub(crate) fn ready(&self, now: Timestamp) -> impl Iterator<Item = (Timestamp, u64)> {
        self.items.range(..=(now, u64::MAX)).map(|(key, _)| *key)
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn take(&mut self, key: (Timestamp, u64)) -> Option<T> {
        self.items.remove(&key)
    }
}
