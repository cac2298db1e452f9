//! What the benchmarks measured, one file a suite, written by the tools that measure and read by the one
//! that makes the documents of it.

mod machine;
mod suite;

pub use machine::Machine;
pub use suite::{Better, Figure, Missing, Suite};
