//! Ids in paths. A text that is no id names nothing, so it is answered as an unknown id.

use muster_actors::CallError;
use muster_engine::effect::Refusal;
use muster_engine::id::{CallId, DriverId, MarketId, OfferId, RideId, ZoneId};

use crate::wire::Problem;

pub(super) fn ride_id(text: &str) -> Result<RideId, Problem> {
    RideId::new(text).map_err(|_| CallError::Refused(Refusal::UnknownRide).into())
}

pub(super) fn driver_id(text: &str) -> Result<DriverId, Problem> {
    DriverId::new(text).map_err(|_| CallError::UnknownDriver.into())
}

pub(super) fn offer_id(text: &str) -> Result<OfferId, Problem> {
    OfferId::new(text).map_err(|_| CallError::Refused(Refusal::UnknownOffer).into())
}

pub(super) fn market_id(text: &str) -> Result<MarketId, Problem> {
    MarketId::new(text).map_err(|_| CallError::UnknownMarket.into())
}

pub(super) fn zone_id(text: &str) -> Result<ZoneId, Problem> {
    ZoneId::new(text).map_err(|_| CallError::UnknownZone.into())
}

pub(super) fn call_id(text: &str) -> Result<CallId, Problem> {
    CallId::new(text).map_err(|_| CallError::Refused(Refusal::UnknownCall).into())
}
