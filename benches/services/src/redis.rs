//! Redis 7, alone and as a cluster of three masters.

use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Process, ServiceError, free_port, program, run};

/// How long a node of the cluster may be silent, in milliseconds.
const NODE_TIMEOUT_MS: u32 = 2_000;
/// A node's second port, for the cluster's own messages, is this much above its first.
const BUS_OFFSET: u16 = 10_000;

/// A Redis server that keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    folder: TempDir,
    port: u16,
    cluster: bool,
}

impl Redis {
    /// Starts it.
    ///
    /// # Errors
    /// [`ServiceError`] when it is not installed or does not start.
    pub fn start() -> Result<Self, ServiceError> {
        Self::start_on(free_port()?, false)
    }

    fn start_on(port: u16, cluster: bool) -> Result<Self, ServiceError> {
        let folder = tempfile::tempdir()?;
        let process = serve(folder.path(), port, cluster)?;
        Ok(Self { process, folder, port, cluster })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Runs a command by `redis-cli`, an independent client.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not answer.
    pub fn command(&self, words: &[&str]) -> Result<String, ServiceError> {
        let mut cli = Command::new(program("redis-cli", &[])?);
        cli.args(["-p", &self.port.to_string()]).args(words);
        run("redis-cli", cli)
    }

    /// SIGKILL: everything it held is lost.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be waited for.
    pub fn kill(&mut self) -> Result<(), ServiceError> {
        self.process.kill()
    }

    /// Starts it again on the same port, empty.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not start.
    pub fn restart(&mut self) -> Result<(), ServiceError> {
        self.process = serve(self.folder.path(), self.port, self.cluster)?;
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

/// Three masters that share the key space.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three masters and joins them.
    ///
    /// # Errors
    /// [`ServiceError`] when one does not start or they do not join.
    pub fn start() -> Result<Self, ServiceError> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Redis::start_on(cluster_port()?, true)?);
        }
        let mut create = Command::new(program("redis-cli", &[])?);
        create.args(["--cluster", "create"]);
        create.args(nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)));
        create.args(["--cluster-replicas", "0", "--cluster-yes"]);
        run("redis-cli", create)?;
        for node in &mut nodes {
            let port = node.port;
            node.process.ready(|| settled(port))?;
        }
        Ok(Self { nodes })
    }

    /// The nodes' URLs.
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// The nodes.
    pub fn nodes(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }
}

/// Whether the node there sees the whole key space served.
fn settled(port: u16) -> bool {
    let Ok(cli) = program("redis-cli", &[]) else { return false };
    let mut info = Command::new(cli);
    info.args(["-p", &port.to_string(), "cluster", "info"]);
    run("redis-cli", info).is_ok_and(|info| info.contains("cluster_state:ok"))
}

/// A free port whose second port exists and is free, too.
fn cluster_port() -> Result<u16, ServiceError> {
    loop {
        let port = free_port()?;
        let Some(bus) = port.checked_add(BUS_OFFSET) else { continue };
        if std::net::TcpListener::bind(("127.0.0.1", bus)).is_ok() {
            return Ok(port);
        }
    }
}

fn serve(folder: &Path, port: u16, cluster: bool) -> Result<Process, ServiceError> {
    let port = port.to_string();
    let mut server = Command::new(program("redis-server", &[])?);
    server.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
    server.arg("--dir").arg(folder);
    if cluster {
        let timeout = NODE_TIMEOUT_MS.to_string();
        server.args(["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]);
        server.args(["--cluster-node-timeout", &timeout]);
    }
    let mut process = Process::start("redis", server, &folder.join("log"))?;
    let cli = program("redis-cli", &[])?;
    process.ready(|| {
        let mut ping = Command::new(&cli);
        ping.args(["-p", &port, "ping"]);
        run("redis-cli", ping).is_ok_and(|answer| answer.trim() == "PONG")
    })?;
    Ok(process)
}
