//! Drivers in the memory of one process.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, ValueEnum};
use futures_util::{StreamExt, stream};
use muster_actors::{Dispatch, Recovered};
use muster_engine::grid::{Contact, DriverStatus};
use muster_engine::time::Timestamp;
use muster_figures::{Better, Suite, grouped};
use serde::{Deserialize, Serialize};

use crate::in_process::{Nowhere, dispatch, recovered, start_driver};
use crate::net::unix_ms;
use crate::process::resident_bytes;

/// Calls under way at once while drivers are started.
const AT_ONCE: usize = 1_024;
/// Drivers who are not all available by then never will be.
const AVAILABLE_WITHIN: Duration = Duration::from_secs(120);
/// Freed memory goes back to the system a moment after it was freed.
const SETTLE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// `capacity memory`
#[derive(Debug, Clone, Args)]
pub struct MemoryArgs {
    /// Drivers; several numbers one after the other.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    pub drivers: Vec<usize>,
}

/// How drivers come to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Start {
    /// Registered one by one, as by their apps.
    Live,
    /// All at once, from a store.
    Restored,
}

/// What a process with drivers takes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Resident {
    /// Bytes in RAM without any driver.
    empty: u64,
    /// Bytes in RAM with all of them available.
    full: u64,
    /// Seconds until they were.
    seconds: f64,
}

/// Starts drivers in this process and tells what it takes. Must be called inside an actix system.
///
/// # Errors
/// When a driver is refused, or not all of them are available in time.
pub async fn resident(drivers: usize, start: Start) -> anyhow::Result<Resident> {
    let own = std::process::id();
    let stored = match start {
        Start::Live => Recovered::default(),
        Start::Restored => recovered(drivers, Timestamp::from_millis(unix_ms()))?,
    };
    let store = Arc::new(Nowhere::with(stored));
    let arbiters = std::thread::available_parallelism().map_or(1, usize::from);
    let empty = resident_bytes(own)?;
    let began = Instant::now();
    let dispatch = dispatch(store, arbiters).await?;
    if start == Start::Live {
        let all = (0..drivers).map(|number| start_driver(&dispatch, number));
        let mut all = stream::iter(all).buffer_unordered(AT_ONCE);
        while let Some(started) = all.next().await {
            started?;
        }
    }
    available(&dispatch, drivers).await?;
    let seconds = began.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    Ok(Resident { empty, full: resident_bytes(own)?, seconds })
}

/// Waits until all drivers are available and have positions.
async fn available(dispatch: &Dispatch, drivers: usize) -> anyhow::Result<()> {
    let began = Instant::now();
    loop {
        let gauges = dispatch.driver_gauges().into_iter();
        let there = gauges.filter(|(gauge, _)| {
            gauge.status == DriverStatus::Available && gauge.contact == Contact::Live
        });
        let there: i64 = there.map(|(_, count)| count).sum();
        if there == i64::try_from(drivers)? {
            return Ok(());
        }
        let waits = began.elapsed() < AVAILABLE_WITHIN;
        ensure!(waits, "{there} of {drivers} drivers are available");
        tokio::time::sleep(POLL).await;
    }
}

/// Measures all numbers of drivers, round by round, each in a process of its own.
///
/// # Errors
/// When a process fails.
pub fn measure(args: &MemoryArgs, rounds: usize) -> anyhow::Result<Suite> {
    let title = "Drivers in the memory of one process";
    let mut suite = Suite::new("capacity", title, "target/release/capacity memory --save .");
    let mut seen = vec![Vec::new(); args.drivers.len()];
    for _ in 0..rounds {
        for (drivers, seen) in args.drivers.iter().zip(&mut seen) {
            seen.push((child(*drivers, Start::Live)?, child(*drivers, Start::Restored)?));
        }
    }
    for (drivers, seen) in args.drivers.iter().zip(&seen) {
        let path = format!("{} drivers with positions", grouped(*drivers as u64));
        let mut add = |unit, of: &dyn Fn(&(Resident, Resident)) -> f64| {
            let values: Vec<f64> = seen.iter().map(of).collect();
            suite.add(&path, "muster", unit, Better::Lower, &values);
        };
        add("MiB", &|(live, _)| live.full as f64 / f64::from(1 << 20));
        add("bytes a driver", &|(live, _)| {
            live.full.saturating_sub(live.empty) as f64 / *drivers as f64
        });
        add("s to register", &|(live, _)| live.seconds);
        add("s to restore", &|(_, restored)| restored.seconds);
        add("MiB when restored", &|(_, restored)| restored.full as f64 / f64::from(1 << 20));
    }
    suite.notes.push(
        "Resident memory of a process with Muster's actors and the server's allocator, every driver \
         registered, online, available in the grid at a place of his own, with his ids and a vehicle; \
         the store takes everything and keeps nothing. Sockets come on top (suite `server`)."
            .to_owned(),
    );
    Ok(suite)
}

fn child(drivers: usize, start: Start) -> anyhow::Result<Resident> {
    let start = start.to_possible_value().context("a way to start")?;
    let mut child = Command::new(std::env::current_exe()?);
    child.args(["drivers", &drivers.to_string(), start.get_name()]);
    let output = child.output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{drivers} drivers: {error}");
    Ok(serde_json::from_slice(&output.stdout)?)
}
