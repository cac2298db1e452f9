//! What the benchmarks measured, one file a suite, written by the tools that measure; and the documents
//! that are made of it.

mod criterion;
mod documents;
mod headline;
mod machine;
mod number;
mod page;
mod plot;
mod section;
mod suite;

pub use criterion::{TimeUnit, import_criterion};
pub use documents::Documents;
pub use headline::{Beside, Headline, Target};
pub use machine::Machine;
pub use number::grouped;
pub use suite::{Better, Figure, Missing, Spread, Suite};
