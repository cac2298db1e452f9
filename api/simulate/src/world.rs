//! The simulated city: the engine's machines, people and cars in virtual time, one thread.
//!
//! ```text
//! agenda (what happens when) ──▶ turn of a machine ──▶ effects ──▶ post (messages, in order)
//!     ▲                              ▲                                 │
//!     └── people, cars, deadlines ◀──┴─────────────────────────────────┘
//! ```
//!
//! Nothing is stored and nothing travels: what a turn persists is durable at once, and a message
//! arrives at the instant it was sent, after those sent before. So two runs of one seed are the same.

mod agenda;
mod cars;
mod ending;
mod phone;
mod recorded;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use muster_city::geo::Point;
use muster_city::trips::Trip;
use muster_engine::driver::{DriverCommand, DriverMachine, DriverRecord};
use muster_engine::effect::SessionId;
use muster_engine::geo::Position;
use muster_engine::grid::{DriverSlot, FixLimits, Grid};
use muster_engine::id::OfferId;
use muster_engine::matching::{MarketCommand, MarketMachine};
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::{CancelledBy, RideCommand, RideMachine, RideRecord, RideStatus};
use muster_engine::time::Timestamp;
use rand::Rng;

use crate::city::{self, City};
use crate::ledger::Ledger;
use crate::people::{People, Traits};
use crate::recorded::RecordedCity;
use crate::travel::{StreetWays, Travel};

/// The simulated day begins here.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_764_547_200_000);

/// Longest pause between two fixes of a car.
const FIX_INTERVAL_MS: u64 = 10_000;

/// How long the city may go on after the last request before open rides count as a fault.
const DRAIN_MS: u64 = 4 * 3_600_000;

/// Share of the cars that come on the road during the first minutes of a warm-up, as if from a ride
/// before.
const LATE_SHARE: f64 = 0.8;

/// These minutes, in milliseconds.
const LATE_MS: u64 = 900_000;

/// Metres around a trip's drop-off in which a car begins (standard deviation in each direction).
const START_SPREAD_M: f64 = 150.0;

/// Everything that one run is made from.
#[derive(Debug, Clone)]
pub(crate) struct Plan<'p> {
    pub(crate) city: &'p City,
    /// All requests, warm-up included, by time.
    pub(crate) trips: &'p [Trip],
    pub(crate) drivers: usize,
    pub(crate) policy: &'p DispatchPolicy,
    pub(crate) traits: Traits,
    pub(crate) travel: Travel,
    /// The streets that cars drive on; without them, and off them, they drive straight lines.
    pub(crate) streets: Option<&'p StreetWays>,
    pub(crate) seed: u64,
    /// Requests from here on are measured, in milliseconds after the start.
    pub(crate) measured_from_ms: u64,
    /// Requests end here, and so does what is measured.
    pub(crate) measured_until_ms: u64,
    /// The log that trips, drivers and people are of, if they are.
    pub(crate) recorded: Option<&'p RecordedCity>,
}

/// What happens at its own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A driver begins his day.
    GoOnline(usize),
    /// A rider asks.
    Request(usize),
    /// A rider without a driver leaves.
    LosePatience(usize),
    /// A rider leaves who has a driver.
    ChangePlans(usize),
    /// A driver of a log comes, goes, or is another one to the platform.
    Shift(usize, usize),
    /// A rider of a log goes elsewhere.
    ChangeDropoff(usize, Position),
    /// A driver answers the offer that he looks at.
    AnswerOffer(usize, OfferId, bool),
    /// A car is at the end of its leg; void when it has begun another one since.
    LegEnds(usize, u64),
    /// A driver gives his ride up; void when his car has begun another leg since.
    GiveUp(usize, u64),
    /// Some of the cars take a fix.
    Fixes(u64),
    /// A machine's deadline.
    WakeDriver(usize),
    /// A machine's deadline.
    WakeRide(usize),
    /// The matcher's deadline.
    WakeMarket,
}

/// A message from machine to machine.
#[derive(Debug)]
pub(crate) enum Message {
    Driver(usize, DriverCommand),
    Ride(usize, RideCommand),
    Market(MarketCommand),
}

/// A driver with his car and phone.
#[derive(Debug)]
pub(crate) struct DriverSite {
    pub(crate) machine: DriverMachine,
    pub(crate) slot: Arc<DriverSlot>,
    pub(crate) session: SessionId,
    pub(crate) car: cars::Car,
    pub(crate) phone: phone::Phone,
    pub(crate) armed: Option<Timestamp>,
    /// His next deadline is that his phone goes silent, which his fixes put off.
    pub(crate) heard: bool,
    /// His shift is over.
    pub(crate) off_duty: bool,
}

/// A ride: in memory, or as it was told last.
#[derive(Debug, Default)]
pub(crate) struct RideSite {
    pub(crate) machine: Option<Box<RideMachine>>,
    pub(crate) told: Option<Arc<RideRecord>>,
    pub(crate) armed: Option<Timestamp>,
}

/// The simulated city.
#[derive(Debug)]
pub(crate) struct World<'p> {
    plan: Plan<'p>,
    people: People,
    book: Arc<PolicyBook>,
    grid: Grid,
    limits: FixLimits,
    now: Timestamp,
    agenda: agenda::Agenda,
    post: VecDeque<Message>,
    drivers: Vec<DriverSite>,
    rides: Vec<RideSite>,
    matcher: MarketMachine,
    matcher_armed: Option<Timestamp>,
    /// How often each driver was asked for each ride.
    asked: BTreeMap<(usize, usize), u32>,
    open_rides: usize,
    ledger: Ledger,
}

impl<'p> World<'p> {
    pub(crate) fn new(plan: Plan<'p>) -> Self {
        let book = Arc::new(PolicyBook::of(plan.policy.clone()));
        let market = &plan.city.market;
        let mut world = Self {
            people: People::new(plan.seed, plan.traits),
            grid: Grid::of(market),
            limits: FixLimits::default(),
            now: EPOCH,
            agenda: agenda::Agenda::default(),
            post: VecDeque::new(),
            drivers: Vec::with_capacity(plan.drivers),
            rides: plan.trips.iter().map(|_| RideSite::default()).collect(),
            matcher: MarketMachine::new(market.id().clone(), EPOCH),
            matcher_armed: None,
            asked: BTreeMap::new(),
            open_rides: 0,
            ledger: Ledger::new(&plan),
            book,
            plan,
        };
        world.grid.set_travel_times(world.plan.streets.map(StreetWays::travel_times));
        (0..world.plan.drivers).for_each(|driver| world.put_on_the_road(driver));
        if let Some(recorded) = world.plan.recorded {
            world.plan_recorded(recorded);
        }
        let requests = world.plan.trips.iter().enumerate().map(|(ride, trip)| {
            (EPOCH.plus_millis(trip.after_ms.max(0) as u64), Errand::Request(ride))
        });
        world.agenda.add_known(requests);
        world.at(EPOCH.plus_millis(world.fix_step_ms()), Errand::Fixes(0));
        world
    }

    /// A car begins near the end of a drawn trip, most of them as if a ride had just ended there.
    fn put_on_the_road(&mut self, driver: usize) {
        if let Some(recorded) = self.plan.recorded {
            let (at, record) = Self::recorded_driver(recorded, driver);
            return self.add_driver(at, record);
        }
        let id = city::driver_id(driver);
        let mut random = self.people.stream("start", id.as_str());
        let drawn = self.plan.trips.get(random.random_range(0..self.plan.trips.len().max(1)));
        let near = drawn.map_or(Point::new(0.0, 0.0), |trip| trip.dropoff);
        let at = cars::scattered(near, START_SPREAD_M, &mut random);
        let warms_up = self.plan.measured_from_ms > 0;
        let late = warms_up && random.random::<f64>() < LATE_SHARE;
        let online_ms = if late { random.random_range(0..LATE_MS) } else { 0 };
        let (xl, instant) = self.people.vehicle(id.as_str());
        self.add_driver(at, self.plan.city.driver_record(id, xl, instant));
        self.at(EPOCH.plus_millis(online_ms), Errand::GoOnline(driver));
    }

    fn add_driver(&mut self, at: Point, record: DriverRecord) {
        let (slot, driver) = (Arc::new(DriverSlot::new(record.driver.clone())), self.drivers.len());
        let (market, policy) = (Arc::clone(&self.plan.city.market), Arc::clone(self.book.base()));
        let machine = DriverMachine::new(record, Arc::clone(&slot), market, policy, EPOCH);
        self.drivers.push(DriverSite {
            machine,
            slot,
            session: SessionId(driver as u64),
            car: cars::Car::parked(at),
            phone: phone::Phone::default(),
            armed: None,
            heard: false,
            off_duty: false,
        });
    }

    /// Puts something on the agenda; of the same instant, what was put there first comes first.
    fn at(&mut self, at: Timestamp, errand: Errand) {
        self.agenda.add(at.max(self.now), errand);
    }

    fn after(&mut self, ms: u64, errand: Errand) {
        self.at(self.now.plus_millis(ms), errand);
    }

    fn elapsed_ms(&self) -> u64 {
        self.now.millis_since(EPOCH)
    }

    /// Runs until every ride is over; `progress` is told the virtual milliseconds now and then.
    pub(crate) fn run(mut self, progress: &mut dyn FnMut(u64)) -> Ledger {
        let until_ms = self.plan.measured_until_ms;
        let limit = EPOCH.plus_millis(until_ms + DRAIN_MS);
        let last_request = self.plan.trips.last().map_or(0, |trip| trip.after_ms.max(0) as u64);
        let mut told_ms = 0;
        while let Some((at, errand)) = self.agenda.take() {
            self.now = at;
            let all_asked = self.elapsed_ms() > last_request.max(until_ms);
            if at > limit || (all_asked && self.open_rides == 0) {
                break;
            }
            if self.elapsed_ms() >= told_ms + 60_000 {
                told_ms = self.elapsed_ms();
                progress(told_ms.min(until_ms));
            }
            self.perform(errand);
            while let Some(message) = self.post.pop_front() {
                self.deliver(message);
            }
        }
        self.settle()
    }

    fn perform(&mut self, errand: Errand) {
        match errand {
            Errand::GoOnline(driver) => self.go_online(driver),
            Errand::Request(ride) => self.request(ride),
            Errand::LosePatience(ride) => self.lose_patience(ride),
            Errand::ChangePlans(ride) => {
                if !self.ledger.is_on_board(ride) {
                    self.cancel(ride, "changed_plans");
                }
            }
            Errand::Shift(driver, index) => self.change_shift(driver, index),
            Errand::ChangeDropoff(ride, dropoff) => self.change_dropoff(ride, dropoff),
            Errand::AnswerOffer(driver, offer, accepts) => {
                self.answer_offer(driver, &offer, accepts);
            }
            Errand::LegEnds(driver, leg) => self.leg_ends(driver, leg),
            Errand::GiveUp(driver, leg) => self.give_up(driver, leg),
            Errand::Fixes(round) => self.take_fixes(round),
            Errand::WakeDriver(driver) => self.wake_driver(driver),
            Errand::WakeRide(ride) => self.wake_ride(ride),
            Errand::WakeMarket => self.wake_market(),
        }
    }

    fn request(&mut self, ride: usize) {
        let request = self.request_of(ride);
        let market = Arc::clone(&self.plan.city.market);
        let machine = RideMachine::new(request, market, Arc::clone(&self.book));
        self.rides[ride].machine = Some(Box::new(machine));
        self.open_rides += 1;
        self.ledger.requested(ride, self.elapsed_ms());
        if let Some(patience_ms) = self.patience_of(ride) {
            self.after(patience_ms, Errand::LosePatience(ride));
        }
        self.post.push_back(Message::Ride(ride, RideCommand::Request { reply: None }));
    }

    fn lose_patience(&mut self, ride: usize) {
        let machine = self.rides[ride].machine.as_ref();
        if machine.is_some_and(|machine| machine.record().status == RideStatus::Searching)
            && !self.ledger.was_assigned(ride)
        {
            self.cancel(ride, "patience");
        }
    }

    fn cancel(&mut self, ride: usize, reason: &str) {
        let (by, reason) = (CancelledBy::Rider, Some(reason.to_owned()));
        self.post.push_back(Message::Ride(ride, RideCommand::Cancel { by, reason, reply: None }));
    }
}
