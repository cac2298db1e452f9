//! A generator as its parent sees it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{Connected, Order, Outcome};

/// A running generator; killed when dropped.
pub(in crate::load) struct Generator {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Generator {
    /// Starts one on drivers `first..first + count`; [`connected`](Self::connected) waits for it.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub(in crate::load) fn start(
        program: &Path,
        address: SocketAddr,
        (first, count): (usize, usize),
        seed: u64,
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .arg("generate")
            .args(["--address", &address.to_string(), "--first", &first.to_string()])
            .args(["--count", &count.to_string(), "--seed", &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let orders = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        Ok(Self { child, orders, answers: BufReader::new(answers).lines() })
    }

    /// Waits until all its connections are open.
    ///
    /// # Errors
    /// When they cannot be.
    pub(in crate::load) async fn connected(&mut self) -> anyhow::Result<Connected> {
        self.answer().await
    }

    /// Begins a run; [`outcome`](Self::outcome) waits for its end.
    ///
    /// # Errors
    /// When the generator has ended.
    pub(in crate::load) async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        let line = serde_json::to_string(order)? + "\n";
        Ok(self.orders.write_all(line.as_bytes()).await?)
    }

    /// Waits for the end of a run.
    ///
    /// # Errors
    /// When the generator has ended.
    pub(in crate::load) async fn outcome(&mut self) -> anyhow::Result<Outcome> {
        self.answer().await
    }

    async fn answer<T: serde::de::DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let Some(line) = self.answers.next_line().await? else {
            let status = self.child.wait().await?;
            anyhow::bail!("a generator ended with {status}");
        };
        Ok(serde_json::from_str(&line)?)
    }
}

/// Files a process may have open here, and so do its children.
///
/// # Errors
/// When there is no `/proc`.
pub(in crate::load) fn open_files_max() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).context("no such limit")?;
    Ok(soft.parse().unwrap_or(usize::MAX))
}
