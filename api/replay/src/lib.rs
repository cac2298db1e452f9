//! Replays a real city against a running Muster.
//!
//! Every trip of a recorded hour is requested at its time by a rider who follows the ride's
//! events, and every driver has a socket of its own, sends fixes while moving and answers
//! offers. People behave by an explicit, seeded model (`BEHAVIOUR.md`). All figures are taken
//! at the client's end of the wire; this crate knows the server only by its contract.
//!
//! ```text
//! run ── server (own child process, or --url)
//!  ├─ muster_city, sf       what is replayed: trips, roads, people
//!  ├─ fleet ── driver/      vehicle (moves) + machine (decides) + session (socket), per driver
//!  ├─ rider ── sse, http    one per trip
//!  ├─ measure, checks ── summary, progress
//!  └─ compare               run, once per mode of dispatch
//! ```

use muster_city::{behaviour, geo, roads, trips};

mod checks;
mod clock;
mod compare;
mod driver;
mod error;
mod fleet;
mod http;
mod line;
mod measure;
mod options;
mod progress;
mod quoting;
mod rider;
mod run;
mod server;
mod sf;
mod sse;
mod stands;
mod summary;
mod wire;
mod world;

pub use compare::{ComparedMode, ComparedRun, Comparison, compare};
pub use error::ReplayError;
pub use options::{City, ReplayOptions};
pub use roads::{MANHATTAN_EDGES, MANHATTAN_NODES};
pub use run::run;
pub use summary::{Percentiles, ReplaySummary};
