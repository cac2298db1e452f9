//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use muster_replay::ReplayOptions;
use muster_simulate::SimulateOptions;

/// Real-time ride dispatch: drivers stream positions, riders request rides, Muster decides in
/// milliseconds, durably, which drivers are offered which ride.
#[derive(Debug, Parser)]
#[command(name = "muster", disable_version_flag = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  muster serve                                  serve on 127.0.0.1:9996, data in ./data
  muster serve --listen 127.0.0.1:0             pick a free port and print it
  muster replay --speed 20                      a real Manhattan hour in three minutes
  MUSTER__CLOCK__SPEED=20 muster serve          a server whose deadlines run 20 times as fast
  muster replay --compare                       the same minutes under each mode, side by side
  muster replay --speed 20 --url http://127.0.0.1:9996   ... and a city for it
  muster simulate --drivers 4000,4400 --html report.html   the hour in virtual time, policies compared
  muster serve --record log                     ... and record what comes in
  muster simulate --log log --policy wide=wave_size=5   that city again, under another policy
  muster explain ride-1                         why each driver near ride-1 was asked or not
  muster explain --driver d-1                   why driver d-1 was asked by which ride of the last hour
  muster serve --shadow mode=batched            what batched dispatch would decide, told to nobody
  muster shadow                                 ... and how it compares so far
  muster roads build --osm city.osm.pbf --out city.roads   travel times by the streets of a city
  muster kafka init --dry-run                   the topics that are missing at the brokers
  muster dlq list                               messages from Kafka that could not be taken in, and why
  muster dlq replay --topic ride-requests       ... and once more with those of one topic
  muster values train --market nyc --database data/muster.db --output nyc-values.csv
                                                what places and times were worth to drivers so far
  muster export city.jsonl.zst                  the whole store; import fills another one from it
  MUSTER__STORE__URL=postgres://muster@db/muster muster import city.jsonl.zst

Exit codes: 0 done (a clean drain, a replay or simulation without violations), 1 failed, 2 bad configuration or
arguments.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the dispatch engine: HTTP, WebSocket and metrics on one port.
    Serve(ServeArgs),
    /// Replay a real city against a server over real sockets and print what its people saw.
    ///
    /// Without --url a server is started on embedded defaults and thrown away afterwards.
    Replay(ReplayArgs),
    /// Run a city in virtual time, without server, store or sockets, under several policies, fleets
    /// and seeds, and print their figures side by side.
    Simulate(SimulateArgs),
    /// Print why a ride was offered to whom: per search and wave, drivers asked and left out; or why
    /// a driver was asked or left out by the rides of the last hour.
    Explain(ExplainArgs),
    /// Print what the shadow policies of a server would have decided, beside what was decided.
    Shadow(ShadowArgs),
    /// Build a market's street network, or say what is in one.
    #[command(subcommand)]
    Roads(RoadsCommand),
    /// What places and times of day are worth, for batched dispatch.
    Values(ValuesArgs),
    /// The platform's Kafka.
    #[command(subcommand)]
    Kafka(KafkaCommand),
    /// Look at messages from Kafka that could not be taken in, or put them back.
    Dlq(DlqArgs),
    /// Bring the tables of the configured store up to this version, and say what was done. A server
    /// does the same when it starts.
    Migrate(MigrateArgs),
    /// Write the whole configured store to a file, at one instant; a server may run meanwhile.
    Export(TransferArgs),
    /// Fill an empty store, of either kind, from a file that export wrote: all of it or nothing.
    Import(TransferArgs),
    /// Print version and source revision.
    Version,
}

/// Options that every subcommand which reads configuration shares.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// Configuration file; without it ./config.toml is read if there is one. Keys it leaves out
    /// keep their defaults; MUSTER__SECTION__KEY in the environment overrides both.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the embedded store; made if absent.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub data: PathBuf,
}

impl ConfigArgs {
    /// The file to read: the one named, else `./config.toml` if it exists.
    pub fn file(&self) -> Option<PathBuf> {
        config_file(self.config.as_ref())
    }
}

/// The configuration that is named, else `./config.toml` if it exists.
pub(crate) fn config_file(named: Option<&PathBuf>) -> Option<PathBuf> {
    let default = PathBuf::from("config.toml");
    named.cloned().or_else(|| default.is_file().then_some(default))
}

/// `muster serve`
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration and data.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Address and port to serve on [default: server.listen of the configuration, 127.0.0.1:9996];
    /// port 0 picks a free one. The first line on standard output says where.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Decide by another policy too, tell nobody, and compare: a key of the section policy as
    /// key=value, or a TOML file of such keys; may be repeated, later ones win. For every market, over its
    /// `[markets.<id>.shadow]`.
    #[arg(long, value_name = "KEY=VALUE|FILE")]
    pub shadow: Vec<String>,
    /// Folder of the recorded log, which muster simulate --log reads [default: log.record of the
    /// configuration, which is off].
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

/// `muster migrate`
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Configuration and data.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Change nothing, and exit with 1 if the store lacks a migration.
    #[arg(long)]
    pub check: bool,
}

/// `muster export` and `muster import`
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// Configuration and data: they say which store.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Lines of JSON; packed if the name ends in .zst. Export makes it anew; - is standard output or
    /// input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `muster replay`
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What to replay.
    #[command(flatten)]
    pub options: ReplayOptions,
}

/// `muster simulate`
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Configuration file whose policy is simulated; without it ./config.toml is read if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The market whose policy it is [default: nyc, or the one with the most requests of the log].
    #[arg(long, value_name = "MARKET")]
    pub market: Option<String>,
    /// What to simulate.
    #[command(flatten)]
    pub options: SimulateOptions,
}

/// `muster explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The ride.
    #[arg(value_name = "RIDE", required_unless_present = "driver")]
    pub ride: Option<String>,
    /// A driver instead: how he stands, and what rides of the last hour decided about him.
    #[arg(long, value_name = "DRIVER", conflicts_with = "ride")]
    pub driver: Option<String>,
    /// The server that knows it.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9996")]
    pub url: String,
}

/// `muster shadow`
#[derive(Debug, Args)]
pub struct ShadowArgs {
    /// The market; without it every one that has a shadow.
    #[arg(long, value_name = "MARKET")]
    pub market: Option<String>,
    /// The server.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9996")]
    pub url: String,
}

/// `muster roads`
#[derive(Debug, Subcommand)]
pub enum RoadsCommand {
    /// Contract streets into a network that a market names as `roads` in its configuration.
    Build(RoadsBuildArgs),
    /// Print what a network holds.
    Info(RoadsInfoArgs),
}

/// `muster roads build`
#[derive(Debug, Args)]
pub struct RoadsBuildArgs {
    /// An extract of OpenStreetMap.
    #[arg(long, value_name = "FILE.osm.pbf", required_unless_present_all = ["nodes", "edges"])]
    #[arg(conflicts_with_all = ["nodes", "edges"])]
    pub osm: Option<PathBuf>,
    /// Nodes as CSV with the columns osmid, lat, lon; .zst is unpacked.
    #[arg(long, value_name = "CSV", requires = "edges")]
    pub nodes: Option<PathBuf>,
    /// Directed edges as CSV with the columns u, v, length_m, and highway and maxspeed, or
    /// speed_kmh, or speed_mph; .zst is unpacked.
    #[arg(long, value_name = "CSV", requires = "nodes")]
    pub edges: Option<PathBuf>,
    /// The network; a server that uses it reads it again.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Factors of the streets' own speeds: one, or 24 from midnight, separated by commas.
    #[arg(long, value_name = "FACTORS", value_delimiter = ',')]
    pub hour_factors: Vec<f64>,
}

/// `muster roads info`
#[derive(Debug, Args)]
pub struct RoadsInfoArgs {
    /// The network.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `muster kafka`
#[derive(Debug, Subcommand)]
pub enum KafkaCommand {
    /// Create the topics of the configuration that do not exist, and say how existing ones differ.
    ///
    /// Existing topics are never changed. Exit code 1 when one differs.
    Init(KafkaInitArgs),
}

/// `muster kafka init`
#[derive(Debug, Args)]
pub struct KafkaInitArgs {
    /// Configuration file; without it ./config.toml is read if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Say what would be created, create nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Partitions of each topic: the most processes and consumers that can share it.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub partitions: i32,
    /// Copies of each partition [default: as the brokers do].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=15))]
    pub replication: Option<u8>,
    /// Hours that messages are kept; positions a day at most, profiles for good (compacted).
    #[arg(long, value_name = "HOURS", default_value_t = 168)]
    pub retention_h: u64,
}

/// `muster dlq`
#[derive(Debug, Args)]
pub struct DlqArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DlqCommand,
}

/// The subcommands of `muster dlq`.
#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// Print the dead letters, oldest first, one a line.
    List(DlqListArgs),
    /// Put dead letters back to their source topic, each once: where the last replay ended, the next
    /// one goes on.
    Replay(DlqReplayArgs),
}

/// Which dead letters.
#[derive(Debug, Args)]
pub struct DlqSource {
    /// Configuration file; without it ./config.toml is read if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Only those of this topic [default: of every topic that is taken in].
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
}

/// `muster dlq list`
#[derive(Debug, Args)]
pub struct DlqListArgs {
    /// Which.
    #[command(flatten)]
    pub source: DlqSource,
    /// Print so many at most.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub limit: u64,
}

/// `muster dlq replay`
#[derive(Debug, Args)]
pub struct DlqReplayArgs {
    /// Which.
    #[command(flatten)]
    pub source: DlqSource,
    /// Put back so many at most [default: all].
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Only say what would be put back.
    #[arg(long)]
    pub dry_run: bool,
}

/// `muster values`
#[derive(Debug, Args)]
pub struct ValuesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ValuesCommand,
}

/// The subcommands of `muster values`.
#[derive(Debug, Subcommand)]
pub enum ValuesCommand {
    /// Make a table of values of the rides that were driven, and of the waits between them.
    Train(TrainArgs),
}

/// `muster values train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The market whose policy and clocks hold, as in the configuration.
    #[arg(long, value_name = "MARKET")]
    pub market: String,
    /// Configuration file; without it ./config.toml is read if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The file of a store: completed rides of the market.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["trips", "store"])]
    pub database: Option<PathBuf>,
    /// The configured store instead: PostgreSQL, or the file in --data.
    #[arg(long, conflicts_with = "database")]
    pub store: bool,
    /// Folder of the embedded store.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub data: PathBuf,
    /// Trips as CSV or CSV.zst, with the columns pickup_lat, pickup_lon, dropoff_lat, dropoff_lon,
    /// and pickup_ts (Unix seconds) or pickup_local (YYYY-MM-DDTHH:MM); dropoff_ts and cab if known.
    #[arg(long, value_name = "FILE")]
    pub trips: Option<PathBuf>,
    /// Where the table goes.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// H3 resolution of a place.
    #[arg(long, value_name = "0-15", default_value_t = 8)]
    pub resolution: u8,
    /// Seconds of a time of day: whole minutes that divide a day.
    #[arg(long, value_name = "S", default_value_t = 600)]
    pub bucket_s: u32,
    /// What a second an hour ahead is worth now, in thousandths; 530 is 0.9 per ten minutes.
    #[arg(long, value_name = "1-1000", default_value_t = 530)]
    pub discount_permille: u16,
}
