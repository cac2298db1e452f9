//! Matching: many requests and many drivers at once, at the least cost together.

mod certificate;
mod solve;
#[cfg(test)]
mod solve_tests;
mod sparse;

pub use certificate::{Certificate, CertificateFault};
pub use solve::{Solution, solve};
pub use sparse::{COST_MAX_MS, Pair, SparseProblem};
