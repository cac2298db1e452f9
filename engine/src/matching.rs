//! Matching: the requests of a dispatch window and the drivers around them, at the least cost
//! together.
//!
//! `machine.rs` collects a window, `problem.rs` makes a [`SparseProblem`] of it, whose costs are those
//! of `cost.rs`, `solve.rs` solves it, and `certificate.rs` proves that nothing costs less.

#[cfg(test)]
mod case_tests;
mod certificate;
mod command;
mod cost;
mod machine;
#[cfg(test)]
mod machine_tests;
mod problem;
#[cfg(test)]
mod problem_tests;
mod solve;
#[cfg(test)]
mod solve_tests;
mod sparse;
#[cfg(test)]
mod travel_tests;

pub use certificate::{Certificate, CertificateFault};
pub use command::{
    MarketCommand, WindowFacts, WindowMatch, WindowOutcome, WindowQuery, WindowRequest,
};
pub use cost::PairTerms;
pub use machine::{MarketMachine, WINDOW_REQUESTS_MAX};
pub use problem::match_window;
pub use solve::{Solution, solve};
pub use sparse::{COST_MAX_MS, Pair, SparseProblem};
