//! The dispatch windows of the city's markets: their machines, and the matching of a window, which
//! takes a while and may fail.

use muster_engine::machine::Machine;
use muster_engine::matching::{MarketCommand, MarketMachine, WindowQuery, match_window};

use crate::link::{Actor, Payload};
use crate::shell::Shell;
use crate::trace;
use crate::world::World;
use crate::world::turns::Turn;

/// Requests that a window of the city takes: few, so that some look for themselves.
const REQUESTS_MAX: usize = 6;

/// Longest time a window takes to be matched, in milliseconds.
const MATCH_MS_MAX: u64 = 400;

impl World {
    pub(super) fn start_matchers(&mut self) {
        for market in 0..self.markets.len() {
            let machine = self.matcher(market);
            let shell = Shell::new(machine, self.number());
            self.matchers.insert(market, shell);
        }
    }

    fn matcher(&self, market: usize) -> MarketMachine {
        let id = self.markets[market].market.id().clone();
        MarketMachine::new(id, self.now).with_room_for(REQUESTS_MAX)
    }

    /// A machine that was rebuilt knows of nobody.
    pub(super) fn rebuild_matcher(&mut self, market: usize) {
        let machine = self.matcher(market);
        let incarnation = self.number();
        let mut shell = Shell::new(machine, incarnation);
        shell.resting = true;
        self.matchers.insert(market, shell);
        self.rest(Actor::Market(market), incarnation);
    }

    pub(super) fn market_turn(&mut self, market: usize, turn: Turn<MarketCommand>) {
        let now = self.now;
        let Some(shell) = self.matchers.get_mut(&market) else { return };
        let before = shell.machine.waiting();
        let woken = matches!(turn, Turn::Deadline);
        let mut what = String::new();
        let call = |machine: &mut MarketMachine, out: &mut _| match turn {
            Turn::Command(command) => {
                what = trace::market_command(&command);
                machine.handle(command, now, out);
            }
            Turn::Deadline => {
                what = super::turns::deadline_name(machine);
                machine.on_deadline(now, out);
            }
        };
        let effects = shell.turn(now, call, |_| None);
        let after = shell.machine.waiting();
        let stuck = woken && shell.due().is_some_and(|due| due <= now);
        self.note("market", &what, &format!("{before}"), &format!("{after} waiting"), 0);
        if stuck {
            let detail = format!("market {market} is due again at once after {what}");
            self.broken(muster_engine::invariant::Invariant::M14, detail);
        }
        self.release(Actor::Market(market), effects);
    }

    /// The window is matched against the supply of this instant; its machine hears of it later.
    pub(super) fn match_window(&mut self, market: usize, query: WindowQuery) {
        let number = query.number;
        let requests = query.requests.clone();
        let site = &self.markets[market];
        let outcome = match_window(&site.grid, site.market.values(), query);
        self.judge_window(&requests, &outcome);
        let command = if self.fate.chance(self.faults.machine_panic) {
            self.count("fault: window not matched");
            MarketCommand::Failed { number }
        } else {
            self.count("windows matched");
            MarketCommand::Matched(Box::new(outcome))
        };
        let ready_at = self.now.plus_millis(self.fate.between(0, MATCH_MS_MAX));
        let own = Actor::Market(market);
        self.links.send((own, own), ready_at, Payload::Market(command));
    }
}
