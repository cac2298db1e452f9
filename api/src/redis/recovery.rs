//! A store whose recovery knows fresher positions from the mirror.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_actors::{Clock, Durable, PortFuture, PositionSnapshot, Recovered, Store, StoreError};
use muster_engine::driver::DriverRecord;
use muster_engine::id::{DriverId, MarketId, RideId, ZoneId};
use muster_engine::ride::RideRecord;
use muster_engine::time::Timestamp;
use muster_engine::zone::QueueRecord;

use super::mirror::Mirror;

/// A mirrored position may be this much ahead of what this process knows; what is farther ahead
/// comes from a clock that is wrong, and would shut out the phone's own fixes.
const AHEAD_MS_MAX: u64 = 10_000;

/// Truth from `inner`, positions from whichever is newer, `inner` or the mirror.
pub struct MirroredStore {
    inner: Arc<dyn Store>,
    mirror: Arc<Mirror>,
    markets: Vec<MarketId>,
}

impl MirroredStore {
    /// `inner`, whose recovery knows the mirror's positions of these markets too.
    pub fn new(inner: Arc<dyn Store>, mirror: Arc<Mirror>, markets: Vec<MarketId>) -> Self {
        Self { inner, mirror, markets }
    }

    async fn recovered(&self) -> Result<Recovered, StoreError> {
        let mut recovered = self.inner.recover().await?;
        match self.mirror.positions(&self.markets).await {
            Ok(mirrored) => {
                let now = Clock::start(1.0, recovered.newest_at).now();
                let latest = now.plus_millis(AHEAD_MS_MAX);
                let known = recovered.positions.len();
                recovered.positions = newest(recovered.positions, mirrored, latest);
                let positions = recovered.positions.len();
                tracing::info!(known, positions, "positions from store and mirror");
            }
            Err(error) => {
                tracing::warn!(%error, "no positions from the mirror; the store's are used");
            }
        }
        Ok(recovered)
    }
}

/// The newest position of each driver that is not beyond `latest`.
fn newest(
    stored: Vec<PositionSnapshot>,
    mirrored: Vec<PositionSnapshot>,
    latest: Timestamp,
) -> Vec<PositionSnapshot> {
    let mut newest: BTreeMap<DriverId, PositionSnapshot> =
        stored.into_iter().map(|position| (position.driver.clone(), position)).collect();
    for position in mirrored {
        if position.recorded_at.max(position.received_at) > latest {
            continue;
        }
        let known = newest.get(&position.driver);
        if known.is_none_or(|known| known.recorded_at < position.recorded_at) {
            newest.insert(position.driver.clone(), position);
        }
    }
    newest.into_values().collect()
}

impl Store for MirroredStore {
    fn commit<'a>(&'a self, batch: &'a [Durable]) -> PortFuture<'a, Vec<Result<(), StoreError>>> {
        self.inner.commit(batch)
    }

    fn begin_epoch(&self) -> PortFuture<'_, Result<u64, StoreError>> {
        self.inner.begin_epoch()
    }

    fn recover(&self) -> PortFuture<'_, Result<Recovered, StoreError>> {
        Box::pin(self.recovered())
    }

    fn load_ride<'a>(
        &'a self,
        ride: &'a RideId,
    ) -> PortFuture<'a, Result<Option<RideRecord>, StoreError>> {
        self.inner.load_ride(ride)
    }

    fn load_driver<'a>(
        &'a self,
        driver: &'a DriverId,
    ) -> PortFuture<'a, Result<Option<DriverRecord>, StoreError>> {
        self.inner.load_driver(driver)
    }

    fn load_queue<'a>(
        &'a self,
        market: &'a MarketId,
        zone: &'a ZoneId,
    ) -> PortFuture<'a, Result<Option<QueueRecord>, StoreError>> {
        self.inner.load_queue(market, zone)
    }

    fn save_positions<'a>(
        &'a self,
        positions: &'a [PositionSnapshot],
    ) -> PortFuture<'a, Result<(), StoreError>> {
        self.inner.save_positions(positions)
    }
}

#[cfg(test)]
mod tests {
    use muster_engine::geo::Position;

    use super::*;

    fn seen(driver: &str, at_ms: u64) -> PositionSnapshot {
        PositionSnapshot {
            driver: DriverId::new(driver).unwrap(),
            position: Position::from_e7(at_ms as i32, 0).unwrap(),
            recorded_at: Timestamp::from_millis(at_ms),
            received_at: Timestamp::from_millis(at_ms),
        }
    }

    #[test]
    fn the_newer_of_two_wins_and_a_clock_that_is_wrong_never_does() {
        let stored = vec![seen("a", 100), seen("b", 100)];
        let mirrored = vec![seen("a", 90), seen("b", 110), seen("c", 50), seen("b", 5_000)];
        let latest = Timestamp::from_millis(1_000);
        let newest = newest(stored, mirrored, latest);
        assert_eq!(newest, [seen("a", 100), seen("b", 110), seen("c", 50)]);
    }
}
