//! The street networks of markets while the server runs: a file that changes is read again, the last
//! good one is kept.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use muster_actors::Dispatch;
use muster_engine::id::MarketId;
use muster_engine::policy::PolicyBook;
use muster_engine::roads::RoadNetwork;
use muster_engine::travel::TravelTimes;

use super::policy_file::Stamp;
use crate::config::{Config, ConfigError, TravelTimeSection};
use crate::roads::{self, RoadsError};
use crate::telemetry::Metrics;
use crate::travel_time;

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A market with streets, or with a server that it asks.
struct MarketRoads {
    market: MarketId,
    /// What its configuration names.
    name: Option<String>,
    base: PathBuf,
    read: Stamp,
    network: Option<Arc<RoadNetwork>>,
    /// The clock of its hours.
    utc_offset_min: i32,
    server: Option<TravelTimeSection>,
}

impl MarketRoads {
    fn load(&mut self) -> Result<(), RoadsError> {
        if let Some(name) = &self.name {
            self.read = Stamp::of(&self.base.join(name));
            self.network = Some(Arc::new(roads::load(name, &self.base)?));
        }
        Ok(())
    }

    fn times(&self, metrics: &Arc<Metrics>) -> Option<TravelTimes> {
        let (network, server) = (self.network.clone(), self.server.as_ref());
        travel_time::of_market(&self.market, network, self.utc_offset_min, server, metrics)
    }

    /// Whether its file has changed, or its clock.
    fn changed(&self, dispatch: &Dispatch) -> bool {
        let clock = dispatch.policies(&self.market).map(|book| book.utc_offset_min());
        let file = self.name.as_ref().filter(|name| *name != roads::BUILTIN_MANHATTAN);
        let stamp = file.map(|name| Stamp::of(&self.base.join(name)));
        clock.is_some_and(|clock| clock != self.utc_offset_min)
            || stamp.is_some_and(|stamp| stamp != self.read)
    }
}

/// The markets that know better than the straight line.
pub(super) struct RoadsFiles {
    markets: Vec<MarketRoads>,
    metrics: Arc<Metrics>,
}

impl RoadsFiles {
    /// Reads the networks that the configuration names.
    ///
    /// # Errors
    /// [`ConfigError::Roads`] names the market's key, the file and what is wrong with it.
    pub(super) fn load(
        config: &Config,
        books: &BTreeMap<MarketId, Arc<PolicyBook>>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ConfigError> {
        let mut markets = Vec::new();
        for (market, book) in books {
            let Some(section) = config.markets.get(market.as_str()) else { continue };
            if section.roads.is_none() && section.travel_time.is_none() {
                continue;
            }
            let mut roads = MarketRoads {
                market: market.clone(),
                name: section.roads.clone(),
                base: config.base.clone(),
                read: Stamp::default(),
                network: None,
                utc_offset_min: book.utc_offset_min(),
                server: section.travel_time.clone(),
            };
            roads.load().map_err(|error| ConfigError::Roads {
                origin: config.origin.clone(),
                key: format!("markets.{market}.roads"),
                error: Box::new(error),
            })?;
            if let Some(network) = &roads.network {
                let (nodes, data) = (network.size().nodes, network.attribution());
                tracing::info!(%market, nodes, data, "travel times by the streets");
            }
            markets.push(roads);
        }
        Ok(Self { markets, metrics: Arc::clone(metrics) })
    }

    /// The travel times of each market.
    pub(super) fn times(&self) -> BTreeMap<MarketId, TravelTimes> {
        let times = self.markets.iter().map(|own| (own.market.clone(), own.times(&self.metrics)));
        times.filter_map(|(market, times)| Some((market, times?))).collect()
    }

    /// Looks at the files until the process ends.
    pub(super) fn watch(self, dispatch: Dispatch) {
        for roads in self.markets {
            let (dispatch, metrics) = (dispatch.clone(), Arc::clone(&self.metrics));
            actix_web::rt::spawn(look_for_changes(roads, dispatch, metrics));
        }
    }
}

async fn look_for_changes(mut roads: MarketRoads, dispatch: Dispatch, metrics: Arc<Metrics>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !roads.changed(&dispatch) {
            continue;
        }
        if let Some(book) = dispatch.policies(&roads.market) {
            roads.utc_offset_min = book.utc_offset_min();
        }
        let market = roads.market.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = roads.load();
            (roads, read)
        });
        let Ok((again, read)) = read.await else {
            tracing::error!(%market, "the changed street network could not be read");
            return;
        };
        roads = again;
        match read {
            Ok(()) => tracing::info!(%market, "the street network was read again"),
            Err(error) => {
                tracing::error!(%market, %error, "the changed street network is refused, the last stays");
            }
        }
        if let Err(error) = dispatch.set_travel_times(&market, roads.times(&metrics)) {
            tracing::error!(%market, %error, "travel times could not be exchanged");
        }
    }
}
