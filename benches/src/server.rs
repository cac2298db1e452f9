//! The server under test, as a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::http::{Connection, Request};
use crate::net;

/// A server that is not ready by then has failed.
const READY_WITHIN: Duration = Duration::from_secs(120);
const READY_POLL: Duration = Duration::from_millis(2);

/// How to start it.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The binary.
    pub binary: PathBuf,
    /// Its data folder.
    pub data: PathBuf,
    /// Overrides of its configuration.
    pub env: Vec<(String, String)>,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub pid: u32,
    /// From start to the first `GET /readyz` that answered 200.
    pub ready_after: Duration,
    child: Option<Child>,
}

impl Launch {
    /// The server binary next to this one.
    ///
    /// # Errors
    /// When this binary's own path is unknown.
    pub fn default_binary() -> anyhow::Result<PathBuf> {
        let own = std::env::current_exe()?;
        Ok(own.parent().unwrap_or(Path::new(".")).join("muster"))
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, does not say where it listens, or is not ready in time.
    pub async fn start(&self) -> anyhow::Result<Server> {
        std::fs::create_dir_all(&self.data)?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.data.join("server.log"))?;
        let began = Instant::now();
        // It runs in the folder of its data.
        let binary = std::path::absolute(&self.binary)?;
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&self.data)
            .current_dir(&self.data)
            .envs(self.env.iter().map(|(key, value)| (key, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", self.binary.display()))?;
        let pid = child.id().context("the server has no process id")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await??;
        let first = first.context("the server ended without saying where it listens")?;
        let url = first.strip_prefix("listening on ");
        let url = url.with_context(|| format!("the first line is {first:?}"))?;
        let address = net::loopback(url)?;
        // Whatever else it says must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        wait_ready(address, &mut child).await?;
        Ok(Server { address, pid, ready_after: began.elapsed(), child: Some(child) })
    }
}

/// Waits for an interrupt or a termination signal.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn wait_ready(address: SocketAddr, child: &mut Child) -> anyhow::Result<()> {
    let until = Instant::now() + READY_WITHIN;
    let mut poll = tokio::time::interval(READY_POLL);
    while Instant::now() < until {
        poll.tick().await;
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status} before it was ready");
        }
        if let Ok(mut connection) = Connection::open(address).await
            && let Ok(answer) = connection.call(&Request::get("/readyz")).await
            && answer.status == 200
        {
            return Ok(());
        }
    }
    bail!("the server was not ready after {} s", READY_WITHIN.as_secs())
}

impl Server {
    /// A server that somebody else started.
    pub const fn running(address: SocketAddr, pid: u32) -> Self {
        Self { address, pid, ready_after: Duration::ZERO, child: None }
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it is gone already, or not a child of this process.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("only an own child is killed")?;
        if let Some(status) = child.try_wait()? {
            bail!("the server had ended by itself with {status}");
        }
        child.start_kill()?;
        child.wait().await?;
        Ok(())
    }
}
