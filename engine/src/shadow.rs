//! A shadow: what another policy would decide on the rides of a market, told to nobody.
//!
//! `machine.rs` follows rides by their durable states and decides their first search by the shadow's
//! policies; `decide.rs` is one decision, against the real supply and a fleet that differs from the
//! real one only where the two decided differently; `comparison.rs` is what came of a ride in both,
//! `summary.rs` what came of all.
//!
//! What a shadow cannot know it assumes: whoever is chosen accepts (how likely he would is in the
//! cost of batched mode), rides take as long as estimated, and a driver whom it did not choose stays
//! where he was.

mod command;
mod comparison;
mod decide;
mod followed;
mod machine;
#[cfg(test)]
mod machine_tests;
mod policies;
mod summary;

pub use command::{ShadowCommand, ShadowOutcome, ShadowQuery};
pub use comparison::{Comparison, RideEnd, ShadowEvent, Side};
pub use decide::decide;
pub use machine::{COMPARISONS_KEPT_MAX, SHADOW_RIDES_MAX, ShadowMachine};
pub use summary::{Distribution, ShadowSummary, SideTotals};
