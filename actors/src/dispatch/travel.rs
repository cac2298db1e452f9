//! The travel times of a market, for the edges: exchanged while rides are dispatched, and asked for.

use muster_engine::geo::Position;
use muster_engine::id::MarketId;
use muster_engine::travel::{Travel, TravelTimes};
use muster_engine::units::{EtaSeconds, Meters};

use super::Dispatch;
use crate::error::CallError;

impl Dispatch {
    /// Puts other travel times in force in a market, for searches that begin from here on; nothing
    /// goes back to the straight line.
    ///
    /// # Errors
    /// [`CallError::UnknownMarket`].
    pub fn set_travel_times(
        &self,
        market: &MarketId,
        times: Option<TravelTimes>,
    ) -> Result<(), CallError> {
        let market = self.runtime.market(market).ok_or(CallError::UnknownMarket)?;
        market.grid.set_travel_times(times);
        Ok(())
    }

    /// How long a driver who is at `from` needs to `pickup`, by way of the drop-off `by` when he is
    /// on a trip; nothing in a market nobody knows.
    pub fn pickup_eta(
        &self,
        market: &MarketId,
        from: Position,
        by: Option<Position>,
        pickup: Position,
    ) -> Option<EtaSeconds> {
        let market = self.runtime.market(market)?;
        let now = self.now();
        let times = market.grid.travel_times();
        let streets = times.as_ref().and_then(|times| times.at_once.as_ref());
        let way = |from: Position, to: Position| streets?.way(from, to, now);
        let by_streets: Option<Travel> = match by {
            None => way(from, pickup),
            Some(by) => way(from, by).zip(way(by, pickup)).map(|(first, last)| first.then(last)),
        };
        let straight = || {
            let turn = by.unwrap_or(from);
            let distance = from.distance(turn).get() + turn.distance(pickup).get();
            market.book().base().pickup_eta(Meters::new(distance))
        };
        Some(by_streets.map_or_else(straight, |travel| EtaSeconds::new(travel.seconds())))
    }
}
