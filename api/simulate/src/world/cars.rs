//! Cars: where they are, what they do, and the fixes their phones take.

use std::f64::consts::TAU;

use muster_city::geo::Point;
use muster_engine::driver::DriverCommand;
use muster_engine::grid::{Fix, FixRejection};
use muster_engine::ride::{RideCommand, RideProgress};
use muster_engine::time::Timestamp;
use rand::Rng;

use super::{EPOCH, Errand, FIX_INTERVAL_MS, Message, World};
use crate::city;
use crate::ledger::Activity;

/// Parts of the fleet that take their fixes at different times.
const FIX_ROUNDS: u64 = 10;

/// Longest pause between two fixes of a car that nobody follows.
const SPARSE_FIX_INTERVAL_MS: u64 = 20_000;

/// Metres of a degree of latitude.
const DEGREE_M: f64 = 111_195.0;

/// What a car does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Not online.
    Away,
    /// Waits where its last ride ended.
    Idle,
    ToPickup(usize),
    AtPickup(usize),
    OnTrip(usize),
}

impl Doing {
    pub(crate) const fn ride(self) -> Option<usize> {
        match self {
            Self::Away | Self::Idle => None,
            Self::ToPickup(ride) | Self::AtPickup(ride) | Self::OnTrip(ride) => Some(ride),
        }
    }

    const fn activity(self) -> Option<Activity> {
        match self {
            Self::Away => None,
            Self::Idle => Some(Activity::Idle),
            Self::ToPickup(_) => Some(Activity::ToPickup),
            Self::AtPickup(_) => Some(Activity::AtPickup),
            Self::OnTrip(_) => Some(Activity::OnTrip),
        }
    }
}

/// A car on its leg from place to place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Car {
    from: Point,
    to: Point,
    ends: Timestamp,
    pub(super) doing: Doing,
    since: Timestamp,
    leg: u64,
}

impl Car {
    pub(super) fn is_under_way(&self) -> bool {
        self.doing != Doing::Away
    }

    /// Where a car is that has no leg.
    pub(super) const fn idle_place(&self) -> Point {
        self.to
    }

    /// A car without a leg waits there from here on.
    pub(super) const fn wait_at(&mut self, at: Point) {
        (self.from, self.to) = (at, at);
    }

    pub(crate) const fn parked(at: Point) -> Self {
        Self { from: at, to: at, ends: EPOCH, doing: Doing::Away, since: EPOCH, leg: 0 }
    }
}

/// A point about `spread_m` metres (standard deviation in each direction) from `near`.
pub(super) fn scattered(near: Point, spread_m: f64, random: &mut impl Rng) -> Point {
    let away_m = spread_m * (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    let turn = TAU * random.random::<f64>();
    let lat = near.lat + away_m * turn.sin() / DEGREE_M;
    let lng = near.lng + away_m * turn.cos() / (DEGREE_M * near.lat.to_radians().cos());
    Point::new(lat, lng)
}

impl World<'_> {
    /// The pause between two rounds of fixes. Where nothing looks at cars under way, fixes only keep
    /// their phones from going silent: each leg ends with one of its own.
    pub(super) fn fix_step_ms(&self) -> u64 {
        let policy = self.plan.policy;
        let followed = policy.forward_wave_size > 0
            || policy.pickup_check_ms > 0
            || policy.standby_check_ms > 0
            || self.plan.recorded.is_some();
        let interval_ms = if followed {
            FIX_INTERVAL_MS.min(policy.stale_after_ms / 3)
        } else {
            SPARSE_FIX_INTERVAL_MS.min(policy.stale_after_ms * 2 / 3)
        };
        interval_ms / FIX_ROUNDS
    }

    pub(super) fn go_online(&mut self, driver: usize) {
        self.change(driver, Doing::Idle, None);
        self.take_fix(driver);
        let session = self.drivers[driver].session;
        let connect = DriverCommand::Connect { session, last_seq: None };
        self.post.push_back(Message::Driver(driver, connect));
        let online = DriverCommand::SetOnline { online: true, reply: None };
        self.post.push_back(Message::Driver(driver, online));
    }

    pub(super) fn take_fixes(&mut self, round: u64) {
        let first = (round % FIX_ROUNDS) as usize;
        for driver in (first..self.drivers.len()).step_by(FIX_ROUNDS as usize) {
            self.follow_recorded_way(driver);
            self.take_fix(driver);
            self.was_heard(driver);
        }
        self.after(self.fix_step_ms(), Errand::Fixes(round + 1));
    }

    /// How long a car that leaves now needs, in milliseconds.
    pub(super) fn drive_ms(&self, from: Point, to: Point) -> u64 {
        let by_streets = self.plan.streets.and_then(|streets| streets.way(from, to, self.now));
        by_streets.map_or_else(|| self.plan.travel.time_ms(from, to), |way| u64::from(way.time_ms))
    }

    /// How far it drives, in metres.
    pub(super) fn drive_m(&self, from: Point, to: Point) -> f64 {
        let by_streets = self.plan.streets.and_then(|streets| streets.way(from, to, self.now));
        by_streets.map_or_else(|| self.plan.travel.way_m(from, to), |way| way.distance.get())
    }

    fn place_of(&self, driver: usize) -> Point {
        let car = &self.drivers[driver].car;
        let (took_ms, left_ms) =
            (self.now.millis_since(car.since), car.ends.millis_since(self.now));
        if left_ms == 0 {
            return car.to;
        }
        let share = took_ms as f64 / (took_ms + left_ms) as f64;
        self.plan.travel.place(car.from, car.to, share)
    }

    fn take_fix(&mut self, driver: usize) {
        if self.drivers[driver].off_duty && self.drivers[driver].car.doing == Doing::Away {
            return;
        }
        let position = city::position(self.place_of(driver));
        let (accuracy_m, speed_mps, bearing_deg) = (None, None, None);
        let fix = Fix { position, at: self.now, accuracy_m, speed_mps, bearing_deg };
        let slot = &self.drivers[driver].slot;
        match slot.apply(&fix, self.now, &self.limits, &self.plan.city.market) {
            Ok(applied) if applied.matters() => {
                self.post.push_back(Message::Driver(driver, DriverCommand::PositionChanged));
            }
            // Of the same instant: it says the same.
            Ok(_) | Err(FixRejection::OutOfOrder) => {}
            Err(rejection) => self.ledger.violated(rejection.code()),
        }
    }

    /// A car does something else from here on, and is at the end of its leg after some time.
    fn change(&mut self, driver: usize, doing: Doing, leg: Option<(Point, u64)>) -> u64 {
        let from = self.place_of(driver);
        let now = self.now;
        let car = &mut self.drivers[driver].car;
        if let Some(activity) = car.doing.activity() {
            let span = (car.since.millis_since(EPOCH), now.millis_since(EPOCH));
            self.ledger.spent(driver, activity, span);
        }
        let (to, takes_ms) = leg.unwrap_or((from, 0));
        let number = car.leg + 1;
        let ends = now.plus_millis(takes_ms);
        *car = Car { from, to, ends, doing, since: now, leg: number };
        if leg.is_some() {
            self.at(ends, Errand::LegEnds(driver, number));
        }
        number
    }

    /// The driver has this ride: he drives to its rider.
    pub(super) fn begin_serving(&mut self, driver: usize, ride: usize) {
        match self.drivers[driver].car.doing.ride() {
            Some(own) if own == ride => return,
            Some(_) => return self.ledger.violated("driver_on_two_rides"),
            None => {}
        }
        let pickup = self.plan.trips[ride].pickup;
        let takes_ms = self.drive_ms(self.place_of(driver), pickup);
        let leg = self.change(driver, Doing::ToPickup(ride), Some((pickup, takes_ms)));
        let first = self.ledger.assigned(ride, driver, self.elapsed_ms(), takes_ms);
        if let Some(ms) = self.gives_up_after_ms(driver, ride) {
            self.after(ms, Errand::GiveUp(driver, leg));
        }
        let changes = self.changes_plans_after_ms(ride).filter(|_| first);
        if let Some(ms) = changes {
            self.after(ms, Errand::ChangePlans(ride));
        }
    }

    /// The driver is free of this ride, if it was his; he stays where he is.
    pub(super) fn stop_serving(&mut self, driver: usize, ride: usize) {
        if self.drivers[driver].car.doing.ride() == Some(ride) {
            self.take_fix(driver);
            self.rest(driver);
        }
    }

    /// He has no ride: he waits for one, unless his shift is over.
    pub(super) fn rest(&mut self, driver: usize) {
        let doing = if self.drivers[driver].off_duty { Doing::Away } else { Doing::Idle };
        self.change(driver, doing, None);
    }

    pub(super) fn leg_ends(&mut self, driver: usize, leg: u64) {
        let car = self.drivers[driver].car;
        if car.leg != leg {
            return;
        }
        let elapsed_ms = self.elapsed_ms();
        match car.doing {
            Doing::Away | Doing::Idle => {}
            Doing::ToPickup(ride) => {
                let dwell_ms = self.dwell_of(driver, ride);
                self.ledger.arrived(ride, elapsed_ms);
                self.take_fix(driver);
                self.change(driver, Doing::AtPickup(ride), Some((car.to, dwell_ms)));
                self.progress(driver, ride, RideProgress::Arrived);
            }
            Doing::AtPickup(ride) => {
                let to = self.plan.trips[ride].dropoff;
                let takes_ms = self.trip_of(ride, car.to);
                self.ledger.boarded(ride, elapsed_ms);
                self.change(driver, Doing::OnTrip(ride), Some((to, takes_ms)));
                let told = self.rides[ride].told.as_ref();
                let otp = told.and_then(|told| told.otp.clone());
                self.progress(driver, ride, RideProgress::Start { otp });
            }
            Doing::OnTrip(ride) => {
                let trip = &self.plan.trips[ride];
                let way_m = self.drive_m(trip.pickup, trip.dropoff);
                self.ledger.completed(driver, elapsed_ms, way_m);
                self.take_fix(driver);
                self.rest(driver);
                self.progress(driver, ride, RideProgress::Complete);
            }
        }
    }

    pub(super) fn give_up(&mut self, driver: usize, leg: u64) {
        let car = self.drivers[driver].car;
        if let Doing::ToPickup(ride) = car.doing
            && car.leg == leg
        {
            let reason = Some("driver_changed_mind".to_owned());
            self.progress(driver, ride, RideProgress::Cancel { reason });
        }
    }

    fn progress(&mut self, driver: usize, ride: usize, step: RideProgress) {
        let driver = Some(city::driver_id(driver));
        self.post
            .push_back(Message::Ride(ride, RideCommand::Progress { driver, step, reply: None }));
    }

    /// What the cars do at the end counts until then.
    pub(super) fn close_legs(&mut self) {
        for driver in 0..self.drivers.len() {
            let doing = self.drivers[driver].car.doing;
            self.change(driver, doing, None);
        }
    }
}
