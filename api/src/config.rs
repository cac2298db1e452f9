//! Configuration: shipped defaults, then a file, then the environment; validated once.

mod build;
mod kafka;
mod kafka_intake;
mod kafka_relay;
mod matching;
mod redis;
mod shadow;
mod store;
mod telemetry;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Toml};
use muster_engine::policy::{DispatchPolicy, Experiment, PolicyPatch, PolicyRule};
use muster_record::RECORD_BYTES_MIN;
use serde::{Deserialize, Serialize};

pub use self::kafka::{KafkaConfig, KafkaTopics};
pub use self::kafka_intake::{KafkaIntake, PositionsFrom};
pub use self::kafka_relay::KafkaRelayConfig;
pub use self::redis::RedisConfig;
pub use self::store::{DatabaseUrl, StoreConfig};
pub use self::telemetry::TelemetryConfig;

/// The shipped `config.toml`.
pub const DEFAULT_CONFIG: &str = include_str!("../../config.toml");

/// Everything `config.toml` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Sockets and HTTP.
    pub server: ServerConfig,
    /// The actors.
    pub engine: EngineConfig,
    /// The engine's clock.
    pub clock: ClockConfig,
    /// Where everything durable is.
    pub store: StoreConfig,
    /// The platform's message broker.
    pub kafka: KafkaConfig,
    /// The mirror of what is hot.
    pub redis: RedisConfig,
    /// How fixes are judged.
    pub positions: PositionsConfig,
    /// Logging.
    pub log: LogConfig,
    /// Traces.
    pub telemetry: TelemetryConfig,
    /// Dispatch policy, overridden per market.
    pub policy: DispatchPolicy,
    /// Markets by id.
    pub markets: BTreeMap<String, MarketSection>,
    /// Where relative paths of this configuration begin.
    #[serde(skip)]
    pub base: PathBuf,
    /// What was read, as errors name it.
    #[serde(skip)]
    pub origin: String,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port.
    pub listen: SocketAddr,
    /// HTTP threads; 0 = one per core.
    pub http_workers: usize,
    /// Seconds between heartbeats.
    pub heartbeat_s: u64,
    /// Driver sockets open at once.
    pub sessions_max: usize,
    /// Event streams open at once.
    pub sse_streams_max: usize,
    /// Ride requests per rider and minute.
    pub ride_requests_per_rider_per_min: u32,
    /// Patience of a drain in milliseconds.
    pub drain_within_ms: u64,
}

/// `[engine]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Actor threads; 0 = one per core.
    pub arbiters: usize,
    /// Messages a mailbox holds.
    pub mailbox_capacity: usize,
    /// Turns that may wait for the store when new rides are taken.
    pub store_backlog_max: usize,
    /// Rides open at once.
    pub open_rides_max: usize,
    /// Patience of a caller in milliseconds.
    pub answer_within_ms: u64,
}

/// `[clock]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockConfig {
    /// Engine seconds per real second.
    pub speed: f64,
}

/// `[positions]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionsConfig {
    /// Milliseconds a fix may be ahead.
    pub future_ms_max: u64,
    /// Metres per second above which a jump is implausible.
    pub speed_mps_max: f64,
    /// Metres below which no jump is implausible.
    pub jump_m_min: f64,
    /// Fixes per driver and second.
    pub fixes_per_s_max: u32,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// A level or a filter.
    pub level: String,
    /// The folder of the recorded log; empty: nothing is recorded.
    pub record: String,
    /// Bytes that the recorded log may take.
    pub record_bytes_max: u64,
}

/// `[markets.<id>]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketSection {
    /// The name people see.
    pub name: String,
    /// `builtin:<id>` or the path of a GeoJSON file.
    pub boundary: String,
    /// `builtin:<id>` or the path of a GeoJSON file of zones; absent: none.
    #[serde(default)]
    pub zones: Option<String>,
    /// `builtin:manhattan` or the path of a street network; absent: straight lines.
    #[serde(default)]
    pub roads: Option<String>,
    /// A server that dispatch windows ask for travel times.
    #[serde(default)]
    pub travel_time: Option<TravelTimeSection>,
    /// The path of a file of values, as `muster values train` writes it; absent: none.
    #[serde(default)]
    pub values: Option<String>,
    /// Tiers on sale.
    pub service_tiers: Vec<String>,
    /// The tier of a request that names none.
    pub default_tier: String,
    /// H3 resolution of the grid.
    pub grid_resolution: u8,
    /// Minutes that the market's clocks are ahead of UTC; time windows of rules are local.
    #[serde(default)]
    pub utc_offset_min: i32,
    /// Overrides of `[policy]`.
    #[serde(default)]
    pub policy: PolicyPatch,
    /// Overrides for some searches.
    #[serde(default)]
    pub rules: Vec<PolicyRule>,
    /// Policies compared on live rides.
    #[serde(default)]
    pub experiment: Option<Experiment>,
    /// Overrides of the market's policy for its shadow, which decides and tells nobody; absent: none.
    #[serde(default)]
    pub shadow: Option<PolicyPatch>,
}

/// What serves travel times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TravelProvider {
    /// OSRM: its table service.
    Osrm,
    /// Valhalla: its matrix service.
    Valhalla,
}

impl TravelProvider {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Osrm => "osrm",
            Self::Valhalla => "valhalla",
        }
    }
}

/// `[markets.<id>.travel_time]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TravelTimeSection {
    /// What is asked.
    pub provider: TravelProvider,
    /// Where it listens: `http://host:port`.
    pub url: String,
    /// Milliseconds that a window waits for it.
    #[serde(default = "TravelTimeSection::deadline_ms_default")]
    pub deadline_ms: u64,
    /// Places in one request.
    #[serde(default = "TravelTimeSection::table_max_default")]
    pub table_max: usize,
    /// Failures in a row after which it is left alone.
    #[serde(default = "TravelTimeSection::failures_max_default")]
    pub failures_max: u32,
    /// Milliseconds that it is left alone.
    #[serde(default = "TravelTimeSection::retry_ms_default")]
    pub retry_ms: u64,
}

impl TravelTimeSection {
    const fn deadline_ms_default() -> u64 {
        500
    }

    const fn table_max_default() -> usize {
        100
    }

    const fn failures_max_default() -> u32 {
        5
    }

    const fn retry_ms_default() -> u64 {
        10_000
    }

    /// The first key whose value is not allowed: its name, the value and what is allowed.
    fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        let url = self.url.strip_prefix("http://").is_some_and(|host| !host.is_empty());
        let checks = [
            (url, "url", self.url.clone(), "http://host:port"),
            (
                (10..=10_000).contains(&self.deadline_ms),
                "deadline_ms",
                self.deadline_ms.to_string(),
                "10..=10000",
            ),
            (
                (2..=10_000).contains(&self.table_max),
                "table_max",
                self.table_max.to_string(),
                "2..=10000",
            ),
            (
                (1..=1_000).contains(&self.failures_max),
                "failures_max",
                self.failures_max.to_string(),
                "1..=1000",
            ),
            (
                (100..=3_600_000).contains(&self.retry_ms),
                "retry_ms",
                self.retry_ms.to_string(),
                "100..=3600000",
            ),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        broken.map(|(_, key, value, allowed)| (key, value, allowed))
    }
}

/// Why the configuration does not do: the process exits with code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named by `--config` cannot be read.
    #[error("config file {path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// The street network of a market cannot be used.
    #[error("{origin}: {key}: {error}")]
    Roads {
        /// The file, or what else was read.
        origin: String,
        /// The key with its section.
        key: String,
        /// What is wrong with it.
        error: Box<crate::roads::RoadsError>,
    },
    /// A key is unknown, missing or of the wrong type.
    #[error("{0}")]
    Shape(Box<figment::Error>),
    /// A value is out of range.
    #[error("{origin}: {key} is {value}, allowed is {allowed}")]
    Value {
        /// The file, or what else was read.
        origin: String,
        /// The key with its section.
        key: String,
        /// What was found.
        value: String,
        /// What is allowed.
        allowed: String,
    },
}

impl Config {
    /// Reads the defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// [`ConfigError`] names file, key, value and what is allowed.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Toml::string(DEFAULT_CONFIG));
        if let Some(path) = file {
            let read = |error| ConfigError::File { path: path.display().to_string(), error };
            std::fs::metadata(path).map_err(read)?;
            figment = figment.merge(Toml::file_exact(path));
        }
        let env = Env::prefixed("MUSTER__").split("__");
        let mut config: Self =
            figment.merge(env).extract().map_err(|error| ConfigError::Shape(Box::new(error)))?;
        config.base =
            file.and_then(Path::parent).map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        config.origin = file.map_or("built-in configuration or environment".to_owned(), |path| {
            format!("{} or environment", path.display())
        });
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let origin = &self.origin;
        let refuse = |holds: bool, key: &str, value: String, allowed: &str| {
            let (key, allowed, origin) = (key.to_owned(), allowed.to_owned(), origin.clone());
            if holds { Ok(()) } else { Err(ConfigError::Value { origin, key, value, allowed }) }
        };
        let (server, engine) = (&self.server, &self.engine);
        let heartbeat = server.heartbeat_s;
        refuse(
            (1..=300).contains(&heartbeat),
            "server.heartbeat_s",
            heartbeat.to_string(),
            "1..=300",
        )?;
        let sessions = server.sessions_max;
        refuse(sessions > 0, "server.sessions_max", sessions.to_string(), "1 or more")?;
        let rate = server.ride_requests_per_rider_per_min;
        let key = "server.ride_requests_per_rider_per_min";
        refuse(rate > 0, key, rate.to_string(), "1 or more")?;
        let capacity = engine.mailbox_capacity;
        let allowed = "1..=65536";
        let holds = (1..=65_536).contains(&capacity);
        refuse(holds, "engine.mailbox_capacity", capacity.to_string(), allowed)?;
        let within = engine.answer_within_ms;
        let holds = (100..=60_000).contains(&within);
        refuse(holds, "engine.answer_within_ms", within.to_string(), "100..=60000")?;
        if let Some((key, value, allowed)) = self.store.fault() {
            refuse(false, &format!("store.{key}"), value, allowed)?;
        }
        let speed = self.clock.speed;
        let holds = (0.1..=1_000.0).contains(&speed);
        refuse(holds, "clock.speed", speed.to_string(), "0.1..=1000")?;
        let fixes = self.positions.fixes_per_s_max;
        refuse(fixes > 0, "positions.fixes_per_s_max", fixes.to_string(), "1 or more")?;
        let fast = self.positions.speed_mps_max;
        refuse(fast > 0.0, "positions.speed_mps_max", fast.to_string(), "above 0")?;
        let bytes = self.log.record_bytes_max;
        let allowed = "1048576 (1 MiB) or more";
        let holds = bytes >= RECORD_BYTES_MIN;
        refuse(holds, "log.record_bytes_max", bytes.to_string(), allowed)?;
        if let Some((key, value, allowed)) = self.kafka.fault() {
            refuse(false, &format!("kafka.{key}"), value, allowed)?;
        }
        if let Some((key, value, allowed)) = self.redis.fault() {
            refuse(false, &format!("redis.{key}"), value, allowed)?;
        }
        if let Some((key, value, allowed)) = self.telemetry.fault() {
            refuse(false, &format!("telemetry.{key}"), value, allowed)?;
        }
        if let Some((key, value, allowed)) = self.collection_fault() {
            refuse(false, &key, value, &allowed)?;
        }
        refuse(!self.markets.is_empty(), "markets", "empty".to_owned(), "one market or more")?;
        for (id, section) in &self.markets {
            let fault = section.travel_time.as_ref().and_then(TravelTimeSection::fault);
            if let Some((key, value, allowed)) = fault {
                refuse(false, &format!("markets.{id}.travel_time.{key}"), value, allowed)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
