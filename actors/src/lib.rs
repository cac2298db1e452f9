//! The thin actix shell around the engine's machines.
//!
//! Callers hold a [`Dispatch`] and never an actor's address. One actor per driver and one per ride
//! live on the Arbiter their id hashes to; every rule is in `muster-engine`.

mod census;
mod clock;
mod dispatch;
mod driver_actor;
mod error;
mod market_actor;
mod origin;
mod ports;
mod recovery;
mod registry;
mod replies;
mod ride_actor;
mod runtime;
mod session;
mod shadow_actor;
mod shell;
mod store_actor;
mod timers;
mod zone_actor;

pub use clock::Clock;
pub use dispatch::{
    Dispatch, DriverGauge, FixTarget, HeardDriver, NearbyDriver, OpenSearch, RideGauge,
};
pub use error::CallError;
pub use origin::{current_origin, on_behalf};
pub use ports::{
    Durable, EventSink, Meter, PortFuture, PositionSnapshot, Recovered, Span, Store, StoreError,
    Tracer,
};
pub use recovery::StartError;
pub use runtime::{DispatchConfig, DispatchLimits, Ports};
pub use session::{DriverLink, SESSION_FRAMES_MAX, SessionFrame};
pub use shadow_actor::ShadowReport;
pub use store_actor::COMMIT_ITEMS_MAX;
