//! The generator: a process of its own that holds thousands of sockets in one thread and sends prepared
//! frames, so that it takes as little as possible of the machine it shares with the server.
//!
//! It is told what to do line by line on standard input and answers on standard output; `load` starts as
//! many of them as the connections need.

mod line;
mod process;
mod run;

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::time::Instant;

use clap::Args;
use serde::{Deserialize, Serialize};

pub(super) use self::process::{Generator, open_files_max};
use self::run::Lines;
use super::frames::Encoding;
use super::schedule::Pace;

/// `load generate`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// The server's address.
    #[arg(long)]
    pub address: SocketAddr,
    /// The number of the first driver.
    #[arg(long)]
    pub first: usize,
    /// Connections.
    #[arg(long)]
    pub count: usize,
    /// Seed of the city.
    #[arg(long)]
    pub seed: u64,
}

/// One run, as `load` asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) encoding: Encoding,
    pub(super) fixes: u8,
    pub(super) pace: Pace,
    pub(super) ping_every: u64,
    /// Seconds before the measurement.
    pub(super) warm_s: f64,
    /// Seconds of it.
    pub(super) seconds: f64,
    /// The server's process.
    pub(super) server_pid: u32,
}

/// How long the connections took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Connected {
    pub(super) seconds: f64,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// Fixes of the whole run, warm-up included.
    pub(super) fixes_sent: u64,
    /// Frames of the measurement.
    pub(super) frames: u64,
    /// Seconds of it.
    pub(super) seconds: f64,
    /// Processor seconds of the server meanwhile: user and system.
    pub(super) server_user_s: f64,
    pub(super) server_system_s: f64,
    /// Those of the generator.
    pub(super) own_s: f64,
    /// From the instant a frame was due to the pong behind it: microseconds and how often.
    pub(super) latencies: Vec<(u64, u64)>,
    /// How late frames with a ping were sent, which the latency includes.
    pub(super) lateness: Vec<(u64, u64)>,
    /// Frames that a socket's buffer did not take at once.
    pub(super) blocked: u64,
    /// Refused fixes and frames.
    pub(super) refused: u64,
    /// Connections that the server ended.
    pub(super) closed: u64,
}

/// Connects and does as it is told until standard input ends.
///
/// # Errors
/// When a connection breaks, or the server answers no more.
pub(super) fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut lines = Lines::open(args)?;
    tell(&Connected { seconds: began.elapsed().as_secs_f64() })?;
    for order in std::io::stdin().lock().lines() {
        tell(&lines.run(&serde_json::from_str(&order?)?)?)?;
    }
    Ok(())
}

fn tell(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    out.write_all(b"\n")?;
    out.flush()?;
    Ok(())
}
