//! `[telemetry]`: traces.

use serde::{Deserialize, Serialize};

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// A collector that takes OTLP over HTTP: `http://host:port`; empty: no traces.
    pub otlp_endpoint: String,
    /// Share of the traces that begin here which are kept, 0..=1.
    pub sample_ratio: f64,
}

impl TelemetryConfig {
    /// Whether there are traces.
    pub const fn is_on(&self) -> bool {
        !self.otlp_endpoint.is_empty()
    }

    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let ported = |host: &str| {
            let (name, port) = host.rsplit_once(':')?;
            (!name.is_empty() && port.parse::<u16>().ok()? > 0).then_some(())
        };
        let host = self.otlp_endpoint.strip_prefix("http://").and_then(ported);
        let endpoint = !self.is_on() || host.is_some();
        let ratio = (0.0..=1.0).contains(&self.sample_ratio);
        let checks = [
            (endpoint, "otlp_endpoint", self.otlp_endpoint.clone(), "http://host:port"),
            (ratio, "sample_ratio", self.sample_ratio.to_string(), "0..=1"),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        broken.map(|(_, key, value, allowed)| (key, value, allowed))
    }
}
