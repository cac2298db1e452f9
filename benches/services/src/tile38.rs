//! Tile38, where the machine has it.

use std::process::Command;

use tempfile::TempDir;

use crate::process::{Process, ServiceError, accepts, free_port, program};

/// A Tile38 server that keeps nothing on disk.
#[derive(Debug)]
pub struct Tile38 {
    _process: Process,
    _folder: TempDir,
    port: u16,
}

impl Tile38 {
    /// Starts `tile38-server` of `PATH`; no package of Debian has it.
    ///
    /// # Errors
    /// [`ServiceError`] when it is not installed or does not start.
    pub fn start() -> Result<Self, ServiceError> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let mut server = Command::new(program("tile38-server", &[])?);
        server.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "--appendonly", "no"]);
        server.arg("-d").arg(folder.path());
        let mut process = Process::start("tile38", server, &folder.path().join("log"))?;
        process.ready(|| accepts(port))?;
        Ok(Self { _process: process, _folder: folder, port })
    }

    /// Its URL: it speaks the protocol of Redis.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}
