//! A city hour in virtual time: the engine's machines and matcher under simulated people, policies
//! side by side, in seconds.
//!
//! ```text
//! simulation ── policies, options     what is compared
//!  ├─ world/                          machines, phones, cars, agenda: one run
//!  │   ├─ people, travel, city        who, how they drive, where
//!  │   └─ ledger                      what happened
//!  ├─ recorded/                       a city as a recorded log tells of it
//!  └─ outcome, figures ── table, html what is told of it
//! ```
//!
//! The same machines run under actix; only time, messages and people are simulated. Nothing here
//! reads a clock, and everything drawn comes from the seed, so a run repeats to the byte.

mod city;
mod error;
mod figures;
mod html;
mod ledger;
mod options;
mod outcome;
mod people;
mod policies;
mod progress;
mod recorded;
mod runs;
mod simulation;
mod table;
mod travel;
mod world;

pub use error::SimulateError;
pub use figures::Estimate;
pub use html::write_html;
pub use options::SimulateOptions;
pub use outcome::{CellOutcome, RunOutcome};
pub use people::{DWELL_REFERENCE_S, PATIENCE_REFERENCE_S, PeopleModel, Traits};
pub use policies::{NamedPolicy, POLICIES_MAX, SimulatedMode, compared};
pub use recorded::{LogFacts, simulate_log};
pub use simulation::{Column, Simulation, simulate};
pub use travel::Travel;
