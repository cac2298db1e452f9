//! The scenarios of the load generator.

mod contender;
mod frames;
mod generator;
mod idle;
mod ingest;
mod measure;
mod mix;
mod nearby;
mod open;
mod rush;
mod schedule;
mod standard;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};

use crate::http::Pool;
use crate::net;
use crate::process::Usage;
use crate::report::Report;
use crate::server::{Launch, Server};

pub use frames::Encoding;
pub use generator::GenerateArgs;
pub use idle::IdleArgs;
pub use ingest::IngestArgs;
pub use mix::MixArgs;
pub use nearby::NearbyArgs;
pub use open::OpenArgs;
pub use rush::RushArgs;
pub use standard::{Part, StandardArgs};

/// Loads a dispatch server over loopback and says how it did.
#[derive(Debug, Parser)]
#[command(name = "load")]
pub struct LoadArgs {
    /// Which server.
    #[command(flatten)]
    pub target: TargetArgs,
    /// Which scenario.
    #[command(subcommand)]
    pub scenario: Scenario,
}

/// The scenarios.
#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Fixes from many connections, as fast as they are taken or at a rate: throughput, processor time,
    /// latency, beside a bare server if asked.
    Ingest(IngestArgs),
    /// Drivers who are connected and do nothing: memory per connection, handshakes per second.
    Idle(IdleArgs),
    /// Many ride requests per second against a city of drivers: latency, throughput, violations.
    Rush(RushArgs),
    /// Fixes at a rate and ride requests at a rate, at once: latency of rides, fixes taken, violations.
    Mix(MixArgs),
    /// Which drivers are near a place, over HTTP as fast as it is answered, beside a bare server that
    /// answers as many bytes.
    Nearby(NearbyArgs),
    /// Many rides open at once: memory per ride.
    Open(OpenArgs),
    /// The standard set, kept as figures in benches/results/server.json.
    Standard(StandardArgs),
    /// What `ingest` starts to send the frames.
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// The server to load.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// The server binary, started on a free port with an empty data folder [default: muster next to
    /// this binary].
    #[arg(long, global = true)]
    pub server: Option<PathBuf>,
    /// A running server instead, http://127.x.y.z:PORT; needs --pid.
    #[arg(long, global = true, requires = "pid")]
    pub url: Option<String>,
    /// The process of the running server.
    #[arg(long, global = true)]
    pub pid: Option<u32>,
    /// A configuration override for the started server, SECTION__KEY=VALUE; may be repeated.
    #[arg(long = "set", global = true, value_name = "SECTION__KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Write the figures here as JSON.
    #[arg(long, global = true)]
    pub json: Option<PathBuf>,
    /// Seed of the city and of every decision.
    #[arg(long, global = true, default_value_t = 1)]
    pub seed: u64,
}

/// `SECTION__KEY=VALUE` as the environment variable it means.
///
/// # Errors
/// When there is no `=`.
pub fn override_of(text: &str) -> anyhow::Result<(String, String)> {
    let (key, value) = text.split_once('=').with_context(|| format!("{text} has no ="))?;
    Ok((format!("MUSTER__{key}"), value.to_owned()))
}

/// The server under load.
pub(crate) struct Target {
    pub(crate) server: Server,
    pub(crate) pool: Arc<Pool>,
    /// Removed at the end of the run.
    _data: Option<tempfile::TempDir>,
}

/// Answers later than this are failures.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

impl Target {
    async fn start(args: &TargetArgs, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        if let (Some(url), Some(pid)) = (&args.url, args.pid) {
            let server = Server::running(net::loopback(url)?, pid);
            return Ok(Self { pool: pool(&server, 128), server, _data: None });
        }
        let data = tempfile::tempdir()?;
        let mut overrides: Vec<(String, String)> = env
            .iter()
            .map(|(key, value)| (format!("MUSTER__{key}"), (*value).to_owned()))
            .collect();
        for text in &args.overrides {
            overrides.push(override_of(text)?);
        }
        let binary = match &args.server {
            Some(binary) => binary.canonicalize()?,
            None => Launch::default_binary()?,
        };
        let launch = Launch { binary, data: data.path().to_owned(), env: overrides };
        let server = launch.start().await?;
        Ok(Self { pool: pool(&server, 128), server, _data: Some(data) })
    }

    /// Other connections to the same server.
    pub(crate) fn another_pool(&self, size: usize) -> Arc<Pool> {
        pool(&self.server, size)
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.server.pid)
    }
}

fn pool(server: &Server, size: usize) -> Arc<Pool> {
    Arc::new(Pool::new(server.address, size, ANSWER_WITHIN))
}

/// Runs a scenario and reports, unless it is the part of another.
///
/// # Errors
/// When it cannot be run at all; what it found wrong is in the report.
pub async fn run(args: LoadArgs) -> anyhow::Result<Option<Report>> {
    let report = match &args.scenario {
        Scenario::Ingest(ingest) => ingest::run(&args.target, ingest).await?,
        Scenario::Standard(standard) => standard::run(&args.target, standard).await?,
        Scenario::Generate(generate) => {
            generator::generate(generate)?;
            return Ok(None);
        }
        Scenario::Idle(idle) => idle::run(&args.target, idle).await?,
        Scenario::Rush(rush) => rush::run(&args.target, rush).await?,
        Scenario::Mix(mix) => mix::run(&args.target, mix).await?,
        Scenario::Nearby(nearby) => nearby::run(&args.target, nearby).await?,
        Scenario::Open(open) => open::run(&args.target, open).await?,
    };
    if let Some(path) = &args.target.json {
        report.write_json(path)?;
    }
    Ok(Some(report))
}

/// Sockets of one process are bounded by its open files, here with some left for everything else.
fn check_sockets(sockets: usize) -> anyhow::Result<()> {
    const SOCKETS_MAX: usize = 19_000;
    if sockets > SOCKETS_MAX {
        bail!("{sockets} sockets need more open files than a process gets: at most {SOCKETS_MAX}");
    }
    Ok(())
}

/// Says how far a run is.
pub(crate) fn progress(what: &str) {
    eprintln!("{what}");
}
