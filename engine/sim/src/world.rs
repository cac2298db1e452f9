//! The simulated city: machines, links, store and people, and the scheduler that drives them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_engine::driver::{DriverCommand, DriverMachine, DriverRecord};
use muster_engine::effect::SessionId;
use muster_engine::grid::{DriverSlot, Fix, PositionSnapshot};
use muster_engine::id::{DriverId, OfferId, RideId};
use muster_engine::invariant::Invariant;
use muster_engine::matching::MarketMachine;
use muster_engine::ride::{RideMachine, RideProgress, RideRecord};
use muster_engine::time::Timestamp;
use muster_engine::zone::{QueueMachine, QueueRecord, ZoneEventKind};

use crate::city::{self, MARKETS, MarketSite};
use crate::dice::Dice;
use crate::link::{Actor, Agenda, Links, Route};
use crate::oracle::{Oracle, Violation};
use crate::sabotage::Sabotage;
use crate::shell::Shell;
use crate::store::{StoreModel, Submission};
use crate::swarm::{Faults, Habit, Options};
use crate::trace::Trace;
use crate::world::calls::{Call, Caller};
use crate::world::phone::Phone;
use crate::world::riders::Rider;
use crate::world::shadows::Shadows;
use crate::world::turns::Turn;

pub(crate) mod calls;
mod commits;
mod crash;
mod ending;
mod gps;
mod markets;
mod outcomes;
pub(crate) mod phone;
pub(crate) mod riders;
mod shadows;
pub(crate) mod turns;
mod zones;

/// The simulated day begins here.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_764_547_200_000);

/// Steps a run may take before it counts as a livelock.
const STEPS_MAX: u64 = 2_000_000;

/// What happens at its own time.
#[derive(Debug)]
pub(crate) enum Errand {
    /// The commit under way ends.
    CommitEnds(u64),
    /// A commit of a dead process reaches the store.
    Zombie(Batch),
    /// A rebuilt machine of this incarnation may work again.
    Rested(Actor, u64),
    /// The process starts again.
    Restart,
    /// Once a second: crashes, panics, operators, position snapshots.
    CityTick,
    /// A driver moves and his phone takes a fix.
    GpsTick(usize),
    /// A fix arrives.
    FixArrives(usize, Fix),
    /// A driver looks at his phone.
    PhoneTick(usize),
    /// A rider looks at the ride.
    RiderTick(usize),
    /// A call arrives at the edge.
    CallArrives(Call),
    /// The server notices that a connection is gone.
    Disconnect(usize, SessionId),
}

/// One commit under way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) submissions: Vec<Submission>,
    pub(crate) fate: Fate,
}

/// How a commit will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Failed,
    CrashBefore,
    CrashAfter,
}

/// The store's writer inside the process.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) queue: VecDeque<Submission>,
    pub(crate) in_flight: Option<Batch>,
    pub(crate) batches: u64,
}

/// A driver, as the process knows him.
#[derive(Debug)]
pub(crate) struct DriverSite {
    pub(crate) id: DriverId,
    pub(crate) market: usize,
    pub(crate) slot: Arc<DriverSlot>,
    /// Nothing for a driver nobody has registered yet.
    pub(crate) shell: Option<Shell<DriverMachine>>,
    /// What the process knows to be durable.
    pub(crate) durable: Option<Arc<DriverRecord>>,
    /// Sessions that frames can be sent to.
    pub(crate) attached: Vec<SessionId>,
}

/// A ride in memory.
#[derive(Debug)]
pub(crate) struct RideSite {
    pub(crate) market: usize,
    pub(crate) shell: Shell<RideMachine>,
    /// What the process knows to be durable.
    pub(crate) told: Option<Arc<RideRecord>>,
}

/// A zone's machine.
#[derive(Debug)]
pub(crate) struct ZoneSite {
    pub(crate) shell: Shell<QueueMachine>,
    /// What the process knows to be durable.
    pub(crate) durable: Arc<QueueRecord>,
}

/// How often things happened.
pub type Tally = BTreeMap<&'static str, u64>;

/// The simulated city.
#[derive(Debug)]
pub struct World {
    pub(crate) options: Options,
    pub(crate) faults: Faults,
    pub(crate) now: Timestamp,
    pub(crate) calm_at: Option<Timestamp>,
    pub(crate) up: bool,
    pub(crate) settling: bool,
    pub(crate) markets: Vec<MarketSite>,
    pub(crate) drivers: Vec<DriverSite>,
    pub(crate) rides: BTreeMap<usize, RideSite>,
    pub(crate) zones: BTreeMap<usize, ZoneSite>,
    pub(crate) matchers: BTreeMap<usize, Shell<MarketMachine>>,
    pub(crate) shadows: Shadows,
    pub(crate) phones: Vec<Phone>,
    pub(crate) riders: Vec<Rider>,
    pub(crate) store: StoreModel,
    pub(crate) writer: Writer,
    pub(crate) snapshots: BTreeMap<usize, PositionSnapshot>,
    pub(crate) links: Links,
    pub(crate) agenda: Agenda<Errand>,
    pub(crate) replies: BTreeMap<u64, Caller>,
    pub(crate) oracle: Oracle,
    pub(crate) trace: Trace,
    pub(crate) tally: Tally,
    pub(crate) violation: Option<Violation>,
    pub(crate) scheduling: Dice,
    pub(crate) fate: Dice,
    pub(crate) numbers: u64,
    pub(crate) steps: u64,
}

impl World {
    /// The city of `options`, before anything has happened.
    pub fn new(options: Options) -> Self {
        let root = Dice::root(options.seed);
        let markets = (0..MARKETS).map(|at| MarketSite::new(at, &options)).collect();
        let drivers = options.drivers.iter().enumerate().map(|(at, plan)| {
            let id = city::driver_id(at);
            let slot = Arc::new(DriverSlot::new(id.clone()));
            let (shell, durable) = (None, None);
            DriverSite { id, market: plan.market, slot, shell, durable, attached: Vec::new() }
        });
        let phone = |(at, plan)| Phone::new(plan, root.nth_child("phone", at));
        let rider = |at| Rider::new(root.nth_child("rider", at));
        let sabotage = options.sabotage;
        let mut world = Self {
            faults: options.faults.clone(),
            now: EPOCH,
            calm_at: None,
            up: true,
            settling: false,
            markets,
            drivers: drivers.collect(),
            rides: BTreeMap::new(),
            zones: BTreeMap::new(),
            matchers: BTreeMap::new(),
            shadows: Shadows::default(),
            phones: options.drivers.iter().enumerate().map(phone).collect(),
            riders: (0..options.rides.len()).map(rider).collect(),
            store: StoreModel { epoch: 1, sabotage, ..StoreModel::default() },
            writer: Writer::default(),
            snapshots: BTreeMap::new(),
            links: Links::default(),
            agenda: Agenda::default(),
            replies: BTreeMap::new(),
            oracle: Oracle::default(),
            trace: Trace::new(options.whole_trace),
            tally: Tally::new(),
            violation: None,
            scheduling: root.child("scheduling"),
            fate: root.child("fate"),
            numbers: 0,
            steps: 0,
            options,
        };
        world.plan_the_day();
        world.start_zones();
        world.start_matchers();
        world
    }

    fn plan_the_day(&mut self) {
        self.agenda.add(EPOCH.plus_millis(1_000), Errand::CityTick);
        for driver in 0..self.drivers.len() {
            let offset = driver as u64 * 37;
            self.agenda.add(EPOCH.plus_millis(offset), Errand::GpsTick(driver));
            self.agenda.add(EPOCH.plus_millis(offset + 100), Errand::PhoneTick(driver));
        }
        for (ride, plan) in self.options.rides.iter().enumerate() {
            self.agenda.add(EPOCH.plus_millis(plan.at_ms), Errand::RiderTick(ride));
        }
    }

    /// The present instant.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Milliseconds since the simulated day began.
    pub const fn elapsed_ms(&self) -> u64 {
        self.now.millis_since(EPOCH)
    }

    /// The newest durable state of a ride, by its place in the plan.
    pub fn ride(&self, ride: usize) -> Option<&Arc<RideRecord>> {
        self.store.ride(&city::ride_id(ride))
    }

    /// Every durable state a ride went through.
    pub fn history(&self, ride: usize) -> Vec<Arc<RideRecord>> {
        let history = self.store.rides.get(&city::ride_id(ride));
        history.map_or_else(Vec::new, |history| {
            history.commits.iter().map(|commit| Arc::clone(&commit.record)).collect()
        })
    }

    /// A driver's machine, by its place in the plan.
    pub fn driver(&self, driver: usize) -> Option<&DriverMachine> {
        self.drivers.get(driver)?.shell.as_ref().map(|shell| &shell.machine)
    }

    /// The newest durable state of the zone's queue: drivers by their place in the plan.
    pub fn queue(&self) -> Vec<usize> {
        let record = self.store.queue(&city::zone_id());
        let entries = record.map(|record| record.entries.iter()).into_iter().flatten();
        entries.map(|entry| city::ordinal(entry.driver.as_str())).collect()
    }

    /// Why drivers lost their places, oldest first.
    pub fn queue_history(&self) -> Vec<(usize, ZoneEventKind)> {
        let commits = self.store.queues.get(&city::zone_id()).into_iter().flatten();
        commits.map(|commit| (city::ordinal(commit.driver.as_str()), commit.kind)).collect()
    }

    /// Puts a driver somewhere else; his phone takes its fixes there.
    pub fn move_driver(&mut self, driver: usize, at: (f64, f64)) {
        self.phones[driver].at = at;
    }

    /// Changes what a driver does with offers from here on.
    pub fn set_habit(&mut self, driver: usize, habit: Habit) {
        self.phones[driver].habit = habit;
    }

    /// The rider calls a ride off.
    pub fn cancel(&mut self, ride: usize) {
        let by = muster_engine::ride::CancelledBy::Rider;
        self.agenda.add(self.now, Errand::CallArrives(Call::Cancel { ride, by }));
    }

    /// An operator reports that nobody hears of the driver of a ride any more.
    pub fn lose_driver(&mut self, ride: usize) {
        let reason = Some(muster_engine::ride::DRIVER_LOST.to_owned());
        let step = RideProgress::Cancel { reason };
        let call = Call::Progress { ride, driver: None, step };
        self.agenda.add(self.now, Errand::CallArrives(call));
    }

    /// The rider of a ride goes to a place so many metres east and north in his market.
    pub fn change_dropoff(&mut self, ride: usize, to: (f64, f64)) {
        let dropoff = city::place(self.options.rides[ride].market, to);
        self.agenda.add(self.now, Errand::CallArrives(Call::ChangeDropoff { ride, dropoff }));
    }

    /// A driver's machine panics and is rebuilt.
    pub fn panic_driver(&mut self, driver: usize) {
        self.rebuild(Actor::Driver(driver));
    }

    /// A driver's phone falls silent until `ms` milliseconds after the start of the day.
    pub fn silence(&mut self, driver: usize, ms: u64) {
        self.phones[driver].silent_until = EPOCH.plus_millis(ms);
    }

    /// The rider chooses a quote.
    pub fn select(&mut self, ride: usize, quote: &OfferId) {
        let call = Call::Select { ride, quote: quote.clone() };
        self.agenda.add(self.now, Errand::CallArrives(call));
    }

    /// The rider asks for another search.
    pub fn retry(&mut self, ride: usize) {
        self.agenda.add(self.now, Errand::CallArrives(Call::Retry { ride }));
    }

    /// A driver declines an offer, or takes his quote for it back.
    pub fn decline(&mut self, driver: usize, offer: &OfferId) {
        let call = Call::Decline { driver, offer: offer.clone() };
        self.agenda.add(self.now, Errand::CallArrives(call));
    }

    /// A driver's phone is gone for `ms` milliseconds, and his machine knows it at once.
    pub fn hang_up(&mut self, driver: usize, ms: u64) {
        self.phones[driver].away_until = self.now.plus_millis(ms);
        for session in std::mem::take(&mut self.drivers[driver].attached) {
            self.phones[driver].lose_session();
            let command = DriverCommand::Disconnect { session };
            self.driver_turn(driver, Turn::Command(command));
        }
    }

    /// How often something has happened so far.
    pub fn times(&self, what: &str) -> u64 {
        self.tally.get(what).copied().unwrap_or(0)
    }

    /// The process dies and starts again a little later.
    pub fn kill(&mut self) {
        self.crash();
    }

    /// Runs until `ms` milliseconds after the start of the day, or to the first violation.
    pub fn run_until(&mut self, ms: u64) {
        let end = EPOCH.plus_millis(ms);
        while self.violation.is_none() && self.step_before(end) {}
        if self.violation.is_none() {
            self.now = self.now.max(end);
        }
    }

    /// The first invariant that broke.
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The whole run: faults first, then calm until everything is over.
    pub fn run(&mut self) {
        self.run_until(self.options.faulty_ms);
        if self.violation.is_some() {
            return;
        }
        self.begin_calm();
        let policy = &self.options.policy;
        let search_ms = policy.search_limit_ms.max(policy.otp_limit_ms);
        // A scheduled ride may have all of its tries before it.
        let searches = policy.tries_before_pickup_ms().len() as u64;
        let limit = self.now.plus_millis(search_ms * searches + ending::SETTLE_MS);
        while self.violation.is_none() && !self.is_over() {
            if !self.step_before(limit) {
                return self.broken_all_over(limit);
            }
        }
    }

    /// One step of the city if one is due before `end`.
    fn step_before(&mut self, end: Timestamp) -> bool {
        let mut ready = self.ready();
        if ready.is_empty() {
            let Some(next) = self.next_at().filter(|next| *next < end) else { return false };
            self.now = next;
            ready = self.ready();
        }
        let chosen = self.scheduling.index(ready.len());
        self.wake_shadows();
        self.perform_ready(ready.swap_remove(chosen));
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.broken(Invariant::M14, "the city does not come to an end".to_owned());
        }
        self.check_step();
        true
    }

    fn ready(&self) -> Vec<Ready> {
        let mut ready: Vec<Ready> = self.links.ready(self.now).map(Ready::Link).collect();
        ready.extend(self.agenda.ready(self.now).map(Ready::Errand));
        let is_due = |due: Option<Timestamp>| due.is_some_and(|at| at <= self.now);
        let drivers = self.drivers.iter().enumerate();
        ready.extend(
            drivers
                .filter(|(_, site)| is_due(site.shell.as_ref().and_then(Shell::due)))
                .map(|(at, _)| Ready::Wake(Actor::Driver(at))),
        );
        let rides = self.rides.iter().filter(|(_, site)| is_due(self.ride_due(site)));
        ready.extend(rides.map(|(at, _)| Ready::Wake(Actor::Ride(*at))));
        let zones = self.zones.iter().filter(|(_, site)| is_due(site.shell.due()));
        ready.extend(zones.map(|(at, _)| Ready::Wake(Actor::Zone(*at))));
        let markets = self.matchers.iter().filter(|(_, shell)| is_due(shell.due()));
        ready.extend(markets.map(|(at, _)| Ready::Wake(Actor::Market(*at))));
        ready
    }

    fn ride_due(&self, site: &RideSite) -> Option<Timestamp> {
        let due = site.shell.due()?;
        let held_back = self.options.sabotage == Some(Sabotage::HoldClockAtExpiry);
        Some(if held_back { due.plus_millis(1_500) } else { due })
    }

    fn next_at(&self) -> Option<Timestamp> {
        let drivers = self.drivers.iter().filter_map(|site| site.shell.as_ref()?.due());
        let rides = self.rides.values().filter_map(|site| self.ride_due(site));
        let zones = self.zones.values().filter_map(|site| site.shell.due());
        let markets = self.matchers.values().filter_map(Shell::due);
        let machines = drivers.chain(rides).chain(zones).chain(markets).min();
        [self.links.next_at(), self.agenda.next_at(), machines].into_iter().flatten().min()
    }

    fn perform_ready(&mut self, ready: Ready) {
        match ready {
            Ready::Link(route) => self.deliver(route),
            Ready::Wake(actor) => self.wake(actor),
            Ready::Errand(key) => {
                if let Some(errand) = self.agenda.take(key) {
                    self.run_errand(errand);
                }
            }
        }
    }

    fn run_errand(&mut self, errand: Errand) {
        match errand {
            Errand::CommitEnds(number) => self.on_commit_ends(number),
            Errand::Zombie(batch) => self.on_zombie(&batch),
            Errand::Rested(actor, incarnation) => self.on_rested(actor, incarnation),
            Errand::Restart => self.restart(),
            Errand::CityTick => self.city_tick(),
            Errand::GpsTick(driver) => self.gps_tick(driver),
            Errand::FixArrives(driver, fix) => self.on_fix(driver, &fix),
            Errand::PhoneTick(driver) => self.phone_tick(driver),
            Errand::RiderTick(ride) => self.rider_tick(ride),
            Errand::CallArrives(call) => self.on_call(&call),
            Errand::Disconnect(driver, session) => self.on_disconnect(driver, session),
        }
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_insert(0) += 1;
    }

    /// A number that nobody had before: replies, sessions, incarnations.
    pub(crate) const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Remembers the first violation; the run ends with it.
    pub(crate) fn broken(&mut self, invariant: Invariant, detail: String) {
        if self.violation.is_none() {
            self.trace.line(format!("{:>9} BROKEN {invariant}: {detail}", self.elapsed_ms()));
            let at_ms = self.elapsed_ms();
            self.violation = Some(Violation { invariant, detail, at_ms, step: self.steps });
        }
    }

    pub(crate) fn market_of_ride(&self, ride: &RideId) -> Option<usize> {
        self.options.rides.get(city::ordinal(ride.as_str())).map(|plan| plan.market)
    }
}

/// Something that can happen now.
#[derive(Debug)]
enum Ready {
    Link(Route),
    Errand((Timestamp, u64)),
    Wake(Actor),
}
