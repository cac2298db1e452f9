//! Redis beside the server: recovery from its mirror, the mirror itself, ownership, allowances.

use std::net::SocketAddr;
use std::sync::Arc;

use muster_actors::{Dispatch, Store};
use muster_engine::id::MarketId;
use muster_engine::market::Markets;

use super::ServeError;
use crate::config::Config;
use crate::http::SharedAllowance;
use crate::redis::{Link, Mirror, MirroredStore, Owners, SharedRiderRate};
use crate::telemetry::Metrics;

/// Redis as configured.
pub(super) struct RedisEdge {
    config: Config,
    link: Arc<Link>,
    mirror: Arc<Mirror>,
    markets: Vec<MarketId>,
}

impl RedisEdge {
    /// Nothing when none is configured. A Redis that cannot be reached is no error.
    ///
    /// # Errors
    /// [`ServeError::Redis`] when its URL means nothing.
    pub(super) fn open(
        config: &Config,
        markets: &Markets,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, ServeError> {
        if !config.redis.is_on() {
            return Ok(None);
        }
        let link = Arc::new(Link::new(&config.redis, metrics.clone())?);
        let mirror = Arc::new(Mirror::new(&config.redis, Arc::clone(&link)));
        let markets = markets.iter().map(|market| market.id().clone()).collect();
        Ok(Some(Self { config: config.clone(), link, mirror, markets }))
    }

    /// `store`, whose recovery knows the mirror's positions too.
    pub(super) fn over(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        let (mirror, markets) = (Arc::clone(&self.mirror), self.markets.clone());
        Arc::new(MirroredStore::new(store, mirror, markets))
    }

    /// Riders' allowances.
    pub(super) fn allowance(&self) -> Arc<dyn SharedAllowance> {
        let per_minute = self.config.server.ride_requests_per_rider_per_min;
        Arc::new(SharedRiderRate::new(&self.config.redis, Arc::clone(&self.link), per_minute))
    }

    /// Mirrors and claims from here on. The claims are to be released at the end.
    pub(super) fn start(&self, dispatch: &Dispatch, address: SocketAddr) -> Claims {
        let (mirror, markets) = (Arc::clone(&self.mirror), self.markets.clone());
        let source = dispatch.clone();
        actix_web::rt::spawn(async move { mirror.run(&source, &markets).await });
        let advertised = &self.config.redis.advertise;
        let address =
            if advertised.is_empty() { format!("http://{address}") } else { advertised.clone() };
        let link = Arc::clone(&self.link);
        let owners = Arc::new(Owners::new(&self.config.redis, link, dispatch.epoch(), address));
        let (claiming, markets) = (Arc::clone(&owners), self.markets.clone());
        let claiming = actix_web::rt::spawn(async move { claiming.run(&markets).await });
        Claims { owners, claiming, markets: self.markets.clone() }
    }
}

/// The markets that this process says it owns.
pub(super) struct Claims {
    owners: Arc<Owners>,
    claiming: actix_web::rt::task::JoinHandle<()>,
    markets: Vec<MarketId>,
}

impl Claims {
    /// Takes them back.
    pub(super) async fn release(self) {
        self.claiming.abort();
        self.owners.release(&self.markets).await;
    }
}
