//! The intake from Kafka as a part of the server.

use std::sync::Arc;

use muster_actors::Dispatch;

use crate::config::KafkaConfig;
use crate::kafka::intake::{Intake, IntakeError};
use crate::telemetry::Metrics;

/// Starts the intake if there are brokers. The engine has recovered by then.
pub(super) fn start(
    kafka: &KafkaConfig,
    dispatch: &Dispatch,
    metrics: &Arc<Metrics>,
) -> Result<Option<Intake>, IntakeError> {
    if !kafka.is_on() {
        return Ok(None);
    }
    let intake = Intake::start(kafka, dispatch, metrics)?;
    tracing::info!(brokers = kafka.brokers, group = kafka.group, "messages are taken in");
    Ok(Some(intake))
}
