//! A driver: whether he can be offered rides, what he is offered, what he serves.
//!
//! ```text
//! status   offline ⇄ available → reserved → en_route → at_pickup → on_trip → available
//!                        ↑___________|  lost the race: nothing happened (M11); a quote keeps him
//!                                       reserved until the rider chose, or it ended
//! contact  live → stale → lost, back to live with the next fix: an axis of its own
//! ```

mod accept;
#[cfg(test)]
mod case_tests;
mod command;
mod departure;
#[cfg(test)]
mod departure_tests;
mod facts;
mod forward;
#[cfg(test)]
mod forward_tests;
mod frames;
#[cfg(test)]
mod hidden_tests;
mod instant;
#[cfg(test)]
mod instant_tests;
mod machine;
#[cfg(test)]
mod machine_tests;
mod nudge;
#[cfg(test)]
mod nudge_tests;
mod offers;
mod otp;
mod queueing;
#[cfg(test)]
mod queueing_tests;
mod quotes;
#[cfg(test)]
mod quotes_tests;
mod record;
mod rider_blocks;
mod seldom;
mod standby;
#[cfg(test)]
mod standby_tests;
mod stats;
#[cfg(test)]
mod stats_tests;

pub use command::{DriverCommand, PhoneFrame};
pub use facts::{DriverFacts, RidePreferences, VehicleCapacity};
pub use frames::PHONE_FRAMES_MAX;
pub use machine::{DriverMachine, ENDED_OFFERS_MAX};
pub use record::{Departure, DriverProfile, DriverRecord, DriverView};
pub use rider_blocks::{RIDER_BLOCKS_MAX, RiderBlocks};
pub use seldom::{Blank, SharedSeldom};
pub use stats::{DriverStats, STATS_BUCKETS_MAX};
