//! `muster serve`: open the store, recover, listen, drain.

mod intake;
mod metrics;
mod outside;
mod policy_file;
mod recording;
mod redis;
mod relay;
mod roads_file;
mod shadows;
mod signals;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::HttpService;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use muster_actors::{Dispatch, StartError, StoreError};
use rustix::thread::disable_transparent_huge_pages;
use socket2::SockRef;
use tokio_util::task::TaskTracker;

use self::outside::{Opened, Outside};
use self::policy_file::{PolicyFile, Stamp};
use self::shadows::ShadowSettings;
use crate::cli::ServeArgs;
use crate::config::{Config, ConfigError};
use crate::http::{self, AppState};
use crate::kafka::intake::{Intake, IntakeError};
use crate::kafka::relay::RelayHandle;
use crate::policy::PolicyDesk;
use crate::redis::LinkError;
use crate::store::{ANSWER_KEPT_MS, Database, Retention};
use crate::telemetry;
use crate::version;
use crate::ws::{self, StreamState};

/// Exit code of a bad configuration.
const EXIT_CONFIG: u8 = 2;
/// Connections that may wait to be accepted.
const ACCEPT_BACKLOG: u32 = 8_192;
/// Connections of one HTTP thread; sockets and streams have their own, lower bounds.
const WORKER_CONNECTIONS_MAX: usize = 20_000;
/// How long the end of a connection may take.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How long a peer may take nothing of what was sent to it.
const UNREAD_MAX: Duration = Duration::from_secs(10);
/// How often old decisions, answers and history are pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(10);
/// How often the store is tidied.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// Rows of each kind that one pruning takes, so that commits never wait long behind it.
const PRUNE_ROWS: u32 = 2_000;

/// Why the server could not run.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error(
        "server.listen is {0}, allowed is a loopback address: authentication is off, and any other \
         address needs a token verifier, which is not configured"
    )]
    NotLoopback(SocketAddr),
    #[error("{0}")]
    Logs(String),
    #[error("{0}")]
    Traces(String),
    #[error("cannot listen on {address}: {error}")]
    Listen { address: SocketAddr, error: std::io::Error },
    #[error("log.record or --record: {folder}: {error}")]
    Record { folder: String, error: std::io::Error },
    #[error(
        "store.position_snapshot_ms is 0, allowed with a recorded log is 1 or more: its positions \
         are those of the snapshots"
    )]
    RecordWithoutPositions,
    #[error("kafka.properties: {0}")]
    Kafka(String),
    #[error("store.url cannot be read")]
    NoStore,
    #[error("the store cannot be opened: {0}")]
    Store(#[from] StoreError),
    #[error("redis.url: {0}")]
    Redis(#[from] LinkError),
    #[error("{0}")]
    Start(#[from] StartError),
    #[error("{0}")]
    Intake(#[from] IntakeError),
    #[error("the server failed: {0}")]
    Server(#[from] std::io::Error),
}

impl ServeError {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::NotLoopback(_)
            | Self::Logs(_)
            | Self::Redis(_)
            | Self::Traces(_)
            | Self::Record { .. }
            | Self::Kafka(_)
            | Self::Intake(IntakeError::Client(_))
            | Self::NoStore
            | Self::RecordWithoutPositions => EXIT_CONFIG,
            Self::Listen { .. }
            | Self::Store(_)
            | Self::Start(_)
            | Self::Intake(IntakeError::Thread(_))
            | Self::Server(_) => 1,
        }
    }
}

/// Runs the server until it is told to stop.
#[expect(clippy::print_stderr, reason = "the last word of a server that does not run")]
pub fn run(args: &ServeArgs) -> ExitCode {
    use_small_pages();
    match actix_web::rt::System::new().block_on(serve(args)) {
        Ok(clean) => ExitCode::from(u8::from(!clean)),
        Err(error) => {
            eprintln!("muster serve: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Has the kernel give out memory in small pages. A huge page is cleared as a whole when it is first
/// touched, for milliseconds on a virtual machine, and whoever waits for the thread that touched it waits
/// along.
fn use_small_pages() {
    // A kernel without huge pages has none to refuse.
    let _unknown = disable_transparent_huge_pages(true);
}

async fn serve(args: &ServeArgs) -> Result<bool, ServeError> {
    let _file_size_limit = signals::survive_file_size_limit();
    let file = args.config.file();
    let read = file.as_deref().map(Stamp::of);
    let mut config = Config::load(file.as_deref())?;
    let mut dispatch_config = config.dispatch()?;
    let settings = ShadowSettings(args.shadow.clone());
    let shadows = settings.of(&mut config, &dispatch_config.policies)?;
    let address = args.listen.unwrap_or(config.server.listen);
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    telemetry::init_logs(&config.log.level).map_err(ServeError::Logs)?;
    let listener =
        TcpListener::bind(address).map_err(|error| ServeError::Listen { address, error })?;
    let Opened { outside, standings, roads } =
        Outside::open(args, &config, &mut dispatch_config).await?;
    let (ports, policy_log) = outside.ports();
    let begun = relay::begin(&config, outside.store.as_ref()).await?;
    let dispatch = Dispatch::start(dispatch_config, ports).await?;
    let relay = relay::start(begun, &outside.store, &outside.metrics, outside.traces.clone())?;
    shadows::put_in_force(&dispatch, &shadows);
    let policies = PolicyDesk::open(dispatch.clone(), policy_log, standings).await?;
    let policies = Arc::new(policies);
    roads.watch(dispatch.clone());
    if let Some((file, read)) = file.zip(read) {
        let desk = Arc::clone(&policies);
        PolicyFile::new(file, read, config.clone(), desk, settings, dispatch.clone()).watch();
    }
    spawn_pruning(Arc::clone(&outside.store), dispatch.clone(), &config);
    spawn_tidying(Arc::clone(&outside.store));
    let intake = intake::start(&config.kafka, &dispatch, &outside.metrics)?;
    let state = outside.app_state(&config, &dispatch, &policies);
    let address = listener.local_addr()?;
    let claims = outside.redis.as_ref().map(|redis| redis.start(&dispatch, address));
    let sessions = TaskTracker::new();
    let streams = StreamState {
        dispatch: dispatch.clone(),
        metrics: Arc::clone(&outside.metrics),
        heartbeat: Duration::from_secs(config.server.heartbeat_s),
        sessions_max: config.server.sessions_max,
        alive: sessions.clone(),
    };
    let server = start(&config, listener, state, streams)?;
    let drained = actix_web::rt::spawn(drain_on_signal(
        dispatch,
        intake,
        sessions,
        server.handle(),
        relay,
        Duration::from_millis(config.server.drain_within_ms),
    ));
    server.await?;
    let clean = drained.await.unwrap_or(false);
    if let Some(claims) = claims {
        claims.release().await;
    }
    outside.close().await?;
    Ok(clean)
}

/// Announces the address, and serves.
#[expect(clippy::print_stdout, reason = "the first line on standard output says where")]
fn start(
    config: &Config,
    listener: TcpListener,
    state: AppState,
    streams: StreamState,
) -> Result<Server, ServeError> {
    let state = web::Data::new(state);
    let scrape = metrics::Scrape::new(streams.dispatch.clone(), Arc::clone(&streams.metrics));
    let (streams, scrape) = (web::Data::new(streams), web::Data::new(scrape));
    let app = move || {
        App::new()
            .app_data(state.clone())
            .app_data(streams.clone())
            .app_data(scrape.clone())
            .wrap(from_fn(http::trace))
            .configure(metrics::configure)
            .configure(ws::configure)
            .configure(http::configure)
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if config.server.http_workers == 0 { cores } else { config.server.http_workers };
    let address = listener.local_addr()?;
    let server = Server::build()
        .workers(workers)
        .backlog(ACCEPT_BACKLOG)
        .max_concurrent_connections(WORKER_CONNECTIONS_MAX)
        .disable_signals()
        .shutdown_timeout(1)
        .listen("http", listener, move || {
            let handled = app().into_factory().map_err(|error| error.error_response());
            HttpService::build()
                .client_disconnect_timeout(DISCONNECT_WITHIN)
                // Offers are small and urgent: none waits until the phone has acknowledged the last.
                .tcp_nodelay(true)
                // A client that closes an event stream gives its place back at once.
                .h1_allow_half_closed(false)
                .local_addr(address)
                .on_connect_ext(|connection, _| bound_unread(connection))
                .upgrade(ws::upgrades(app()))
                .finish(map_config(handled, |()| AppConfig::default()))
                .tcp()
        })?
        .run();
    println!("listening on http://{address}");
    tracing::info!(%address, workers, version = version::VERSION, "serving");
    Ok(server)
}

/// Has the kernel reset a connection whose peer takes nothing of what was sent: the response of a
/// phone that does not read would otherwise wait in its buffers for as long as the phone likes.
fn bound_unread(connection: &TcpStream) {
    if let Err(error) = SockRef::from(connection).set_tcp_user_timeout(Some(UNREAD_MAX)) {
        tracing::warn!(%error, "a connection has no bound on what its peer does not read");
    }
}

/// Drains in order: nothing taken in from Kafka, no new rides, sockets told to reconnect, store flushed,
/// the platform told, sockets and listeners closed.
async fn drain_on_signal(
    dispatch: Dispatch,
    intake: Option<Intake>,
    sessions: TaskTracker,
    server: actix_server::ServerHandle,
    relay: Option<RelayHandle>,
    within: Duration,
) -> bool {
    let asked = signals::stop_requested(dispatch.draining()).await;
    tracing::info!(asked, "draining");
    let began = Instant::now();
    // First of all: what comes from here on is for the partitions' next readers.
    if let Some(intake) = intake {
        intake.stop().await;
    }
    let clean = dispatch.drain(within).await;
    relay::finish(relay, within.saturating_sub(began.elapsed())).await;
    sessions.close();
    let left = within.saturating_sub(began.elapsed());
    // Sockets that have not ended by then are cut off.
    let _cut_off = tokio::time::timeout(left, sessions.wait()).await;
    server.stop(true).await;
    tracing::info!(clean, "drained");
    clean
}

/// Does what commits would have to do otherwise, as folding the write-ahead log.
fn spawn_tidying(store: Arc<dyn Database>) {
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            if let Err(error) = store.tidy().await {
                tracing::warn!(%error, "the store was not tidied");
            }
        }
    });
}

/// Forgets what the configuration says need not be kept, a little at a time.
fn spawn_pruning(store: Arc<dyn Database>, dispatch: Dispatch, config: &Config) {
    let hour_ms = 3_600_000;
    let decisions_ms = config.store.decisions_kept_h.saturating_mul(hour_ms);
    let history_ms = config.store.history_kept_h.saturating_mul(hour_ms);
    let unpublished_before = relay::unpublished_before(config);
    actix_web::rt::spawn(async move {
        loop {
            tokio::time::sleep(PRUNE_EVERY).await;
            let now = dispatch.now();
            let retention = Retention {
                answers_before: now.minus_millis(ANSWER_KEPT_MS),
                decisions_before: now.minus_millis(decisions_ms),
                rides_before: now.minus_millis(history_ms),
                unpublished_before: unpublished_before(now),
            };
            match store.prune(&retention, PRUNE_ROWS).await {
                Ok(pruned) => tracing::debug!(rows = pruned.total(), "old rows pruned"),
                Err(error) => tracing::warn!(%error, "old rows were not pruned"),
            }
        }
    });
}
