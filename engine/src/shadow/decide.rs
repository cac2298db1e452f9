//! A decision of the shadow: the same functions that decide for real, over a grid of its own.
//!
//! That grid is made for the decision and thrown away: it holds the nearest drivers of each search
//! as the shadow's fleet has them, so nobody's slot is held in the real one. Live offers count for
//! nothing in it, for in the shadow's world whoever is chosen has accepted.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::forward::ForwardSupply;
use crate::geo::Position;
use crate::grid::{
    DriverSlot, DriverStatus, Fix, Grid, Hold, NearbyQuery, PositionSnapshot, Supply,
};
use crate::id::DriverId;
use crate::market::Market;
use crate::matching::{CANDIDATES_FACTOR_MAX, WindowQuery, match_window};
use crate::ride::{Candidate, CandidateQuery, ShadowSearch, classify_untimed, find_candidates};
use crate::shadow::command::{Finds, Fleet, Searches, ShadowOutcome, ShadowQuery};
use crate::time::Timestamp;

/// Decides the searches of `query` by their own policies against the supply of `grid`, without
/// changing it.
pub fn decide(grid: &Grid, market: &Market, query: ShadowQuery) -> ShadowOutcome {
    let ShadowQuery { number, at, searches, fleet } = query;
    let mut stage = Stage::new(grid, market, fleet, at);
    let found = match searches {
        Searches::Window(window) => {
            stage.bring_drivers_of(&window);
            Finds::Window(match_window(&stage.own, market.values(), window))
        }
        Searches::Alone(rides) => {
            let decided = rides.into_iter().map(|(ride, search)| (ride, stage.nearest(&search)));
            Finds::Alone(decided.collect())
        }
    };
    ShadowOutcome { number, found, stood: stage.stood }
}

/// The drivers of one decision.
struct Stage<'g> {
    grid: &'g Grid,
    own: Grid,
    fleet: Fleet,
    at: Timestamp,
    stood: BTreeMap<DriverId, Position>,
}

impl<'g> Stage<'g> {
    fn new(grid: &'g Grid, market: &Market, fleet: Fleet, at: Timestamp) -> Self {
        let own = Grid::of(market);
        own.set_travel_times(grid.travel_times().as_deref().cloned());
        let mut stood = BTreeMap::new();
        for (driver, known) in &fleet.freed {
            let Some((slot, supply)) = grid.entry_of(driver) else { continue };
            // Offered a ride, he is where he is; on his way, he would have stayed.
            let under_way = supply.status != DriverStatus::Available;
            let from = known.or_else(|| slot.read().map(|reading| reading.position));
            match from.filter(|_| under_way) {
                None => own.place(&slot, freed(supply)),
                Some(from) => {
                    stood.extend(known.is_none().then(|| (driver.clone(), from)));
                    own.place(&standing(driver, from, at, market), freed(supply))
                }
            };
        }
        Self { grid, own, fleet, at, stood }
    }

    fn bring_drivers_of(&self, window: &WindowQuery) {
        for request in &window.requests {
            let policy = &request.query.ranking.policy;
            let most = policy.match_candidates as usize * CANDIDATES_FACTOR_MAX;
            self.bring_drivers(
                &self.present(&request.query),
                request.query.ranking.pool_size(most),
            );
        }
    }

    /// The best driver for one ride, who is gone for the next: near if there is one.
    fn nearest(&mut self, search: &ShadowSearch) -> Option<Candidate> {
        let widest = self.present(&search.query);
        let near = CandidateQuery { radius: search.near, ..widest.clone() };
        [near, widest].iter().find_map(|query| {
            self.bring_drivers(query, self.pool_max(query));
            let found = find_candidates(&self.own, query).found.into_iter().next()?.candidate;
            self.own.remove(&found.driver);
            self.fleet.given.insert(found.driver.clone());
            Some(found)
        })
    }

    /// How many drivers the search for one ride looks at: where travel times are known, who is nearest
    /// by distance may come too late.
    fn pool_max(&self, query: &CandidateQuery) -> usize {
        let nearest = query.ranking.pool_size(query.limit);
        match self.own.travel_times() {
            None => nearest,
            Some(_) => nearest.max(query.ranking.policy.pool_size as usize) * CANDIDATES_FACTOR_MAX,
        }
    }

    /// The query as of now.
    fn present(&self, query: &CandidateQuery) -> CandidateQuery {
        let stale_after_ms = query.ranking.policy.stale_after_ms;
        let fix_received_after = self.at.minus_millis(stale_after_ms);
        CandidateQuery { now: self.at, fix_received_after, ..query.clone() }
    }

    /// Brings the nearest drivers whom `query` admits, however long they need; `most` at most.
    fn bring_drivers(&self, query: &CandidateQuery, most: usize) {
        let (live_offers_max, live_offers_soft_max) = (u8::MAX, u8::MAX);
        let offered = CandidateQuery { live_offers_max, live_offers_soft_max, ..query.clone() };
        let nearby = NearbyQuery {
            at: query.pickup,
            radius: query.radius,
            limit: most,
            excluded_max: 0,
            live_offers_max,
            now: self.at,
            explains: false,
        };
        let given = &self.fleet.given;
        let found = self.grid.nearest::<DriverId, _, _>(
            &nearby,
            |_| (),
            |driver, supply, reading| {
                let free = !given.contains(driver);
                let suits = free && classify_untimed(&offered, driver, supply, reading).is_ok();
                if suits { Ok(()) } else { Err(()) }
            },
        );
        for found in found.found {
            if self.own.cell_of(&found.driver).is_none()
                && let Some((slot, supply)) = self.grid.entry_of(&found.driver)
            {
                self.own.place(&slot, freed(supply));
            }
        }
    }
}

/// A driver of the real fleet as he would be without the ride or the offers that hold him.
fn freed(supply: Supply) -> Supply {
    let status = match supply.status {
        DriverStatus::Offline => DriverStatus::Offline,
        DriverStatus::Available
        | DriverStatus::Reserved
        | DriverStatus::EnRoute
        | DriverStatus::AtPickup
        | DriverStatus::OnTrip => DriverStatus::Available,
    };
    let (hold, forward) = (Hold::default(), ForwardSupply::default());
    Supply { status, hold, forward, live_offers: 0, cooling_down: false, ..supply }
}

/// A slot of a driver who stayed where he was.
fn standing(
    driver: &DriverId,
    position: Position,
    at: Timestamp,
    market: &Market,
) -> Arc<DriverSlot> {
    let slot = DriverSlot::new(driver.clone());
    let fix = Fix { position, at, accuracy_m: None, speed_mps: None, bearing_deg: None };
    slot.restore(&PositionSnapshot { fix, received_at: at }, market);
    Arc::new(slot)
}
