//! Shadows beside the city: they hear what becomes durable and are no part of what happens. They take
//! nothing from the dice, write no line of the trace and own no instant, so that a seed with shadows
//! goes as without.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_engine::effect::{Effect, Outbox};
use muster_engine::event::EventKind;
use muster_engine::grid::{Grid, Supply};
use muster_engine::id::DriverId;
use muster_engine::invariant::Invariant;
use muster_engine::machine::Machine;
use muster_engine::policy::{DispatchPolicy, PolicyBook};
use muster_engine::ride::RideRecord;
use muster_engine::shadow::{ShadowCommand, ShadowEvent, ShadowMachine, ShadowSummary, decide};

use crate::city;
use crate::world::World;

/// Rides that a shadow of the city follows: few, so that some are not.
const RIDES_MAX: usize = 20;

/// One of so many messages does not fit into the mailbox.
const UNHEARD_EVERY: u64 = 23;

/// One of so many queries is not answered.
const FAILED_EVERY: u64 = 17;

/// The shadows of the city's markets.
#[derive(Debug, Default)]
pub(crate) struct Shadows {
    policy: Option<Arc<PolicyBook>>,
    machines: BTreeMap<usize, ShadowMachine>,
    told: u64,
    asked: u64,
}

impl World {
    /// Has a shadow of each market decide by another policy from here on.
    pub fn shadow(&mut self, policy: DispatchPolicy) {
        self.shadows.policy = Some(Arc::new(PolicyBook::of(policy)));
        self.start_shadows();
    }

    /// What came of the rides of a market by its shadow, since the process started.
    pub fn shadow_summary(&self, market: usize) -> Option<&ShadowSummary> {
        self.shadows.machines.get(&market).map(ShadowMachine::summary)
    }

    /// A process that starts again has shadows that know of nothing.
    pub(super) fn start_shadows(&mut self) {
        self.shadows.machines.clear();
        let Some(book) = self.shadows.policy.clone() else { return };
        for market in 0..self.markets.len() {
            let own = Arc::clone(&self.markets[market].market);
            let machine = ShadowMachine::new(own, self.now).with_room_for(RIDES_MAX);
            self.shadows.machines.insert(market, machine);
            self.shadow_turn(market, Some(ShadowCommand::Use(Some(Arc::clone(&book)))));
        }
    }

    pub(super) fn tell_shadow(&mut self, record: &Arc<RideRecord>) {
        self.shadows.told += 1;
        if self.shadows.told.is_multiple_of(UNHEARD_EVERY) {
            return;
        }
        if let Some(market) = self.market_of_ride(&record.request.ride) {
            self.shadow_turn(market, Some(ShadowCommand::Ride(Arc::clone(record))));
        }
    }

    /// Runs the shadows whose instant has come by now.
    pub(super) fn wake_shadows(&mut self) {
        for market in 0..self.markets.len() {
            let machine = self.shadows.machines.get(&market);
            let due = machine.and_then(|machine| machine.next_deadline());
            if due.is_some_and(|due| due.at <= self.now) {
                self.shadow_turn(market, None);
            }
        }
    }

    fn shadow_turn(&mut self, market: usize, command: Option<ShadowCommand>) {
        let Some(machine) = self.shadows.machines.get_mut(&market) else { return };
        let (mut out, woken) = (Outbox::default(), command.is_none());
        match command {
            Some(command) => machine.handle(command, self.now, &mut out),
            None => machine.on_deadline(self.now, &mut out),
        }
        let due_again = machine.next_deadline().is_some_and(|due| due.at <= self.now);
        let given: Vec<DriverId> = machine.given().map(|(driver, _)| driver.clone()).collect();
        let distinct: BTreeSet<&DriverId> = given.iter().collect();
        if distinct.len() < given.len() {
            self.broken(Invariant::M2, format!("shadow {market} gave a driver two rides"));
        }
        if woken && due_again {
            self.broken(Invariant::M14, format!("shadow {market} is due again at once"));
        }
        let effects: Vec<Effect> = out.drain().collect();
        for effect in effects {
            self.shadow_asks(market, effect);
        }
    }

    fn shadow_asks(&mut self, market: usize, effect: Effect) {
        if let Effect::DecideShadow(query) = effect {
            self.shadows.asked += 1;
            let command = if self.shadows.asked.is_multiple_of(FAILED_EVERY) {
                ShadowCommand::Failed { number: query.number }
            } else {
                let site = &self.markets[market];
                let before = supply_of(&site.grid, self.drivers.len());
                let outcome = decide(&site.grid, &site.market, *query);
                if supply_of(&site.grid, self.drivers.len()) != before {
                    self.broken(Invariant::M5, format!("shadow {market} touched the grid"));
                }
                ShadowCommand::Decided(Box::new(outcome))
            };
            return self.shadow_turn(market, Some(command));
        }
        let Effect::Publish(event) = &effect else {
            return self.broken(Invariant::M13, format!("shadow {market} asks for {effect:?}"));
        };
        let EventKind::Shadow(told) = &event.kind else {
            return self.broken(Invariant::M13, format!("shadow {market} tells of {event:?}"));
        };
        self.count(match told {
            ShadowEvent::Skipped => "shadow: rides not followed",
            ShadowEvent::Compared(ride) if ride.same_driver() => {
                "shadow: rides with the same driver"
            }
            ShadowEvent::Compared(_) => "shadow: rides compared",
        });
    }
}

fn supply_of(grid: &Grid, drivers: usize) -> Vec<Option<Supply>> {
    (0..drivers).map(|driver| grid.supply_of(&city::driver_id(driver))).collect()
}
