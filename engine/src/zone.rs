//! Zones: places with rules of their own, and the queue of drivers at each pickup zone.
//!
//! ```text
//! fix → Presence (in the driver's slot) ─ settled elsewhere → DriverMachine ─ Join, Leave → QueueMachine
//!                                                                  ↑ Placed, Removed, Called ─┘
//! ride at a zone ─ Waits, WaitsNoMore → QueueMachine ─ order, once durable → Grid → search
//! ```

mod area;
mod calls;
mod command;
mod desk;
mod geojson;
mod machine;
#[cfg(test)]
mod machine_tests;
mod order;
mod otp;
mod presence;
#[cfg(test)]
mod presence_tests;
mod record;
mod zones;

pub use area::{Gate, GateKind, GateTier, QueueRules, Zone};
pub use command::{QueueNews, StandingOffer, WaitingRide, ZoneCommand};
pub use geojson::ZoneError;
pub use machine::QueueMachine;
pub use order::{POSITION_OFFSET, PositionRange, QueueOrder, QueuedDriver};
pub use presence::{Presence, Whereabouts};
pub use record::{
    BARS_MAX, GateCall, LeaveReason, QUEUE_DRIVERS_MAX, QueueEntry, QueueRecord, ZoneCommit,
    ZoneEventKind,
};
pub use zones::{ZONES_MAX, Zones};
