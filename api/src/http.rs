//! The HTTP edge: routes by resource, over the [`Dispatch`](muster_actors::Dispatch) façade.
//!
//! ```text
//! trace (ids, problems, timing) → guard (idempotency keys) → handler → Dispatch / RideHistory
//! ```
//!
//! A server wraps its `App` with [`trace`], puts an [`AppState`] into its data and calls
//! [`configure`]. Whoever may call what is decided in front of the handlers: they trust the path.

mod body;
mod driver_calls;
mod drivers;
mod explain;
pub mod history;
mod idempotency;
mod markets;
mod offers;
mod openapi;
mod operations;
mod params;
mod path;
mod policies;
mod problem;
mod quotes;
mod ride_calls;
mod ride_events;
mod ride_follow;
mod ride_progress;
mod rider_rate;
mod rides;
mod routes;
mod shadow;
mod state;
mod trace;
mod zones;

pub use body::BODY_BYTES_MAX;
pub(crate) use body::read_json;
pub use driver_calls::FIXES_MAX;
pub(crate) use driver_calls::PositionsBody;
pub use openapi::document as openapi_document;
pub use params::PAGE_MAX;
pub(crate) use ride_calls::{CancelBody, checked_reason};
pub use rider_rate::SharedAllowance;
pub(crate) use rides::stamp;
pub use routes::configure;
pub use state::{AppParts, AppState, BuildInfo, HttpLimits, HttpObserver, Unobserved};
pub(crate) use trace::origin;
pub use trace::trace;
