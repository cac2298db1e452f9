//! What travels between Muster and its clients: JSON bodies, frames, and their conversions.
//!
//! These types change for other reasons than the rules of dispatch do, so no domain type is
//! serialised here. Requests refuse unknown fields and are validated on conversion, which collects
//! every [`FieldFault`] instead of stopping at the first.

mod driver;
mod driver_explain;
mod driver_profile;
mod explain;
mod fault;
mod geo;
mod live;
mod market;
mod money;
mod offer;
mod policy;
mod preferences;
mod problem;
mod quote;
mod ride;
mod ride_event;
mod ride_request;
mod shadow;
mod time;
mod window;
mod zone;

pub use driver::DriverView;
pub use driver_explain::{DriverDecisionView, DriverExplainView, DriverStandingView};
pub use driver_profile::{DriverProfileBody, TAGS_MAX, VEHICLE_BYTES_MAX};
pub use explain::{
    AttemptView, CandidateView, ExplainPolicyView, ExplainView, ScoreView, WaveView,
};
pub use fault::{Faults, FieldFault, RequestFault, TEXT_CHARS_MAX};
pub(crate) use geo::metres;
pub use geo::{Fix, LatLng, Metres, PositionView};
pub use live::LiveDriver;
pub use market::{
    BoundingBoxView, CellSupplyView, MarketList, MarketSummary, MarketView, StatusCountsView,
    SupplyView, TierSupplyView,
};
pub use money::Money;
pub use offer::{AcceptResultView, OfferView};
pub use policy::{PolicyChangeView, PolicyHistory, PolicyView};
pub use problem::{PROBLEM_JSON, Problem, ProblemBody};
pub use quote::{OwnQuoteView, QuoteList, QuoteView};
pub use ride::{AssignedDriverView, OfferCountsView, RideView};
pub use ride_event::{DriverPositionEvent, RideEventView};
pub(crate) use ride_request::check_tiers;
pub use ride_request::{
    ATTRIBUTE_CHARS_MAX, ATTRIBUTES_MAX, PICKUP_AHEAD_MAX_MS, RIDE_DRIVERS_MAX, RequestStamp,
    RideRequestBody, TIERS_MAX,
};
pub use shadow::{
    DistributionView, ShadowRideSideView, ShadowRideView, ShadowSideView, ShadowView,
};
pub use time::{TimeFault, parse_rfc3339, rfc3339};
pub use window::{PairCostView, WindowView};
pub use zone::{
    GateCallView, GateView, QueuePositionView, QueuePositions, QueueView, QueuedDriverView,
    TierQueueView, ZoneList, ZoneView,
};
