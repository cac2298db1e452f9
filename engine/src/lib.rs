//! The rules of ride dispatch as synchronous state machines and pure functions.
//!
//! Nothing here reads a clock, performs IO, awaits, spawns or draws a random number: time and
//! facts come in as arguments, effects go out as values ([`Effect`](effect::Effect)). The actix
//! shell, the seeded simulator and the tests drive the same machines through the one seam
//! [`Machine`](machine::Machine).

pub mod driver;
pub mod effect;
pub mod event;
pub mod forward;
pub mod geo;
pub mod grid;
pub mod id;
pub mod invariant;
pub mod machine;
pub mod market;
pub mod matching;
pub mod offer;
pub mod origin;
pub mod policy;
pub mod ride;
pub mod roads;
pub mod shadow;
pub mod time;
pub mod travel;
pub mod units;
pub mod zone;
