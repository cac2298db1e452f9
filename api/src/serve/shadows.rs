//! The shadow policies of a living server: as configured, and as the command line says over that.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_actors::Dispatch;
use muster_engine::id::MarketId;
use muster_engine::policy::{PolicyBook, PolicyPatch};

use crate::config::{Config, ConfigError};

/// What every market's shadow decides by, on top of its configuration.
#[derive(Debug, Clone)]
pub(super) struct ShadowSettings(pub(super) Vec<String>);

impl ShadowSettings {
    /// The shadow policies by market, over the configured `books`.
    pub(super) fn of(
        &self,
        config: &mut Config,
        books: &BTreeMap<MarketId, Arc<PolicyBook>>,
    ) -> Result<BTreeMap<MarketId, PolicyPatch>, ConfigError> {
        config.shadow_all(&self.0)?;
        config.shadows(books)
    }
}

/// Puts `shadows` in force, and an end to those that are not among them.
pub(super) fn put_in_force(dispatch: &Dispatch, shadows: &BTreeMap<MarketId, PolicyPatch>) {
    for market in dispatch.markets().iter() {
        let patch = shadows.get(market.id()).cloned();
        let keys = patch.as_ref().map(|patch| patch.keys().collect::<Vec<_>>().join(", "));
        if dispatch.set_shadow(market.id(), patch).is_ok()
            && let Some(keys) = keys
        {
            tracing::info!(market = %market.id(), keys, "a shadow policy decides and tells nobody");
        }
    }
}
