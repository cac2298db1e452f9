//! PostgreSQL 15.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, geteuid};
use tempfile::TempDir;

use crate::process::{Process, ServiceError, free_port, program, run, send};

/// Where Debian keeps the server's programs.
const FOLDERS: [&str; 3] =
    ["/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin"];
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";
/// Connections that one server takes; tests run side by side.
const CONNECTIONS_MAX: u32 = 200;

/// A PostgreSQL server with data of its own.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    folder: TempDir,
    port: u16,
    databases: AtomicU32,
}

impl Postgres {
    /// Makes a cluster and starts it. Commits are durable as by default (`fsync` on).
    ///
    /// # Errors
    /// [`ServiceError`] when it is not installed or does not start.
    pub fn start() -> Result<Self, ServiceError> {
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777))?;
        let mut init = as_user(&program("initdb", &FOLDERS)?);
        init.arg("-D").arg(data(folder.path()));
        init.args(["-A", "trust", "--no-sync", "-U", USER, "-E", "UTF8", "--locale=C"]);
        run("postgres", init)?;
        let port = free_port()?;
        let process = serve(folder.path(), port)?;
        Ok(Self { process, folder, port, databases: AtomicU32::new(0) })
    }

    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// A new, empty database of its own.
    ///
    /// # Errors
    /// [`ServiceError`] when the server does not answer.
    pub fn database(&self) -> Result<String, ServiceError> {
        let name = format!("muster_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs `sql` by `psql`, an independent client; rows come as lines, columns apart by `|`.
    ///
    /// # Errors
    /// [`ServiceError`] with what the server says.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, ServiceError> {
        let mut psql = Command::new(program("psql", &FOLDERS)?);
        psql.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", sql]);
        psql.arg(self.url(database));
        run("psql", psql)
    }

    /// Ends it at once, as a crash would: connections break, what was committed stays.
    ///
    /// # Errors
    /// [`ServiceError`] when it cannot be signalled.
    pub fn kill(&mut self) -> Result<(), ServiceError> {
        // "Immediate shutdown": no checkpoint, recovery at the next start. SIGKILL of the first
        // process alone would leave the others running.
        self.process.stop(Signal::QUIT)
    }

    /// Starts it again on the same data and port.
    ///
    /// # Errors
    /// [`ServiceError`] when it does not start.
    pub fn restart(&mut self) -> Result<(), ServiceError> {
        self.process = serve(self.folder.path(), self.port)?;
        Ok(())
    }

    /// Stops all its processes in their tracks: connections stay open and nobody answers.
    ///
    /// # Errors
    /// [`ServiceError`] when they cannot be signalled.
    pub fn pause(&self) -> Result<(), ServiceError> {
        self.signal_all(Signal::STOP)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`ServiceError`] when they cannot be signalled.
    pub fn resume(&self) -> Result<(), ServiceError> {
        self.signal_all(Signal::CONT)
    }

    fn signal_all(&self, signal: Signal) -> Result<(), ServiceError> {
        self.process.signal(signal)?;
        for child in children(self.process.pid())? {
            // A connection that just ended has no process any more.
            let _gone = send(child, signal);
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _running = self.resume();
        let _stopped = self.process.stop(Signal::QUIT);
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

fn serve(folder: &Path, port: u16) -> Result<Process, ServiceError> {
    let mut server = as_user(&program("postgres", &FOLDERS)?);
    server.arg("-D").arg(data(folder)).args(["-p", &port.to_string()]);
    let settings = [
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        format!("max_connections={CONNECTIONS_MAX}"),
    ];
    for setting in settings {
        server.args(["-c", &setting]);
    }
    let mut process = Process::start("postgres", server, &folder.join("log"))?;
    let ready = program("pg_isready", &FOLDERS)?;
    process.ready(|| {
        let mut asking = Command::new(&ready);
        asking.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
        run("pg_isready", asking).is_ok()
    })?;
    Ok(process)
}

/// A command that runs as a user who is not root.
fn as_user(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    // The death signal is lost with the change of user, so it is asked for again.
    command.args(["--reuid", USER, "--regid", USER, "--init-groups", "--pdeathsig", "KILL"]);
    command.arg(program);
    command
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Result<Vec<u32>, ServiceError> {
    let all = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(all.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}
