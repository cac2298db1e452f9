//! One actor per market: its dispatch windows.

use std::sync::Arc;
use std::time::Instant;

use muster_engine::effect::Effect;
use muster_engine::matching::{
    MarketCommand, MarketMachine, WindowOutcome, WindowQuery, match_window,
};
use muster_engine::policy::DispatchMode;
use muster_engine::ride::CandidateQuery;
use muster_engine::time::Timestamp;

use crate::ports::{Durable, Meter};
use crate::runtime::{MarketRuntime, Runtime};
use crate::shell::{Host, MachineActor, Refreshed};

/// Requests up to which a window is matched where its actor lives, in well under a millisecond or
/// two; a larger one goes to a thread that nobody waits for, and so does any that waits for the travel
/// times of another process.
const INLINE_REQUESTS_MAX: usize = 32;

/// The actor of one market's windows.
pub(crate) type MarketActor = MachineActor<MarketHost>;

/// What a market's matcher needs besides the generic shell.
pub(crate) struct MarketHost {
    market: Arc<MarketRuntime>,
}

impl MarketHost {
    fn match_window(&self, query: WindowQuery, runtime: &Runtime) {
        let (market, meter) = (Arc::clone(&self.market), Arc::clone(&runtime.meter));
        let waits = market.grid.travel_times().is_some_and(|times| times.windows.waits());
        if query.requests.len() <= INLINE_REQUESTS_MAX && !waits {
            let outcome = timed(&market, query, meter.as_ref());
            return market.to_matcher(MarketCommand::Matched(Box::new(outcome)));
        }
        let (number, answered) = (query.number, Arc::clone(&market));
        actix::spawn(async move {
            let work = move || timed(&market, query, meter.as_ref());
            let command = match tokio::task::spawn_blocking(work).await {
                Ok(outcome) => MarketCommand::Matched(Box::new(outcome)),
                Err(error) => {
                    tracing::error!(window = number, %error, "a dispatch window was not matched");
                    MarketCommand::Failed { number }
                }
            };
            answered.to_matcher(command);
        });
    }
}

fn timed(market: &MarketRuntime, query: WindowQuery, meter: &dyn Meter) -> WindowOutcome {
    let began = Instant::now();
    let outcome = match_window(&market.grid, market.market.values(), query);
    meter.match_duration(DispatchMode::Batched.name(), began.elapsed().as_secs_f64());
    outcome
}

impl Host for MarketHost {
    type Machine = MarketMachine;
    const NAME: &'static str = "market";

    fn search(&mut self, _: &CandidateQuery, _: &Runtime) -> Option<MarketCommand> {
        None
    }

    fn perform(&mut self, effect: Effect, runtime: &Runtime) {
        if let Effect::MatchWindow(query) = effect {
            self.match_window(*query, runtime);
        }
    }

    fn committed(&mut self, _: &Durable, _: &Runtime) {}

    fn refresh(&self, _: Arc<Runtime>) -> Refreshed {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Nothing of it is durable: rides that wait register again.
    fn rebuild(&mut self, now: Timestamp, _: &Runtime) -> Option<MarketMachine> {
        Some(MarketMachine::new(self.market.market.id().clone(), now))
    }

    fn resume(&self) -> Option<MarketCommand> {
        None
    }

    fn before_turn(&self, _: &mut MarketMachine) {}

    fn after_turn(&mut self, _: &MarketMachine, _: &Runtime) {}

    fn retire(&mut self, _: &Runtime) {}
}

/// Starts the actor of a market's dispatch windows.
pub(crate) fn start(runtime: &Arc<Runtime>, market: &Arc<MarketRuntime>) {
    let machine = MarketMachine::new(market.market.id().clone(), runtime.clock.now());
    let host = MarketHost { market: Arc::clone(market) };
    let arbiter = runtime.arbiter_of(market.market.id().as_str());
    let addr = MarketActor::begin(arbiter, machine, host, runtime);
    // Set once, here.
    let _already = market.matcher.set(addr);
}
