//! The relay of a server: begun before the first transition, ended after the last.

use std::sync::Arc;
use std::time::Duration;

use muster_engine::time::Timestamp;

use super::ServeError;
use crate::config::{Config, KafkaConfig};
use crate::kafka::HistoryTail;
use crate::kafka::OutTopic;
use crate::kafka::relay::{self, RELAY, RelayHandle, RelayParts, producer_config};
use crate::store::Database;
use crate::telemetry::{Metrics, Traces};

/// A relay whose cursor is known and that publishes nothing yet.
pub(super) struct Begun {
    kafka: KafkaConfig,
    published: u64,
}

/// Begins the relay that the configuration asks for, if it does.
pub(super) async fn begin(
    config: &Config,
    store: &dyn Database,
) -> Result<Option<Begun>, ServeError> {
    let kafka = config.kafka.clone();
    if !kafka.is_on() || OutTopic::enabled(&kafka.topics).is_empty() {
        return Ok(None);
    }
    let accepted = producer_config(&kafka).create_native_config();
    accepted.map_err(|error| ServeError::Kafka(error.to_string()))?;
    let published = store.begin_relay(RELAY, kafka.relay.start).await?;
    tracing::info!(brokers = kafka.brokers, event = published, "relaying what follows this event");
    Ok(Some(Begun { kafka, published }))
}

/// Starts to publish. The process must own the store by then.
pub(super) fn start(
    begun: Option<Begun>,
    store: &Arc<dyn Database>,
    metrics: &Metrics,
    traces: Option<Arc<Traces>>,
) -> Result<Option<RelayHandle>, ServeError> {
    let Some(Begun { kafka, published }) = begun else { return Ok(None) };
    let tail: Arc<dyn HistoryTail> = store.clone();
    let metrics = metrics.outbox();
    Ok(Some(relay::start(RelayParts { tail, kafka, metrics, traces, published })?))
}

/// What a relay has not published may be pruned if it is older; everything where there is none.
pub(super) fn unpublished_before(config: &Config) -> impl Fn(Timestamp) -> Timestamp + use<> {
    let hour_ms = 3_600_000;
    let relay = &config.kafka.relay;
    let kept_ms = config.kafka.is_on().then(|| relay.unpublished_kept_h.saturating_mul(hour_ms));
    move |now| kept_ms.map_or(Timestamp::from_millis(u64::MAX), |kept| now.minus_millis(kept))
}

/// Publishes what is left, for as long as the drain may take.
pub(super) async fn finish(relay: Option<RelayHandle>, within: Duration) {
    if let Some(relay) = relay {
        relay.finish(within).await;
    }
}
