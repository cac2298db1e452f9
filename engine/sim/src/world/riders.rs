//! Riders and operators: they ask, cancel, ask again, block drivers, and look on.

use std::sync::Arc;

use muster_engine::ride::{
    CancelledBy, DRIVER_LOST, DRIVER_NO_SHOW, OPERATOR_REASSIGNED, RideCommit, RideProgress,
    RideRecord, RideStatus,
};

use crate::city::{self, SIDE_M};
use crate::dice::Dice;
use crate::world::calls::Call;
use crate::world::{Errand, World};

/// How often a rider looks at the ride.
const LOOK_MS: u64 = 2_000;

/// One rider with one ride.
#[derive(Debug)]
pub(crate) struct Rider {
    dice: Dice,
    /// The ride as the rider was told: it has the one-time password.
    pub(crate) view: Option<Arc<RideRecord>>,
    retries: u32,
}

impl Rider {
    pub(crate) const fn new(dice: Dice) -> Self {
        Self { dice, view: None, retries: 0 }
    }
}

impl World {
    pub(super) fn rider_tick(&mut self, ride: usize) {
        let next = self.now.plus_millis(LOOK_MS + self.riders[ride].dice.between(0, 500));
        let status = self.riders[ride].view.as_ref().map(|view| view.status);
        let Some(status) = status else {
            self.agenda.add(next, Errand::RiderTick(ride));
            return self.call(Call::Request { ride });
        };
        if self.calm_at.is_some() {
            return;
        }
        self.agenda.add(next, Errand::RiderTick(ride));
        let per_look = LOOK_MS as f64 / 1_000.0;
        if self.fate.chance(self.faults.rider_cancel * per_look) {
            self.count("fault: rider cancels");
            self.call(Call::Cancel { ride, by: CancelledBy::Rider });
        }
        let retries = status == RideStatus::Unfulfilled || status == RideStatus::Searching;
        if retries
            && self.riders[ride].retries < 3
            && self.fate.chance(self.faults.rider_retry * per_look)
        {
            self.count("fault: rider asks again");
            self.riders[ride].retries += 1;
            self.call(Call::Retry { ride });
        }
        if !status.is_terminal() && self.fate.chance(self.faults.rider_moves * per_look) {
            self.count("fault: rider goes elsewhere");
            let to = (self.fate.unit() * SIDE_M, self.fate.unit() * SIDE_M);
            let dropoff = city::place(self.options.rides[ride].market, to);
            self.call(Call::ChangeDropoff { ride, dropoff });
        }
        self.choose(ride);
        if self.fate.chance(0.05) {
            self.call(Call::GetRide { ride });
        }
    }

    /// A rider with quotes sooner or later chooses one of them, as the ride was last told.
    fn choose(&mut self, ride: usize) {
        let rider = &mut self.riders[ride];
        let Some(view) = rider.view.as_ref().filter(|_| self.options.rides[ride].wishes.chooses)
        else {
            return;
        };
        let quoted = view.offers.iter().filter(|(_, live)| live.quote.is_some());
        let quotes: Vec<_> = quoted.map(|(quote, _)| quote.clone()).collect();
        if !quotes.is_empty() && rider.dice.chance(0.4) {
            let quote = quotes[rider.dice.index(quotes.len())].clone();
            self.count("quotes chosen");
            self.call(Call::Select { ride, quote });
        }
    }

    /// Whoever follows a ride is told what is durable.
    pub(super) fn tell_rider(&mut self, commit: &RideCommit) {
        let ride = city::ordinal(commit.record.request.ride.as_str());
        if let Some(site) = self.rides.get_mut(&ride) {
            site.told = Some(Arc::clone(&commit.record));
        }
        self.riders[ride].view = Some(Arc::clone(&commit.record));
        self.tell_shadow(&commit.record);
    }

    /// Once a second: the process may die, machines may panic, operators may act.
    pub(super) fn city_tick(&mut self) {
        self.agenda.add(self.now.plus_millis(1_000), Errand::CityTick);
        if !self.up {
            return;
        }
        if (self.elapsed_ms() / 1_000).is_multiple_of(5) {
            self.save_positions();
        }
        if self.fate.chance(self.faults.operator_cancel) {
            self.count("fault: operator cancels");
            let ride = self.fate.index(self.riders.len());
            self.call(Call::Cancel { ride, by: CancelledBy::Operator });
        }
        if self.fate.chance(self.faults.operator_cancel) {
            self.count("fault: operator reports a driver");
            let ride = self.fate.index(self.riders.len());
            let reasons = [OPERATOR_REASSIGNED, DRIVER_NO_SHOW, DRIVER_LOST];
            let reason = Some(reasons[self.fate.index(reasons.len())].to_owned());
            let step = RideProgress::Cancel { reason };
            self.call(Call::Progress { ride, driver: None, step });
        }
        if self.fate.chance(self.faults.operator_queue) {
            self.count("fault: operator changes the queue");
            self.operate_queue();
        }
        if self.fate.chance(self.faults.operator_block) {
            self.count("fault: operator blocks a driver");
            let driver = self.fate.index(self.drivers.len());
            let until = self.now.plus_millis(self.fate.between(1_000, 20_000));
            self.call(Call::PutProfile { driver, blocked_until: Some(until) });
        }
        if self.fate.chance(self.faults.machine_panic) {
            self.panic_one();
        }
        if self.fate.chance(self.faults.crash) {
            self.count("fault: process killed");
            self.crash();
        }
    }
}
