//! The connection to Redis: made when it is needed, given up early, left alone after a failure.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture,
    ScriptInvocation, Value,
};
use tokio::time::Instant;

use crate::config::RedisConfig;

/// How long Redis is left alone after a failure: what waits for it would otherwise wait in vain, one
/// timeout after the other.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Connecting to a cluster asks its nodes for the map of slots.
const CONNECT_TIMEOUTS: u32 = 5;

/// Why Redis did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It failed a moment ago and is left alone.
    #[error("Redis failed a moment ago and is left alone")]
    Resting,
    /// No answer in time.
    #[error("no answer from Redis within {0:?}")]
    TimedOut(Duration),
    /// It said no, or the connection broke.
    #[error("Redis: {0}")]
    Failed(#[from] RedisError),
}

/// Is told how uses of Redis ended: `ok`, `failed`, `timeout` or `left_alone`.
pub trait LinkObserver: Send + Sync + 'static {
    /// A use for this `purpose` ended.
    fn used(&self, purpose: &'static str, outcome: &'static str);
}

enum Target {
    Server(Box<Client>),
    Cluster(Box<ClusterClient>),
}

/// A connection to either kind.
#[derive(Clone)]
enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Server(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Server(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Server(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// Set by a failure, until a use succeeds. When it is over one use tries, and the others are
    /// refused while it does: they would all wait for the same silence.
    rests_until: Option<Instant>,
}

/// Redis as this process sees it.
pub struct Link {
    target: Target,
    timeout: Duration,
    state: Mutex<State>,
    observer: Arc<dyn LinkObserver>,
}

impl Link {
    /// A link that connects with its first use.
    ///
    /// # Errors
    /// [`LinkError::Failed`] when a node's URL means nothing.
    pub fn new(config: &RedisConfig, observer: Arc<dyn LinkObserver>) -> Result<Self, LinkError> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let target = match config.nodes()[..] {
            [server] => Target::Server(Box::new(Client::open(server)?)),
            ref nodes => {
                let builder = ClusterClient::builder(nodes.iter().copied());
                let client = builder
                    .connection_timeout(timeout)
                    .response_timeout(timeout)
                    .retries(1)
                    .build()?;
                Target::Cluster(Box::new(client))
            }
        };
        Ok(Self { target, timeout, state: Mutex::default(), observer })
    }

    /// Runs commands in one trip; in a cluster their keys have one hash tag.
    ///
    /// # Errors
    /// [`LinkError`]; what was written before a failure stays.
    pub async fn pipeline<T: FromRedisValue>(
        &self,
        purpose: &'static str,
        pipeline: &Pipeline,
    ) -> Result<T, LinkError> {
        let run = async |mut connection: Connection| pipeline.query_async(&mut connection).await;
        self.used(purpose, run).await
    }

    /// Runs a command.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn command<T: FromRedisValue>(
        &self,
        purpose: &'static str,
        command: &Cmd,
    ) -> Result<T, LinkError> {
        let run = async |mut connection: Connection| command.query_async(&mut connection).await;
        self.used(purpose, run).await
    }

    /// Runs a script.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn script<T: FromRedisValue>(
        &self,
        purpose: &'static str,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, LinkError> {
        let run = async |mut connection: Connection| script.invoke_async(&mut connection).await;
        self.used(purpose, run).await
    }

    async fn used<T>(
        &self,
        purpose: &'static str,
        run: impl AsyncFnOnce(Connection) -> Result<T, RedisError>,
    ) -> Result<T, LinkError> {
        let outcome = match self.connection().await {
            Ok(connection) => self.in_time(run(connection), 1).await,
            Err(error) => Err(error),
        };
        let name = match &outcome {
            Ok(_) => "ok",
            Err(LinkError::Resting) => "left_alone",
            Err(LinkError::TimedOut(_)) => "timeout",
            Err(LinkError::Failed(_)) => "failed",
        };
        self.observer.used(purpose, name);
        let mut state = self.state();
        match &outcome {
            Ok(_) => state.rests_until = None,
            Err(LinkError::Resting) => {}
            Err(LinkError::TimedOut(_) | LinkError::Failed(_)) => {
                state.connection = None;
                state.rests_until = Some(Instant::now() + REST_AFTER_FAILURE);
            }
        }
        drop(state);
        outcome
    }

    async fn connection(&self) -> Result<Connection, LinkError> {
        {
            let mut state = self.state();
            if let Some(until) = state.rests_until {
                let now = Instant::now();
                if now < until {
                    return Err(LinkError::Resting);
                }
                // As long as this try may take, should nobody hear of its end.
                state.rests_until = Some(now + self.timeout * (CONNECT_TIMEOUTS + 1));
            }
            if let Some(connection) = &state.connection {
                return Ok(connection.clone());
            }
        }
        // Uses that come meanwhile connect, too; the last connection stays.
        let made = self.in_time(self.connect(), CONNECT_TIMEOUTS).await?;
        self.state().connection = Some(made.clone());
        Ok(made)
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        match &self.target {
            Target::Server(client) => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.timeout))
                    .set_response_timeout(Some(self.timeout));
                let made = client.get_multiplexed_async_connection_with_config(&config).await?;
                Ok(Connection::Server(made))
            }
            Target::Cluster(client) => {
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
        }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, RedisError>>,
        timeouts: u32,
    ) -> Result<T, LinkError> {
        let limit = self.timeout * timeouts;
        match tokio::time::timeout(limit, work).await {
            Ok(Err(error)) if error.is_timeout() => Err(LinkError::TimedOut(limit)),
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(LinkError::TimedOut(limit)),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use muster_services::Redis;

    use super::*;

    #[derive(Default)]
    struct Waited(AtomicUsize);

    impl LinkObserver for Waited {
        fn used(&self, _: &'static str, outcome: &'static str) {
            self.0.fetch_add(usize::from(outcome == "timeout"), Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn while_redis_hangs_one_use_at_a_time_waits_for_it() {
        let redis = Redis::start().unwrap();
        let config = RedisConfig {
            url: redis.url(),
            prefix: "muster".to_owned(),
            mirror_every_ms: 1_000,
            mirror_positions_per_s_max: 1_000,
            position_ttl_s: 60,
            owner_ttl_s: 15,
            advertise: String::new(),
            timeout_ms: 100,
        };
        let waited = Arc::new(Waited::default());
        let link = Link::new(&config, waited.clone()).unwrap();
        let ping = async || link.command::<String>("test", &redis::cmd("PING")).await;
        ping().await.unwrap();
        redis.pause().unwrap();
        assert!(matches!(ping().await, Err(LinkError::TimedOut(_))));
        // Fifty at a time ask until the rest is over.
        let before = waited.0.load(Ordering::Relaxed);
        while waited.0.load(Ordering::Relaxed) == before {
            let all = futures_util::future::join_all((0..50).map(|_| ping())).await;
            assert!(all.iter().all(Result::is_err));
            tokio::task::yield_now().await;
        }
        assert_eq!(waited.0.load(Ordering::Relaxed) - before, 1, "of fifty one waited");
        redis.resume().unwrap();
        while ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
