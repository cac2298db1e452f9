//! Apache Kafka 4: one node that is broker and controller, on the JVM.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, ServiceError, accepts, free_port, program, run};

/// An id as Kafka wants it: 16 bytes in base 64.
const CLUSTER_ID: &str = "bXVzdGVyLXRlc3QtMDAwMQ";
/// The largest message the broker takes, in bytes: its own default.
const MESSAGE_BYTES_MAX: u32 = 1_048_588;

/// A Kafka broker with data of its own. Topics are not made by being named.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Kafka {
    /// Formats a folder and starts a broker on it.
    ///
    /// # Errors
    /// [`ServiceError`] when it is not installed or does not start.
    pub fn start() -> Result<Self, ServiceError> {
        let folder = tempfile::tempdir()?;
        let (port, controller) = (free_port()?, free_port()?);
        std::fs::write(properties(folder.path()), settings(folder.path(), port, controller))?;
        let mut format = java()?;
        format.args(["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c"]);
        format.arg(properties(folder.path()));
        run("kafka", format)?;
        let process = serve(folder.path(), port)?;
        Ok(Self { process, folder, port })
    }

    /// Its address: `127.0.0.1:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process id of the broker.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be waited for.
    pub fn kill(&mut self) -> Result<(), ServiceError> {
        self.process.kill()
    }

    /// Starts it again on the same data and port.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not start.
    pub fn restart(&mut self) -> Result<(), ServiceError> {
        self.process = serve(self.folder.path(), self.port)?;
        Ok(())
    }

    /// Stops it in its tracks: connections stay open and nobody answers.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be signalled.
    pub fn pause(&self) -> Result<(), ServiceError> {
        self.process.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be signalled.
    pub fn resume(&self) -> Result<(), ServiceError> {
        self.process.signal(Signal::CONT)
    }
}

fn properties(folder: &Path) -> PathBuf {
    folder.join("server.properties")
}

fn settings(folder: &Path, port: u16, controller: u16) -> String {
    let listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}");
    [
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller}"),
        format!("listeners={listeners}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        format!("log.dirs={}", folder.join("data").display()),
        "auto.create.topics.enable=false".to_owned(),
        "offsets.topic.replication.factor=1".to_owned(),
        "offsets.topic.num.partitions=4".to_owned(),
        "transaction.state.log.replication.factor=1".to_owned(),
        "transaction.state.log.min.isr=1".to_owned(),
        "group.initial.rebalance.delay.ms=0".to_owned(),
        format!("message.max.bytes={MESSAGE_BYTES_MAX}"),
    ]
    .join("\n")
}

fn serve(folder: &Path, port: u16) -> Result<Process, ServiceError> {
    let mut server = java()?;
    server.arg("kafka.Kafka").arg(properties(folder));
    let mut process = Process::start("kafka", server, &folder.join("log"))?;
    process.ready(|| accepts(port) && started(&folder.join("log")))?;
    Ok(process)
}

/// A broker accepts connections before it answers them; it says when it does.
fn started(log: &Path) -> bool {
    std::fs::read_to_string(log).is_ok_and(|log| log.contains("Kafka Server started"))
}

fn java() -> Result<Command, ServiceError> {
    let libraries = libraries()?;
    let mut java = Command::new(program("java", &[])?);
    java.args(["-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    java.arg("-cp").arg(libraries.join("*"));
    Ok(java)
}

/// Where `scripts/services` puts Kafka's libraries: `MUSTER_KAFKA_LIBS`, else in the user's cache.
fn libraries() -> Result<PathBuf, ServiceError> {
    let named = std::env::var_os("MUSTER_KAFKA_LIBS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    let folder = named.or_else(|| cache.map(|cache| cache.join("muster/kafka/lib")));
    let missing = || ServiceError::Missing("Kafka".to_owned());
    folder.filter(|folder| folder.is_dir()).ok_or_else(missing)
}
