//! What markets know of travel times: their street networks, and the servers they ask.
//!
//! Waves, and whatever else must answer at once, ask the street network in this process; dispatch
//! windows ask the market's server where it has one, with a deadline, and the network where that
//! does not answer. Which of them it was is counted and recorded.

mod breaker;
mod counted;
mod external;
mod osrm;
#[cfg(test)]
mod tests;
mod valhalla;

use std::sync::Arc;

use muster_engine::id::MarketId;
use muster_engine::roads::{RoadNetwork, RoadTravelTime};
use muster_engine::travel::{TravelTime, TravelTimes};

use crate::config::TravelTimeSection;
use crate::telemetry::Metrics;
use counted::CountedTimes;
pub use external::ExternalTimes;

/// The travel times of a market; nothing where it has neither streets nor a server.
///
/// To be called on a runtime: requests to servers run on it.
pub fn of_market(
    market: &MarketId,
    network: Option<Arc<RoadNetwork>>,
    utc_offset_min: i32,
    server: Option<&TravelTimeSection>,
    metrics: &Arc<Metrics>,
) -> Option<TravelTimes> {
    let counted = |times: Arc<dyn TravelTime>| -> Arc<dyn TravelTime> {
        Arc::new(CountedTimes::new(market.clone(), times, Arc::clone(metrics)))
    };
    let streets = network.map(|network| -> Arc<dyn TravelTime> {
        Arc::new(RoadTravelTime::new(network, utc_offset_min))
    });
    let Some(server) = server else {
        let at_once = counted(streets?);
        return Some(TravelTimes { windows: Arc::clone(&at_once), at_once: Some(at_once) });
    };
    let windows = ExternalTimes::new(market, server, streets.clone(), Arc::clone(metrics));
    let windows = counted(Arc::new(windows));
    let at_once = streets.map(counted);
    Some(TravelTimes { at_once, windows })
}
