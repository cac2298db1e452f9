//! What surrounds the engine in a server: its store and who decorates it, metrics, traces, Redis.

use std::sync::Arc;

use muster_actors::{Dispatch, DispatchConfig, Ports, Store, Tracer};

use super::ServeError;
use super::recording;
use super::redis::RedisEdge;
use super::roads_file::RoadsFiles;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::http::{AppParts, AppState, BuildInfo, HttpLimits};
use crate::policy::{PolicyDesk, PolicyLog, Standings};
use crate::record::RecordedStore;
use crate::store::Database;
use crate::telemetry::{Metrics, Traces};
use crate::version;

/// Everything that is opened before the engine and closed after it.
pub(super) struct Outside {
    pub(super) store: Arc<dyn Database>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) traces: Option<Arc<Traces>>,
    pub(super) redis: Option<RedisEdge>,
    recorded: Option<Arc<RecordedStore<dyn Database>>>,
}

/// What is opened, with what the store and files say of policies and streets.
pub(super) struct Opened {
    pub(super) outside: Outside,
    pub(super) standings: Standings,
    pub(super) roads: RoadsFiles,
}

impl Outside {
    /// Opens all of it, and puts policies in force and travel times into `dispatch`.
    pub(super) async fn open(
        args: &ServeArgs,
        config: &Config,
        dispatch: &mut DispatchConfig,
    ) -> Result<Opened, ServeError> {
        let location = config.store.location(&args.config.data).ok_or(ServeError::NoStore)?;
        tracing::info!(%location, "opening the store");
        let store = location.open().await?;
        let metrics = Metrics::new();
        dispatch.markets.iter().for_each(|market| metrics.begin_with_market(market.id()));
        let traces = Traces::start(&config.telemetry, &metrics).map_err(ServeError::Traces)?;
        let standings = Standings::load(store.as_ref(), &dispatch.policies).await?;
        dispatch.policies = standings.books();
        let roads = RoadsFiles::load(config, &dispatch.policies, &metrics)?;
        dispatch.travel = roads.times();
        let recorded = match recording::folder(config, args) {
            Some(folder) => Some(recording::open(folder, config, dispatch, &store, &metrics)?),
            None => None,
        };
        let redis = RedisEdge::open(config, &dispatch.markets, &metrics)?;
        let outside = Self { store, metrics, traces, redis, recorded };
        Ok(Opened { outside, standings, roads })
    }

    /// What the engine and the desk of policies are given.
    pub(super) fn ports(&self) -> (Ports, Arc<dyn PolicyLog>) {
        let (store, log) = recording::outside(&self.store, self.recorded.as_ref());
        let store: Arc<dyn Store> = self.redis.iter().fold(store, |store, redis| redis.over(store));
        let tracer = self.traces.clone().map(|traces| traces as Arc<dyn Tracer>);
        let (events, meter) = (self.metrics.clone(), self.metrics.clone());
        (Ports { store, events, meter, tracer }, log)
    }

    /// What the HTTP edge is given.
    pub(super) fn app_state(
        &self,
        config: &Config,
        dispatch: &Dispatch,
        policies: &Arc<PolicyDesk>,
    ) -> AppState {
        AppState::new(AppParts {
            dispatch: dispatch.clone(),
            history: self.store.clone(),
            policies: Arc::clone(policies),
            shared_allowance: self.redis.as_ref().map(RedisEdge::allowance),
            observe: self.metrics.clone(),
            traces: self.traces.clone(),
            limits: HttpLimits {
                ride_requests_per_rider_per_min: config.server.ride_requests_per_rider_per_min,
                sse_streams_max: config.server.sse_streams_max,
            },
            build: BuildInfo {
                version: version::VERSION.to_owned(),
                revision: version::REVISION.to_owned(),
            },
        })
    }

    /// Closes what the engine needs no more.
    pub(super) async fn close(self) -> Result<(), ServeError> {
        if let Some(recorded) = self.recorded {
            recorded.finish();
        }
        self.store.close().await?;
        if let Some(traces) = self.traces {
            traces.finish();
        }
        Ok(())
    }
}
