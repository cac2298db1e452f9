//! Memory and processor time of a process, from `/proc`.

use std::time::Duration;

use anyhow::Context;

/// Linux counts processor time in hundredths of a second whatever the kernel's own tick is.
const TICKS_PER_S: u32 = 100;

/// Memory of a process that is in RAM, in bytes.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("process {pid} cannot be read"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")).context("no VmRSS")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Processor time of a process so far.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let (user, system) = cpu_times(pid)?;
    Ok(user + system)
}

/// Processor time of a process so far: what it spent itself, and what the kernel spent for it.
///
/// # Errors
/// When there is no such process, or no `/proc`.
pub fn cpu_times(pid: u32) -> anyhow::Result<(Duration, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; what is counted comes after it.
    let (_, rest) = stat.rsplit_once(')').context("no process name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || {
        let ticks = fields.next().context("no processor time")?.parse::<u32>()?;
        anyhow::Ok(Duration::from_secs(1) * ticks / TICKS_PER_S)
    };
    Ok((next()?, next()?))
}

/// Processor time so far that this machine wanted and its host gave to others, over all cores: where it
/// grows during a run, latencies are the host's as well.
///
/// # Errors
/// When there is no `/proc`.
pub fn stolen_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let stolen = stat.lines().find_map(|line| line.strip_prefix("cpu ")?.split_whitespace().nth(7));
    Ok(Duration::from_secs(1) * stolen.context("no stolen time")?.parse::<u32>()? / TICKS_PER_S)
}

/// Resident memory and processor time together.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Bytes in RAM.
    pub resident: u64,
    /// Processor time so far that the process spent itself.
    pub user: Duration,
    /// Processor time so far that the kernel spent for it.
    pub system: Duration,
}

impl Usage {
    /// Of a process, now.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let (user, system) = cpu_times(pid)?;
        Ok(Self { resident: resident_bytes(pid)?, user, system })
    }

    /// Processor time so far.
    pub fn cpu(self) -> Duration {
        self.user + self.system
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.resident > 100_000);
        assert!(Usage::of(u32::MAX).is_err());
        assert!(stolen_time().is_ok());
    }
}
