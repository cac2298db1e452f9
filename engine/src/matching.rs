//! Matching: the requests of a dispatch window and the drivers around them, at the least cost
//! together.
//!
//! `machine.rs` collects a window, `problem.rs` makes a [`SparseProblem`] of it, whose costs are those
//! of `cost.rs`, `solve.rs` solves it, and `certificate.rs` proves that nothing costs less. `value.rs`
//! is what places and times are worth, `training.rs` makes that of history; `parallel.rs` chooses who
//! is asked beside a matched driver.

mod advantage;
#[cfg(test)]
pub(crate) mod case_tests;
mod certificate;
mod command;
mod cost;
mod machine;
#[cfg(test)]
mod machine_tests;
mod parallel;
#[cfg(test)]
mod parallel_tests;
mod pickup_cap;
mod problem;
#[cfg(test)]
mod problem_tests;
mod scarcity;
mod solve;
#[cfg(test)]
mod solve_tests;
mod sparse;
mod training;
#[cfg(test)]
mod training_tests;
#[cfg(test)]
mod travel_tests;
mod value;
#[cfg(test)]
mod value_tests;

pub use certificate::{Certificate, CertificateFault};
pub use command::{
    MarketCommand, WindowFacts, WindowMatch, WindowOutcome, WindowQuery, WindowRequest,
};
pub use cost::PairTerms;
pub use machine::{MarketMachine, WINDOW_REQUESTS_MAX};
pub(crate) use problem::CANDIDATES_FACTOR_MAX;
pub use problem::match_window;
pub use solve::{Solution, solve};
pub use sparse::{COST_MAX_MS, Pair, SparseProblem};
pub use training::{DrivenRide, IDLE_MS_MAX, Trained, Transition, train, transitions_of};
pub use value::{VALUES_MAX, ValueError, ValueSpec, ValueTable};
