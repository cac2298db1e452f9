//! The recorded log beside the server's store.

use std::path::PathBuf;
use std::sync::Arc;

use muster_actors::{DispatchConfig, Store};

use super::ServeError;
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::policy::PolicyLog;
use crate::record::{RecordedStore, Recording};
use crate::store::Database;
use crate::telemetry::Metrics;
use crate::version;

/// Where to record, if at all.
pub(super) fn folder(config: &Config, args: &ServeArgs) -> Option<PathBuf> {
    let configured = Some(&config.log.record).filter(|folder| !folder.is_empty());
    args.record.clone().or_else(|| configured.map(|folder| config.base.join(folder)))
}

pub(super) fn open(
    folder: PathBuf,
    config: &Config,
    dispatch: &DispatchConfig,
    store: &Arc<dyn Database>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<RecordedStore<dyn Database>>, ServeError> {
    if config.store.position_snapshot_ms == 0 {
        return Err(ServeError::RecordWithoutPositions);
    }
    let place = folder.display().to_string();
    let metrics = Arc::clone(metrics);
    let recording = Recording {
        folder,
        bytes_max: config.log.record_bytes_max,
        build: version::VERSION.to_owned(),
        clock_speed: config.clock.speed,
        on_dropped: Box::new(move |inputs| metrics.record_dropped(inputs)),
        markets: Recording::markets_of(&dispatch.markets, |market| dispatch.policies.get(market)),
    };
    let store = RecordedStore::open(Arc::clone(store), recording);
    let store = store.map_err(|error| ServeError::Record { folder: place.clone(), error })?;
    tracing::info!(folder = place, "recording what comes in");
    Ok(Arc::new(store))
}

/// The store and the policies' log as the engine gets them.
pub(super) fn outside(
    store: &Arc<dyn Database>,
    recorded: Option<&Arc<RecordedStore<dyn Database>>>,
) -> (Arc<dyn Store>, Arc<dyn PolicyLog>) {
    match recorded {
        Some(recorded) => (recorded.clone(), recorded.clone()),
        None => (store.clone(), store.clone()),
    }
}
