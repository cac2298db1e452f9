//! A market's street network as its travel times.

use std::sync::Arc;

use super::network::{RoadLeg, RoadNetwork};
use crate::geo::Position;
use crate::time::Timestamp;
use crate::travel::{Approach, EtaSource, Travel, TravelTime};

const HOUR_MS: i64 = 3_600_000;

/// Travel times by a street network, at the speeds of the market's hour.
#[derive(Debug, Clone)]
pub struct RoadTravelTime {
    network: Arc<RoadNetwork>,
    utc_offset_min: i32,
}

impl RoadTravelTime {
    /// The times of `network` in a market whose clocks are `utc_offset_min` minutes ahead of UTC.
    pub const fn new(network: Arc<RoadNetwork>, utc_offset_min: i32) -> Self {
        Self { network, utc_offset_min }
    }

    fn local_hour(&self, at: Timestamp) -> u8 {
        let utc_ms = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        let local_ms = utc_ms.saturating_add(i64::from(self.utc_offset_min) * 60_000);
        local_ms.div_euclid(HOUR_MS).rem_euclid(24) as u8
    }
}

impl TravelTime for RoadTravelTime {
    fn approaches(&self, approaches: &[Approach], at: Timestamp) -> Vec<Vec<Option<Travel>>> {
        let hour = self.local_hour(at);
        let travel = |leg: RoadLeg| {
            let RoadLeg { time_ms, distance } = leg;
            Travel { time_ms, distance, source: EtaSource::Roads }
        };
        let ways = |froms: &[Position], to| {
            let legs = self.network.many_to_one(froms, to, hour);
            legs.into_iter().map(|leg| leg.map(travel)).collect()
        };
        approaches.iter().map(|approach| ways(&approach.froms, approach.to)).collect()
    }
}
