//! A city of a recorded log: drivers come, go and drive about as they did, people behave as recorded.

use muster_city::geo::Point;
use muster_engine::driver::{DriverCommand, DriverRecord};
use muster_engine::geo::Position;
use muster_engine::ride::{RideCommand, RideRequest};

use super::cars::Doing;
use super::{EPOCH, Errand, FIX_INTERVAL_MS, Message, World};
use crate::city;
use crate::people::OfferPlan;
use crate::recorded::{RecordedCity, SPEED_MPS, ShiftChange};

/// A driver whose day went otherwise follows his recorded way again while it is no farther than this.
const FOLLOWS_WITHIN_M: f64 = 1_000.0;

/// A driver who begins a shift elsewhere than he is gets there at this speed at most; farther away,
/// he begins where he is.
const BEGINS_WITHIN_MPS: f64 = 50.0;

impl World<'_> {
    /// Puts all that the log tells beforehand on the agenda.
    pub(super) fn plan_recorded(&mut self, recorded: &RecordedCity) {
        for (number, driver) in recorded.drivers.iter().enumerate() {
            for (index, (ms, _)) in driver.changes.iter().enumerate() {
                self.at(EPOCH.plus_millis(*ms), Errand::Shift(number, index));
            }
        }
        for (number, ride) in recorded.rides.iter().enumerate() {
            for (ms, dropoff) in &ride.dropoffs {
                self.at(EPOCH.plus_millis(*ms), Errand::ChangeDropoff(number, *dropoff));
            }
        }
    }

    /// Where a driver is seen first, and what is known of him.
    pub(super) fn recorded_driver(recorded: &RecordedCity, driver: usize) -> (Point, DriverRecord) {
        let begins = recorded.drivers[driver].changes.iter().find_map(|(_, change)| match change {
            ShiftChange::Online(at) => Some(*at),
            ShiftChange::Offline | ShiftChange::Profile(_) => None,
        });
        (begins.unwrap_or(Point::new(0.0, 0.0)), recorded.driver_record(driver))
    }

    pub(super) fn change_shift(&mut self, driver: usize, index: usize) {
        let Some(recorded) = self.plan.recorded else { return };
        let Some((_, change)) = recorded.drivers[driver].changes.get(index) else { return };
        match change {
            ShiftChange::Online(at) => {
                let on_ride = self.drivers[driver].car.doing.ride().is_some();
                self.drivers[driver].off_duty = false;
                if on_ride {
                    let online = DriverCommand::SetOnline { online: true, reply: None };
                    self.post.push_back(Message::Driver(driver, online));
                } else {
                    self.begin_at(driver, *at);
                    self.go_online(driver);
                }
            }
            ShiftChange::Offline => {
                self.drivers[driver].off_duty = true;
                if self.drivers[driver].car.doing == Doing::Idle {
                    self.rest(driver);
                }
                let offline = DriverCommand::SetOnline { online: false, reply: None };
                self.post.push_back(Message::Driver(driver, offline));
            }
            ShiftChange::Profile(profile) => {
                let profile = recorded.profile(profile);
                let put = DriverCommand::PutProfile { profile, reply: None };
                self.post.push_back(Message::Driver(driver, put));
            }
        }
    }

    fn begin_at(&mut self, driver: usize, at: Point) {
        let reading = self.drivers[driver].slot.read();
        let away_s = reading.map(|last| self.now.millis_since(last.received_at) as f64 / 1_000.0);
        let car = &mut self.drivers[driver].car;
        let way_m = car.idle_place().distance_m(at);
        if away_s.is_none_or(|away_s| way_m <= away_s * BEGINS_WITHIN_MPS) {
            car.wait_at(at);
        }
    }

    pub(super) fn change_dropoff(&mut self, ride: usize, dropoff: Position) {
        let command = RideCommand::ChangeDropoff { dropoff, reply: None };
        self.post.push_back(Message::Ride(ride, command));
    }

    /// An idle driver goes where he went, as far as that is near.
    pub(super) fn follow_recorded_way(&mut self, driver: usize) {
        let Some(recorded) = self.plan.recorded else { return };
        let place = recorded.drivers[driver].place_without_ride(self.elapsed_ms());
        let car = &mut self.drivers[driver].car;
        let Some(to) = place.filter(|_| car.doing == Doing::Idle) else { return };
        let way_m = car.idle_place().distance_m(to);
        if way_m > FOLLOWS_WITHIN_M {
            return;
        }
        let reach_m = self.plan.travel.speed_mps * FIX_INTERVAL_MS as f64 / 1_000.0;
        let share = if way_m <= reach_m { 1.0 } else { reach_m / way_m };
        car.wait_at(car.idle_place().toward(to, share));
    }

    pub(super) fn request_of(&self, ride: usize) -> RideRequest {
        if let Some(recorded) = self.plan.recorded {
            return recorded.request(ride, self.now);
        }
        let trip = &self.plan.trips[ride];
        let way_m = self.drive_m(trip.pickup, trip.dropoff);
        self.plan.city.request(ride, trip, way_m, self.now)
    }

    /// When a rider without a driver leaves; nothing when the log says that he did not.
    pub(super) fn patience_of(&self, ride: usize) -> Option<u64> {
        match self.plan.recorded {
            Some(recorded) => recorded.rides[ride].patience_ms(),
            None => Some(self.people.patience_ms(city::ride_id(ride).as_str())),
        }
    }

    pub(super) fn changes_plans_after_ms(&self, ride: usize) -> Option<u64> {
        match self.plan.recorded {
            Some(recorded) => recorded.rides[ride].changed_plans_after_ms(),
            None => self.people.changes_plans_after_ms(city::ride_id(ride).as_str()),
        }
    }

    pub(super) fn gives_up_after_ms(&self, driver: usize, ride: usize) -> Option<u64> {
        let (driver_id, ride_id) = (city::driver_id(driver), city::ride_id(ride));
        match self.plan.recorded {
            Some(recorded) => {
                let who = format!("{driver_id} {ride_id}");
                recorded.answers.gives_up_after_ms(&mut self.people.stream("gives_up", &who))
            }
            None => self.people.gives_up_after_ms(driver_id.as_str(), ride_id.as_str()),
        }
    }

    pub(super) fn dwell_of(&self, driver: usize, ride: usize) -> u64 {
        let recorded_ms = self.plan.recorded.and_then(|recorded| recorded.rides[ride].dwell_ms());
        recorded_ms.unwrap_or_else(|| {
            self.people.dwell_ms(city::driver_id(driver).as_str(), city::ride_id(ride).as_str())
        })
    }

    /// How long the trip takes: as it did when it was completed, unless nobody drives that fast.
    pub(super) fn trip_of(&self, ride: usize, from: Point) -> u64 {
        let to = self.plan.trips[ride].dropoff;
        let least_ms = (from.distance_m(to) / SPEED_MPS.1 * 1_000.0) as u64;
        let recorded_ms = self.plan.recorded.and_then(|recorded| recorded.rides[ride].trip_ms());
        let believed_ms = recorded_ms.filter(|ms| *ms >= least_ms);
        believed_ms.unwrap_or_else(|| self.drive_ms(from, to))
    }

    /// What a driver does about the offer of a ride that he looks at.
    pub(super) fn answer_of(
        &self,
        (driver, ride): (usize, usize),
        asked: u32,
        eta_s: f64,
        live_ms: u64,
    ) -> OfferPlan {
        let (who, what) = (city::driver_id(driver), city::ride_id(ride));
        let drawn = self.plan.recorded.and_then(|recorded| {
            let mut random = self.people.stream("answer", &format!("{who} {what} {asked}"));
            recorded.answers.draw(driver, live_ms, &mut random)
        });
        drawn.unwrap_or_else(|| {
            self.people.offer(who.as_str(), what.as_str(), asked, eta_s, live_ms)
        })
    }
}
