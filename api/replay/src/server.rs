//! The replay's own server: `muster serve` as a child process on a free port.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::error::ReplayError;

/// Time to print the address and to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at `/readyz`.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// Time for a clean drain.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Lines of the server's log shown when it fails.
const LOG_LINES: usize = 20;
/// What the server prints first.
const GREETING: &str = "listening on ";

/// A private server; killed if dropped before [`Self::stop`].
#[derive(Debug)]
pub(crate) struct OwnServer {
    child: Child,
    folder: TempDir,
    pub(crate) url: String,
}

impl OwnServer {
    /// Starts this very program as a server with the given clock speed and waits until it is
    /// ready. It runs in an empty folder, so that only the built-in defaults apply.
    /// `zones` are the zones of a market, as GeoJSON, in place of the configured ones.
    pub(crate) async fn start(
        speed: f64,
        config: Option<&Path>,
        zones: Option<(&str, &str)>,
    ) -> Result<Self, ReplayError> {
        let folder = tempfile::tempdir().map_err(|error| failed("cannot have a folder", &error))?;
        let program = std::env::current_exe().map_err(|error| failed("has no program", &error))?;
        let log = std::fs::File::create(folder.path().join("server.log"))
            .map_err(|error| failed("cannot have a log", &error))?;
        let mut command = Command::new(program);
        command.arg("serve");
        if let Some((market, zones)) = zones {
            let file = folder.path().join("zones.geojson");
            std::fs::write(&file, zones).map_err(|error| failed("cannot have zones", &error))?;
            command.env(format!("MUSTER__MARKETS__{}__ZONES", market.to_uppercase()), file);
        }
        if let Some(config) = config {
            let config =
                std::path::absolute(config).map_err(|error| failed("has no config", &error))?;
            command.arg("--config").arg(config);
        }
        command
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"))
            .env("MUSTER__CLOCK__SPEED", speed.to_string())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        let child = command.spawn().map_err(|error| failed("cannot be started", &error))?;
        let mut server = Self { child, folder, url: String::new() };
        match timeout(START_TIMEOUT, server.await_ready()).await {
            Ok(Ok(())) => Ok(server),
            Ok(Err(detail)) => Err(server.failed(&detail)),
            Err(_) => Err(server.failed("was not ready in time")),
        }
    }

    async fn await_ready(&mut self) -> Result<(), String> {
        let stdout = self.child.stdout.take().ok_or("has no standard output")?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line).await.map_err(|error| error.to_string())?;
        self.url = line
            .trim()
            .strip_prefix(GREETING)
            .ok_or_else(|| format!("did not tell its address but {:?}", line.trim()))?
            .to_owned();
        // Whatever else it prints is read, so that it never waits for a reader.
        tokio::spawn(async move {
            let mut rest = [0; 4096];
            while matches!(stdout.read(&mut rest).await, Ok(1..)) {}
        });
        let ready = format!("{}/readyz", self.url);
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended with {status}"));
            }
            if reqwest::get(&ready).await.is_ok_and(|response| response.status().is_success()) {
                return Ok(());
            }
            sleep(READY_PAUSE).await;
        }
    }

    /// Asks the server to drain and expects a clean exit.
    pub(crate) async fn stop(mut self) -> Result<(), ReplayError> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let Some(pid) = pid else { return Err(self.failed("ended before the replay did")) };
        if let Err(error) = kill_process(pid, Signal::TERM) {
            return Err(self.failed(&format!("could not be told to stop: {error}")));
        }
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(self.failed(&format!("did not end cleanly: {status}"))),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Err(_) => Err(self.failed("did not drain in time")),
        }
    }

    fn failed(&self, detail: &str) -> ReplayError {
        let log =
            std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
        ReplayError::Child { detail: format!("{detail}\n{tail}").trim_end().to_owned() }
    }
}

fn failed(what: &str, error: &std::io::Error) -> ReplayError {
    ReplayError::Child { detail: format!("{what}: {error}") }
}
