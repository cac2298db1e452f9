//! Travel times, counted by what they come from.

use std::sync::Arc;

use muster_engine::id::MarketId;
use muster_engine::time::Timestamp;
use muster_engine::travel::{Approach, EtaSource, Travel, TravelTime};

use crate::telemetry::Metrics;

/// Counts what the times it passes on come from; where there is none the straight line takes over.
#[derive(Debug)]
pub(super) struct CountedTimes {
    market: MarketId,
    times: Arc<dyn TravelTime>,
    metrics: Arc<Metrics>,
}

impl CountedTimes {
    pub(super) const fn new(
        market: MarketId,
        times: Arc<dyn TravelTime>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { market, times, metrics }
    }
}

impl TravelTime for CountedTimes {
    fn approaches(&self, approaches: &[Approach], at: Timestamp) -> Vec<Vec<Option<Travel>>> {
        let answers = self.times.approaches(approaches, at);
        let mut counts = EtaSource::ALL.map(|source| (source, 0_u64));
        for travel in answers.iter().flatten() {
            let source = travel.map_or(EtaSource::Fallback, |travel| travel.source);
            counts.iter_mut().filter(|(own, _)| *own == source).for_each(|(_, count)| *count += 1);
        }
        for (source, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            self.metrics.travel_times(&self.market, source, count);
        }
        answers
    }

    fn waits(&self) -> bool {
        self.times.waits()
    }
}
