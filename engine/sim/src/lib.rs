//! Seeded simulation of the engine: a city of drivers, rides, phones and a store over the same
//! machines that production runs, with faults, and an oracle that checks M1–M15 after every step.
//!
//! A seed decides everything: first which faults exist at all and how often they strike, then the
//! city and its policy, then every choice of the scheduler. Faults stop after a while; then all must
//! come to an end (M14).

mod city;
mod dice;
mod link;
mod modes;
mod oracle;
mod run;
mod sabotage;
mod shell;
mod store;
mod streets;
mod swarm;
mod taste;
mod trace;
mod world;
mod zone;

pub use oracle::Violation;
pub use run::{Report, run, run_many, run_seed};
pub use sabotage::Sabotage;
pub use swarm::{DriverPlan, Faults, Habit, Options, RidePlan, shadow_of};
pub use taste::{Taste, Wishes};
pub use world::{Tally, World};
pub use zone::ZonePlan;
