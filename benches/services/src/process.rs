//! One server process: started, watched until it answers, paused, killed.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A server that does not answer by then has failed; a JVM on a busy machine takes its time.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// How often a server is asked whether it answers.
const READY_POLL: Duration = Duration::from_millis(20);
/// How much of a failed server's log an error shows.
const LOG_TAIL_BYTES: u64 = 2_000;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Its program is not there.
    #[error("{0} is not installed: run scripts/services")]
    Missing(String),
    /// It ended, or did not answer in time.
    #[error("{name} does not run: {fact}\n{log}")]
    Failed {
        /// Which.
        name: &'static str,
        /// What was seen.
        fact: String,
        /// The end of what it logged.
        log: String,
    },
    /// A file or process could not be made.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

/// A port of 127.0.0.1 that nobody listens on at this moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16, ServiceError> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A child process with its log file. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`. The process is killed when this one ends, however it ends.
    pub(crate) fn start(
        name: &'static str,
        command: Command,
        log: &Path,
    ) -> Result<Self, ServiceError> {
        let output = File::options().create(true).append(true).open(log)?;
        let mut command = with_owner(&command);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { name, child: spawn(name, command)?, log: log.to_owned() })
    }

    /// Waits until `answers`.
    pub(crate) fn ready(&mut self, mut answers: impl FnMut() -> bool) -> Result<(), ServiceError> {
        let until = Instant::now() + READY_WITHIN;
        while !answers() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(format!("it ended with {status}")));
            }
            if Instant::now() > until {
                return Err(self.failed(format!("no answer for {} s", READY_WITHIN.as_secs())));
            }
            thread::park_timeout(READY_POLL);
        }
        Ok(())
    }

    pub(crate) fn failed(&self, fact: String) -> ServiceError {
        ServiceError::Failed { name: self.name, fact, log: tail(&self.log).unwrap_or_default() }
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<(), ServiceError> {
        send(self.pid(), signal)
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<(), ServiceError> {
        // One that ended by itself is gone as well.
        let _ended = self.child.kill();
        self.child.wait()?;
        Ok(())
    }

    /// `signal`, and waits until it is gone.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<(), ServiceError> {
        let _ended = self.signal(signal);
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: Signal) -> Result<(), ServiceError> {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        kill_process(pid, signal).map_err(std::io::Error::from)?;
    }
    Ok(())
}

/// The same command, killed when the thread that starts it ends.
fn with_owner(command: &Command) -> Command {
    let mut owned = Command::new("setpriv");
    owned.args(["--pdeathsig", "KILL"]);
    owned.arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => owned.env(key, value),
            None => owned.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        owned.current_dir(folder);
    }
    owned
}

/// Starts `command` from a thread that never ends before the process does: the death signal is bound
/// to the thread that started the child, and a test's thread ends long before its neighbours'.
fn spawn(name: &'static str, mut command: Command) -> Result<Child, ServiceError> {
    let (tell, told) = mpsc::channel();
    let starter = move || {
        let _ = tell.send(command.spawn());
        loop {
            thread::park();
        }
    };
    thread::Builder::new().name(format!("start {name}")).spawn(starter)?;
    let gone = |_| std::io::Error::other("the starting thread ended");
    Ok(told.recv().map_err(gone)??)
}

/// Whether something accepts connections there.
pub(crate) fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// Runs `command` to its end.
pub(crate) fn run(name: &'static str, mut command: Command) -> Result<String, ServiceError> {
    let output = command.stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let fact = format!("{} {}", command.get_program().display(), output.status);
    Err(ServiceError::Failed { name, fact, log })
}

/// The path of a program, in `PATH` or in `folders`.
pub(crate) fn program(name: &str, folders: &[&str]) -> Result<PathBuf, ServiceError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = folders.iter().map(PathBuf::from);
    let found = std::env::split_paths(&path).chain(known).map(|folder| folder.join(name));
    let mut found = found.filter(|path| path.is_file());
    found.next().ok_or_else(|| ServiceError::Missing(name.to_owned()))
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
